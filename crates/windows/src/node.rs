//! Files and folders by handle.
//!
//! A folder's entries are opened, made and removed through the folder's own handle and one name. A name that would lead
//! elsewhere is refused, and no link is followed, but that [`Node::top`] follows those of the path that it is given.

use crate::buffer::{Buffer, u32_at, u64_at, units_at};
use crate::sys::file::{self, Opening};
use crate::sys::security;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::OwnedHandle;
use std::path::Path;

const LIST: u32 = 1;
const READ_DATA: u32 = 1;
const WRITE_DATA: u32 = 2;
const READ_EXTENDED: u32 = 8;
const READ_ATTRIBUTES: u32 = 0x80;
const WRITE_ATTRIBUTES: u32 = 0x100;
const DELETE: u32 = 0x1_0000;
const READ_CONTROL: u32 = 0x2_0000;
const WRITE_DAC: u32 = 0x4_0000;
const WRITE_OWNER: u32 = 0x8_0000;
const SYNCHRONIZE: u32 = 0x10_0000;

const BACKUP_SEMANTICS: u32 = 0x0200_0000;
const SHARE_ALL: u32 = 7;

const OPEN: u32 = 1;
const CREATE: u32 = 2;
const OPEN_IF: u32 = 3;

const DIRECTORY_FILE: u32 = 1;
const SYNCHRONOUS: u32 = 0x20;
const NON_DIRECTORY: u32 = 0x40;
const FOR_BACKUP: u32 = 0x4000;
const OPEN_REPARSE_POINT: u32 = 0x20_0000;

/// The attribute of a directory.
const DIRECTORY: u32 = 0x10;
/// The attribute of what has reparse data.
const REPARSE: u32 = 0x400;

/// Bytes of entries that are asked for at once.
const LISTING: usize = 64 << 10;

/// A reparse point has no more.
const MOST_REPARSE: usize = 16 << 10;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// What it is: times, attributes, streams, security, reparse data.
    Look,
    /// Its content.
    Read,
    /// The entries of a folder.
    List,
    /// Content, reparse data and what else can be changed.
    Change,
    /// Times and attributes to be changed, and names to be added.
    ChangeBasic,
    /// Removing it.
    Remove,
}

impl Access {
    fn bits(self) -> u32 {
        let look = READ_ATTRIBUTES | SYNCHRONIZE;
        match self {
            Self::Look => look | READ_CONTROL | READ_EXTENDED,
            Self::Read => look | READ_CONTROL | READ_DATA | READ_EXTENDED,
            Self::List => look | READ_CONTROL | LIST,
            Self::Change => look | READ_DATA | WRITE_DATA | WRITE_ATTRIBUTES,
            Self::ChangeBasic => look | WRITE_ATTRIBUTES,
            Self::Remove => look | DELETE | WRITE_ATTRIBUTES,
        }
    }
}

/// Opens a file, or a stream behind a colon, for reading, whoever else has it open; with the privilege to back up also one that
/// the user may not read.
pub fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .access_mode(Access::Read.bits())
        .share_mode(SHARE_ALL)
        .custom_flags(BACKUP_SEMANTICS)
        .open(path)
}

/// An entry of a folder, as the folder has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: Vec<u16>,
    /// Its 8.3 name, empty where there is none.
    pub short_name: Vec<u16>,
    /// What tells the file from others of the volume.
    pub id: u64,
    /// Bytes of its content.
    pub size: u64,
    /// Times and attributes.
    pub basic: Basic,
    /// What its reparse data are for, where it has any and the file system says so.
    pub reparse_tag: u32,
}

/// Times in 100 ns since 1601, and attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Basic {
    /// When it was made.
    pub created: u64,
    /// When it was last read.
    pub accessed: u64,
    /// When its content last changed.
    pub modified: u64,
    /// When anything of it last changed.
    pub changed: u64,
    /// Its attributes.
    pub attributes: u32,
}

impl Basic {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.attributes & DIRECTORY != 0
    }

    /// Whether it has reparse data.
    pub fn is_reparse_point(&self) -> bool {
        self.attributes & REPARSE != 0
    }
}

