//! The records and names of the volume's own files.

/// A file of the volume itself, at a record number that is always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemFile {
    /// Its record's number.
    pub record: u64,
    /// Its name.
    pub name: &'static str,
}

macro_rules! system_files {
    ($($(#[$doc:meta])* $constant:ident = $record:literal, $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: SystemFile = SystemFile { record: $record, name: $name };)*

        /// All of them, by record number.
        pub const SYSTEM_FILES: [SystemFile; 12] = [$($constant),*];
    };
}

system_files! {
    /// The table of file records.
    MFT = 0, "$MFT";
    /// Copy of its first records.
    MFT_MIRROR = 1, "$MFTMirr";
    /// Log of changes.
    LOG_FILE = 2, "$LogFile";
    /// Label, version and state.
    VOLUME = 3, "$Volume";
    /// Attribute types.
    ATTRIBUTE_DEFINITIONS = 4, "$AttrDef";
    /// The root directory.
    ROOT = 5, ".";
    /// Which clusters are in use.
    BITMAP = 6, "$Bitmap";
    /// Boot sector and boot code.
    BOOT = 7, "$Boot";
    /// Clusters that cannot be used.
    BAD_CLUSTERS = 8, "$BadClus";
    /// Security descriptors.
    SECURE = 9, "$Secure";
    /// Upper case of every unit.
    UPCASE = 10, "$UpCase";
    /// Directory of the files that NTFS 3.0 added.
    EXTEND = 11, "$Extend";
}

/// Records below this are the volume's own; the rest of them are reserved.
pub const FIRST_FREE_RECORD: u64 = 24;

/// Records that `$MFTMirr` copies where a cluster holds no more.
pub const MIRRORED_RECORDS: u64 = 4;

/// The units of an ASCII name, as these names are.
pub const fn units<const N: usize>(name: &str) -> [u16; N] {
    let mut units = [0; N];
    let mut position = 0;
    while position < N {
        units[position] = name.as_bytes()[position] as u16;
        position += 1;
    }
    units
}

/// `$SDS`: the security descriptors' stream in `$Secure`.
pub const SDS: [u16; 4] = units("$SDS");
/// `$SDH`: their index by hash.
pub const SDH: [u16; 4] = units("$SDH");
/// `$SII`: their index by number.
pub const SII: [u16; 4] = units("$SII");
/// `$O`: the index of `$ObjId`, and the one by security identifier of `$Quota`.
pub const O: [u16; 2] = units("$O");
/// `$Q`: the index by number of `$Quota`.
pub const Q: [u16; 2] = units("$Q");
/// `$R`: the index of `$Reparse`.
pub const R: [u16; 2] = units("$R");
/// `$Bad`: the stream of `$BadClus`.
pub const BAD: [u16; 4] = units("$Bad");
/// `$Info`: which table `$UpCase` is.
pub const INFO: [u16; 5] = units("$Info");
/// `WofCompressedData`: the stream of a file backed by a compressed one.
pub const WOF_COMPRESSED_DATA: [u16; 17] = units("WofCompressedData");
