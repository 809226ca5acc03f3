//! What a differencing disk notes of its parent: its identity and the places where it may be.

use super::dynamic_header::{DynamicHeader, LOCATOR_ENTRIES, ParentLocatorEntry};
use cv_disk::{ReadAt, ReadError, WriteError};
use uuid::Uuid;

/// Longest path read, in bytes; Windows' own limit is half of it.
const LONGEST_PATH: u32 = 128 << 10;

/// How a path to the parent is written ("Platform Code").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// `W2ru`: relative to the child's folder, such as `.\base.vhd`; UTF-16 little-endian.
    RelativeUnicode,
    /// `W2ku`: absolute, such as `C:\base.vhd`; UTF-16 little-endian.
    AbsoluteUnicode,
    /// `Wi2r`: relative, in the code page of the writer; deprecated.
    RelativeAnsi,
    /// `Wi2k`: absolute, in the code page of the writer; deprecated.
    AbsoluteAnsi,
    /// `MacX`: a `file:` URL in UTF-8.
    MacUrl,
    /// `Mac `: a Mac OS alias, a binary record that is not read.
    MacAlias,
    /// The parent name of the dynamic disk header, a file name or a path; UTF-16 big-endian, 255 units at most.
    Name,
}

impl PathKind {
    /// The kinds in the order in which the places are tried: what moves with the child first.
    const ORDER: [Self; 7] = [
        Self::RelativeUnicode,
        Self::AbsoluteUnicode,
        Self::RelativeAnsi,
        Self::AbsoluteAnsi,
        Self::MacUrl,
        Self::MacAlias,
        Self::Name,
    ];

    /// The platform code of the kind's locator; `None` for the name, which has none.
    pub fn platform_code(self) -> Option<[u8; 4]> {
        match self {
            Self::RelativeUnicode => Some(*b"W2ru"),
            Self::AbsoluteUnicode => Some(*b"W2ku"),
            Self::RelativeAnsi => Some(*b"Wi2r"),
            Self::AbsoluteAnsi => Some(*b"Wi2k"),
            Self::MacUrl => Some(*b"MacX"),
            Self::MacAlias => Some(*b"Mac "),
            Self::Name => None,
        }
    }

    /// The kind of a platform code.
    pub(super) fn from_platform_code(code: [u8; 4]) -> Option<Self> {
        Self::ORDER.into_iter().find(|kind| kind.platform_code() == Some(code))
    }
}

/// A place where the parent may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentPath {
    /// How it is written, and what it is relative to.
    pub kind: PathKind,
    /// The path as stored, without the trailing zeros.
    pub path: String,
}

/// The parent of a differencing disk, as the child notes it.
///
/// ```
/// use cv_vhd::vhd::ParentReference;
///
/// let parent = ParentReference::new(uuid::Uuid::from_u128(7))
///     .relative(r".\base.vhd")
///     .absolute(r"C:\Images\base.vhd");
/// assert!(parent.matches(&uuid::Uuid::from_u128(7)));
/// assert_eq!(parent.paths[0].path, r".\base.vhd");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentReference {
    /// The unique id that the parent's footer must have.
    pub identity: Uuid,
    /// The parent's modification time in seconds since 2000-01-01T00:00:00Z; zero as Windows 8 and later write it.
    pub time_stamp: u32,
    /// The places in the order in which to try them.
    pub paths: Vec<ParentPath>,
}

impl ParentReference {
    /// A parent of that identity, its place not yet said.
    pub fn new(identity: Uuid) -> Self {
        Self {
            identity,
            time_stamp: 0,
            paths: Vec::new(),
        }
    }

    /// Sets the path relative to the child's folder, in Windows' manner: `.\base.vhd`.
    #[must_use]
    pub fn relative(self, path: impl Into<String>) -> Self {
        self.with(PathKind::RelativeUnicode, path)
    }

    /// Sets the absolute path, in Windows' manner: `C:\Images\base.vhd`.
    #[must_use]
    pub fn absolute(self, path: impl Into<String>) -> Self {
        self.with(PathKind::AbsoluteUnicode, path)
    }

    /// Sets a `file:` URL, as disks of Virtual PC for Mac carry it.
    #[must_use]
    pub fn mac_url(self, url: impl Into<String>) -> Self {
        self.with(PathKind::MacUrl, url)
    }

    /// Whether a disk of that identity is the parent.
    pub fn matches(&self, identity: &Uuid) -> bool {
        self.identity == *identity
    }

    /// The path of one kind.
    pub fn path(&self, kind: PathKind) -> Option<&str> {
        self.paths
            .iter()
            .find(|path| path.kind == kind)
            .map(|path| path.path.as_str())
    }

    fn with(mut self, kind: PathKind, path: impl Into<String>) -> Self {
        self.paths.retain(|other| other.kind != kind);
        self.paths.push(ParentPath {
            kind,
            path: path.into(),
        });
        self.order();
        self
    }

    fn order(&mut self) {
        self.paths
            .sort_by_key(|path| PathKind::ORDER.iter().position(|kind| *kind == path.kind));
    }

    /// What `header` and the locators it points to say. A locator that cannot be read is left out.
    pub(super) fn read(file: &dyn ReadAt, header: &DynamicHeader) -> Result<Self, ReadError> {
        let mut parent = Self::new(Uuid::from_bytes(header.parent_unique_id));
        parent.time_stamp = header.parent_time_stamp;
        for entry in header.parent_locator_entries.iter().filter(|entry| entry.is_used()) {
            if let Some(path) = read_path(file, entry)? {
                parent.paths.push(path);
            }
        }
        let name = decode_utf16(&header.parent_unicode_name, ByteOrder::Big);
        if !name.is_empty() {
            parent.paths.push(ParentPath {
                kind: PathKind::Name,
                path: name,
            });
        }
        parent.order();
        Ok(parent)
    }

