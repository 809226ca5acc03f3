//! Programs and libraries, PE files: their processor, version and icon, read where they stand.
//!
//! Only headers and the resources that are asked for are read, whatever the file's size.

mod icon;
mod resources;
mod structure;
mod version;

pub use version::{StringTable, Version, VersionInfo};

use crate::bytes::{Rest, u16_at, u32_at};
use crate::manifest::Architecture;
use binrw::BinRead;
use cv_disk::{Damage, ReadAt, ReadError};
use std::io::Cursor;
use structure::{FileHeader, SectionHeader};

/// Sections of a program at most; Windows loads no more.
const MAX_SECTIONS: u16 = 96;

/// `IMAGE_FILE_MACHINE_*` of 32-bit x86.
const MACHINE_I386: u16 = 0x014C;
/// Of 64-bit x86.
const MACHINE_AMD64: u16 = 0x8664;
/// Of 64-bit ARM.
const MACHINE_ARM64: u16 = 0xAA64;

/// Which directory of the optional header is that of the resources.
const RESOURCE_DIRECTORY: usize = 2;
/// Which one is the header of .NET's common language runtime.
const RUNTIME_DIRECTORY: usize = 14;
/// `COMIMAGE_FLAGS_ILONLY` without `COMIMAGE_FLAGS_32BITREQUIRED`: any processor.
const RUNTIME_FLAGS: [u32; 2] = [1, 2];

/// A program or library that stands on `D`.
#[derive(Debug)]
pub struct Program<D> {
    disk: D,
    header: FileHeader,
    sections: Vec<SectionHeader>,
    /// Address and size.
    resources: (u32, u32),
    runtime: (u32, u32),
}

impl<D: ReadAt> Program<D> {
    /// Reads the headers. `None` where the file is none of this kind.
    pub fn open(disk: D) -> Result<Option<Self>, ReadError> {
        let mut dos = [0; 64];
        if disk.len() < 64 {
            return Ok(None);
        }
        disk.read_at(&mut dos, 0)?;
        let place = u64::from(u32_at(&dos, 60).unwrap_or_default());
        if dos[..2] != *b"MZ" || place.checked_add(24).is_none_or(|end| end > disk.len()) {
            return Ok(None);
        }
        let mut start = [0; 4 + FileHeader::SIZE];
        disk.read_at(&mut start, place)?;
        if start[..4] != *b"PE\0\0" {
            return Ok(None);
        }
        let header: FileHeader = structure(&start[4..], place + 4, "IMAGE_FILE_HEADER")?;
        if header.number_of_sections > MAX_SECTIONS {
            let found = header.number_of_sections.to_string();
            return Err(Damage::new("NumberOfSections", place + 6, format!("at most {MAX_SECTIONS}"), found).into());
        }
        let optional_size = usize::from(header.size_of_optional_header);
        let mut bytes = vec![0; optional_size + usize::from(header.number_of_sections) * SectionHeader::SIZE];
        let optional_place = place + start.len() as u64;
        disk.read_at(&mut bytes, optional_place)?;
        let (optional, rest) = bytes.split_at(optional_size);
        let sections = rest
            .chunks_exact(SectionHeader::SIZE)
            .map(|bytes| structure(bytes, optional_place, "IMAGE_SECTION_HEADER"))
            .collect::<Result<_, _>>()?;
        Ok(Some(Self {
            disk,
            header,
            sections,
            resources: directory(optional, RESOURCE_DIRECTORY),
            runtime: directory(optional, RUNTIME_DIRECTORY),
        }))
    }

    /// Whether it is a library.
    pub fn is_library(&self) -> bool {
        self.header.characteristics & FileHeader::DLL != 0
    }

    /// The processor it is for; `None` where that is one no layer can name.
    pub fn architecture(&self) -> Option<Architecture> {
        match self.header.machine {
            MACHINE_I386 if self.runs_anywhere() => Some(Architecture::Neutral),
            MACHINE_I386 => Some(Architecture::X86),
            MACHINE_AMD64 => Some(Architecture::X64),
            MACHINE_ARM64 => Some(Architecture::Arm64),
            _ => None,
        }
    }

    /// Whether it is a .NET program for any processor.
    fn runs_anywhere(&self) -> bool {
        let mut flags = [0; 4];
        let is_read = self.runtime.1 >= 20
            && self
                .offset(self.runtime.0.saturating_add(16))
                .is_some_and(|offset| self.disk.read_at(&mut flags, offset).is_ok());
        let [il_only, required_32_bit] = RUNTIME_FLAGS;
        is_read && u32::from_le_bytes(flags) & (il_only | required_32_bit) == il_only
    }

    /// Where in the file the byte of an address in memory is.
    fn offset(&self, address: u32) -> Option<u64> {
        self.sections.iter().find_map(|section| {
            let within = address.checked_sub(section.virtual_address)?;
            (within < section.size_of_raw_data).then(|| u64::from(section.pointer_to_raw_data) + u64::from(within))
        })
    }
}

/// Address and size of a directory of the optional header; zeros where there is none.
fn directory(optional: &[u8], number: usize) -> (u32, u32) {
    let directories = match u16_at(optional, 0) {
        Some(0x10B) => 96,
        Some(0x20B) => 112,
        _ => return (0, 0),
    };
    let count = u32_at(optional, directories - 4).unwrap_or_default() as usize;
    let at = directories + number * 8;
    match (u32_at(optional, at), u32_at(optional, at + 4)) {
        (Some(address), Some(size)) if number < count => (address, size),
        _ => (0, 0),
    }
}

/// The structure with which `bytes` begin.
fn structure<T>(bytes: &[u8], place: u64, name: &str) -> Result<T, Damage>
where
    T: for<'a> BinRead<Args<'a> = ()> + binrw::meta::ReadEndian,
{
    T::read(&mut Cursor::new(bytes)).map_err(|error| Damage::new(name, place, "a whole one", error.to_string()))
}

/// The next structure of `size` bytes.
fn next_structure<T>(rest: &mut Rest<'_>, size: usize, name: &str) -> Result<T, Damage>
where
    T: for<'a> BinRead<Args<'a> = ()> + binrw::meta::ReadEndian,
{
    let place = rest.place();
    structure(rest.take(size, name)?, place, name)
}
