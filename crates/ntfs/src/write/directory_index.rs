//! The entries of a directory's index.

use super::b_tree::{Entries, EntrySizes};
use super::core::Core;
use super::layout::Layout;
use super::names::{Key, system_name};
use super::parts;
use super::system_files;
use crate::structure::index::{IndexEntryHeader, encode_name_entry};
use crate::structure::{FileName, FileReference, Structure, aligned};

/// How large the entries are.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirectorySizes<'a> {
    core: &'a Core,
    directory: u32,
}

impl<'a> DirectorySizes<'a> {
    pub fn new(core: &'a Core, directory: u32) -> Self {
        Self { core, directory }
    }
}

impl EntrySizes for DirectorySizes<'_> {
    fn count(&self) -> usize {
        self.core.directories.count(self.directory)
    }

    fn size(&self, position: usize) -> usize {
        let tree = &self.core.tree;
        let units = match self.core.directories.key(self.directory, position) {
            Key::Long(name) => tree.name_length(name),
            Key::Short(name) => tree.short_name(name).unwrap_or_default().len(),
            Key::System(record) => system_name(record).len(),
        };
        aligned(IndexEntryHeader::SIZE + FileName::size(units))
    }
}

/// The entries themselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirectoryEntries<'a> {
    sizes: DirectorySizes<'a>,
    layout: &'a Layout,
}

impl<'a> DirectoryEntries<'a> {
    pub fn new(core: &'a Core, layout: &'a Layout, directory: u32) -> Self {
        Self {
            sizes: DirectorySizes::new(core, directory),
            layout,
        }
    }

    fn entry(&self, position: usize) -> (FileReference, FileName) {
        let core = self.sizes.core;
        match core.directories.key(self.sizes.directory, position) {
            Key::Long(name) => {
                let reference = core.reference(core.tree.names[name as usize].file);
                (reference, parts::long_file_name(core, self.layout, name))
            }
            Key::Short(name) => {
                let reference = core.reference(core.tree.names[name as usize].file);
                (reference, parts::short_file_name(core, self.layout, name))
            }
            Key::System(record) => system_files::index_entry(core, self.layout, u64::from(record)),
        }
    }
}

impl EntrySizes for DirectoryEntries<'_> {
    fn count(&self) -> usize {
        self.sizes.count()
    }

    fn size(&self, position: usize) -> usize {
        self.sizes.size(position)
    }
}

impl Entries for DirectoryEntries<'_> {
    fn encode(&self, position: usize, child: Option<u64>, bytes: &mut Vec<u8>) {
        let (reference, name) = self.entry(position);
        bytes.extend(encode_name_entry(reference, &name.to_bytes(), child));
    }
}
