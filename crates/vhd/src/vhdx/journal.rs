//! Writing through the log ([MS-VHDX] sections 2.2.2.1 and 2.3).
//!
//! Each change of metadata becomes one log entry; its sectors stay in memory until a checkpoint writes them to their
//! places. The log is filled from its beginning, never around its end: when an entry does not fit, a checkpoint empties
//! the log and the next entry begins a new one under a new `LogGuid`. Every entry's tail is the log's first entry, so that
//! a replay always applies the whole log, which is harmless, since each sector's newest content comes last.
//!
//! What must be on stable storage before what:
//!
//! * an entry before its sectors are written home (the flush that begins a checkpoint);
//! * the sectors before the log is declared empty (the second flush of a checkpoint);
//! * a log's first entry before the header that makes it valid.

use super::overlay::{Content, Overlay, Sector};
use super::structures::{
    DATA_SECTOR_SIGNATURE, Guid, HEADER_OFFSETS, Header, LOG_SECTOR, LogDescriptor, LogEntryHeader, MIB, encode, seal,
};
use super::{GuidSource, log::descriptor_sectors};
use cv_disk::{ReadAt, Resize, WriteError};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

/// Entries of one log are fewer than two to this power.
const SEQUENCE_SHIFT: u32 = 20;

/// New contents of sectors by their places in the file.
pub(super) type Sectors = BTreeMap<u64, Sector>;

/// The log of a file that is open for writing, and the headers that point to it.
pub(super) struct Journal {
    file: Arc<dyn Resize>,
    overlay: Arc<Overlay>,
    new_guid: GuidSource,
    header: Header,
    /// Which copy of the header is current.
    slot: usize,
    /// Whether both copies of the header are on stable storage, so that the older may be overwritten.
    headers_stable: bool,
    log: Range<u64>,
    /// Where the next entry goes, from the log's start; zero while the log is empty.
    position: u64,
    sequence_number: u64,
    /// A file size known to be on stable storage.
    stable_length: u64,
    /// Whether the file holds what the other fields say: not after an error in the middle of a step.
    is_sound: bool,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("header", &self.header)
            .field("log", &self.log)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// The journal of `file`, whose current header is `header` in copy `slot`. The log stands at `log` and is empty
    /// unless `header` says otherwise.
    pub fn new(
        file: Arc<dyn Resize>,
        overlay: Arc<Overlay>,
        new_guid: GuidSource,
        (header, slot): (Header, usize),
        log: Range<u64>,
    ) -> Self {
        Self {
            file,
            overlay,
            new_guid,
            header,
            slot,
            headers_stable: false,
            log,
            position: 0,
            sequence_number: 0,
            stable_length: 0,
            is_sound: true,
        }
    }

    /// The current header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the log stands.
    pub fn log(&self) -> &Range<u64> {
        &self.log
    }

