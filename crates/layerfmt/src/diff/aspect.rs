//! In what two entries of one path differ.

use super::DiffOptions;
use super::hashing::Hashed;
use super::side::{Known, Side};
use crate::Sha256Sum;
use crate::index::{Entry, EntryKind, StreamEntry};
use cv_ntfs::structure::FileAttributes;
use cv_winname::wtf8;
use data_encoding::BASE64;
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// What is told of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StreamSummary {
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256; `None` where nobody needed to read them.
    pub sha256: Option<Sha256Sum>,
}

/// In what two entries of one path differ: what the first side has, and what the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "aspect", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Aspect {
    /// What it is.
    Kind {
        /// The first side's.
        before: EntryKind,
        /// The second side's.
        after: EntryKind,
    },
    /// The unnamed stream.
    Content {
        /// The first side's.
        before: Option<StreamSummary>,
        /// The second side's.
        after: Option<StreamSummary>,
    },
    /// A named stream.
    Stream {
        /// Its name.
        #[serde(serialize_with = "text_of")]
        name: Vec<u8>,
        /// The first side's.
        before: Option<StreamSummary>,
        /// The second side's.
        after: Option<StreamSummary>,
    },
    /// The attributes, as numbers.
    Attributes {
        /// The first side's.
        before: u32,
        /// The second side's.
        after: u32,
    },
    /// The times, in 100 ns since 1601: creation, modification, change, access.
    Times {
        /// The first side's.
        before: [u64; 4],
        /// The second side's.
        after: [u64; 4],
    },
    /// The self-relative security descriptor, in base64; `None` for the volume's default.
    Security {
        /// The first side's.
        before: Option<String>,
        /// The second side's.
        after: Option<String>,
    },
    /// The reparse data, which say where a link leads, in base64.
    Reparse {
        /// The first side's.
        before: Option<String>,
        /// The second side's.
        after: Option<String>,
    },
    /// The extended attributes, in base64.
    ExtendedAttributes {
        /// The first side's.
        before: Option<String>,
        /// The second side's.
        after: Option<String>,
    },
    /// The object id.
    ObjectId {
        /// The first side's.
        before: Option<Uuid>,
        /// The second side's.
        after: Option<Uuid>,
    },
    /// The 8.3 name.
    ShortName {
        /// The first side's.
        before: Option<String>,
        /// The second side's.
        after: Option<String>,
    },
    /// With which other names it is one file: the first of them, and how many they are.
    Links {
        /// The first side's.
        before: Option<Links>,
        /// The second side's.
        after: Option<Links>,
    },
    /// The case of its name.
    Case {
        /// The path as the first side spells it.
        #[serde(serialize_with = "text_of")]
        before: Vec<u8>,
        /// The path as the second side spells it.
        #[serde(serialize_with = "text_of")]
        after: Vec<u8>,
    },
}

/// The names of a file that has several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Links {
    /// The first of them.
    #[serde(serialize_with = "text_of")]
    pub first: Vec<u8>,
    /// How many they are.
    pub count: u32,
}

/// WTF-8 as JSON has it: lone surrogates as `\u{d800}`.
pub(super) fn text_of<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(bytes))
}

/// As [`text_of`].
pub(super) fn text(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let Ok(units) = wtf8::decode(bytes) else {
        return String::from_utf8_lossy(bytes).into_owned();
    };
    char::decode_utf16(units)
        .map(|unit| match unit {
            Ok(c) => c.to_string(),
            Err(lone) => format!("\\u{{{:x}}}", lone.unpaired_surrogate()),
        })
        .collect()
}

/// Attributes that Windows sets by itself and that mean nothing to an application.
const INCIDENTAL: u32 = FileAttributes::ARCHIVE
    .union(FileAttributes::NOT_CONTENT_INDEXED)
    .bits();

