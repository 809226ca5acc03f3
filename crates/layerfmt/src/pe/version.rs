//! Version resources: `VS_VERSIONINFO`.

use super::resources::Which;
use super::structure::FixedFileInfo;
use super::{Program, next_structure};
use crate::bytes::{Rest, u16_at, utf16_text};
use cv_disk::{Damage, ReadAt, ReadError};
use cv_winname::wtf8;
use std::fmt;

/// `RT_VERSION`.
const VERSION: u32 = 16;

/// Texts that are read from one resource at most.
const MAX_STRINGS: usize = 1000;

/// A version of four numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub [u16; 4]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, revision] = self.0;
        write!(f, "{major}.{minor}.{build}.{revision}")
    }
}

/// The texts of one language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StringTable {
    /// Language and code page, as eight hexadecimal digits.
    pub language: String,
    /// Names and texts, in order.
    pub strings: Vec<(String, String)>,
}

/// What a program says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionInfo {
    /// The file's version, in numbers.
    pub file_version: Option<Version>,
    /// The version of the product that it belongs to, in numbers.
    pub product_version: Option<Version>,
    /// Its texts, by language.
    pub tables: Vec<StringTable>,
}

impl VersionInfo {
    /// The text of this name, such as `ProductName`, in English or else in the first language that has it; without spaces
    /// at its ends.
    pub fn string(&self, name: &str) -> Option<&str> {
        let of = |table: &'_ &StringTable| table.language.to_ascii_lowercase().starts_with("0409");
        let english = self.tables.iter().filter(of);
        let others = self.tables.iter().filter(|table| !of(table));
        english
            .chain(others)
            .flat_map(|table| &table.strings)
            .find(|(key, text)| key == name && !text.trim().is_empty())
            .map(|(_, text)| text.trim())
    }

    /// Reads a version resource.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let root = Block::next(&mut Rest::new(bytes, 0))?
            .ok_or_else(|| Damage::new("VS_VERSIONINFO", 0, "a block", format!("{} bytes", bytes.len())))?;
        let mut info = Self::default();
        if let Ok(fixed) = next_structure::<FixedFileInfo>(
            &mut Rest::new(root.value, root.value_place),
            FixedFileInfo::SIZE,
            "VS_FIXEDFILEINFO",
        ) && fixed.signature == FixedFileInfo::SIGNATURE
        {
            let version =
                |high: u32, low: u32| Version([(high >> 16) as u16, high as u16, (low >> 16) as u16, low as u16]);
            info.file_version = Some(version(fixed.file_version_ms, fixed.file_version_ls));
            info.product_version = Some(version(fixed.product_version_ms, fixed.product_version_ls));
        }
        let mut budget = MAX_STRINGS;
        let mut infos = root.children;
        while let Some(string_file_info) = Block::next(&mut infos)? {
            if string_file_info.key != "StringFileInfo" {
                continue;
            }
            let mut tables = string_file_info.children;
            while let Some(block) = Block::next(&mut tables)? {
                let mut table = StringTable {
                    language: block.key,
                    strings: Vec::new(),
                };
                let mut strings = block.children;
                while let Some(string) = Block::next(&mut strings)? {
                    let Some(rest) = budget.checked_sub(1) else {
                        return Ok(info);
                    };
                    budget = rest;
                    table.strings.push((string.key, utf16_text(string.value)));
                }
                info.tables.push(table);
            }
        }
        Ok(info)
    }
}

impl<D: ReadAt> Program<D> {
    /// What the program says of itself, where it has a version resource.
    pub fn version_info(&self) -> Result<Option<VersionInfo>, ReadError> {
        let resource = self.resource(VERSION, Which::First)?;
        Ok(resource.map(|bytes| VersionInfo::parse(&bytes)).transpose()?)
    }
}

/// A block: its length, the length of its value, its type, its key, its value, and the blocks in it.
struct Block<'a> {
    key: String,
    value: &'a [u8],
    value_place: u64,
    children: Rest<'a>,
}

impl<'a> Block<'a> {
    /// The next block, at the next multiple of four bytes; `None` at the end.
    fn next(rest: &mut Rest<'a>) -> Result<Option<Self>, Damage> {
        align(rest);
        let place = rest.place();
        let length = usize::from(u16_at(rest.bytes(), 0).unwrap_or_default());
        if length == 0 {
            // Zeros fill up to the end.
            return Ok(None);
        }
        let bytes = rest.take(length.min(rest.bytes().len()), "wLength")?;
        let mut inner = Rest::new(bytes, place);
        inner.u16("wLength")?;
        let value_length = usize::from(inner.u16("wValueLength")?);
        let is_text = inner.u16("wType")? == 1;
        let end = inner.bytes().chunks_exact(2).position(|unit| unit == [0, 0]);
        let Some(end) = end else {
            return Err(Damage::new("szKey", inner.place(), "a text that ends", "no end"));
        };
        let key = wtf8::display(&wtf8::from_le_bytes(inner.take(end * 2, "szKey")?));
        inner.take(2, "szKey")?;
        align(&mut inner);
        let value_place = inner.place();
        // Texts count in units; some linkers count bytes, or too many.
        let value_length = if is_text { value_length * 2 } else { value_length };
        let value = inner.take(value_length.min(inner.bytes().len()), "Value")?;
        Ok(Some(Self {
            key,
            value,
            value_place,
            children: inner,
        }))
    }
}

fn align(rest: &mut Rest<'_>) {
    let gap = (rest.place().next_multiple_of(4) - rest.place()) as usize;
    let _ = rest.take(gap.min(rest.bytes().len()), "padding");
}
