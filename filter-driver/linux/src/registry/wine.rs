//! The registry of a Wine prefix, which deltas are laid over.
//!
//! `HKLM\SOFTWARE` and so on are keys at the top of Wine's `system.reg`, `HKCU` is `user.reg`. The control set of delta hives,
//! which has no number, is Wine's `CurrentControlSet`, or the set that this is a link to. Views for 32-bit programs are where
//! Windows has them too, in `Wow6432Node`.

use super::trees::{CURRENT, HiveTrees};
use cv_hive::wine::WineRegistry;
use cv_hive::{Key, KeyFlags, Name, TextError};
use cv_winname::wtf8;
use layerfmt::content::HiveName;
use std::io;
use std::path::{Path, PathBuf};

/// The file of `HKLM`.
pub const SYSTEM_FILE: &str = "system.reg";

/// The file of `HKCU`.
pub const USER_FILE: &str = "user.reg";

/// Bytes of a file that are read at most.
pub(super) const LARGEST: u64 = 1 << 30;

/// Why the registry of a prefix cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WineError {
    /// The host refused.
    #[error("cannot use {}", path.display())]
    Host {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// It is not what Wine writes.
    #[error("cannot read {}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        source: TextError,
    },
    /// It is too large to be one.
    #[error("{} has {size} bytes, and {LARGEST} are the most that are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
}

/// One of the two files: which hives it has is where its root stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WineFile {
    /// Whether it is that of `HKCU`.
    pub is_user: bool,
    /// What it holds.
    pub registry: WineRegistry,
}

impl HiveTrees for WineFile {
    fn tree(&self, hive: HiveName) -> Option<&Key> {
        match top(hive) {
            Some(name) if !self.is_user => self.registry.root.subkey(name),
            None if self.is_user => Some(&self.registry.root),
            _ => None,
        }
    }

    fn tree_mut(&mut self, hive: HiveName) -> Option<&mut Key> {
        match top(hive) {
            Some(name) if !self.is_user => Some(self.registry.root.subkey_or_insert(name)),
            None if self.is_user => Some(&mut self.registry.root),
            _ => None,
        }
    }

    /// The control set that `CurrentControlSet` is a link to, where it is one.
    fn current_set(&self) -> Option<Name> {
        let system = self.tree(HiveName::System)?;
        let current = system.subkey(CURRENT).filter(|key| key.is_link)?;
        let units = wtf8::from_le_bytes(&current.value("SymbolicLinkValue")?.data);
        let last = units.rsplit(|unit| *unit == u16::from(b'\\')).next()?;
        Some(Name::from(last))
    }

    /// What Wine's text cannot hold would seem to be taken away by the programs.
    fn reduce(&self, key: &mut Key) {
        key.security = None;
        key.flags = KeyFlags::empty();
        key.subkeys.iter_mut().for_each(|subkey| self.reduce(subkey));
    }
}

/// The registry of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixRegistry {
    /// `HKLM`.
    pub system: WineFile,
    /// `HKCU`.
    pub user: WineFile,
}

impl HiveTrees for PrefixRegistry {
    fn tree(&self, hive: HiveName) -> Option<&Key> {
        self.system.tree(hive).or_else(|| self.user.tree(hive))
    }

    fn tree_mut(&mut self, hive: HiveName) -> Option<&mut Key> {
        match hive {
            HiveName::User => self.user.tree_mut(hive),
            _ => self.system.tree_mut(hive),
        }
    }

    fn current_set(&self) -> Option<Name> {
        self.system.current_set()
    }

    fn reduce(&self, delta: &mut Key) {
        self.system.reduce(delta);
    }
}

fn host(path: &Path) -> impl FnOnce(io::Error) -> WineError {
    let path = path.to_path_buf();
    move |source| WineError::Host { path, source }
}

fn read(path: &Path) -> Result<WineRegistry, WineError> {
    let size = path.metadata().map_err(host(path))?.len();
    if size > LARGEST {
        let path = path.to_path_buf();
        return Err(WineError::TooLarge { path, size });
    }
    let bytes = std::fs::read(path).map_err(host(path))?;
    WineRegistry::parse(&bytes).map_err(|source| WineError::Text {
        path: path.to_path_buf(),
        source,
    })
}

fn write(registry: &WineRegistry, path: &Path) -> Result<(), WineError> {
    let file = std::fs::File::create(path).map_err(host(path))?;
    registry.write(file).map_err(host(path))
}

impl PrefixRegistry {
    /// Reads the registry of a prefix.
    pub fn read(prefix: &Path) -> Result<Self, WineError> {
        let file = |name: &str, is_user| {
            let registry = read(&prefix.join(name))?;
            Ok::<_, WineError>(WineFile { is_user, registry })
        };
        Ok(Self {
            system: file(SYSTEM_FILE, false)?,
            user: file(USER_FILE, true)?,
        })
    }

    /// Writes it into a prefix that nobody uses yet.
    pub fn write(&self, prefix: &Path) -> Result<(), WineError> {
        write(&self.system.registry, &prefix.join(SYSTEM_FILE))?;
        write(&self.user.registry, &prefix.join(USER_FILE))
    }
}

/// The key at the top of `system.reg` that a hive is; `None` for that of the user.
fn top(hive: HiveName) -> Option<&'static str> {
    match hive {
        HiveName::Sam => Some("SAM"),
        HiveName::Security => Some("Security"),
        HiveName::Software => Some("Software"),
        HiveName::System => Some("System"),
        HiveName::User => None,
    }
}
