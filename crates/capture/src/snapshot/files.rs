//! The files of a machine.

use cv_winname::{UpcaseTable, wtf8};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory, with what is in it.
    Directory,
    /// A symbolic link, a junction, or a placeholder of another kind.
    Link,
}

/// What tells a file from others, whatever its name: on NTFS the file reference, on a host the inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntryId(pub u64);

/// A named stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NamedStream {
    /// Its name.
    pub name: Vec<u16>,
    /// Its bytes.
    pub size: u64,
}

/// A name and the file that it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The directory that it is in; the root is in itself.
    pub parent: u32,
    /// The name, WTF-8.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// The file's identity; names with the same one are hard links.
    pub id: EntryId,
    /// Bytes of its content.
    pub size: u64,
    /// When it was made, in 100 ns since 1601.
    pub created: u64,
    /// When its content last changed.
    pub modified: u64,
    /// When anything of it last changed.
    pub changed: u64,
    /// Number of its last change in the journal of the volume; 0 where that is not known.
    pub usn: u64,
    /// The attributes that NTFS has for it.
    pub attributes: u32,
    /// Number of its security descriptor among [`Files::securities`], counted from 1; 0 for none.
    pub security: u32,
    /// Its named streams, by name.
    pub streams: Vec<NamedStream>,
    /// Its reparse data; of a link of the host, its target.
    pub reparse: Option<Vec<u8>>,
    /// Where its entries stand, of a directory.
    children: Range<u32>,
}

impl Entry {
    /// An entry with nothing known but its name.
    pub fn new(name: Vec<u8>, kind: EntryKind, id: EntryId) -> Self {
        Self {
            parent: 0,
            name,
            kind,
            id,
            size: 0,
            created: 0,
            modified: 0,
            changed: 0,
            usn: 0,
            attributes: 0,
            security: 0,
            streams: Vec::new(),
            reparse: None,
            children: 0..0,
        }
    }
}

/// All files of a machine: its drive C:.
///
/// The entries of each directory stand together, in the order of their folded names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    entries: Vec<Entry>,
    /// Security descriptors, self-relative.
    pub securities: Vec<Vec<u8>>,
    /// What tells the volume from others: ids of files of two snapshots can be compared where this is the same.
    pub volume: u64,
}

impl Files {
    /// The root.
    pub const ROOT: u32 = 0;

    /// How many entries there are, the root counted.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.entries.len() <= 1
    }

    /// An entry.
    pub fn entry(&self, index: u32) -> &Entry {
        &self.entries[index as usize]
    }

    /// All entries, the root first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of a directory, by folded name.
    pub fn children(&self, directory: u32) -> Range<u32> {
        self.entry(directory).children.clone()
    }

    /// The security descriptor of an entry.
    pub fn security(&self, index: u32) -> Option<&[u8]> {
        let number = self.entry(index).security.checked_sub(1)?;
        self.securities.get(number as usize).map(Vec::as_slice)
    }

    /// The path from the root, names separated by `/`.
    pub fn path(&self, index: u32) -> Vec<u8> {
        let mut way = Vec::new();
        let mut current = index;
        while current != Self::ROOT {
            let entry = self.entry(current);
            way.push(&entry.name);
            current = entry.parent;
        }
        let mut path = Vec::new();
        for name in way.into_iter().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        path
    }

    /// The entry of this name in a directory.
    pub fn child(&self, directory: u32, name: &[u16]) -> Option<u32> {
        let table = UpcaseTable::windows();
        let children = self.children(directory);
        let entries = &self.entries[children.start as usize..children.end as usize];
        let folded = table.fold(name);
        let place = entries.binary_search_by(|entry| self::folded(&entry.name).cmp(&folded));
        place.ok().map(|place| children.start + place as u32)
    }

    /// What a path leads to, names separated by `/` and in any case.
    pub fn find(&self, path: &[u8]) -> Option<u32> {
        path.split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .try_fold(Self::ROOT, |directory, name| {
                self.child(directory, &wtf8::decode(name).ok()?)
            })
    }

    /// Gives files the numbers of their last changes.
    pub(super) fn set_usns(&mut self, usns: &HashMap<EntryId, u64>) {
        for entry in &mut self.entries {
            if let Some(usn) = usns.get(&entry.id) {
                entry.usn = *usn;
            }
        }
    }

    /// Whether every number in it leads somewhere, and every directory to its own entries: what a saved state must be before
    /// it is used.
    pub(super) fn is_sound(&self) -> bool {
        let Some(root) = self.entries.first() else {
            return false;
        };
        // Behind the root each directory's entries follow those of the directory before it.
        let mut next = 1;
        let in_order = |entry: &Entry, next: &mut u32| {
            let is_next = entry.children.start == *next && entry.children.end >= *next;
            if is_next {
                *next = entry.children.end;
            }
            is_next || entry.children.is_empty()
        };
        let is_ordered = self.entries.iter().all(|entry| in_order(entry, &mut next));
        is_ordered
            && root.parent == 0
            && next as usize == self.entries.len()
            && self.entries.iter().enumerate().all(|(index, entry)| {
                let own = entry.children.start as usize..entry.children.end as usize;
                entry.security as usize <= self.securities.len()
                    && wtf8::decode(&entry.name).is_ok()
                    && (index == 0 || (entry.parent as usize) < index)
                    && (own.is_empty() || own.start > index)
                    && own.end <= self.entries.len()
                    && self
                        .entries
                        .get(own)
                        .is_some_and(|children| children.iter().all(|child| child.parent as usize == index))
            })
    }
}

