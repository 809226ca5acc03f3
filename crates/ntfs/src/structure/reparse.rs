//! `$REPARSE_POINT`: links, and files whose content lies elsewhere (`REPARSE_DATA_BUFFER`, \[MS-FSCC\] 2.1.2).

use super::{Structure, fixed_size, moved, part, unit_bytes};
use binrw::binrw;
use cv_disk::Damage;
use std::fmt;

/// What kind of reparse data follows.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReparseTag(pub u32);

macro_rules! reparse_tags {
    ($($(#[$doc:meta])* $constant:ident = $value:literal;)*) => {
        impl ReparseTag {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// Its name in Microsoft's headers without `IO_REPARSE_TAG_`, where it is known.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($constant)),)*
                    _ => None,
                }
            }
        }
    };
}

reparse_tags! {
    /// A junction, or where another volume is mounted.
    MOUNT_POINT = 0xA000_0003;
    /// A symbolic link.
    SYMLINK = 0xA000_000C;
    /// A file backed by a compressed stream or by a WIM.
    WOF = 0x8000_0017;
    /// A symbolic link of the Windows Subsystem for Linux.
    LX_SYMLINK = 0xA000_001D;
    /// A socket.
    AF_UNIX = 0x8000_0023;
    /// A FIFO of the Windows Subsystem for Linux.
    LX_FIFO = 0x8000_0024;
    /// A character device of the Windows Subsystem for Linux.
    LX_CHR = 0x8000_0025;
    /// A block device of the Windows Subsystem for Linux.
    LX_BLK = 0x8000_0026;
    /// The alias of an app from the store.
    APPEXECLINK = 0x8000_001B;
    /// A placeholder of a container's layer.
    WCI = 0x8000_0018;
    /// A placeholder of a container's layer, version 1.
    WCI_1 = 0x9000_1018;
    /// A tombstone of a container's layer.
    WCI_TOMBSTONE = 0xA000_001F;
    /// A link of a container's layer.
    WCI_LINK = 0xA000_0027;
    /// A file of a file system in user mode.
    PROJFS = 0x9000_001C;
    /// A file of a cloud service.
    CLOUD = 0x9000_001A;
    /// A deduplicated file.
    DEDUP = 0x8000_0013;
    /// A special file made through NFS.
    NFS = 0x8000_0014;
    /// A link of the single instance store.
    SIS = 0x8000_0007;
    /// A file mounted from a WIM.
    WIM = 0x8000_0008;
    /// A file on slower storage.
    HSM = 0xC000_0004;
    /// A file on slower storage, second version.
    HSM2 = 0x8000_0006;
    /// A link of the distributed file system.
    DFS = 0x8000_000A;
    /// A file on another tier of storage.
    FILE_PLACEHOLDER = 0x8000_0015;
    /// A file on a storage tier.
    STORAGE_SYNC = 0x8000_001E;
    /// A global reparse point of a named pipe file system.
    GLOBAL_REPARSE = 0xA000_0019;
}

impl ReparseTag {
    /// Microsoft's own; others have a GUID behind the header.
    pub const fn is_microsoft(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }

    /// Stands for another file or directory.
    pub const fn is_name_surrogate(self) -> bool {
        self.0 & 0x2000_0000 != 0
    }

    /// Allowed on a directory that is not empty.
    pub const fn allows_directory_content(self) -> bool {
        self.0 & 0x1000_0000 != 0
    }
}

impl fmt::Display for ReparseTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

impl fmt::Debug for ReparseTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How reparse data begins. Tags that are not Microsoft's have a GUID behind it.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReparseHeader {
    /// 0x00: what kind it is.
    pub reparse_tag: ReparseTag,
    /// 0x04: bytes of the data behind the header (and the GUID).
    pub reparse_data_length: u16,
    /// 0x06: 0.
    pub reserved: u16,
}

fixed_size!(ReparseHeader, "$REPARSE_POINT", 8);

/// The names of `MOUNT_POINT` and `SYMLINK`: offsets and lengths in bytes within the names that follow. `SYMLINK` has
/// flags in between.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkNames {
    /// 0x00: where the name that Windows resolves begins.
    pub substitute_name_offset: u16,
    /// 0x02: how long it is.
    pub substitute_name_length: u16,
    /// 0x04: where the name for people begins.
    pub print_name_offset: u16,
    /// 0x06: how long it is.
    pub print_name_length: u16,
}

fixed_size!(LinkNames, "link names", 8);

/// `WOF_EXTERNAL_INFO` and what follows it where the provider is [`WofInfo::FILE`].
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WofInfo {
    /// 0x00: 1.
    pub version: u32,
    /// 0x04: [`WofInfo::WIM`] or [`WofInfo::FILE`].
    pub provider: u32,
    /// 0x08: `FILE_PROVIDER_EXTERNAL_INFO.Version`, 1.
    pub provider_version: u32,
    /// 0x0C: `FILE_PROVIDER_EXTERNAL_INFO.Algorithm` ([`WofAlgorithm`]).
    pub algorithm: u32,
}

fixed_size!(WofInfo, "WOF reparse data", 16);

