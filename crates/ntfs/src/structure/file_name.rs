//! `$FILE_NAME`: a name, its directory, and a copy of what a listing shows.

use super::file_attributes::FileAttributes;
use super::file_reference::FileReference;
use super::time::NtfsTime;
use super::{Structure, fixed_size, part, unit_bytes};
use binrw::binrw;
use cv_disk::Damage;

/// Which programs a name is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(pub u8);

impl Namespace {
    /// Any name; compared with case by POSIX programs. What Windows gives every name of a volume without 8.3 names.
    pub const POSIX: Self = Self(0);
    /// A long name, beside which there is an 8.3 name.
    pub const WIN32: Self = Self(1);
    /// An 8.3 name, beside which there is a long name.
    pub const DOS: Self = Self(2);
    /// A name that is its own 8.3 name.
    pub const WIN32_AND_DOS: Self = Self(3);
}

/// The fixed part of `FILE_NAME`; the name follows.
///
/// Times, sizes and attributes are copies: right in the directory's index entry, in the record itself as they were when
/// the name was last changed.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileNameHeader {
    /// 0x00: the directory.
    pub parent_directory: FileReference,
    /// 0x08: when the file was made.
    pub creation_time: NtfsTime,
    /// 0x10: when its content last changed.
    pub last_modification_time: NtfsTime,
    /// 0x18: when its record last changed.
    pub last_change_time: NtfsTime,
    /// 0x20: when it was last read.
    pub last_access_time: NtfsTime,
    /// 0x28: bytes of the unnamed stream's clusters, those that are stored where it is compressed or sparse.
    pub allocated_length: u64,
    /// 0x30: bytes of the unnamed stream.
    pub file_size: u64,
    /// 0x38: its attributes.
    #[br(map = FileAttributes::from_bits_retain)]
    #[bw(map = FileAttributes::bits)]
    pub file_attributes: FileAttributes,
    /// 0x3C: reparse tag of a file with reparse data; else packed size of its extended attributes.
    pub reparse_tag_or_packed_ea_size: u32,
    /// 0x40: units of the name.
    pub file_name_length: u8,
    /// 0x41: which programs the name is for ([`Namespace`]).
    pub flags: u8,
}

fixed_size!(FileNameHeader, "$FILE_NAME", 0x42);

/// `$FILE_NAME` with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// All but the name; its length there is that of [`name`](Self::name).
    pub header: FileNameHeader,
    /// The name.
    pub name: Vec<u16>,
}

impl FileName {
    /// The attribute value or index key that is `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let header = FileNameHeader::read_from(bytes, 0)?;
        Ok(Self {
            header,
            name: cv_winname::wtf8::from_le_bytes(Self::name_bytes(bytes)?),
        })
    }

    /// The name's bytes within an attribute value or index key; never none.
    pub fn name_bytes(bytes: &[u8]) -> Result<&[u8], Damage> {
        let length = usize::from(*part(bytes, 0x40, 1, "$FILE_NAME, name length")?.first().unwrap_or(&0));
        if length == 0 {
            return Err(Damage::new("$FILE_NAME, name length", 0x40, "at least 1", "0"));
        }
        part(bytes, FileNameHeader::SIZE, 2 * length, "$FILE_NAME, name")
    }

    /// Its bytes, as an attribute value or index key.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = FileNameHeader {
            file_name_length: self.name.len() as u8,
            ..self.header
        };
        let mut bytes = header.to_bytes();
        bytes.extend(unit_bytes(&self.name));
        bytes
    }

    /// Bytes of a value with a name of `units`.
    pub const fn size(units: usize) -> usize {
        FileNameHeader::SIZE + 2 * units
    }

    /// Which programs the name is for.
    pub fn namespace(&self) -> Namespace {
        Namespace(self.header.flags)
    }

    /// The directory.
    pub fn parent(&self) -> FileReference {
        self.header.parent_directory
    }

    /// Whether it names a directory.
    pub fn is_directory(&self) -> bool {
        self.header.file_attributes.contains(FileAttributes::DIRECTORY_INDEX)
    }
}
