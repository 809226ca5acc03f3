//! A plain tree of files: what the view must be equal to, and what a write does to it.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use cv_overlay::{Kind, NamePath};
use cv_winname::UpcaseTable;

use super::tree::Content;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub spelled: Vec<u16>,
    pub plain: Plain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A file or link: what it is, and its content. Names that share a file share the number's cell.
    File(Kind, Shared),
    Directory(u32, BTreeMap<Vec<u16>, Named>),
}

#[derive(Clone, Debug)]
pub struct Shared(pub Rc<Content>);

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.0.0.get() == other.0.0.get()
    }
}

impl Eq for Shared {}

impl Shared {
    pub fn new(number: u32) -> Self {
        Self(Rc::new(Content(Cell::new(number))))
    }
}

/// Why a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NotFound,
    NotADirectory,
    Exists,
    IsADirectory,
    NotEmpty,
    IntoItself,
    Root,
}

pub fn fold(name: &[u16]) -> Vec<u16> {
    UpcaseTable::windows().fold(name)
}

impl Plain {
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(..))
    }

    fn entries(&mut self) -> Result<&mut BTreeMap<Vec<u16>, Named>, Fault> {
        match self {
            Self::Directory(_, entries) => Ok(entries),
            Self::File(..) => Err(Fault::NotADirectory),
        }
    }

    pub fn get(&mut self, path: &NamePath) -> Result<&mut Self, Fault> {
        let mut plain = self;
        for name in path.names() {
            let named = plain.entries()?.get_mut(&fold(name)).ok_or(Fault::NotFound)?;
            plain = &mut named.plain;
        }
        Ok(plain)
    }

    fn parent(&mut self, path: &NamePath) -> Result<(&mut BTreeMap<Vec<u16>, Named>, Vec<u16>), Fault> {
        let name = path.last().ok_or(Fault::Root)?.to_vec();
        Ok((self.get(&path.parent())?.entries()?, name))
    }

    pub fn create(&mut self, path: &NamePath, plain: Self) -> Result<(), Fault> {
        let (entries, name) = self.parent(path)?;
        if entries.contains_key(&fold(&name)) {
            return Err(Fault::Exists);
        }
        entries.insert(fold(&name), Named { spelled: name, plain });
        Ok(())
    }

    pub fn write(&mut self, path: &NamePath, number: u32) -> Result<(), Fault> {
        path.last().ok_or(Fault::Root)?;
        match self.get(path)? {
            Self::File(_, content) => content.0.0.set(number),
            Self::Directory(attributes, _) => *attributes = number,
        }
        Ok(())
    }

    pub fn remove(&mut self, path: &NamePath, directory: bool) -> Result<(), Fault> {
        let (entries, name) = self.parent(path)?;
        let named = entries.get(&fold(&name)).ok_or(Fault::NotFound)?;
        match &named.plain {
            Self::Directory(..) if !directory => return Err(Fault::IsADirectory),
            Self::File(..) if directory => return Err(Fault::NotADirectory),
            Self::Directory(_, below) if !below.is_empty() => return Err(Fault::NotEmpty),
            _ => {}
        }
        entries.remove(&fold(&name));
        Ok(())
    }

    pub fn link(&mut self, from: &NamePath, to: &NamePath) -> Result<(), Fault> {
        from.last().ok_or(Fault::Root)?;
        let plain = self.get(from)?.clone();
        if plain.is_directory() {
            return Err(Fault::IsADirectory);
        }
        self.create(to, plain)
    }

    pub fn rename(&mut self, from: &NamePath, to: &NamePath, replace: bool) -> Result<(), Fault> {
        from.last().ok_or(Fault::Root)?;
        let source = self.get(from)?.clone();
        let folded = |path: &NamePath| path.names().map(fold).collect::<Vec<_>>();
        let (from_names, to_names) = (folded(from), folded(to));
        if source.is_directory() && to_names.len() > from_names.len() && to_names.starts_with(&from_names) {
            return Err(Fault::IntoItself);
        }
        let (_, name) = self.parent(to)?;
        if from_names != to_names
            && let Ok(target) = self.get(to)
        {
            match (&source, target) {
                _ if !replace => return Err(Fault::Exists),
                (Self::File(..), Self::Directory(..)) => return Err(Fault::IsADirectory),
                (Self::Directory(..), Self::File(..)) => return Err(Fault::NotADirectory),
                (Self::Directory(..), Self::Directory(_, below)) if !below.is_empty() => {
                    return Err(Fault::NotEmpty);
                }
                _ => {}
            }
        }
        let (entries, old) = self.parent(from)?;
        entries.remove(&fold(&old));
        let (entries, _) = self.parent(to)?;
        entries.insert(
            fold(&name),
            Named {
                spelled: name,
                plain: source,
            },
        );
        Ok(())
    }

    pub fn exchange(&mut self, one: &NamePath, other: &NamePath) -> Result<(), Fault> {
        one.last().ok_or(Fault::Root)?;
        let left = self.get(one)?.clone();
        other.last().ok_or(Fault::Root)?;
        let right = self.get(other)?.clone();
        let folded = |path: &NamePath| path.names().map(fold).collect::<Vec<_>>();
        let (ones, others) = (folded(one), folded(other));
        if ones.len() != others.len() && (ones.starts_with(&others) || others.starts_with(&ones)) {
            return Err(Fault::IntoItself);
        }
        *self.get(one)? = right;
        *self.get(other)? = left;
        Ok(())
    }

    /// A copy that writes to the one do not change in the other. Names that share a file share its copy.
    pub fn snapshot(&self) -> Self {
        self.copy(&mut HashMap::new())
    }

    fn copy(&self, copies: &mut HashMap<*const Content, Shared>) -> Self {
        match self {
            Self::File(kind, content) => {
                let copy = copies
                    .entry(Rc::as_ptr(&content.0))
                    .or_insert_with(|| Shared::new(content.0.0.get()));
                Self::File(*kind, copy.clone())
            }
            Self::Directory(attributes, entries) => {
                let entries = entries.iter().map(|(name, named)| {
                    let spelled = named.spelled.clone();
                    let plain = named.plain.copy(copies);
                    (name.clone(), Named { spelled, plain })
                });
                Self::Directory(*attributes, entries.collect())
            }
        }
    }
}
