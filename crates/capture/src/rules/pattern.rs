//! Patterns of rules: paths of files and keys.
//!
//! Names are separated by backslashes and compared without regard to case. In a name `*` stands for any characters and `?` for
//! one; the name `**` stands for any number of names. A pattern also holds for everything below what it names.

use super::file::Kind;
use super::glob::is_glob;
use super::subject::one_view;
use cv_hive::{KeyPath, PathError};
use cv_winname::UpcaseTable;

/// Names of a pattern at most.
const MAX_NAMES: usize = 64;

/// Places that patterns of files may begin with, each in one or several places.
const PLACES: [(&str, &[&str]); 10] = [
    ("%SystemDrive%", &[""]),
    ("%SystemRoot%", &[r"\Windows"]),
    ("%Windir%", &[r"\Windows"]),
    ("%System%", &[r"\Windows\System32", r"\Windows\SysWOW64"]),
    ("%ProgramFiles%", &[r"\Program Files", r"\Program Files (x86)"]),
    ("%ProgramData%", &[r"\ProgramData"]),
    ("%UserProfile%", &[r"\Users\*"]),
    ("%AppData%", &[r"\Users\*\AppData\Roaming"]),
    ("%LocalAppData%", &[r"\Users\*\AppData\Local"]),
    ("%LocalLow%", &[r"\Users\*\AppData\LocalLow"]),
];

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It names nothing.
    #[error("names nothing")]
    Empty,
    /// A pattern of files begins neither with a backslash, nor with `**`, nor with a place.
    #[error(r"must begin with \, with ** or with one of %SystemDrive%, %Windir%, %System%, %ProgramFiles%, %ProgramData%, %UserProfile%, %AppData%, %LocalAppData% and %LocalLow%")]
    NoPlace,
    /// A pattern of keys does not begin with a root of the registry.
    #[error("must begin with HKLM or HKCU")]
    NoRoot,
    /// A pattern of values names none.
    #[error("names no value: a ! and the value's name must follow the key")]
    NoValue,
    /// Too many names.
    #[error("has more than {MAX_NAMES} names")]
    TooLong,
    /// A key that cannot be.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// A name of a pattern, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This name.
    Literal(Box<[u16]>),
    /// Names that fit.
    Glob(Box<[u16]>),
    /// Any number of names, or none.
    AnyDepth,
}

/// A pattern, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The names from the top down; the last is never [`Part::AnyDepth`].
    pub parts: Vec<Part>,
    /// Which values of the key, in a pattern of values.
    pub value: Option<Box<[u16]>>,
    /// Names that say something: all but those of any depth.
    pub depth: u32,
    /// Names that say all: without `*` and `?`.
    pub literals: u32,
}

impl Pattern {
    /// Takes apart a pattern, which may stand for several.
    pub fn parse(kind: Kind, text: &str) -> Result<Vec<Self>, PatternError> {
        match kind {
            Kind::File => file_texts(text)?.iter().map(|text| Self::new(text, None)).collect(),
            Kind::Registry => Ok(vec![Self::new(&rooted(text)?, None)?]),
            Kind::Value => {
                let (key, value) = text.split_once('!').ok_or(PatternError::NoValue)?;
                Ok(vec![Self::new(&rooted(key)?, Some(value))?])
            }
        }
    }

    fn new(text: &str, value: Option<&str>) -> Result<Self, PatternError> {
        let folded = folded(text);
        let names: Vec<&[u16]> = one_view(&folded).collect();
        if names.len() > MAX_NAMES {
            return Err(PatternError::TooLong);
        }
        let mut parts: Vec<Part> = Vec::new();
        for name in &names {
            match name {
                [0x2A, 0x2A] => {
                    if parts.last() != Some(&Part::AnyDepth) {
                        parts.push(Part::AnyDepth);
                    }
                }
                name if is_glob(name) => parts.push(Part::Glob((*name).into())),
                name => parts.push(Part::Literal((*name).into())),
            }
        }
        let count = |is: fn(&Part) -> bool| parts.iter().filter(|part| is(part)).count() as u32;
        let mut depth = count(|part| *part != Part::AnyDepth);
        let mut literals = count(|part| matches!(part, Part::Literal(_)));
        // What is below: each name there, as a pattern holds for what is below it. A value is of a key of any depth.
        if value.is_none() && parts.last() == Some(&Part::AnyDepth) {
            parts.pop();
            parts.push(Part::Glob([0x2A].into()));
        }
        let value = value.map(self::folded);
        if let Some(value) = &value {
            depth += 1;
            literals += u32::from(!is_glob(value));
        }
        if parts.is_empty() {
            return Err(PatternError::Empty);
        }
        Ok(Self {
            parts,
            value: value.map(Vec::into_boxed_slice),
            depth,
            literals,
        })
    }
}

pub fn folded(text: &str) -> Vec<u16> {
    UpcaseTable::windows().fold(&text.encode_utf16().collect::<Vec<_>>())
}

/// The pattern with the place that it begins with in its stead.
fn file_texts(text: &str) -> Result<Vec<String>, PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    if text.starts_with('\\') || text.starts_with("**") {
        return Ok(vec![text.to_owned()]);
    }
    for (name, places) in PLACES {
        if let Some(start) = text.get(..name.len())
            && start.eq_ignore_ascii_case(name)
            && (text.len() == name.len() || text[name.len()..].starts_with('\\'))
        {
            return Ok(places
                .iter()
                .map(|place| format!("{place}{}", &text[name.len()..]))
                .collect());
        }
    }
    Err(PatternError::NoPlace)
}

/// The pattern with the long name of its root.
fn rooted(text: &str) -> Result<String, PatternError> {
    let path = KeyPath::parse(text)?;
    if path.has_root() {
        Ok(path.to_string())
    } else if path.names().is_empty() {
        Err(PatternError::Empty)
    } else {
        Err(PatternError::NoRoot)
    }
}
