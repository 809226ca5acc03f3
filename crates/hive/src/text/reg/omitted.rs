//! What a `.reg` file cannot hold.

use std::fmt;

/// Why something could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The name is empty or too long, has a line break, a zero or, for a key, a backslash, and would be read as something
    /// else.
    Name,
    /// The key is deeper than keys may be.
    Depth,
    /// A character is not in the file's encoding.
    Encoding,
    /// The key hides the values of the key below it, its subkeys not: it was written as one that hides nothing.
    SupersedeLocal,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Name => "its name would be read as something else",
            Self::Depth => "it is deeper than keys may be",
            Self::Encoding => "it has characters that the encoding has not",
            Self::SupersedeLocal => "it hides the values of the key below it, which cannot be told",
        })
    }
}

/// A key, with all below it, or a value that was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    /// The path of the key, or of the key that has the value or subkey.
    pub key: String,
    /// The name of the value or subkey, where it is one.
    pub name: Option<String>,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Omission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.key)?;
        if let Some(name) = &self.name {
            write!(formatter, ", {name:?}")?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

/// Everything that was not written, the first of it in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    listed: Vec<Omission>,
    more: u64,
}

impl Omitted {
    /// What is listed in full at most.
    pub const LISTED: usize = 100;

    /// What was not written, in order.
    pub fn listed(&self) -> &[Omission] {
        &self.listed
    }

    /// How much more was not written.
    pub fn more(&self) -> u64 {
        self.more
    }

    /// Whether everything was written.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    pub(super) fn push(&mut self, omission: impl FnOnce() -> Omission) {
        if self.listed.len() < Self::LISTED {
            self.listed.push(omission());
        } else {
            self.more += 1;
        }
    }
}
