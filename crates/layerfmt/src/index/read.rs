//! Reading the index.

use super::line::{Fault, Head, Line};
use super::{Index, SCHEMA, compare_paths};
use data_encoding::BASE64;
use std::cmp::Ordering;
use std::io::{self, BufRead, BufReader, Read};

/// How much an index may be, so that a small file cannot fill the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes when unpacked.
    pub size: u64,
    /// Bytes of one line.
    pub line: usize,
    /// Entries.
    pub entries: u64,
}

impl Default for Limits {
    /// 4 GiB, 16 MiB a line, 16 million entries.
    fn default() -> Self {
        Self {
            size: 4 << 30,
            line: 16 << 20,
            entries: 1 << 24,
        }
    }
}

/// Why an index was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It cannot be unpacked.
    #[error("the index cannot be unpacked")]
    Unpack(#[source] io::Error),
    /// It is larger than any index may be.
    #[error("the index has more than {limit} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// A line is no JSON, or a member is not what it must be.
    #[error("line {line} of the index is not valid")]
    Json {
        /// Which line, from 1.
        line: u64,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A member of a line is missing or wrong.
    #[error("line {line} of the index: {reason}")]
    Line {
        /// Which line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// It is of a version that is not known here.
    #[error("the index's schema is {found:?}, expected {SCHEMA:?}")]
    Schema {
        /// What it says.
        found: String,
    },
    /// It does not have as many entries as it says.
    #[error("the index has {found} entries, expected {expected}")]
    Count {
        /// What its head says.
        expected: u64,
        /// What there is.
        found: u64,
    },
}

impl Index {
    /// Reads an index.
    pub fn parse(packed: &[u8], limits: &Limits) -> Result<Self, IndexError> {
        let decoder = zstd::stream::read::Decoder::new(packed).map_err(IndexError::Unpack)?;
        // One byte more, to tell what is too large from what just fits.
        let mut text = BufReader::with_capacity(1 << 17, decoder.take(limits.size + 1));
        let mut lines = Lines {
            unread: limits.size + 1,
            limits: *limits,
            number: 0,
            bytes: Vec::new(),
        };
        let head = lines.next(&mut text)?.unwrap_or_default();
        let head: Head<'_> = serde_json::from_slice(head).map_err(|source| IndexError::Json { line: 1, source })?;
        if head.schema != SCHEMA {
            return Err(IndexError::Schema {
                found: head.schema.into_owned(),
            });
        }
        let expected = head.entries;
        if expected > limits.entries {
            return Err(IndexError::TooLarge {
                what: "entries",
                limit: limits.entries,
            });
        }
        let securities = head.securities.iter().map(|text| BASE64.decode(text.as_bytes()));
        let mut index = Self {
            securities: securities
                .map(|bytes| bytes.map(Vec::into_boxed_slice))
                .collect::<Result<_, _>>()
                .map_err(|_| lines.fault("a security descriptor is no base64"))?,
            entries: Vec::new(),
        };
        while let Some(line) = lines.next(&mut text)? {
            let parsed: Result<Line<'_>, _> = serde_json::from_slice(line);
            let entry = parsed
                .map_err(|source| (Some(source), None))
                .and_then(|line| line.into_entry().map_err(|fault: Fault| (None, Some(fault))));
            let entry = match entry {
                Ok(entry) => entry,
                Err((Some(source), _)) => {
                    return Err(IndexError::Json {
                        line: lines.number,
                        source,
                    });
                }
                Err((None, fault)) => {
                    return Err(lines.fault(fault.map_or_else(String::new, |fault| fault.to_string())));
                }
            };
            if let Some(last) = index.entries.last()
                && compare_paths(&last.path, &entry.path) != Ordering::Less
            {
                return Err(lines.fault("the path does not come behind the one before"));
            }
            if entry
                .security
                .is_some_and(|number| number as usize >= index.securities.len())
            {
                return Err(lines.fault("there is no security descriptor of that number"));
            }
            index.entries.push(entry);
            if index.entries.len() as u64 > expected {
                break;
            }
        }
        let found = index.entries.len() as u64;
        if found != expected {
            return Err(IndexError::Count { expected, found });
        }
        Ok(index)
    }
}

struct Lines {
    unread: u64,
    limits: Limits,
    number: u64,
    bytes: Vec<u8>,
}

impl Lines {
    /// The next line, without its end; `None` behind the last one.
    fn next(&mut self, text: &mut impl BufRead) -> Result<Option<&[u8]>, IndexError> {
        self.bytes.clear();
        let most = (self.limits.line as u64 + 1).min(self.unread);
        let length = text
            .take(most)
            .read_until(b'\n', &mut self.bytes)
            .map_err(IndexError::Unpack)?;
        self.unread -= length as u64;
        self.number += 1;
        if self.bytes.last() == Some(&b'\n') {
            self.bytes.pop();
        } else if length > self.limits.line {
            return Err(IndexError::TooLarge {
                what: "bytes in a line",
                limit: self.limits.line as u64,
            });
        }
        if self.unread == 0 {
            return Err(IndexError::TooLarge {
                what: "bytes",
                limit: self.limits.size,
            });
        }
        Ok((length > 0).then_some(&self.bytes))
    }

    fn fault(&self, reason: impl Into<String>) -> IndexError {
        IndexError::Line {
            line: self.number,
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Blocks, Entry, EntryKind, StreamEntry};
    use super::*;
    use crate::Sha256Sum;

    fn sample() -> Index {
        let mut file = Entry::new(*b"Files/a\xed\xa0\x80.txt", EntryKind::File);
        file.streams.push(StreamEntry {
            size: 5 << 20,
            sha256: Sha256Sum([7; 32]),
            blocks: Some(Blocks {
                root: [9; 32],
                offset: 64,
            }),
            ..StreamEntry::default()
        });
        file.streams.push(StreamEntry {
            name: b"Zone.Identifier".to_vec(),
            size: 3,
            ..StreamEntry::default()
        });
        file.security = Some(0);
        file.times = [1, 2, 3, u64::MAX];
        file.extended_attributes = Some([1, 2, 3].into());
        Index {
            securities: vec![[1; 20].into()],
            entries: vec![
                Entry::new(*b"Files", EntryKind::Directory),
                file,
                Entry::new(*b"Files/gone", EntryKind::Whiteout),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let index = sample();
        let packed = index.to_bytes().unwrap_or_default();
        assert_eq!(Index::parse(&packed, &Limits::default()).ok(), Some(index));
    }

    #[test]
    fn limits_hold() {
        let packed = sample().to_bytes().unwrap_or_default();
        let limited = |limits: Limits| Index::parse(&packed, &limits).map_err(|error| error.to_string());
        let all = Limits::default();
        assert!(limited(Limits { entries: 2, ..all }).is_err_and(|error| error.contains("more than 2 entries")));
        assert!(limited(Limits { size: 100, ..all }).is_err_and(|error| error.contains("more than 100 bytes")));
        assert!(limited(Limits { line: 60, ..all }).is_err_and(|error| error.contains("more than 60 bytes in a line")));
    }

    #[test]
    fn disorder_is_refused() {
        let mut index = sample();
        index.entries.swap(0, 1);
        let packed = index.to_bytes().unwrap_or_default();
        let refused = Index::parse(&packed, &Limits::default());
        assert!(matches!(refused, Err(IndexError::Line { line: 3, .. })), "{refused:?}");
    }
}
