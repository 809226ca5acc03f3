//! How long it takes to list a stack of large layers, to find a path in it and to find all its conflicts.
//!
//! `cargo run --release -p cv-overlay --example merge_speed -- [LAYERS [FILES]]`; 10 layers of 100,000 files unless told.
//! Each layer is an index in memory, as a layer's own index is.

use std::convert::Infallible;
use std::time::Instant;

use cv_overlay::{Attachment, Kind, Layer, LayerId, NamePath, Names, Resolved, Role, Stack};

/// A layer as a table of entries, each directory's entries together and in order.
struct Index {
    entries: Vec<Entry>,
}

struct Entry {
    name: Vec<u16>,
    kind: Kind,
    hash: [u8; 8],
    first: u32,
    end: u32,
}

const DIRECTORIES: usize = 1000;

impl Index {
    /// A layer of a thousand directories. A tenth of the files is in every layer, the rest in this one alone.
    fn new(layer: usize, files: usize) -> Self {
        let name = |text: String| text.encode_utf16().collect::<Vec<_>>();
        let directory = |name, first, end| Entry {
            name,
            kind: Kind::Directory,
            hash: [0; 8],
            first,
            end,
        };
        let mut entries = vec![directory(Vec::new(), 1, 1 + DIRECTORIES as u32)];
        let each = (files / DIRECTORIES) as u32;
        for number in 0..DIRECTORIES {
            let first = 1 + DIRECTORIES as u32 + number as u32 * each;
            entries.push(directory(name(format!("DIRECTORY{number:05}")), first, first + each));
        }
        for _ in 0..DIRECTORIES {
            for file in 0..each {
                let owner = if file % 10 == 0 { 0 } else { layer };
                entries.push(Entry {
                    name: name(format!("file{file:05}-of-layer-{owner:02}.dll")),
                    kind: Kind::File,
                    hash: ((file % 20) as usize * layer).to_le_bytes(),
                    first: 0,
                    end: 0,
                });
            }
        }
        Self { entries }
    }

    fn get(&self, entry: u32) -> &Entry {
        &self.entries[entry as usize]
    }
}

impl Layer for Index {
    type Entry = u32;
    type Error = Infallible;
    type Listing<'l> = std::iter::Map<std::ops::Range<u32>, fn(u32) -> Result<u32, Infallible>>;

    fn root(&self) -> Result<Option<u32>, Infallible> {
        Ok(Some(0))
    }

    fn lookup(&self, directory: &u32, name: &[u16]) -> Result<Option<u32>, Infallible> {
        let directory = self.get(*directory);
        let entries = &self.entries[directory.first as usize..directory.end as usize];
        let names = cv_winname::UpcaseTable::windows();
        let found = entries.binary_search_by(|entry| names.compare(&entry.name, name));
        Ok(found.ok().map(|position| directory.first + position as u32))
    }

    fn list(&self, directory: &u32) -> Result<Self::Listing<'_>, Infallible> {
        let directory = self.get(*directory);
        Ok((directory.first..directory.end).map(Ok))
    }

    fn kind(&self, entry: &u32) -> Kind {
        self.get(*entry).kind
    }

    fn name<'l>(&'l self, entry: &'l u32) -> &'l [u16] {
        &self.get(*entry).name
    }

    fn content<'l>(&'l self, entry: &'l u32) -> Option<&'l [u8]> {
        Some(&self.get(*entry).hash)
    }
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|number| number.parse::<usize>().ok());
    let layers = numbers.next().unwrap_or(10);
    let files = numbers.next().unwrap_or(100_000);
    let indexes: Vec<_> = (1..=layers).map(|layer| Index::new(layer, files)).collect();
    let members = indexes
        .iter()
        .enumerate()
        .map(|(id, index)| Attachment::new(LayerId(id as u64), Role::Layer, index));

    let start = Instant::now();
    let stack = Stack::new(Names::windows(), members.collect());
    println!("stack of {layers} layers of {files} files: {:?}", start.elapsed());

    let start = Instant::now();
    let Ok(Some(root)) = stack.root() else { return };
    let mut walk = stack.walk(root, NamePath::root());
    let mut count = 0_u64;
    while let Ok(Some(_)) = walk.next() {
        count += 1;
    }
    let elapsed = start.elapsed();
    println!("listing all: {count} names in {elapsed:?}");

    let start = Instant::now();
    let mut conflicts = stack.conflicts().unwrap_or_else(|never| match never {});
    let mut count = 0_u64;
    while let Ok(Some(_)) = conflicts.next() {
        count += 1;
    }
    println!("all conflicts: {count} in {:?}", start.elapsed());

    let start = Instant::now();
    let mut found = 0_u64;
    for number in 0..100_000 {
        let path = NamePath::from(format!(r"\directory{:05}\FILE00000-of-layer-00.dll", number % DIRECTORIES).as_str());
        if matches!(stack.resolve(&path), Ok(Resolved::Found { .. })) {
            found += 1;
        }
    }
    println!("{found} paths found, each in {:?}", start.elapsed() / 100_000);
}
