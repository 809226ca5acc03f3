//! Registry data in files of the host: a hive with its transaction logs beside it, a `.reg` file, a file of Wine; each is
//! recognised by its content.
//!
//! ```no_run
//! use cv_hive::file::RegistryFile;
//!
//! let file = RegistryFile::open("SOFTWARE".as_ref())?;
//! let names = file.resolve(r"HKLM\SOFTWARE\Microsoft")?;
//! let key = file.tree(&names, &mut cv_disk::Faults::new())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod logs;
mod standing;

pub use logs::{LogFile, logs_beside};
pub use standing::{Elsewhere, Standing};

use crate::read::MAX_HIVE_SIZE;
use crate::reg::{ApplyError, Patch};
use crate::wine::WineRegistry;
use crate::{Hive, Key, KeyPath, KeyRef, Name, OpenError, RecoverError, Recovered, TextError, Visitor, recover};
use cv_disk::{Damage, Fault, Faults, Severity};
use std::io;
use std::path::{Path, PathBuf};

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The host refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A log beside the file could not be read.
    #[error("cannot read {}", file.display())]
    Log {
        /// The log.
        file: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// It is neither a hive nor registry text.
    #[error("neither a hive, nor a .reg file, nor a registry file of Wine")]
    Unknown(#[source] OpenError),
    /// The text is not what its form demands.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The hive is damaged where it must not be.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The key is not in the file.
    #[error("there is no key {0}")]
    NoSuchKey(KeyPath),
}

/// What a file holds.
#[derive(Debug)]
#[non_exhaustive]
pub enum Content {
    /// A hive: its bytes, after recovery where it was dirty.
    Hive(Vec<u8>),
    /// A `.reg` file, or what else holds a part of the registry, as a delta whose first keys are the roots of the registry.
    Reg(Key),
    /// A file of Wine.
    Wine(WineRegistry),
}

/// How much of a hive there is.
#[derive(Debug)]
pub enum HiveState {
    /// It was written to its end; or it is text.
    Clean,
    /// It was not written to its end, and logs beside it held what was missing. The bytes are elsewhere, these are empty.
    Recovered(Recovered),
    /// It was not written to its end, and nothing holds what is missing.
    Dirty(RecoverError),
}

/// A file that was read.
#[derive(Debug)]
pub struct RegistryFile {
    /// What it holds.
    pub content: Content,
    /// Whether a hive had to be recovered, which was done in memory.
    pub state: HiveState,
    /// The logs beside it.
    pub logs: Vec<LogFile>,
    standing: Standing,
}

/// Whether the bytes begin as a text does.
fn is_text(bytes: &[u8]) -> bool {
    let is_mark = |mark: &[u8]| bytes.starts_with(mark);
    let utf16: Vec<u8> = bytes.iter().take(14).step_by(2).copied().collect();
    is_mark(&[0xFF, 0xFE])
        || is_mark(&[0xFE, 0xFF])
        || is_mark(&[0xEF, 0xBB, 0xBF])
        || is_mark(b"REGEDIT")
        || is_mark(b"Windows")
        || utf16 == b"Windows"
}

impl RegistryFile {
    /// Reads the file at `path`, and where it is a dirty hive, the logs beside it.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let size = path.metadata()?.len();
        if size > MAX_HIVE_SIZE {
            let limit = MAX_HIVE_SIZE;
            return Err(FileError::Unknown(OpenError::TooLarge { size, limit }));
        }
        let bytes = std::fs::read(path)?;
        let is_hive = bytes.starts_with(b"regf") || !(is_text(&bytes) || WineRegistry::is_wine(&bytes));
        let logs = if is_hive && is_dirty(&bytes) {
            logs_beside(path)?
        } else {
            Vec::new()
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Self::from_bytes(bytes, name.as_deref().unwrap_or_default(), logs)
    }

    /// What the bytes of a file of this name and its logs hold.
    pub fn from_bytes(bytes: Vec<u8>, name: &str, logs: Vec<LogFile>) -> Result<Self, FileError> {
        if WineRegistry::is_wine(&bytes) {
            let registry = WineRegistry::parse(&bytes)?;
            let standing = Standing::of_wine(&registry.relative_to);
            return Ok(Self {
                content: Content::Wine(registry),
                state: HiveState::Clean,
                logs: Vec::new(),
                standing,
            });
        }
        if !bytes.starts_with(b"regf") && is_text(&bytes) {
            let patch = Patch::parse(&bytes)?;
            return match patch.into_delta(&KeyPath::default(), 0) {
                Ok(delta) => Ok(Self::of_delta(delta)),
                // Every key is below nothing.
                Err(ApplyError::Elsewhere { path, .. }) => Err(FileError::NoSuchKey(path)),
            };
        }
        let contents: Vec<&[u8]> = logs.iter().map(|log| &log.bytes[..]).collect();
        let (bytes, state) = match recover(&bytes, &contents) {
            Ok(None) => (bytes, HiveState::Clean),
            Ok(Some(mut recovered)) => (std::mem::take(&mut recovered.bytes), HiveState::Recovered(recovered)),
            Err(error) => (bytes, HiveState::Dirty(error)),
        };
        let standing = {
            let hive = Hive::open(&bytes).map_err(FileError::Unknown)?;
            Standing::of_hive(&hive, name)
        };
        Ok(Self {
            content: Content::Hive(bytes),
            state,
            logs,
            standing,
        })
    }

    /// A registry that is in no file of its own: a delta whose first keys are the roots of the registry.
    pub fn of_delta(root: Key) -> Self {
        Self {
            content: Content::Reg(root),
            state: HiveState::Clean,
            logs: Vec::new(),
            standing: Standing::everywhere(),
        }
    }

    /// The hive, where the file is one.
    pub fn hive(&self) -> Option<Hive<'_>> {
        match &self.content {
            Content::Hive(bytes) => Hive::open(bytes).ok(),
            Content::Reg(_) | Content::Wine(_) => None,
        }
    }

    /// Where its root stands in the registry; empty for a `.reg` file, whose keys have whole paths.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The names that lead from the file's root to the key that `text` names, in full or from the file's root on. Names are
    /// separated by backslashes; by slashes, where there is no backslash.
    pub fn resolve(&self, text: &str) -> Result<Vec<Name>, Elsewhere> {
        self.standing.resolve_text(text)
    }

    fn key(&self, names: &[Name]) -> Result<AnyKey<'_>, FileError> {
        let missing = || FileError::NoSuchKey(self.standing.full_path(names));
        let root = match &self.content {
            Content::Hive(bytes) => {
                let hive = Hive::open(bytes).map_err(FileError::Unknown)?;
                let mut key = hive.root()?;
                for name in names {
                    key = key.find_subkey(name.units())?.ok_or_else(missing)?;
                }
                return Ok(AnyKey::Stored(key));
            }
            Content::Reg(root) => root,
            Content::Wine(registry) => &registry.root,
        };
        root.descendant(names).map(AnyKey::Memory).ok_or_else(missing)
    }

    /// Tells `visitor` a key and everything below it; what damage costs is added to `faults`.
    pub fn visit<V: Visitor>(
        &self,
        names: &[Name],
        visitor: &mut V,
        faults: &mut Faults,
    ) -> Result<Result<(), V::Error>, FileError> {
        Ok(match self.key(names)? {
            AnyKey::Stored(key) => key.visit(visitor, faults),
            AnyKey::Memory(key) => key.visit(visitor),
        })
    }

    /// A key and everything below it. What damage costs is left out and added to `faults`.
    pub fn tree(&self, names: &[Name], faults: &mut Faults) -> Result<Key, FileError> {
        let root = match &self.content {
            Content::Hive(bytes) => {
                let hive = Hive::open(bytes).map_err(FileError::Unknown)?;
                let (root, found) = hive.to_tree_with_faults()?;
                faults.omit(found.omitted());
                found.into_iter().for_each(|fault| faults.push(fault));
                root
            }
            Content::Reg(root) => root.clone(),
            Content::Wine(registry) => registry.root.clone(),
        };
        let missing = || FileError::NoSuchKey(self.standing.full_path(names));
        root.into_descendant(names).ok_or_else(missing)
    }
}

/// A key, wherever it is.
enum AnyKey<'a> {
    Stored(KeyRef<'a>),
    Memory(&'a Key),
}

/// Whether a file that begins with these bytes may be one of the registry: a hive, a `.reg` file or a file of Wine.
pub fn may_be_registry(start: &[u8]) -> bool {
    start.starts_with(b"regf") || is_text(start) || WineRegistry::is_wine(start)
}

fn is_dirty(bytes: &[u8]) -> bool {
    Hive::open(bytes).map_or(true, |hive| hive.is_dirty())
}

impl HiveState {
    /// Whether the file should be recovered before it is changed.
    pub fn is_dirty(&self) -> bool {
        !matches!(self, Self::Clean)
    }

    /// The first damage that kept logs from being applied to their end.
    pub fn stopped(&self) -> Option<Fault> {
        match self {
            Self::Recovered(recovered) => {
                let (_, damage) = recovered.stopped.as_ref()?;
                Some(Fault::new(Severity::Warning, damage.clone()))
            }
            Self::Clean | Self::Dirty(_) => None,
        }
    }
}
