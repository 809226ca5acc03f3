//! Which container a file is.

use cv_disk::{ReadAt, ReadError};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A container format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The bytes of the disk and nothing else.
    Raw,
    /// Microsoft's Virtual Hard Disk.
    Vhd,
    /// Microsoft's Virtual Hard Disk version 2.
    Vhdx,
    /// VMware's Virtual Machine Disk.
    Vmdk,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Raw, Self::Vhd, Self::Vhdx, Self::Vmdk];

    /// The format's name, as in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
        }
    }

    /// Whether disks in it usually have a GUID partition table; the others have a master boot record, which any host reads.
    pub fn prefers_gpt(self) -> bool {
        self == Self::Vhdx
    }

    /// The format that an output of this name should have: by its extension, raw for `.img`, `.raw`, `.dd` and `.bin`.
    pub fn of_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "vhd" | "avhd" | "vpc" => Some(Self::Vhd),
            "vhdx" | "avhdx" => Some(Self::Vhdx),
            "vmdk" => Some(Self::Vmdk),
            "img" | "raw" | "dd" | "bin" => Some(Self::Raw),
            _ => None,
        }
    }

    /// The format of a file, from its content. What is no container known here is raw, unless it carries the mark of one
    /// that this project does not read; that is the second answer.
    pub fn recognise(file: &dyn ReadAt) -> Result<Result<Self, ForeignContainer>, ReadError> {
        if cv_vhd::vhdx::Vhdx::probe(file)? {
            return Ok(Ok(Self::Vhdx));
        }
        if cv_vmdk::probe(file)? {
            return Ok(Ok(Self::Vmdk));
        }
        if cv_vhd::vhd::Vhd::probe(file)? {
            return Ok(Ok(Self::Vhd));
        }
        let mut start = [0; 72];
        let length = start.len().min(usize::try_from(file.len()).unwrap_or(usize::MAX));
        file.read_at(&mut start[..length], 0)?;
        Ok(ForeignContainer::of(&start).map_or(Ok(Self::Raw), Err))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No format has this name.
#[derive(Debug, thiserror::Error)]
#[error("no such format: {0} (there are raw, vhd, vhdx and vmdk)")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// A container that this project does not read; taken for raw, its headers would be served as the disk's first sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is a {0}, which is not a format known here; say that it is raw to have its bytes as they are")]
pub struct ForeignContainer(pub &'static str);

impl ForeignContainer {
    fn of(start: &[u8; 72]) -> Option<Self> {
        let at = |offset: usize, mark: &[u8]| start[offset..].starts_with(mark);
        if at(0, b"QFI\xfb") {
            Some(Self("QCOW image"))
        } else if at(0, b"QED\0") {
            Some(Self("QED image"))
        } else if at(64, &[0x7f, 0x10, 0xda, 0xbe]) {
            Some(Self("VirtualBox disk image (VDI)"))
        } else if at(0, b"WithoutFreeSpace") || at(0, b"WithouFreSpacExt") {
            Some(Self("Parallels disk image"))
        } else if at(0, b"MSWIM\0\0\0") {
            Some(Self("Windows imaging archive (WIM)"))
        } else {
            None
        }
    }
}
