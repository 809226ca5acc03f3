//! The change journal of a volume that is mounted.
//!
//! Wine has none, and no test of ours has run on Windows: what is read is checked as if an attacker had written it, and where
//! anything is not as documented the journal counts as absent.

use crate::buffer::{Buffer, u64_at};
use crate::node::Node;
use crate::sys::file;
use crate::usn::{self, UsnRecord};
use std::fs::OpenOptions;
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::OwnedHandle;
use std::path::Path;

/// Records taken at most: an install that changes more is looked at file by file.
const MOST_RECORDS: usize = 8 << 20;

/// A place in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which journal: one that was deleted and made again has another number.
    pub journal: u64,
    /// The number that the next record gets.
    pub next: u64,
}

/// The journal of a volume.
#[derive(Debug)]
pub struct Journal {
    volume: OwnedHandle,
}

impl Journal {
    /// The journal of the volume that has a drive's letter, as `C:\`. Administrators alone may read it.
    pub fn of_drive(drive: &Path) -> io::Result<Self> {
        let text = drive.to_string_lossy();
        let letter = text.trim_end_matches(['\\', '/']);
        let file = OpenOptions::new()
            .read(true)
            .share_mode(7)
            .open(format!(r"\\.\{letter}"))?;
        Ok(Self { volume: file.into() })
    }

    /// The journal of the volume of a folder, through the folder's own handle; enough to ask for its place.
    pub fn of_node(node: &Node) -> io::Result<Self> {
        Ok(Self {
            volume: node.handle().try_clone()?,
        })
    }

    /// Where the journal stands; an error where there is none.
    pub fn position(&self) -> io::Result<Position> {
        const QUERY: u32 = 0x9_00F4;
        let mut buffer = Buffer::new(80);
        let length = file::control(&self.volume, QUERY, &[], &mut buffer)?;
        if length < 56 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let bytes = buffer.bytes();
        Ok(Position {
            journal: u64_at(bytes, 0),
            next: u64_at(bytes, 16),
        })
    }

    /// What happened since `from`. An error where the journal is another one, or has forgotten some of it.
    pub fn since(&self, from: Position) -> io::Result<Vec<UsnRecord>> {
        const READ: u32 = 0x9_00BB;
        let mut found = Vec::new();
        let mut buffer = Buffer::new(64 << 10);
        let mut next = from.next;
        loop {
            // From here, every reason, at once and not only when files are closed, no waiting, versions 2 and 3.
            let mut input = Vec::with_capacity(48);
            input.extend(next.to_le_bytes());
            input.extend(u32::MAX.to_le_bytes());
            input.extend(0_u32.to_le_bytes());
            input.extend([0; 16]);
            input.extend(from.journal.to_le_bytes());
            input.extend(2_u16.to_le_bytes());
            input.extend(3_u16.to_le_bytes());
            input.extend([0; 4]);
            let length = file::control(&self.volume, READ, &input, &mut buffer)?;
            let batch = usn::records(&buffer.bytes()[..length])
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if batch.records.is_empty() || batch.next <= next {
                return Ok(found);
            }
            next = batch.next;
            found.extend(batch.records);
            if found.len() > MOST_RECORDS {
                return Err(io::Error::other("more changes than are taken from a journal"));
            }
        }
    }
}
