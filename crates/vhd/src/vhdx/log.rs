//! Reading the log: finding the active sequence and seeing the file through it ([MS-VHDX] section 2.3).

use super::overlay::{Content, Overlay};
use super::structures::{
    DATA_SECTOR_SIGNATURE, LOG_SECTOR, LogDescriptor, LogEntryHeader, REGION_TABLE_OFFSETS, decode,
};
use cv_disk::{Damage, ExtentKind, ReadAt, ReadError};
use std::collections::BTreeMap;
use std::ops::Range;
use uuid::Uuid;

/// The log's bytes as a ring.
struct Ring<'a> {
    file: &'a dyn ReadAt,
    range: Range<u64>,
    guid: Uuid,
}

/// A valid log entry.
#[derive(Debug, Clone, Copy)]
struct Entry {
    header: LogEntryHeader,
    data_sectors: u64,
}

/// The newest valid and complete sequence of log entries, which is to be replayed (section 2.3.3).
#[derive(Debug)]
pub(super) struct ActiveSequence {
    /// The entries with their places in the log, oldest first.
    entries: Vec<(u64, Entry)>,
}

/// What a log amounts to, for those who only want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// Number of entries that a replay applies.
    pub entries: usize,
    /// Number of 4 KiB sectors that they write.
    pub data_sectors: u64,
}

impl ActiveSequence {
    /// Finds the active sequence of the log at `range`, among the entries that carry `guid`.
    pub fn find(file: &dyn ReadAt, range: Range<u64>, guid: Uuid) -> Result<Self, ReadError> {
        let ring = Ring { file, range, guid };
        let valid = ring.valid_entries()?;
        let mut heads: Vec<(u64, u64)> = valid
            .iter()
            .map(|(position, entry)| (entry.header.sequence_number, *position))
            .collect();
        heads.sort_unstable_by(|left, right| right.cmp(left));

        // A log that was written as such succeeds with the first or the second head; the bound is for one that was not.
        let mut steps = 8 * valid.len() + 4096;
        for (sequence_number, head) in heads {
            let mut entries = Vec::new();
            let mut position = u64::from(valid[&head].header.tail);
            while let Some(entry) = valid.get(&position) {
                let expected = entries
                    .last()
                    .map(|(_, last): &(u64, Entry)| last.header.sequence_number.wrapping_add(1));
                if expected.is_some_and(|expected| entry.header.sequence_number != expected) || steps == 0 {
                    break;
                }
                steps -= 1;
                entries.push((position, *entry));
                if position == head {
                    return Self { entries }.within(file, ring.range.start);
                }
                if entry.header.sequence_number >= sequence_number {
                    break;
                }
                position = ring.after(position, u64::from(entry.header.entry_length));
            }
        }
        Err(Damage::new(
            "log",
            ring.range.start,
            format!("a complete sequence of entries with the LogGuid {guid}"),
            format!("{} valid entries and no complete sequence", valid.len()),
        )
        .into())
    }

    /// Fails where the file is shorter than the newest entry knows it to have been.
    fn within(self, file: &dyn ReadAt, log_start: u64) -> Result<Self, ReadError> {
        match self.entries.last() {
            Some((position, head)) if head.header.flushed_file_offset > file.len() => Err(Damage::new(
                "log entry FlushedFileOffset",
                log_start + position + 48,
                format!(
                    "at most the file's size of {:#x}, unless the file was truncated",
                    file.len()
                ),
                format!("{:#x}", head.header.flushed_file_offset),
            )
            .into()),
            _ => Ok(self),
        }
    }

    /// What the sequence amounts to.
    pub fn state(&self) -> LogState {
        LogState {
            entries: self.entries.len(),
            data_sectors: self.entries.iter().map(|(_, entry)| entry.data_sectors).sum(),
        }
    }