/// A named stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeStream {
    /// Its name, without colons and type.
    pub name: Vec<u16>,
    /// Its bytes.
    pub size: u64,
}

/// A file or folder that is open.
#[derive(Debug)]
pub struct Node {
    handle: OwnedHandle,
}

impl Node {
    /// The folder at a path.
    pub fn top(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .access_mode(Access::List.bits())
            .share_mode(SHARE_ALL)
            .custom_flags(BACKUP_SEMANTICS)
            .open(path)?;
        let node = Self { handle: file.into() };
        if node.basic()?.is_directory() {
            Ok(node)
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// The same for making and removing entries, and for changing its own times.
    pub fn target(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .access_mode(Access::List.bits() | WRITE_ATTRIBUTES)
            .share_mode(SHARE_ALL)
            .custom_flags(BACKUP_SEMANTICS)
            .open(path)?;
        Ok(Self { handle: file.into() })
    }

    fn open_with(&self, name: &[u16], opening: Opening) -> io::Result<Self> {
        let is_separator = |unit: &u16| [b'\\', b'/'].map(u16::from).contains(unit);
        let dot = u16::from(b'.');
        if name.iter().any(is_separator) || name == [dot] || name == [dot, dot] {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let opening = Opening {
            options: opening.options | SYNCHRONOUS | OPEN_REPARSE_POINT | FOR_BACKUP,
            ..opening
        };
        file::open(&self.handle, name, opening).map(|handle| Self { handle })
    }

    /// Opens what has a name in this folder, or a stream of it behind a colon; links themselves.
    pub fn open(&self, name: &[u16], access: Access) -> io::Result<Self> {
        self.open_with(
            name,
            Opening {
                access: access.bits(),
                attributes: 0,
                disposition: OPEN,
                options: if access == Access::List { DIRECTORY_FILE } else { 0 },
            },
        )
    }

    /// Makes a file, or a stream behind a colon, that is not there.
    pub fn create(&self, name: &[u16]) -> io::Result<Self> {
        self.open_with(
            name,
            Opening {
                access: Access::Change.bits(),
                attributes: 0x80,
                disposition: CREATE,
                options: NON_DIRECTORY,
            },
        )
    }

    /// Makes a folder unless it is there. Something else of that name is an error, a link to a folder too.
    pub fn make_folder(&self, name: &[u16]) -> io::Result<Self> {
        let made = self.open_with(
            name,
            Opening {
                access: Access::List.bits() | WRITE_ATTRIBUTES,
                attributes: 0x80,
                disposition: OPEN_IF,
                options: DIRECTORY_FILE,
            },
        )?;
        let basic = made.basic()?;
        if basic.is_reparse_point() || !basic.is_directory() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(made)
    }

    /// Opens a folder, which must be no link, to change what it has.
    pub fn open_folder(&self, name: &[u16]) -> io::Result<Self> {
        let opened = self.open_with(
            name,
            Opening {
                access: Access::List.bits() | WRITE_ATTRIBUTES,
                attributes: 0,
                disposition: OPEN,
                options: DIRECTORY_FILE,
            },
        )?;
        if opened.basic()?.is_reparse_point() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(opened)
    }

    /// Removes a file, one that is not to be written too, a link or an empty folder.
    pub fn remove(&self, name: &[u16]) -> io::Result<()> {
        const DISPOSITION: i32 = 13;
        const READ_ONLY: u32 = 1;
        let node = self.open(name, Access::Remove)?;
        let mut basic = node.basic()?;
        if basic.attributes & READ_ONLY != 0 {
            basic.attributes &= !READ_ONLY;
            node.set_basic(&basic)?;
        }
        file::set_information(&node.handle, DISPOSITION, &[1], 1)
    }

    /// Gives this file, which was opened to be changed, a further name.
    pub fn link_as(&self, folder: &Self, name: &[u16]) -> io::Result<()> {
        use std::os::windows::io::AsRawHandle;
        const LINK: i32 = 11;
        let mut bytes = vec![0; 8];
        bytes.extend((folder.handle.as_raw_handle().addr() as u64).to_le_bytes());
        bytes.extend((name.len() as u32 * 2).to_le_bytes());
        bytes.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
        let length = bytes.len();
        file::set_information(&self.handle, LINK, &words(&bytes), length)
    }

    /// The entries of this folder but itself and the one above, in the order the file system has them.
    pub fn entries(&self) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut buffer = Buffer::new(LISTING);
        let mut is_first = true;
        loop {
            let length = file::list(&self.handle, &mut buffer, is_first)?;
            is_first = false;
            if length == 0 {
                return Ok(listed);
            }
            let mut rest = &buffer.bytes()[..length.min(buffer.len())];
            loop {
                let entry = parse_entry(rest);
                let dot = u16::from(b'.');
                if entry.name != [dot] && entry.name != [dot, dot] && !entry.name.is_empty() {
                    listed.push(entry);
                }
                let next = u32_at(rest, 0) as usize;
                if next == 0 || next >= rest.len() {
                    break;
                }
                rest = &rest[next..];
            }
        }
    }

    /// Times and attributes.
    pub fn basic(&self) -> io::Result<Basic> {
        const BASIC: i32 = 4;
        let mut buffer = Buffer::new(40);
        file::information(&self.handle, BASIC, &mut buffer)?;
        let bytes = buffer.bytes();
        Ok(Basic {
            created: u64_at(bytes, 0),
            accessed: u64_at(bytes, 8),
            modified: u64_at(bytes, 16),
            changed: u64_at(bytes, 24),
            attributes: u32_at(bytes, 32),
        })
    }

    /// Gives it times and attributes; of attributes those that follow from what it is are left out.
    pub fn set_basic(&self, basic: &Basic) -> io::Result<()> {
        const BASIC: i32 = 4;
        const NORMAL: u32 = 0x80;
        const SETTABLE: u32 = 0x1 | 0x2 | 0x4 | 0x20 | 0x100 | 0x1000 | 0x2000;
        // Zero would leave them as they are.
        let attributes = match basic.attributes & SETTABLE {
            0 => NORMAL,
            attributes => attributes,
        };
        let value = [
            basic.created,
            basic.accessed,
            basic.modified,
            basic.changed,
            u64::from(attributes),
        ];
        file::set_information(&self.handle, BASIC, &value, 40)
    }

    /// The id, and how many names there are.
    pub fn id_and_links(&self) -> io::Result<(u64, u32)> {
        const INTERNAL: i32 = 6;
        const STANDARD: i32 = 5;
        let mut buffer = Buffer::new(32);
        file::information(&self.handle, INTERNAL, &mut buffer)?;
        let id = u64_at(buffer.bytes(), 0);
        file::information(&self.handle, STANDARD, &mut buffer)?;
        Ok((id, u32_at(buffer.bytes(), 16)))
    }

    /// The serial number of the volume.
    pub fn volume_serial(&self) -> io::Result<u64> {
        crate::sys::volume::serial(&self.handle)
    }

    /// The named streams, by name; none where the file system has none or cannot list them.
    pub fn streams(&self) -> io::Result<Vec<NodeStream>> {
        const STREAM: i32 = 22;
        let mut buffer = Buffer::new(1 << 10);
        let length = match file::information(&self.handle, STREAM, &mut buffer) {
            Ok(length) => length,
            Err(error) if is_unsupported(&error) || error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut streams = Vec::new();
        let mut rest = &buffer.bytes()[..length];
        while rest.len() >= 24 {
            let full = units_at(rest, 24, u32_at(rest, 4) as usize);
            // `:name:$DATA`; the content proper has no name.
            let mut parts = full.split(|unit| *unit == u16::from(b':')).skip(1);
            let name = parts.next().unwrap_or_default();
            if !name.is_empty() && parts.next().is_some_and(|kind| kind == units("$DATA")) {
                streams.push(NodeStream {
                    name: name.to_vec(),
                    size: u64_at(rest, 8),
                });
            }
            let next = u32_at(rest, 0) as usize;
            if next == 0 || next >= rest.len() {
                break;
            }
            rest = &rest[next..];
        }
        streams.sort();
        Ok(streams)
    }

    /// Owner, group and access list, as a self-relative descriptor; `None` where the file system has none.
    pub fn security(&self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = Buffer::new(1 << 10);
        match security::descriptor(&self.handle, &mut buffer) {
            Ok(0) => Ok(None),
            Ok(length) => Ok(Some(buffer.bytes()[..length].to_vec())),
            Err(error) if is_unsupported(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives what has a name in this folder another owner, group and access list. `descriptor` is a self-relative one.
    pub fn set_security(&self, name: &[u16], descriptor: &[u8]) -> io::Result<()> {
        // Revision, control with its bit for self-relative, and offsets that stay inside.
        let is_inside = |place: usize| (u32_at(descriptor, place) as usize) < descriptor.len();
        let is_sound = descriptor.len() >= 20
            && descriptor[0] == 1
            && descriptor[3] & 0x80 != 0
            && [4, 8, 12, 16].into_iter().all(is_inside);
        if !is_sound {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "no self-relative descriptor",
            ));
        }
        let node = self.open_with(
            name,
            Opening {
                access: WRITE_DAC | WRITE_OWNER | SYNCHRONIZE,
                attributes: 0,
                disposition: OPEN,
                options: 0,
            },
        )?;
        security::set_descriptor(&node.handle, &words(descriptor))
    }

    /// The reparse data, with their tag and length; `None` where there are none.
    pub fn reparse_data(&self) -> io::Result<Option<Vec<u8>>> {
        const GET: u32 = 0x9_00A8;
        const NOT_A_REPARSE_POINT: i32 = 4390;
        let mut buffer = Buffer::new(MOST_REPARSE);
        match file::control(&self.handle, GET, &[], &mut buffer) {
            Ok(length) => Ok(Some(buffer.bytes()[..length].to_vec())),
            Err(error) if error.raw_os_error() == Some(NOT_A_REPARSE_POINT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes it a reparse point.
    pub fn set_reparse_data(&self, data: &[u8]) -> io::Result<()> {
        const SET: u32 = 0x9_00A4;
        file::control(&self.handle, SET, data, &mut Buffer::new(0)).map(drop)
    }

    /// Lets what is not written take no room.
    pub fn set_sparse(&self) -> io::Result<()> {
        const SET_SPARSE: u32 = 0x9_00C4;
        file::control(&self.handle, SET_SPARSE, &[], &mut Buffer::new(0)).map(drop)
    }

    /// A file to read or write.
    pub fn into_file(self) -> File {
        self.handle.into()
    }

    /// The handle itself.
    pub(crate) fn handle(&self) -> &OwnedHandle {
        &self.handle
    }
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes
        .chunks(8)
        .map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        })
        .collect()
}

/// Whether the file system, or this Windows, does not know what was asked for.
fn is_unsupported(error: &io::Error) -> bool {
    const INVALID_FUNCTION: i32 = 1;
    const NOT_SUPPORTED: i32 = 50;
    const INVALID_PARAMETER: i32 = 87;
    const CALL_NOT_IMPLEMENTED: i32 = 120;
    let codes = [INVALID_FUNCTION, NOT_SUPPORTED, INVALID_PARAMETER, CALL_NOT_IMPLEMENTED];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

fn parse_entry(bytes: &[u8]) -> Listed {
    let short_length = usize::from(bytes.get(68).copied().unwrap_or_default()).min(24);
    let attributes = u32_at(bytes, 56);
    Listed {
        name: units_at(bytes, 104, u32_at(bytes, 60) as usize),
        short_name: units_at(bytes, 70, short_length),
        id: u64_at(bytes, 96),
        size: u64_at(bytes, 40),
        basic: Basic {
            created: u64_at(bytes, 8),
            accessed: u64_at(bytes, 16),
            modified: u64_at(bytes, 24),
            changed: u64_at(bytes, 32),
            attributes,
        },
        // Of what has no reparse data these are the bytes of its extended attributes.
        reparse_tag: if attributes & REPARSE == 0 {
            0
        } else {
            u32_at(bytes, 64)
        },
    }
}