/// A name folded, for comparing.
pub fn folded(name: &[u8]) -> Vec<u16> {
    UpcaseTable::windows().fold(&wtf8::decode(name).unwrap_or_default())
}

/// Gathers entries in any order, a directory before what is in it.
#[derive(Debug)]
pub struct FilesBuilder {
    entries: Vec<Entry>,
    securities: Vec<Vec<u8>>,
    volume: u64,
}

impl FilesBuilder {
    /// A root with nothing in it.
    pub fn new(volume: u64, root: Entry) -> Self {
        Self {
            entries: vec![root],
            securities: Vec::new(),
            volume,
        }
    }

    /// Adds an entry to a directory; gives its number for what is in it. `None` where there are too many.
    pub fn add(&mut self, directory: u32, mut entry: Entry) -> Option<u32> {
        let number = u32::try_from(self.entries.len()).ok()?;
        entry.parent = directory;
        self.entries.push(entry);
        Some(number)
    }

    /// Adds a security descriptor; gives its number.
    pub fn add_security(&mut self, descriptor: &[u8]) -> u32 {
        self.securities.push(descriptor.to_vec());
        self.securities.len() as u32
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.entries.len() <= 1
    }

    /// The files. Of names in one directory that differ in case alone the first stays; the paths of the others are given too.
    pub fn finish(self) -> (Files, Vec<Vec<u8>>) {
        let mut by_parent: Vec<(u32, Vec<u16>, u32)> = self.entries[1..]
            .iter()
            .enumerate()
            .map(|(index, entry)| (entry.parent, folded(&entry.name), index as u32 + 1))
            .collect();
        by_parent.sort_unstable();
        let mut sorted = self.entries;
        let mut taken: Vec<Option<Entry>> = sorted.drain(..).map(Some).collect();
        let mut entries: Vec<Entry> = Vec::with_capacity(taken.len());
        // The old number of each entry that was placed.
        let mut old: Vec<u32> = Vec::with_capacity(taken.len());
        entries.extend(taken[0].take());
        old.push(0);
        let mut twins = Vec::new();
        let mut directory = 0;
        while directory < entries.len() {
            let number = old[directory];
            let from = by_parent.partition_point(|(parent, _, _)| *parent < number);
            let to = from + by_parent[from..].partition_point(|(parent, _, _)| *parent == number);
            let start = entries.len() as u32;
            let mut last: Option<&[u16]> = None;
            for (_, name, child) in &by_parent[from..to] {
                let Some(mut entry) = taken[*child as usize].take() else {
                    continue;
                };
                entry.parent = directory as u32;
                if last == Some(name) {
                    twins.push(entry);
                    continue;
                }
                last = Some(name);
                old.push(*child);
                entries.push(entry);
            }
            entries[directory].children = start..entries.len() as u32;
            directory += 1;
        }
        let files = Files {
            entries,
            securities: self.securities,
            volume: self.volume,
        };
        let paths = twins.into_iter().map(|entry| {
            let mut path = files.path(entry.parent);
            path.push(b'/');
            path.extend_from_slice(&entry.name);
            path
        });
        let paths = paths.collect();
        (files, paths)
    }
}