    /// Lets `overlay` show the file as it will be after the replay. `range` is the log's.
    pub fn replay(&self, file: &dyn ReadAt, range: &Range<u64>, overlay: &Overlay) -> Result<(), ReadError> {
        let ring = Ring {
            file,
            range: range.clone(),
            guid: Uuid::nil(),
        };
        for (position, entry) in &self.entries {
            let mut data = ring.after(
                *position,
                descriptor_sectors(entry.header.descriptor_count) * LOG_SECTOR,
            );
            ring.descriptors(*position, &entry.header, |at, descriptor| {
                let (start, length, content) = match descriptor {
                    LogDescriptor::Zero {
                        zero_length,
                        file_offset,
                        ..
                    } => (file_offset, zero_length, Content::Zeros),
                    LogDescriptor::Data {
                        trailing_bytes,
                        leading_bytes,
                        file_offset,
                        ..
                    } => {
                        let content = Content::Logged {
                            at: range.start + data,
                            leading: leading_bytes,
                            trailing: trailing_bytes,
                        };
                        data = ring.after(data, LOG_SECTOR);
                        (file_offset, LOG_SECTOR, content)
                    }
                };
                let target = replay_target(start, length, range, at)?;
                overlay.extend(target.end);
                overlay.patch(target, content);
                Ok(true)
            })?;
        }
        if let Some((position, head)) = self.entries.last() {
            let last_file_offset = head.header.last_file_offset;
            if last_file_offset > FILE_SIZE_MAX {
                return Err(Damage::new(
                    "log entry LastFileOffset",
                    range.start + position + 56,
                    "a file size",
                    format!("{last_file_offset:#x}"),
                )
                .into());
            }
            overlay.extend(last_file_offset);
        }
        Ok(())
    }
}

/// Bytes of a file that a replay may leave; no file system takes more.
const FILE_SIZE_MAX: u64 = 1 << 62;

/// The range that a descriptor writes. The file type identifier, the headers and the log itself are never written
/// through the log.
fn replay_target(start: u64, length: u64, log: &Range<u64>, at: u64) -> Result<Range<u64>, Damage> {
    let headers = 0..REGION_TABLE_OFFSETS[0];
    let meets = |range: &Range<u64>, end: u64| start < range.end && range.start < end;
    match start.checked_add(length) {
        Some(end) if end <= FILE_SIZE_MAX && !meets(&headers, end) && !meets(log, end) => Ok(start..end),
        _ => Err(Damage::new(
            "log descriptor FileOffset",
            at,
            "a place outside of the headers and the log",
            format!("{length:#x} bytes at {start:#x}"),
        )),
    }
}

/// Sectors that an entry's header and its descriptors take: the header is as long as two descriptors.
pub(super) fn descriptor_sectors(descriptors: u32) -> u64 {
    (u64::from(descriptors) + 2).div_ceil(LOG_SECTOR / LogDescriptor::SIZE as u64)
}

