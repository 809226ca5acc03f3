//! The descriptor: the text that says what an image is made of.
//!
//! It is kept line by line as it was read, so that rewriting one value leaves every other byte alone: comments, keys that
//! nobody here knows, quotes, line ends and the order.

mod extent_line;
mod grammar;
mod template;

pub use extent_line::{Access, ExtentKindName, ExtentLine};
pub(crate) use template::{Template, geometry};

use cv_disk::Damage;
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use grammar::{Content, Line};

/// Bytes of a descriptor at most. A disk of 62 TiB in extents of 2 GiB needs half of it.
pub(crate) const DESCRIPTOR_MAX: u64 = 4 << 20;

/// `parentCID` of an image without a parent.
pub const NO_PARENT_CID: u32 = 0xffff_ffff;

/// A parsed descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    lines: Vec<Line>,
}

impl Descriptor {
    /// Parses the text up to its end or its first NUL byte. Every text is accepted; what it must hold is the reader's
    /// business.
    pub fn parse(text: &[u8]) -> Self {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Self {
            lines: grammar::lines(&text[..end]),
        }
    }

    /// Whether `text` begins as a descriptor does: with `# Disk DescriptorFile` in either spelling, or, as some tools
    /// write it, with `version=` after other comments.
    pub fn probe(text: &[u8]) -> bool {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for line in text.split(|byte| *byte == b'\n') {
            let squeezed: Vec<u8> = line
                .iter()
                .filter(|byte| !byte.is_ascii_whitespace())
                .map(u8::to_ascii_lowercase)
                .take(64)
                .collect();
            if squeezed == b"#diskdescriptorfile" {
                return true;
            }
            match squeezed.first() {
                None | Some(b'#') => {}
                Some(_) => {
                    return squeezed.starts_with(b"version=")
                        && text
                            .windows(10)
                            .any(|window| window.eq_ignore_ascii_case(b"createtype"));
                }
            }
        }
        false
    }

