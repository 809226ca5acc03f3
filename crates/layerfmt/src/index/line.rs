//! Lines of the index as JSON has them.

use super::entry::{Blocks, Entry, EntryKind, StreamEntry};
use crate::Sha256Sum;
use cv_winname::wtf8;
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use uuid::Uuid;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head<'a> {
    #[serde(borrow)]
    pub schema: Cow<'a, str>,
    /// How many lines follow.
    pub entries: u64,
    /// Security descriptors in base64.
    pub securities: Vec<String>,
}

/// A stream with a name.
#[derive(Debug, Serialize, Deserialize)]
pub struct StreamLine<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    /// Instead of the name, where it is no Unicode: UTF-16LE in hexadecimal digits.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    name_utf16: Option<Cow<'a, str>>,
    #[serde(flatten)]
    content: ContentLine,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ContentLine {
    size: u64,
    sha256: Sha256Sum,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blake3: Option<Sha256Sum>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocks: Option<u64>,
}

/// An entry.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    /// Instead of the path, where it is no Unicode: UTF-16LE in hexadecimal digits.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    path_utf16: Option<Cow<'a, str>>,
    kind: EntryKind,
    #[serde(default, skip_serializing_if = "is_zero")]
    attributes: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<[u64; 4]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    security: Option<u32>,
    /// The unnamed stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256Sum>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blake3: Option<Sha256Sum>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocks: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    streams: Vec<StreamLine<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reparse: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    ea: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<u32>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    short_name: Option<Cow<'a, str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// A text and, where WTF-8 is no Unicode, its units.
fn text_or_units(bytes: &[u8]) -> (Option<Cow<'_, str>>, Option<Cow<'_, str>>) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (Some(Cow::Borrowed(text)), None);
    }
    let units = wtf8::decode(bytes).unwrap_or_default();
    let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    (None, Some(Cow::Owned(HEXLOWER.encode(&bytes))))
}

fn bytes_of(text: Option<Cow<'_, str>>, units: Option<Cow<'_, str>>, what: &'static str) -> Result<Vec<u8>, Fault> {
    match (text, units) {
        (Some(text), None) => Ok(text.into_owned().into_bytes()),
        (None, Some(digits)) => {
            let bytes = HEXLOWER
                .decode(digits.as_bytes())
                .map_err(|_| Fault::Hexadecimal(what))?;
            if bytes.len() % 2 != 0 {
                return Err(Fault::Hexadecimal(what));
            }
            Ok(wtf8::encode(&wtf8::from_le_bytes(&bytes)))
        }
        _ => Err(Fault::Missing(what)),
    }
}

fn base64(text: Option<Cow<'_, str>>, what: &'static str) -> Result<Option<Box<[u8]>>, Fault> {
    text.map(|text| BASE64.decode(text.as_bytes()))
        .transpose()
        .map(|bytes| bytes.map(Vec::into_boxed_slice))
        .map_err(|_| Fault::Base64(what))
}

/// What is wrong with a line that is valid JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{0} is missing, or there twice")]
    Missing(&'static str),
    #[error("{0} is no UTF-16LE in lower-case hexadecimal digits")]
    Hexadecimal(&'static str),
    #[error("{0} is no base64")]
    Base64(&'static str),
    #[error("one of size and sha256, or of blake3 and blocks, is there without the other")]
    Content,
}

impl ContentLine {
    fn of(stream: &StreamEntry) -> Self {
        Self {
            size: stream.size,
            sha256: stream.sha256,
            blake3: stream.blocks.map(|blocks| Sha256Sum(blocks.root)),
            blocks: stream.blocks.map(|blocks| blocks.offset),
        }
    }

    fn into_stream(self, name: Vec<u8>) -> Result<StreamEntry, Fault> {
        let blocks = match (self.blake3, self.blocks) {
            (Some(root), Some(offset)) => Some(Blocks { root: root.0, offset }),
            (None, None) => None,
            _ => return Err(Fault::Content),
        };
        Ok(StreamEntry {
            name,
            size: self.size,
            sha256: self.sha256,
            blocks,
        })
    }
}

impl<'a> Line<'a> {
    pub fn of(entry: &'a Entry) -> Self {
        let (path, path_utf16) = text_or_units(&entry.path);
        let unnamed = entry.stream(b"").map(ContentLine::of);
        let named = entry.streams.iter().filter(|stream| !stream.name.is_empty());
        Self {
            path,
            path_utf16,
            kind: entry.kind,
            attributes: entry.attributes,
            times: (entry.times != [0; 4]).then_some(entry.times),
            security: entry.security,
            size: unnamed.map(|content| content.size),
            sha256: unnamed.map(|content| content.sha256),
            blake3: unnamed.and_then(|content| content.blake3),
            blocks: unnamed.and_then(|content| content.blocks),
            streams: named
                .map(|stream| {
                    let (name, name_utf16) = text_or_units(&stream.name);
                    StreamLine {
                        name,
                        name_utf16,
                        content: ContentLine::of(stream),
                    }
                })
                .collect(),
            reparse: entry.reparse.as_deref().map(|bytes| Cow::Owned(BASE64.encode(bytes))),
            ea: entry
                .extended_attributes
                .as_deref()
                .map(|bytes| Cow::Owned(BASE64.encode(bytes))),
            object_id: entry.object_id,
            link: entry.link,
            short_name: entry.short_name.as_deref().map(Cow::Borrowed),
        }
    }

    pub fn into_entry(self) -> Result<Entry, Fault> {
        let mut streams = Vec::new();
        match (self.size, self.sha256) {
            (Some(size), Some(sha256)) => {
                let content = ContentLine {
                    size,
                    sha256,
                    blake3: self.blake3,
                    blocks: self.blocks,
                };
                streams.push(content.into_stream(Vec::new())?);
            }
            (None, None) => {}
            _ => return Err(Fault::Content),
        }
        for line in self.streams {
            let name = bytes_of(line.name, line.name_utf16, "a stream's name")?;
            if name.is_empty() {
                return Err(Fault::Missing("a stream's name"));
            }
            streams.push(line.content.into_stream(name)?);
        }
        Ok(Entry {
            path: bytes_of(self.path, self.path_utf16, "path")?,
            kind: self.kind,
            attributes: self.attributes,
            times: self.times.unwrap_or_default(),
            security: self.security,
            streams,
            reparse: base64(self.reparse, "reparse")?,
            extended_attributes: base64(self.ea, "ea")?,
            object_id: self.object_id,
            link: self.link,
            short_name: self.short_name.map(Cow::into_owned),
        })
    }
}