    /// The bytes of each path that gets a locator.
    pub(super) fn locators(&self) -> Result<Vec<Locator>, WriteError> {
        let mut locators = Vec::new();
        for ParentPath { kind, path } in &self.paths {
            let Some(code) = kind.platform_code() else { continue };
            let bytes: Vec<u8> = match kind {
                PathKind::RelativeUnicode | PathKind::AbsoluteUnicode => {
                    path.encode_utf16().flat_map(u16::to_le_bytes).collect()
                }
                _ => path.as_bytes().to_vec(),
            };
            if bytes.len() > LONGEST_PATH as usize {
                return Err(WriteError::Limit(format!(
                    "a path to the parent may take {LONGEST_PATH} bytes, not {}",
                    bytes.len()
                )));
            }
            locators.push(Locator {
                platform_code: code,
                data: bytes,
            });
        }
        if locators.len() > LOCATOR_ENTRIES {
            return Err(WriteError::Limit(format!(
                "a disk can note {LOCATOR_ENTRIES} paths to its parent, not {}",
                locators.len()
            )));
        }
        Ok(locators)
    }

    /// The parent name of the header: the name given, else the first absolute path, else what is there; its last
    /// component where all of it is too long.
    pub(super) fn header_name(&self) -> [u8; 512] {
        let name = [
            PathKind::Name,
            PathKind::AbsoluteUnicode,
            PathKind::RelativeUnicode,
            PathKind::MacUrl,
        ]
        .into_iter()
        .find_map(|kind| self.path(kind))
        .unwrap_or_default();
        let mut units: Vec<u16> = name.encode_utf16().collect();
        if units.len() > 255 {
            units = name
                .rsplit(['\\', '/'])
                .next()
                .unwrap_or_default()
                .encode_utf16()
                .take(255)
                .collect();
        }
        let mut field = [0; 512];
        for (pair, unit) in field.chunks_exact_mut(2).zip(units) {
            pair.copy_from_slice(&unit.to_be_bytes());
        }
        field
    }
}

/// A path as a locator stores it.
pub(super) struct Locator {
    pub platform_code: [u8; 4],
    pub data: Vec<u8>,
}

/// Reads the path of a locator; `None` where it is no path or lies outside the file.
fn read_path(file: &dyn ReadAt, entry: &ParentLocatorEntry) -> Result<Option<ParentPath>, ReadError> {
    let length = entry.platform_data_length;
    let inside = entry
        .platform_data_offset
        .checked_add(length.into())
        .is_some_and(|end| end <= file.len());
    let kind = PathKind::from_platform_code(entry.platform_code).filter(|kind| *kind != PathKind::MacAlias);
    let Some(kind) = kind.filter(|_| inside && length <= LONGEST_PATH) else {
        return Ok(None);
    };
    let mut bytes = vec![0; length as usize];
    file.read_at(&mut bytes, entry.platform_data_offset)?;
    let path = match kind {
        PathKind::RelativeUnicode | PathKind::AbsoluteUnicode => decode_utf16(&bytes, ByteOrder::Little),
        _ => String::from_utf8_lossy(&bytes)
            .split('\0')
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    Ok((!path.is_empty()).then_some(ParentPath { kind, path }))
}

#[derive(Clone, Copy, PartialEq)]
enum ByteOrder {
    Little,
    Big,
}

/// The text up to the first zero. Where the first unit is a Latin letter in the other byte order, the whole text is
/// taken to be in that one: writers have confused them.
fn decode_utf16(bytes: &[u8], specified: ByteOrder) -> String {
    let order = match bytes {
        [0, 1..=255, ..] => ByteOrder::Big,
        [1..=255, 0, ..] => ByteOrder::Little,
        _ => specified,
    };
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| match order {
            ByteOrder::Little => u16::from_le_bytes([pair[0], pair[1]]),
            ByteOrder::Big => u16::from_be_bytes([pair[0], pair[1]]),
        })
        .take_while(|unit| *unit != 0)
        .collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tried_in_the_order_in_which_they_survive_a_move() {
        let parent = ParentReference::new(Uuid::nil())
            .absolute(r"C:\base.vhd")
            .mac_url("file:///base.vhd")
            .relative(r".\base.vhd");
        let kinds: Vec<_> = parent.paths.iter().map(|path| path.kind).collect();
        assert_eq!(
            kinds,
            [PathKind::RelativeUnicode, PathKind::AbsoluteUnicode, PathKind::MacUrl]
        );
    }

    #[test]
    fn the_header_takes_the_file_name_of_a_path_too_long_for_it() {
        let path = format!(r"C:\{}\base.vhd", "folder".repeat(60));
        let name = ParentReference::new(Uuid::nil()).absolute(path).header_name();
        assert_eq!(decode_utf16(&name, ByteOrder::Big), "base.vhd");
    }

    #[test]
    fn either_byte_order_is_read() {
        assert_eq!(decode_utf16(b"C\0:\0", ByteOrder::Big), "C:");
        assert_eq!(decode_utf16(b"\0C\0:\0\0\0x", ByteOrder::Little), "C:");
        assert_eq!(
            decode_utf16(&[0x42, 0x30, 0x44, 0x30], ByteOrder::Little),
            "\u{3042}\u{3044}"
        );
        assert_eq!(decode_utf16(&[], ByteOrder::Little), "");
        assert_eq!(decode_utf16(&[0, 0, 0], ByteOrder::Little), "");
    }
}