    /// The text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for line in &self.lines {
            text.extend_from_slice(&line.bytes);
            text.extend_from_slice(&line.end);
        }
        text
    }

    /// The value of `key`, whose case does not matter, without quotes; the first where there are several.
    pub fn get(&self, key: &str) -> Option<String> {
        let (index, value) = self.find(key)?;
        Some(self.decode(&self.lines[index].bytes[value]))
    }

    /// Every key and its value in the text's order.
    pub fn entries(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.lines.iter().filter_map(|line| match &line.content {
            Content::Entry { key, value } => Some((
                self.decode(&line.bytes[key.clone()]),
                self.decode(&line.bytes[value.clone()]),
            )),
            _ => None,
        })
    }

    /// Gives `key` a value: in its place where it is there, else in a new line behind its kind (`ddb.` entries at the
    /// end, others before the extents).
    pub fn set(&mut self, key: &str, value: &str) {
        if let Some((index, place)) = self.find(key) {
            let value = self.encode(value);
            let line = &mut self.lines[index];
            line.bytes.splice(place, value);
            line.content = grammar::content(&line.bytes);
            return;
        }
        let is_database = key.to_ascii_lowercase().starts_with("ddb.");
        let is_of_kind = |line: &Line| match &line.content {
            Content::Entry { key, .. } => {
                line.bytes[key.clone()].to_ascii_lowercase().starts_with(b"ddb.") == is_database
            }
            _ => false,
        };
        let index = match self.lines.iter().rposition(is_of_kind) {
            Some(index) => index + 1,
            None if is_database => self.lines.len(),
            None => self.lines.len().min(1),
        };
        let text = if is_database {
            format!("{key} = \"{value}\"")
        } else if key.ends_with("CID") || key == "version" {
            format!("{key}={value}")
        } else {
            format!("{key}=\"{value}\"")
        };
        self.insert(index, &text);
    }

    /// Takes every line with `key` away.
    pub fn remove(&mut self, key: &str) {
        self.lines.retain(|line| match &line.content {
            Content::Entry { key: place, .. } => !line.bytes[place.clone()].eq_ignore_ascii_case(key.as_bytes()),
            _ => true,
        });
    }

    /// The extents in the disk's order.
    pub fn extents(&self) -> Vec<ExtentLine> {
        let lines = self.lines.iter();
        lines
            .filter_map(|line| match &line.content {
                Content::Extent {
                    access,
                    count,
                    kind,
                    name,
                    offset,
                    ..
                } => Some(ExtentLine {
                    access: *access,
                    sectors: *count,
                    kind: kind.clone(),
                    name: name.clone().map(|name| self.decode(&line.bytes[name])),
                    offset: *offset,
                }),
                _ => None,
            })
            .collect()
    }

    /// Replaces the extents; a line that stays as it is keeps its bytes.
    pub fn set_extents(&mut self, extents: &[ExtentLine]) {
        let before = self.extents();
        let places: Vec<usize> = (0..self.lines.len())
            .filter(|index| matches!(self.lines[*index].content, Content::Extent { .. }))
            .collect();
        for ((place, old), new) in places.iter().zip(&before).zip(extents) {
            let renamed = ExtentLine {
                sectors: new.sectors,
                ..old.clone()
            };
            if old == new {
                continue;
            }
            if renamed == *new {
                self.set_sectors(*place, new.sectors);
            } else {
                self.lines[*place].bytes = self.encode(&new.to_string());
                self.lines[*place].content = grammar::content(&self.lines[*place].bytes);
            }
        }
        for place in places.iter().skip(extents.len()).rev() {
            self.lines.remove(*place);
        }
        let next = places.last().map_or(self.lines.len(), |last| last + 1);
        for (index, extent) in (next..).zip(extents.iter().skip(places.len())) {
            self.insert(index, &extent.to_string());
        }
    }

    /// The content id, `CID`.
    pub fn cid(&self) -> Option<u32> {
        self.hexadecimal("CID")
    }

    /// The parent's content id as it was when this image was made, `parentCID`; `None` where there is no parent.
    pub fn parent_cid(&self) -> Option<u32> {
        self.hexadecimal("parentCID").filter(|cid| *cid != NO_PARENT_CID)
    }

    /// Changes the content id, and the end of `ddb.longContentID` where that repeats it.
    pub fn set_cid(&mut self, cid: u32) {
        let old = self.cid().map(|cid| format!("{cid:08x}"));
        let long = self.get("ddb.longContentID").map(|long| long.to_ascii_lowercase());
        if let Some(rest) = old
            .as_ref()
            .zip(long.as_ref())
            .and_then(|(old, long)| long.strip_suffix(old))
        {
            self.set("ddb.longContentID", &format!("{rest}{cid:08x}"));
        }
        self.set("CID", &format!("{cid:08x}"));
    }

    /// The damage where a field that every descriptor has is missing or unreadable, one each.
    pub(crate) fn faults(&self, at: u64) -> Vec<Damage> {
        let mut faults = Vec::new();
        let mut demand = |key: &str, good: bool, expected: &str| {
            if !good {
                faults.push(Damage::new(
                    format!("descriptor, {key}"),
                    at,
                    expected,
                    self.get(key).unwrap_or_else(|| "nothing".into()),
                ));
            }
        };
        let known_version = self
            .get("version")
            .is_some_and(|version| matches!(version.as_str(), "1" | "2" | "3" | "4"));
        demand("version", known_version, "1 to 4");
        demand("CID", self.cid().is_some(), "a hexadecimal number");
        demand(
            "parentCID",
            self.hexadecimal("parentCID").is_some(),
            "a hexadecimal number",
        );
        demand("createType", self.get("createType").is_some(), "the image's kind");
        faults
    }

    fn hexadecimal(&self, key: &str) -> Option<u32> {
        u32::from_str_radix(self.get(key)?.trim(), 16).ok()
    }

    fn find(&self, wanted: &str) -> Option<(usize, std::ops::Range<usize>)> {
        self.lines
            .iter()
            .enumerate()
            .find_map(|(index, line)| match &line.content {
                Content::Entry { key, value } if line.bytes[key.clone()].eq_ignore_ascii_case(wanted.as_bytes()) => {
                    Some((index, value.clone()))
                }
                _ => None,
            })
    }

    fn set_sectors(&mut self, index: usize, sectors: u64) {
        let line = &mut self.lines[index];
        if let Content::Extent { sectors: place, .. } = &line.content {
            line.bytes.splice(place.clone(), sectors.to_string().into_bytes());
            line.content = grammar::content(&line.bytes);
        }
    }

    fn insert(&mut self, index: usize, text: &str) {
        let end = self
            .lines
            .first()
            .map_or_else(|| b"\n".to_vec(), |line| line.end.clone());
        let end = if end.is_empty() { b"\n".to_vec() } else { end };
        let before = index.checked_sub(1).and_then(|before| self.lines.get_mut(before));
        if let Some(before) = before.filter(|before| before.end.is_empty()) {
            before.end.clone_from(&end);
        }
        let bytes = self.encode(text);
        self.lines.insert(
            index,
            Line {
                content: grammar::content(&bytes),
                bytes,
                end,
            },
        );
    }

    /// The encoding that the text says it has; without a word, UTF-8 where it is that, else the Windows code page of the
    /// western countries.
    fn encoding(&self) -> &'static Encoding {
        // The label itself is ASCII in every encoding that VMware writes.
        let label = self
            .find("encoding")
            .map(|(index, value)| &self.lines[index].bytes[value]);
        let all_utf8 = || self.lines.iter().all(|line| std::str::from_utf8(&line.bytes).is_ok());
        label
            .and_then(Encoding::for_label)
            .filter(|encoding| encoding.is_ascii_compatible())
            .unwrap_or_else(|| if all_utf8() { UTF_8 } else { WINDOWS_1252 })
    }

    fn decode(&self, bytes: &[u8]) -> String {
        if bytes.is_ascii() {
            return String::from_utf8_lossy(bytes).into_owned();
        }
        self.encoding().decode_without_bom_handling(bytes).0.into_owned()
    }

    fn encode(&self, text: &str) -> Vec<u8> {
        if text.is_ascii() {
            return text.as_bytes().to_vec();
        }
        self.encoding().encode(text).0.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESX: &[u8] = b"# Disk DescriptorFile\r\nversion=1 \r\nCID=a454774a \r\nparentCID=ffffffff \r\n\
        createType=\"streamOptimized\" \r\n\r\n# Extent description\r\nRDONLY 33554432 SPARSE \"generated-stream.vmdk\"\r\n\
        \r\n# The Disk Data Base \r\n#DDB\r\n\r\nddb.adapterType = \"lsilogic\"\r\n\
        ddb.longContentID = \"f56c691c480fc22c0f8b7effa454774a\"\r\nddb.unheardOf = \"yes\"";

    #[test]
    fn a_rewritten_value_leaves_every_other_byte_alone() {
        let mut descriptor = Descriptor::parse(ESX);
        assert_eq!(descriptor.to_bytes(), ESX);
        assert_eq!(descriptor.cid(), Some(0xa454_774a));
        assert_eq!(descriptor.parent_cid(), None);
        descriptor.set_cid(0x12);
        let expected = String::from_utf8_lossy(ESX).replace("a454774a", "00000012");
        assert_eq!(String::from_utf8(descriptor.to_bytes()).unwrap(), expected);
    }

    #[test]
    fn new_entries_go_where_their_kind_stands() {
        let mut descriptor = Descriptor::parse(ESX);
        descriptor.set("parentFileNameHint", "base.vmdk");
        descriptor.set("ddb.uuid", "60 00");
        let text = String::from_utf8(descriptor.to_bytes()).unwrap();
        assert!(text.contains("createType=\"streamOptimized\" \r\nparentFileNameHint=\"base.vmdk\"\r\n"));
        assert!(
            text.ends_with("ddb.unheardOf = \"yes\"\r\nddb.uuid = \"60 00\"\r\n"),
            "{text:?}"
        );
        descriptor.remove("parentFileNameHint");
        assert_eq!(descriptor.get("PARENTFILENAMEHINT"), None);
    }

    #[test]
    fn extents_are_replaced_in_place() {
        let mut descriptor = Descriptor::parse(b"version=1\nRW 10 SPARSE \"a\" keep me\n# end\n");
        let mut extents = descriptor.extents();
        extents[0].sectors = 2000;
        extents.push(ExtentLine {
            name: Some("b".into()),
            ..extents[0].clone()
        });
        descriptor.set_extents(&extents);
        assert_eq!(
            descriptor.to_bytes(),
            b"version=1\nRW 2000 SPARSE \"a\" keep me\nRW 2000 SPARSE \"b\"\n# end\n"
        );
        assert_eq!(descriptor.extents(), extents);
    }

    #[test]
    fn extents_that_stay_as_they_are_keep_their_bytes() {
        let text = b"RW 0010 SPARSE \"a\"\n";
        let mut descriptor = Descriptor::parse(text);
        descriptor.set_extents(&descriptor.extents());
        assert_eq!(descriptor.to_bytes(), text);
    }

    #[test]
    fn a_last_line_that_is_cut_within_its_end_is_ended() {
        let mut descriptor = Descriptor::parse(b"version=1\r\nddb.a = \"b\"\r");
        descriptor.set("ddb.c", "d");
        assert_eq!(
            descriptor.to_bytes(),
            b"version=1\r\nddb.a = \"b\"\r\r\nddb.c = \"d\"\r\n"
        );
        assert_eq!(
            Descriptor::parse(&descriptor.to_bytes()).get("ddb.c").as_deref(),
            Some("d")
        );
    }

    #[test]
    fn names_are_decoded_as_the_text_says() {
        let text = b"# Disk DescriptorFile\nencoding=\"windows-1252\"\nRW 1 FLAT \"d\xefsk.vmdk\" 0\n";
        let mut descriptor = Descriptor::parse(text);
        assert_eq!(descriptor.extents()[0].name.as_deref(), Some("dïsk.vmdk"));
        descriptor.set("ddb.comment", "é");
        assert!(descriptor.to_bytes().ends_with(b"ddb.comment = \"\xe9\"\n"));
        let japanese = Descriptor::parse(b"encoding=\"Shift_JIS\"\nRW 1 FLAT \"\x83f\x83B\x83X\x83N\" 0\n");
        assert_eq!(japanese.extents()[0].name.as_deref(), Some("ディスク"));
        let unsaid = Descriptor::parse("RW 1 FLAT \"ü\" 0\n".as_bytes());
        assert_eq!(unsaid.extents()[0].name.as_deref(), Some("ü"));
    }

    #[test]
    fn both_first_lines_are_recognised() {
        for good in [
            &b"# Disk DescriptorFile\nversion=1"[..],
            b"# Disk Descriptor File\r\n",
            b"\n  #disk descriptorfile",
            b"\xef\xbb\xbf# Disk DescriptorFile\n",
            b"# made by hand\nversion=1\ncreateType=\"vmfs\"",
        ] {
            assert!(Descriptor::probe(good), "{good:?}");
        }
        for bad in [
            &b""[..],
            b"version=1\n",
            b"#!/bin/sh\n",
            b"# Disk Descriptor",
            b"\0\0\0\0",
        ] {
            assert!(!Descriptor::probe(bad), "{bad:?}");
        }
    }
}