impl WofInfo {
    /// The content is in a WIM.
    pub const WIM: u32 = 1;
    /// The content is in the file's own stream `WofCompressedData`.
    pub const FILE: u32 = 2;
}

/// How the stream `WofCompressedData` is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WofAlgorithm {
    /// XPRESS with Huffman codes, chunks of 4 KiB.
    Xpress4k,
    /// LZX, chunks of 32 KiB.
    Lzx,
    /// XPRESS with Huffman codes, chunks of 8 KiB.
    Xpress8k,
    /// XPRESS with Huffman codes, chunks of 16 KiB.
    Xpress16k,
}

impl WofAlgorithm {
    /// `FILE_PROVIDER_COMPRESSION_…`.
    pub const fn number(self) -> u32 {
        match self {
            Self::Xpress4k => 0,
            Self::Lzx => 1,
            Self::Xpress8k => 2,
            Self::Xpress16k => 3,
        }
    }

    /// The algorithm with that number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Xpress4k),
            1 => Some(Self::Lzx),
            2 => Some(Self::Xpress8k),
            3 => Some(Self::Xpress16k),
            _ => None,
        }
    }

    /// Bytes of content that are compressed together.
    pub const fn chunk_size(self) -> usize {
        match self {
            Self::Xpress4k => 4 << 10,
            Self::Xpress8k => 8 << 10,
            Self::Xpress16k => 16 << 10,
            Self::Lzx => 32 << 10,
        }
    }
}

/// Reparse data taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReparsePoint {
    /// A junction or a mounted volume.
    MountPoint {
        /// What Windows resolves, such as `\??\C:\target`.
        substitute_name: Vec<u16>,
        /// What people see.
        print_name: Vec<u16>,
    },
    /// A symbolic link.
    Symlink {
        /// What Windows resolves.
        substitute_name: Vec<u16>,
        /// What people see.
        print_name: Vec<u16>,
        /// Whether it starts at the link's own directory.
        is_relative: bool,
    },
    /// Content in the stream `WofCompressedData`.
    WofFile(WofAlgorithm),
    /// A link of the Windows Subsystem for Linux, with its target's bytes.
    LxSymlink {
        /// 2.
        version: u32,
        /// The target, UTF-8 as a rule.
        target: Vec<u8>,
    },
    /// Anything else, or one of the above that is not of the known form.
    Other {
        /// The tag.
        tag: ReparseTag,
        /// The GUID of a tag that is not Microsoft's.
        guid: Option<[u8; 16]>,
        /// What follows.
        data: Vec<u8>,
    },
}

/// `SYMLINK_FLAG_RELATIVE`.
const RELATIVE: u32 = 1;