/// Two entries of one path.
pub(super) struct Pair<'s> {
    pub before: (usize, &'s Entry),
    pub after: (usize, &'s Entry),
}

/// What both sides know, and what counts.
pub(super) struct Comparison<'s, 'a> {
    pub before: &'s Side<'a>,
    pub after: &'s Side<'a>,
    pub known: Known,
    pub options: &'s DiffOptions,
    pub hashed: Hashed,
}

impl Comparison<'_, '_> {
    /// In what the entries differ.
    pub fn aspects(&self, pair: &Pair<'_>) -> Vec<Aspect> {
        let mut aspects = Vec::new();
        let (one, other) = (pair.before.1, pair.after.1);
        if one == other && self.before.security(one) == self.after.security(other) && one.link.is_none() {
            // The usual case, where both sides know their hashes.
            if self.before.hasher.is_none() && self.after.hasher.is_none() {
                return aspects;
            }
        }
        if one.kind != other.kind {
            aspects.push(Aspect::Kind {
                before: one.kind,
                after: other.kind,
            });
        }
        self.streams(pair, &mut aspects);
        self.metadata(one, other, &mut aspects);
        if self.known.details {
            self.details(one, other, &mut aspects);
        }
        if !self.options.semantic && one.path != other.path {
            aspects.push(Aspect::Case {
                before: one.path.clone(),
                after: other.path.clone(),
            });
        }
        aspects
    }

    fn metadata(&self, one: &Entry, other: &Entry, aspects: &mut Vec<Aspect>) {
        let mask = if self.options.semantic { !INCIDENTAL } else { !0 };
        if self.known.attributes && (one.attributes ^ other.attributes) & mask != 0 {
            aspects.push(Aspect::Attributes {
                before: one.attributes,
                after: other.attributes,
            });
        }
        let differs = |time: usize| self.known.times[time] && one.times[time] != other.times[time];
        if !self.options.semantic && (0..4).any(differs) {
            aspects.push(Aspect::Times {
                before: one.times,
                after: other.times,
            });
        }
        let (before, after) = (self.before.security(one), self.after.security(other));
        if self.known.security && before != after {
            aspects.push(Aspect::Security {
                before: before.map(|bytes| BASE64.encode(bytes)),
                after: after.map(|bytes| BASE64.encode(bytes)),
            });
        }
    }

    fn details(&self, one: &Entry, other: &Entry, aspects: &mut Vec<Aspect>) {
        let base64 = |bytes: &Option<Box<[u8]>>| bytes.as_deref().map(|bytes| BASE64.encode(bytes));
        if one.reparse != other.reparse {
            aspects.push(Aspect::Reparse {
                before: base64(&one.reparse),
                after: base64(&other.reparse),
            });
        }
        if one.extended_attributes != other.extended_attributes {
            aspects.push(Aspect::ExtendedAttributes {
                before: base64(&one.extended_attributes),
                after: base64(&other.extended_attributes),
            });
        }
        if self.options.semantic {
            return;
        }
        if one.object_id != other.object_id {
            aspects.push(Aspect::ObjectId {
                before: one.object_id,
                after: other.object_id,
            });
        }
        if one.short_name != other.short_name {
            aspects.push(Aspect::ShortName {
                before: one.short_name.clone(),
                after: other.short_name.clone(),
            });
        }
    }

    /// Both have their streams in one order: the unnamed one first, the others by name.
    fn streams(&self, pair: &Pair<'_>, aspects: &mut Vec<Aspect>) {
        let ((before, one), (after, other)) = (pair.before, pair.after);
        let is_there = |entry: &Entry, name: &[u8]| entry.stream(name).is_some();
        for stream in &one.streams {
            let twin = other.stream(&stream.name);
            if twin.is_none_or(|twin| !self.is_same((before, stream), (after, twin))) {
                let twin = twin.map(|twin| self.hashed.after(after, twin));
                push(aspects, &stream.name, Some(self.hashed.before(before, stream)), twin);
            }
        }
        for stream in other.streams.iter().filter(|stream| !is_there(one, &stream.name)) {
            push(aspects, &stream.name, None, Some(self.hashed.after(after, stream)));
        }
    }

    fn is_same(&self, before: (usize, &StreamEntry), after: (usize, &StreamEntry)) -> bool {
        if before.1.size != after.1.size {
            return false;
        }
        let one = self.hashed.before(before.0, before.1).sha256;
        // Nothing is hashed that is empty.
        before.1.size == 0 || one.is_some() && one == self.hashed.after(after.0, after.1).sha256
    }
}

fn push(aspects: &mut Vec<Aspect>, name: &[u8], before: Option<StreamSummary>, after: Option<StreamSummary>) {
    aspects.push(if name.is_empty() {
        Aspect::Content { before, after }
    } else {
        let name = name.to_vec();
        Aspect::Stream { name, before, after }
    });
}