impl Ring<'_> {
    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The position `distance` bytes behind `position`.
    fn after(&self, position: u64, distance: u64) -> u64 {
        (position + distance) % self.length()
    }

    fn read(&self, buf: &mut [u8], position: u64) -> Result<(), ReadError> {
        self.file.read_at(buf, self.range.start + position)
    }

    /// Every valid entry by its position.
    fn valid_entries(&self) -> Result<BTreeMap<u64, Entry>, ReadError> {
        let mut valid = BTreeMap::new();
        // Entries do not overlap, so that even with what is left of older ones no more bytes than these need summing.
        let mut budget = self.length().saturating_mul(4);
        let mut position = 0;
        while position < self.length() {
            let extent = self.file.extent_at(self.range.start + position)?;
            if extent.kind != ExtentKind::Data {
                let next = extent.end().min(self.range.end) - self.range.start;
                position = next.max(position + 1).next_multiple_of(LOG_SECTOR);
                continue;
            }
            let end = (extent.end().min(self.range.end) - self.range.start).next_multiple_of(LOG_SECTOR);
            while position < end {
                let mut start = [0; LogEntryHeader::SIZE];
                self.read(&mut start, position)?;
                if start[..4] == LogEntryHeader::SIGNATURE
                    && let Some(entry) = self.entry(position, &start, &mut budget)?
                {
                    valid.insert(position, entry);
                }
                position += LOG_SECTOR;
            }
        }
        Ok(valid)
    }

    /// The entry at `position`, if it is valid (sections 2.3.1.1 to 2.3.1.4).
    fn entry(&self, position: u64, start: &[u8], budget: &mut u64) -> Result<Option<Entry>, ReadError> {
        let header: LogEntryHeader = decode(start, "log entry header", self.range.start + position)?;
        let length = u64::from(header.entry_length);
        let sectors = descriptor_sectors(header.descriptor_count);
        let plausible = header.log_guid.0 == self.guid
            && header.sequence_number > 0
            && length.is_multiple_of(LOG_SECTOR)
            && length <= self.length()
            && sectors * LOG_SECTOR <= length
            && u64::from(header.tail).is_multiple_of(LOG_SECTOR)
            && u64::from(header.tail) < self.length();
        if !plausible || *budget < length {
            return Ok(None);
        }
        let mut data_sectors = 0;
        let mut sound = true;
        self.descriptors(position, &header, |_, descriptor| {
            let (aligned, sequence) = match descriptor {
                LogDescriptor::Zero {
                    zero_length,
                    file_offset,
                    sequence_number,
                    ..
                } => ((zero_length | file_offset).is_multiple_of(LOG_SECTOR), sequence_number),
                LogDescriptor::Data {
                    file_offset,
                    sequence_number,
                    ..
                } => {
                    data_sectors += 1;
                    (file_offset.is_multiple_of(LOG_SECTOR), sequence_number)
                }
            };
            sound = aligned && sequence == header.sequence_number;
            Ok(sound)
        })
        .or_else(|error| match error {
            ReadError::Damaged(_) => {
                sound = false;
                Ok(())
            }
            error => Err(error),
        })?;
        if !sound || (sectors + data_sectors) * LOG_SECTOR > length {
            return Ok(None);
        }
        *budget -= length;
        self.is_intact(position, &header, sectors, data_sectors)
            .map(|intact| intact.then_some(Entry { header, data_sectors }))
    }

    /// Whether the data sectors are those of this entry and the checksum is right.
    fn is_intact(
        &self,
        position: u64,
        header: &LogEntryHeader,
        descriptor_sectors: u64,
        data_sectors: u64,
    ) -> Result<bool, ReadError> {
        let sequence = header.sequence_number.to_le_bytes();
        let (low, high) = sequence.split_at(4);
        let mut crc = 0;
        let mut sector = [0; LOG_SECTOR as usize];
        for index in 0..u64::from(header.entry_length) / LOG_SECTOR {
            self.read(&mut sector, self.after(position, index * LOG_SECTOR))?;
            if index == 0 {
                sector[4..8].fill(0);
            }
            if (descriptor_sectors..descriptor_sectors + data_sectors).contains(&index)
                && (sector[..4] != DATA_SECTOR_SIGNATURE
                    || sector[4..8] != *high
                    || sector[LOG_SECTOR as usize - 4..] != *low)
            {
                return Ok(false);
            }
            crc = crc32c::crc32c_append(crc, &sector);
        }
        Ok(crc == header.checksum)
    }

    /// Hands each descriptor of the entry at `position` to `each`, with where it stands in the file, until that says no.
    fn descriptors(
        &self,
        position: u64,
        header: &LogEntryHeader,
        mut each: impl FnMut(u64, LogDescriptor) -> Result<bool, Damage>,
    ) -> Result<(), ReadError> {
        let mut sector = [0; LOG_SECTOR as usize];
        let mut left = header.descriptor_count;
        for index in 0..descriptor_sectors(header.descriptor_count) {
            let place = self.after(position, index * LOG_SECTOR);
            self.read(&mut sector, place)?;
            let first = if index == 0 { LogEntryHeader::SIZE } else { 0 };
            for (number, bytes) in sector[first..].chunks_exact(LogDescriptor::SIZE).enumerate() {
                if left == 0 {
                    return Ok(());
                }
                left -= 1;
                let at = self.range.start + place + (first + number * LogDescriptor::SIZE) as u64;
                if !each(at, decode(bytes, "log descriptor", at)?)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
