//! A tree of files in memory that can be a member of a stack.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use cv_overlay::{Kind, Layer, NamePath, Names, Role};
use cv_winname::UpcaseTable;

/// What the names of a file share: its content.
#[derive(Debug)]
pub struct Content(pub Cell<u32>);

#[derive(Debug)]
pub struct Node {
    pub name: Vec<u16>,
    pub kind: Cell<Kind>,
    /// For directories, what stands for attributes, times and security.
    pub content: Rc<Content>,
    pub children: RefCell<Vec<Rc<Node>>>,
    /// The content when the entry was made.
    hash: [u8; 4],
}

impl Node {
    pub fn new(name: &[u16], kind: Kind, content: Rc<Content>) -> Rc<Self> {
        Rc::new(Self {
            name: name.to_vec(),
            kind: Cell::new(kind),
            hash: content.0.get().to_le_bytes(),
            content,
            children: RefCell::default(),
        })
    }

    pub fn with_number(name: &[u16], kind: Kind, number: u32) -> Rc<Self> {
        Self::new(name, kind, Rc::new(Content(Cell::new(number))))
    }

    fn position(&self, name: &[u16]) -> Result<usize, usize> {
        self.children
            .borrow()
            .binary_search_by(|child| UpcaseTable::windows().compare(&child.name, name))
    }

    pub fn child(&self, name: &[u16]) -> Option<Rc<Self>> {
        let position = self.position(name).ok()?;
        Some(Rc::clone(&self.children.borrow()[position]))
    }

    /// Puts a child in the place of the one of that name, if there is one.
    pub fn put(&self, child: Rc<Self>) {
        match self.position(&child.name) {
            Ok(position) => self.children.borrow_mut()[position] = child,
            Err(position) => self.children.borrow_mut().insert(position, child),
        }
    }

    pub fn take(&self, name: &[u16]) -> Option<Rc<Self>> {
        let position = self.position(name).ok()?;
        Some(self.children.borrow_mut().remove(position))
    }

    pub fn renamed(&self, name: &[u16]) -> Rc<Self> {
        Rc::new(Self {
            name: name.to_vec(),
            kind: self.kind.clone(),
            content: Rc::clone(&self.content),
            children: self.children.clone(),
            hash: self.hash,
        })
    }
}

#[derive(Debug)]
pub struct Tree {
    pub root: Rc<Node>,
    pub role: Role,
    pub keeps_links: bool,
}

impl Tree {
    pub fn new(role: Role) -> Self {
        Self {
            root: Node::with_number(&[], Kind::Directory, 0),
            role,
            keeps_links: false,
        }
    }

    pub fn find(&self, path: &NamePath) -> Option<Rc<Node>> {
        let mut node = Rc::clone(&self.root);
        for name in path.names() {
            node = node.child(name)?;
        }
        Some(node)
    }
}

impl Layer for Tree {
    type Entry = Rc<Node>;
    type Error = Infallible;
    type Listing<'l> = std::vec::IntoIter<Result<Rc<Node>, Infallible>>;

    fn root(&self) -> Result<Option<Rc<Node>>, Infallible> {
        Ok(Some(Rc::clone(&self.root)))
    }

    fn lookup(&self, directory: &Rc<Node>, name: &[u16]) -> Result<Option<Rc<Node>>, Infallible> {
        Ok(directory.child(name))
    }

    fn list(&self, directory: &Rc<Node>) -> Result<Self::Listing<'_>, Infallible> {
        let entries: Vec<_> = directory.children.borrow().iter().cloned().map(Ok).collect();
        Ok(entries.into_iter())
    }

    fn kind(&self, entry: &Rc<Node>) -> Kind {
        entry.kind.get()
    }

    fn name<'l>(&'l self, entry: &'l Rc<Node>) -> &'l [u16] {
        &entry.name
    }

    fn content<'l>(&'l self, entry: &'l Rc<Node>) -> Option<&'l [u8]> {
        // The content of 0 is one that the layer does not know.
        (entry.hash != [0; 4]).then_some(&entry.hash)
    }

    fn other_links(&self, entry: &Rc<Node>) -> Result<Vec<NamePath>, Infallible> {
        let mut paths = Vec::new();
        if self.keeps_links && Rc::strong_count(&entry.content) > 1 {
            links(&self.root, entry, &mut NamePath::root(), &mut paths);
        }
        Ok(paths)
    }
}

fn links(directory: &Node, entry: &Rc<Node>, path: &mut NamePath, paths: &mut Vec<NamePath>) {
    for child in directory.children.borrow().iter() {
        path.push(&child.name);
        if Rc::ptr_eq(&child.content, &entry.content) && !Rc::ptr_eq(child, entry) {
            paths.push(path.clone());
        }
        links(child, entry, path, paths);
        path.pop();
    }
}

pub fn names() -> Names {
    Names::windows()
}
