//! Directories.

use crate::error::FileError;
use crate::read::file::File;
use crate::read::index::Index;
use crate::structure::index::I30;
use crate::structure::index::IndexEntryHeader;
use crate::structure::system_file::ROOT;
use crate::structure::{FileName, FileReference, IndexEntry, Namespace, Structure, moved};
use cv_disk::Damage;
use std::cmp::Ordering;

/// A directory's index of names.
#[derive(Debug, Clone)]
pub struct Directory {
    index: Index,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The file.
    pub reference: FileReference,
    /// Its name, and what a listing shows of it.
    pub file_name: FileName,
}

impl DirectoryEntry {
    fn of(entry: &IndexEntry) -> Result<Self, Damage> {
        let file_name = FileName::parse(entry.key()).map_err(|damage| {
            let start = entry.offset + IndexEntryHeader::SIZE;
            moved(damage, start as u64)
        })?;
        Ok(Self {
            reference: entry.header.file_reference,
            file_name,
        })
    }

    /// The name.
    pub fn name(&self) -> &[u16] {
        &self.file_name.name
    }

    /// Whether it is the 8.3 name of a file that also has a long one.
    pub fn is_short_name(&self) -> bool {
        self.file_name.namespace() == Namespace::DOS
    }
}

impl Directory {
    pub(crate) fn open(file: &File) -> Result<Self, FileError> {
        if !file.is_directory() {
            return Err(FileError::NotADirectory {
                name: format!("file record {}", file.reference().record()),
            });
        }
        file.index(&I30).map(|index| Self { index })
    }

    /// Its index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Its entries as they are stored, 8.3 names included, and in the root the root itself (`.`).
    ///
    /// In the order of the names where nothing is damaged. A damaged part yields an error and the others follow: the iterator
    /// ends when all that can be read was read.
    pub fn all_entries(&self) -> impl Iterator<Item = Result<DirectoryEntry, FileError>> + '_ {
        self.index.entries(DirectoryEntry::of)
    }

    /// Its entries without 8.3 names of files that have a long one too, and without `.`.
    pub fn entries(&self) -> impl Iterator<Item = Result<DirectoryEntry, FileError>> + '_ {
        let is_own = |entry: &DirectoryEntry| {
            entry.reference.record() == ROOT.record && self.index.record() == ROOT.record && entry.name() == [0x2E]
        };
        self.all_entries()
            .filter(move |entry| !matches!(entry, Ok(entry) if entry.is_short_name() || is_own(entry)))
    }

    /// The entry of that name, compared by the volume's `$UpCase`, 8.3 names included; where two differ in case alone the one
    /// written so, else either.
    ///
    /// Descends the tree. Only where that meets damage are all entries that can be read looked through.
    pub fn find(&self, name: &[u16]) -> Result<Option<DirectoryEntry>, FileError> {
        let upcase = self.index.volume().upcase();
        let same = std::cell::RefCell::new(None);
        let found = self.index.descend(
            |key| {
                let own = cv_winname::wtf8::from_le_bytes(FileName::name_bytes(key)?);
                Ok(upcase.collate(&own, name))
            },
            |entry| {
                let own = cv_winname::wtf8::from_le_bytes(FileName::name_bytes(entry.key())?);
                if upcase.equal(&own, name) {
                    *same.borrow_mut() = Some(DirectoryEntry::of(entry)?);
                }
                Ok(())
            },
            DirectoryEntry::of,
        );
        match found {
            Ok(entry) => Ok(entry.or(same.into_inner())),
            Err(error) => match same.into_inner().or_else(|| self.find_anywhere(name)) {
                Some(entry) => Ok(Some(entry)),
                None => Err(error),
            },
        }
    }

    fn find_anywhere(&self, name: &[u16]) -> Option<DirectoryEntry> {
        let upcase = self.index.volume().upcase();
        let entries = self.all_entries().filter_map(Result::ok);
        entries
            .filter(|entry| upcase.equal(entry.name(), name))
            .min_by(|left, _| {
                if left.name() == name {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            })
    }
}
