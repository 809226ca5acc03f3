//! What was found wrong with a layer.

use crate::index::{Entry, StreamEntry};
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A part of a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// The container.
    Container,
    /// The disk's partition table.
    PartitionTable,
    /// The NTFS volume.
    Volume,
    /// `layer.sig`.
    Signature,
    /// `layer.json`.
    Manifest,
    /// `layer.idx`.
    Index,
    /// `layer.blk`.
    Blocks,
    /// A hive, by name.
    Hive(String),
    /// A file or directory, or a stream of it.
    File {
        /// The path from the volume's root, names separated by `/`.
        path: String,
        /// The stream, where one with a name is meant.
        stream: Option<String>,
    },
}

impl Item {
    pub(super) fn of(path: &[u8]) -> Self {
        Self::File {
            path: String::from_utf8_lossy(path).into_owned(),
            stream: None,
        }
    }

    pub(super) fn of_stream(entry: &Entry, stream: &StreamEntry) -> Self {
        let name = String::from_utf8_lossy(&stream.name).into_owned();
        Self::File {
            path: String::from_utf8_lossy(&entry.path).into_owned(),
            stream: (!name.is_empty()).then_some(name),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container => f.write_str("container"),
            Self::PartitionTable => f.write_str("partition table"),
            Self::Volume => f.write_str("volume"),
            Self::Signature => f.write_str(crate::SIGNATURE_NAME),
            Self::Manifest => f.write_str(crate::MANIFEST_NAME),
            Self::Index => f.write_str(crate::INDEX_NAME),
            Self::Blocks => f.write_str(crate::BLOCKS_NAME),
            Self::Hive(name) => write!(f, "{}/{name}", crate::HIVES_DIRECTORY),
            Self::File { path, stream } => {
                f.write_str(path)?;
                stream.iter().try_for_each(|stream| write!(f, ":{stream}"))
            }
        }
    }
}

/// What is wrong with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// Its format's rules are broken.
    Fault,
    /// It cannot be read.
    Unreadable,
    /// It should be there.
    Missing,
    /// It should not be there.
    Unlisted,
    /// It has another number of bytes.
    Size,
    /// Its bytes are others.
    Hash,
    /// Its block hashes are others.
    Blocks,
    /// Its signature is not good.
    Signature,
    /// It is something else.
    Kind,
    /// Its attributes are others.
    Attributes,
    /// Its times are others.
    Times,
    /// Its security descriptor is another.
    Security,
    /// Its reparse data are others.
    Reparse,
    /// Its extended attributes are others.
    ExtendedAttributes,
    /// Its object id is another.
    ObjectId,
    /// Its 8.3 name is another.
    ShortName,
    /// It is a name of another file.
    Link,
}

impl Problem {
    /// Its name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Unreadable => "unreadable",
            Self::Missing => "missing",
            Self::Unlisted => "unlisted",
            Self::Size => "size",
            Self::Hash => "hash",
            Self::Blocks => "blocks",
            Self::Signature => "signature",
            Self::Kind => "kind",
            Self::Attributes => "attributes",
            Self::Times => "times",
            Self::Security => "security",
            Self::Reparse => "reparse",
            Self::ExtendedAttributes => "extended-attributes",
            Self::ObjectId => "object-id",
            Self::ShortName => "short-name",
            Self::Link => "link",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// With what.
    pub item: Item,
    /// What kind of fault.
    pub problem: Problem,
    /// What exactly, for people.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.item, self.detail)
    }
}

/// Who signed a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// The key's id.
    pub key_id: String,
    /// The comment that is signed too.
    pub comment: String,
    /// What the trust file says of the key; `None` where it is not accepted, or nobody asked.
    pub trusted: Option<String>,
}

/// What a layer was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What is wrong, by item.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub omitted: u64,
    /// Who signed it.
    pub signed_by: Option<SignedBy>,
    /// Streams whose hashes were computed.
    pub streams: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.omitted == 0
    }
}

/// What is found by several threads.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    listed: Vec<Finding>,
    omitted: u64,
    streams: u64,
    bytes: u64,
}

/// Findings kept in full.
const LISTED: usize = 10_000;

impl Findings {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tell(&self, item: Item, problem: Problem, detail: &str) {
        let mut found = self.lock();
        if found.listed.len() < LISTED {
            found.listed.push(Finding {
                item,
                problem,
                detail: detail.to_owned(),
            });
        } else {
            found.omitted += 1;
        }
    }

    pub fn add(&self, item: Item, problem: Problem, error: &dyn Error) {
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !detail.ends_with(&text) {
                detail.push_str(": ");
                detail.push_str(&text);
            }
            cause = error.source();
        }
        self.tell(item, problem, &detail);
    }

    pub fn differ(&self, item: Item, problem: Problem, expected: impl fmt::Display, found: impl fmt::Display) {
        let what = problem.name();
        self.tell(item, problem, &format!("{what}: expected {expected}, found {found}"));
    }

    pub fn omit(&self, count: u64) {
        self.lock().omitted += count;
    }

    pub fn count(&self, bytes: u64) {
        let mut found = self.lock();
        found.streams += 1;
        found.bytes += bytes;
    }

    pub fn into_report(self, signed_by: Option<SignedBy>) -> Report {
        let mut found = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.listed.sort_by(|left, right| left.item.cmp(&right.item));
        Report {
            findings: found.listed,
            omitted: found.omitted,
            signed_by,
            streams: found.streams,
            bytes: found.bytes,
        }
    }
}