impl ReparsePoint {
    /// The reparse data that is `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let header = ReparseHeader::read_from(bytes, 0)?;
        let tag = header.reparse_tag;
        let guid_size = if tag.is_microsoft() { 0 } else { 16 };
        let start = ReparseHeader::SIZE + guid_size;
        let data = part(
            bytes,
            start,
            usize::from(header.reparse_data_length),
            "$REPARSE_POINT, data",
        )?;
        let names = |data: &[u8], start_of_names: usize| -> Result<(Vec<u16>, Vec<u16>), Damage> {
            let names = LinkNames::read_from(data, 0)?;
            let name = |offset: u16, length: u16| {
                let offset = start_of_names + usize::from(offset);
                part(data, offset, usize::from(length), "link name").map(cv_winname::wtf8::from_le_bytes)
            };
            Ok((
                name(names.substitute_name_offset, names.substitute_name_length)?,
                name(names.print_name_offset, names.print_name_length)?,
            ))
        };
        let in_data = |damage: Damage| moved(damage, start as u64);
        Ok(match tag {
            ReparseTag::MOUNT_POINT => {
                let (substitute_name, print_name) = names(data, LinkNames::SIZE).map_err(in_data)?;
                Self::MountPoint {
                    substitute_name,
                    print_name,
                }
            }
            ReparseTag::SYMLINK => {
                let flags = part(data, LinkNames::SIZE, 4, "symbolic link, flags").map_err(in_data)?;
                let (substitute_name, print_name) = names(data, LinkNames::SIZE + 4).map_err(in_data)?;
                Self::Symlink {
                    substitute_name,
                    print_name,
                    is_relative: u32::from(flags[0]) & RELATIVE != 0,
                }
            }
            ReparseTag::LX_SYMLINK if data.len() >= 4 => Self::LxSymlink {
                version: u32::from_le_bytes([data[0], data[1], data[2], data[3]]),
                target: data[4..].to_vec(),
            },
            _ => Self::wof(tag, data).unwrap_or_else(|| Self::Other {
                tag,
                guid: bytes
                    .get(ReparseHeader::SIZE..start)
                    .and_then(|guid| guid.try_into().ok()),
                data: data.to_vec(),
            }),
        })
    }

    fn wof(tag: ReparseTag, data: &[u8]) -> Option<Self> {
        let info = WofInfo::read_from(data, 0).ok()?;
        (tag == ReparseTag::WOF && (info.version, info.provider, info.provider_version) == (1, WofInfo::FILE, 1))
            .then(|| WofAlgorithm::from_number(info.algorithm).map(Self::WofFile))
            .flatten()
    }

    /// The tag.
    pub fn tag(&self) -> ReparseTag {
        match self {
            Self::MountPoint { .. } => ReparseTag::MOUNT_POINT,
            Self::Symlink { .. } => ReparseTag::SYMLINK,
            Self::WofFile(_) => ReparseTag::WOF,
            Self::LxSymlink { .. } => ReparseTag::LX_SYMLINK,
            Self::Other { tag, .. } => *tag,
        }
    }

    /// Its bytes, as the value of `$REPARSE_POINT`; `None` where they do not fit into the 16 KiB that NTFS allows.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let link = |flags: Option<u32>, substitute: &[u16], print: &[u16]| {
            // Windows puts the print name behind the substitute name; a mount point's names end with NUL.
            let end = if flags.is_none() { 2 } else { 0 };
            let names = LinkNames {
                substitute_name_offset: 0,
                substitute_name_length: u16::try_from(2 * substitute.len()).ok()?,
                print_name_offset: u16::try_from(2 * substitute.len() + end).ok()?,
                print_name_length: u16::try_from(2 * print.len()).ok()?,
            };
            let mut data = names.to_bytes();
            data.extend(flags.iter().flat_map(|flags| flags.to_le_bytes()));
            for name in [substitute, print] {
                data.extend(unit_bytes(name));
                data.extend_from_slice(&[0; 2][..end]);
            }
            Some(data)
        };
        let data = match self {
            Self::MountPoint {
                substitute_name,
                print_name,
            } => link(None, substitute_name, print_name)?,
            Self::Symlink {
                substitute_name,
                print_name,
                is_relative,
            } => link(Some(u32::from(*is_relative)), substitute_name, print_name)?,
            Self::WofFile(algorithm) => WofInfo {
                version: 1,
                provider: WofInfo::FILE,
                provider_version: 1,
                algorithm: algorithm.number(),
            }
            .to_bytes(),
            Self::LxSymlink { version, target } => {
                let mut data = version.to_le_bytes().to_vec();
                data.extend_from_slice(target);
                data
            }
            Self::Other { data, .. } => data.clone(),
        };
        let header = ReparseHeader {
            reparse_tag: self.tag(),
            reparse_data_length: u16::try_from(data.len()).ok()?,
            reserved: 0,
        };
        let mut bytes = header.to_bytes();
        if let Self::Other { guid: Some(guid), .. } = self {
            bytes.extend_from_slice(guid);
        }
        bytes.extend(data);
        (bytes.len() <= Self::MAX_SIZE).then_some(bytes)
    }

    /// Most bytes of a `$REPARSE_POINT` value.
    pub const MAX_SIZE: usize = 16 << 10;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_point() -> impl Strategy<Value = ReparsePoint> {
        let name = || prop::collection::vec(any::<u16>(), 0..40);
        let bytes = || prop::collection::vec(any::<u8>(), 0..60);
        prop_oneof![
            (name(), name()).prop_map(|(substitute_name, print_name)| ReparsePoint::MountPoint {
                substitute_name,
                print_name
            }),
            (name(), name(), any::<bool>()).prop_map(|(substitute_name, print_name, is_relative)| {
                ReparsePoint::Symlink {
                    substitute_name,
                    print_name,
                    is_relative,
                }
            }),
            (0_u32..4).prop_map(|number| ReparsePoint::WofFile(WofAlgorithm::from_number(number).unwrap())),
            bytes().prop_map(|target| ReparsePoint::LxSymlink { version: 2, target }),
            (any::<[u8; 16]>(), bytes()).prop_map(|(guid, data)| ReparsePoint::Other {
                tag: ReparseTag(0x1234),
                guid: Some(guid),
                data
            }),
            bytes().prop_map(|data| ReparsePoint::Other {
                tag: ReparseTag::APPEXECLINK,
                guid: None,
                data
            }),
        ]
    }

    proptest! {
        #[test]
        fn points_come_back(point in any_point()) {
            prop_assert_eq!(ReparsePoint::parse(&point.to_bytes().unwrap()).unwrap(), point);
        }

        #[test]
        fn any_bytes_are_safe(
            mut bytes in prop::collection::vec(any::<u8>(), 0..80),
            tag in prop::sample::select(vec![0xA000_0003_u32, 0xA000_000C, 0x8000_0017, 0xA000_001D, 0x17])
        ) {
            if bytes.len() >= 8 {
                bytes[..4].copy_from_slice(&tag.to_le_bytes());
                bytes[5] = 0;
            }
            let _ = ReparsePoint::parse(&bytes);
        }
    }

    #[test]
    fn too_much_is_refused() {
        let names = |units: usize| ReparsePoint::MountPoint {
            substitute_name: vec![0x61; units],
            print_name: Vec::new(),
        };
        assert!(names(8000).to_bytes().is_some());
        assert!(names(8200).to_bytes().is_none());
        assert!(names(40_000).to_bytes().is_none());
    }
}
