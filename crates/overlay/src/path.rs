//! Paths as lists of names.

use alloc::vec::Vec;
use core::fmt;

use cv_winname::wtf8;

/// A path from the root of the view: its names, one after the other. The root has none.
///
/// Names are any 16-bit units, so a path is kept as names, not as text with separators.
///
/// ```
/// use cv_overlay::NamePath;
///
/// let path = NamePath::from(r"\Program Files\App\app.exe");
/// assert_eq!(path.depth(), 3);
/// assert_eq!(path, NamePath::from(r"Program Files\App").joined(&"app.exe".encode_utf16().collect::<Vec<_>>()));
/// assert_eq!(path.to_string(), r"\Program Files\App\app.exe");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct NamePath {
    units: Vec<u16>,
    /// Where each name ends in `units`.
    ends: Vec<usize>,
}

impl NamePath {
    /// The root.
    pub const fn root() -> Self {
        Self {
            units: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The names between backslashes; empty ones are left out.
    pub fn parse(text: &[u16]) -> Self {
        text.split(|unit| *unit == u16::from(b'\\'))
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// How many names it has.
    pub fn depth(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no name.
    pub fn is_root(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name at this depth, counted from 0.
    pub fn name(&self, depth: usize) -> Option<&[u16]> {
        let end = *self.ends.get(depth)?;
        let start = match depth.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.units.get(start..end)
    }

    /// The last name; `None` for the root.
    pub fn last(&self) -> Option<&[u16]> {
        self.name(self.depth().checked_sub(1)?)
    }

    /// The names from the root on.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u16]> {
        (0..self.depth()).filter_map(|depth| self.name(depth))
    }

    /// Adds a name at the end.
    pub fn push(&mut self, name: &[u16]) {
        self.units.extend_from_slice(name);
        self.ends.push(self.units.len());
    }

    /// Takes the last name away.
    pub fn pop(&mut self) {
        self.truncate(self.depth().saturating_sub(1));
    }

    /// Keeps the first `depth` names.
    pub fn truncate(&mut self, depth: usize) {
        self.ends.truncate(depth);
        self.units.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// The path without its last name; the root's is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        let mut parent = self.clone();
        parent.pop();
        parent
    }

    /// The path with one more name.
    #[must_use]
    pub fn joined(&self, name: &[u16]) -> Self {
        let mut joined = self.clone();
        joined.push(name);
        joined
    }
}

impl<'n> FromIterator<&'n [u16]> for NamePath {
    fn from_iter<I: IntoIterator<Item = &'n [u16]>>(names: I) -> Self {
        let mut path = Self::root();
        for name in names {
            path.push(name);
        }
        path
    }
}

impl From<&str> for NamePath {
    /// The names between backslashes, as [`parse`](Self::parse) does.
    fn from(text: &str) -> Self {
        Self::parse(&text.encode_utf16().collect::<Vec<_>>())
    }
}

impl fmt::Display for NamePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            f.write_str("\\")?;
        }
        for name in self.names() {
            write!(f, "\\{}", wtf8::display(name))?;
        }
        Ok(())
    }
}

impl fmt::Debug for NamePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamePath({self})")
    }
}
