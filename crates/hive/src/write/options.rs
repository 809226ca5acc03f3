//! What the caller decides.

use crate::Name;

/// Versions of hives that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// 1.3: read by every Windows since NT 4; what Windows itself writes for users and applications. Data is at most 1 MiB.
    V1_3,
    /// 1.5: since Windows XP; what Windows itself writes for the system's hives.
    V1_5,
    /// 1.6: since Windows 10; the states of layered keys.
    V1_6,
}

impl Version {
    /// The minor version.
    pub fn minor(self) -> u32 {
        match self {
            Self::V1_3 => 3,
            Self::V1_5 => 5,
            Self::V1_6 => 6,
        }
    }
}

/// What the caller decides of a hive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The version; `None` for 1.6 where the tree has states of layered keys, else 1.5.
    pub version: Option<Version>,
    /// When the hive was last written, in 100 ns since 1601-01-01 UTC.
    pub last_written: u64,
    /// The path of the hive; its last 31 units are stored, for people.
    pub file_name: Name,
}
