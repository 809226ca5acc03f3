//! The extents that a descriptor names.

use std::fmt;

/// What may be done with an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `RW`: read and written.
    ReadWrite,
    /// `RDONLY`: read only.
    ReadOnly,
    /// `NOACCESS`: not even read.
    None,
}

impl Access {
    pub(super) fn from_word(word: &[u8]) -> Option<Self> {
        [Self::ReadWrite, Self::ReadOnly, Self::None]
            .into_iter()
            .find(|access| word.eq_ignore_ascii_case(access.to_string().as_bytes()))
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadWrite => "RW",
            Self::ReadOnly => "RDONLY",
            Self::None => "NOACCESS",
        })
    }
}

/// How an extent's sectors are stored, in the descriptor's word for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtentKindName {
    /// `FLAT`: sector after sector in a file.
    Flat,
    /// `SPARSE`: a hosted sparse extent.
    Sparse,
    /// `ZERO`: no file, all zeros.
    Zero,
    /// `VMFS`: sector after sector in a file on VMFS.
    Vmfs,
    /// `VMFSSPARSE`: an ESX sparse extent (COWD).
    VmfsSparse,
    /// `SESPARSE`: a space-efficient sparse extent.
    SeSparse,
    /// Another word, such as `VMFSRDM`: a device, or not known.
    Unknown(String),
}

impl ExtentKindName {
    const KNOWN: [Self; 6] = [
        Self::Flat,
        Self::Sparse,
        Self::Zero,
        Self::Vmfs,
        Self::VmfsSparse,
        Self::SeSparse,
    ];

    pub(super) fn from_word(word: &[u8]) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|kind| word.eq_ignore_ascii_case(kind.word().as_bytes()))
            .unwrap_or_else(|| Self::Unknown(String::from_utf8_lossy(word).into_owned()))
    }

    fn word(&self) -> &str {
        match self {
            Self::Flat => "FLAT",
            Self::Sparse => "SPARSE",
            Self::Zero => "ZERO",
            Self::Vmfs => "VMFS",
            Self::VmfsSparse => "VMFSSPARSE",
            Self::SeSparse => "SESPARSE",
            Self::Unknown(word) => word,
        }
    }
}

impl fmt::Display for ExtentKindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A line of the descriptor that names an extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentLine {
    /// What may be done with it.
    pub access: Access,
    /// Its size in sectors of 512 bytes.
    pub sectors: u64,
    /// How it is stored.
    pub kind: ExtentKindName,
    /// Its file's name as written there, decoded; `None` for a zero extent.
    pub name: Option<String>,
    /// The sector of the file where a flat extent begins; `None` where the line does not say, which means 0.
    pub offset: Option<u64>,
}

impl fmt::Display for ExtentLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.access, self.sectors, self.kind)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " {offset}")?;
        }
        Ok(())
    }
}