    /// Returns when everything written is on stable storage.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let length = self.file.len();
        self.file.flush()?;
        self.stable_length = length;
        self.headers_stable = true;
        Ok(())
    }

    fn check_sound(&self) -> Result<(), WriteError> {
        if self.is_sound {
            Ok(())
        } else {
            Err(WriteError::Limit(
                "an earlier change of the headers failed; the file must be opened anew".into(),
            ))
        }
    }

    /// Writes both headers with what `change` changes; on return the change is on stable storage.
    pub fn update_headers(&mut self, change: impl FnOnce(&mut Header)) -> Result<(), WriteError> {
        self.check_sound()?;
        if !self.headers_stable {
            self.flush()?;
        }
        self.is_sound = false;
        let mut header = self.header;
        header.version = 1;
        header.signature = Header::SIGNATURE;
        change(&mut header);
        for copy in 0..2 {
            header.sequence_number = self
                .header
                .sequence_number
                .checked_add(1)
                .ok_or_else(|| WriteError::Limit("the header's sequence number cannot grow".into()))?;
            let slot = 1 - self.slot;
            self.file.write_at(&header.to_bytes(), HEADER_OFFSETS[slot])?;
            self.header = header;
            self.slot = slot;
            if copy == 0 {
                self.flush()?;
            }
        }
        self.headers_stable = false;
        self.is_sound = true;
        Ok(())
    }

    /// Cuts the file to `length` bytes, which hold every structure, while the log is empty.
    pub fn cut_file(&mut self, length: u64) -> Result<(), WriteError> {
        debug_assert!(self.header.log_guid.0.is_nil());
        self.stable_length = self.stable_length.min(length);
        self.file.set_len(length)
    }

    /// Lets the log stand at `log`, while it is empty.
    pub fn move_log(&mut self, log: Range<u64>) -> Result<(), WriteError> {
        let range = log.clone();
        self.update_headers(|header| {
            header.log_offset = range.start;
            header.log_length = (range.end - range.start) as u32;
        })?;
        self.log = log;
        Ok(())
    }

    /// Logs new contents of sectors, all or none of which a reader sees from now on, whatever happens.
    ///
    /// What the sectors refer to must have been written; if it would be missed after a power failure, also flushed.
    pub fn commit(&mut self, sectors: &Sectors) -> Result<(), WriteError> {
        if sectors.is_empty() {
            return Ok(());
        }
        let length = (descriptor_sectors(sectors.len() as u32) + sectors.len() as u64) * LOG_SECTOR;
        let capacity = self.log.end - self.log.start;
        if length > capacity {
            return Err(WriteError::Limit(format!(
                "a log of {capacity} bytes cannot take an entry of {length} bytes"
            )));
        }
        if self.position + length > capacity {
            self.checkpoint()?;
        }
        self.check_sound()?;
        let begins = self.position == 0;
        let guid = if begins {
            (self.new_guid)()
        } else {
            self.header.log_guid.0
        };
        let sequence_number = if begins {
            // The header's number only grows, so that what is left of older logs never continues this one, even where
            // GUIDs are made to repeat.
            (self.header.sequence_number << SEQUENCE_SHIFT) | 1
        } else {
            self.sequence_number + 1
        };
        let entry = self.entry(sectors, guid, sequence_number, length);
        self.file.write_at(&entry, self.log.start + self.position)?;
        if begins {
            self.flush()?;
            self.update_headers(|header| {
                header.log_guid = Guid(guid);
                header.log_version = 0;
            })?;
        }
        self.sequence_number = sequence_number;
        self.position += length;
        for (offset, sector) in sectors {
            let content = Content::Held(Arc::new(*sector));
            self.overlay.patch(*offset..offset + LOG_SECTOR, content);
        }
        Ok(())
    }

    fn entry(&self, sectors: &Sectors, guid: Uuid, sequence_number: u64, length: u64) -> Vec<u8> {
        let header = LogEntryHeader {
            signature: LogEntryHeader::SIGNATURE,
            checksum: 0,
            entry_length: length as u32,
            tail: 0,
            sequence_number,
            descriptor_count: sectors.len() as u32,
            reserved: 0,
            log_guid: Guid(guid),
            flushed_file_offset: self.stable_length / MIB * MIB,
            last_file_offset: self.file.len().next_multiple_of(MIB),
        };
        let mut entry = Vec::with_capacity(length as usize);
        entry.extend(encode(&header));
        for (offset, sector) in sectors {
            entry.extend(encode(&LogDescriptor::Data {
                trailing_bytes: std::array::from_fn(|i| sector[LOG_SECTOR as usize - 4 + i]),
                leading_bytes: std::array::from_fn(|i| sector[i]),
                file_offset: *offset,
                sequence_number,
            }));
        }
        entry.resize((descriptor_sectors(sectors.len() as u32) * LOG_SECTOR) as usize, 0);
        let sequence = sequence_number.to_le_bytes();
        let (low, high) = sequence.split_at(4);
        for sector in sectors.values() {
            entry.extend(DATA_SECTOR_SIGNATURE);
            entry.extend(high);
            entry.extend(&sector[8..LOG_SECTOR as usize - 4]);
            entry.extend(low);
        }
        seal(&mut entry);
        entry
    }

    /// Brings everything logged to its place and empties the log. On return all of it is on stable storage.
    pub fn checkpoint(&mut self) -> Result<(), WriteError> {
        if self.header.log_guid.0.is_nil() {
            return Ok(());
        }
        self.flush()?;
        write_home(&*self.file, &self.overlay)?;
        self.flush()?;
        self.update_headers(|header| header.log_guid = Guid(Uuid::nil()))?;
        self.overlay.clear();
        self.position = 0;
        Ok(())
    }
}

/// Writes what `overlay` holds to its places in `file`.
pub(super) fn write_home(file: &dyn Resize, overlay: &Overlay) -> Result<(), WriteError> {
    let before = file.len();
    if overlay.len() > before {
        file.set_len(overlay.len())?;
    }
    for (range, content) in overlay.patches() {
        if let Content::Zeros = content {
            // What lies behind the former end is zero already.
            let end = range.end.min(before);
            if range.start < end {
                file.write_zeros_at(range.start..end)?;
            }
        } else {
            file.write_at(&overlay.content(&content)?, range.start)?;
        }
    }
    Ok(())
}
