//! Edits of a hive in place: free cells are used again, bins are added where none fits, and everything that is not edited
//! stays where it is.
//!
//! ```
//! use cv_hive::edit::Editor;
//! use cv_hive::{Key, KeyPath, Value, ValueType, WriteOptions};
//!
//! let bytes = cv_hive::write_to_vec(&Key::new("root"), &WriteOptions::default())?;
//! let mut editor = Editor::open(bytes, 0x01DA_0000_0000_0000)?;
//! let path = KeyPath::parse(r"Software\Vendor")?;
//! editor.add_key(path.names())?;
//! editor.set_value(path.names(), &Value::new("Version", ValueType::DWORD, [7, 0, 0, 0]))?;
//! let changed = editor.commit();
//!
//! assert!(cv_hive::check::check(editor.bytes())?.is_empty());
//! // Bytes of the file that have to be written, in ascending order.
//! assert_eq!(changed.first().map(|range| range.start), Some(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Keys are named by the names that lead to them from the root, whose own is not among them.
//!
//! # How a file is changed
//! An [`Editor`] works in memory. [`Editor::save`] writes the whole hive beside its file and lets it take the file's place,
//! so that a kill at any moment leaves the old hive or the new one. Where the file itself must be written, the ranges that
//! [`Editor::commit`] gives go to a transaction log first.

mod error;
mod free_cells;
mod key;
mod security;
mod store;
mod subkeys;
mod value;

pub use error::EditError;

use crate::read::{Hive, KeyRef};
use crate::structure::{BaseBlock, HiveBin, KeyNode, Structure};
use crate::{Name, check};
use cv_disk::{DurableFile, Resize, Severity, WriteAt};
use security::Securities;
use std::ops::Range;
use store::Store;

/// A hive that is edited in memory.
#[derive(Debug)]
pub struct Editor {
    store: Store,
    securities: Securities,
    minor_version: u32,
    root: u32,
    now: u64,
}

impl Editor {
    /// Takes the hive that is `bytes`; keys that change get `now` as the time they were last written, in 100 ns since
    /// 1601-01-01 UTC.
    ///
    /// Fails where the hive has errors: an edit could lead through them and do more harm. Transaction logs are to be
    /// applied before, and what else is wrong is to be repaired.
    pub fn open(bytes: Vec<u8>, now: u64) -> Result<Self, EditError> {
        let faults = check::check(&bytes)?;
        if let Some(fault) = faults.listed().iter().find(|fault| fault.severity == Severity::Error) {
            return Err(EditError::Unsound(fault.damage.clone()));
        }
        let hive = Hive::open(&bytes)?;
        let securities = Securities::of(&hive)?;
        let minor_version = hive.minor_version();
        let root = hive.base_block().root_cell_offset;
        let size = hive.cells().len();
        Ok(Self {
            store: Store::new(bytes, size),
            securities,
            minor_version,
            root,
            now,
        })
    }

    /// The hive as it is now.
    pub fn hive(&self) -> Result<Hive<'_>, EditError> {
        Ok(Hive::open(self.store.bytes())?)
    }

    /// The bytes of the file, complete after [`commit`](Self::commit).
    pub fn bytes(&self) -> &[u8] {
        self.store.bytes()
    }

    /// Ends a write: sequence numbers, time, size and checksum are brought up to date, and the file's ranges that changed
    /// since the last commit are given, whole pages of 4096 bytes, in ascending order. None where nothing changed.
    pub fn commit(&mut self) -> Vec<Range<u64>> {
        if !self.store.is_changed() {
            return Vec::new();
        }
        let now = self.now;
        let size = self.store.data_size();
        if let Ok(mut block) = BaseBlock::parse(self.store.bytes(), 0) {
            let number = block
                .primary_sequence_number
                .max(block.secondary_sequence_number)
                .wrapping_add(1);
            block.primary_sequence_number = number;
            block.secondary_sequence_number = number;
            block.last_written = now;
            block.hive_bins_data_size = size;
            self.store.put_base_block(&block.to_sealed_bytes());
        }
        // The first bin repeats the time.
        self.store.put_in_bins(20, &now.to_le_bytes());
        debug_assert!(size >= HiveBin::UNIT);
        self.store.take_changes()
    }

    /// Commits, and makes the hive the whole content of `output`, which takes its file's place when everything is on stable
    /// storage. A kill at any moment leaves the file as it was, or complete.
    pub fn save(&mut self, output: DurableFile) -> Result<(), EditError> {
        self.commit();
        let bytes = self.store.bytes();
        let disk = output.disk();
        disk.set_len(bytes.len() as u64)?;
        disk.write_at(bytes, 0)?;
        output.commit()?;
        Ok(())
    }

    /// The key of this path.
    fn find(&self, path: &[Name]) -> Result<Option<u32>, EditError> {
        let mut key = self.key_at(self.root)?;
        for name in path {
            match key.find_subkey(name.units())? {
                Some(subkey) => key = subkey,
                None => return Ok(None),
            }
        }
        Ok(Some(key.offset()))
    }

    /// The key of this path, which has to be there.
    fn require(&self, path: &[Name]) -> Result<u32, EditError> {
        self.find(path)?
            .ok_or_else(|| EditError::NoSuchKey(path.to_vec().into()))
    }

    fn key_at(&self, offset: u32) -> Result<KeyRef<'_>, EditError> {
        Ok(KeyRef::at(self.store.cells(), self.minor_version, offset)?)
    }

    /// Changes a key node.
    fn change_node(&mut self, offset: u32, change: impl FnOnce(&mut KeyNode)) -> Result<(), EditError> {
        let mut node = *self.key_at(offset)?.node();
        change(&mut node);
        self.store.put(offset, 0, &node.to_bytes());
        Ok(())
    }

    /// As [`change_node`](Self::change_node), and notes the time.
    fn touch(&mut self, offset: u32, change: impl FnOnce(&mut KeyNode)) -> Result<(), EditError> {
        let now = self.now;
        self.change_node(offset, |node| {
            node.last_written = now;
            change(node);
        })
    }
}
