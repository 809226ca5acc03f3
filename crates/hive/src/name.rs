//! Names of keys and values.

use std::fmt;

use cv_winname::{UpcaseTable, wtf8};

/// The name of a key, of a value or of a class: any UTF-16 units, lone surrogates included.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u16]>);

impl Name {
    /// The UTF-16 units.
    pub fn units(&self) -> &[u16] {
        &self.0
    }

    /// Whether the name has no units, as that of a key's default value has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same name to Windows, which folds by the `$UpCase` table.
    pub fn matches(&self, other: &[u16]) -> bool {
        UpcaseTable::windows().equal(&self.0, other)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }
}

impl From<&[u16]> for Name {
    fn from(units: &[u16]) -> Self {
        Self(units.into())
    }
}

impl From<Vec<u16>> for Name {
    fn from(units: Vec<u16>) -> Self {
        Self(units.into_boxed_slice())
    }
}

/// As text; a lone surrogate as the replacement character.
impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&wtf8::display(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.to_string())
    }
}
