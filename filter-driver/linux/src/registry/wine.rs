//! The registry of a Wine prefix under the deltas of a stack.
//!
//! `HKLM\SOFTWARE` and so on are keys at the top of Wine's `system.reg`, `HKCU` is `user.reg`. The control set of delta hives,
//! which has no number, is Wine's `CurrentControlSet`, or the set that this is a link to. Views for 32-bit programs are where
//! Windows has them too, in `Wow6432Node`.

use super::deltas::Deltas;
use cv_hive::wine::WineRegistry;
use cv_hive::{Deletions, Key, KeyFlags, Name, TextError, diff, merge};
use cv_winname::wtf8;
use layerfmt::content::HiveName;
use std::io;
use std::path::{Path, PathBuf};

/// The file of `HKLM`.
pub const SYSTEM_FILE: &str = "system.reg";

/// The file of `HKCU`.
pub const USER_FILE: &str = "user.reg";

/// Bytes of a file that are read at most.
const LARGEST: u64 = 1 << 30;

/// What programs call the control set in use.
const CURRENT: &str = "CurrentControlSet";

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

/// The registry of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixRegistry {
    /// `HKLM`.
    pub system: WineRegistry,
    /// `HKCU`.
    pub user: WineRegistry,
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
        Ok(Self {
            system: read(&prefix.join(SYSTEM_FILE))?,
            user: read(&prefix.join(USER_FILE))?,
        })
    }

    /// Writes it into a prefix that nobody uses yet.
    pub fn write(&self, prefix: &Path) -> Result<(), WineError> {
        write(&self.system, &prefix.join(SYSTEM_FILE))?;
        write(&self.user, &prefix.join(USER_FILE))
    }

    /// Lays the deltas of one member of a stack over it.
    pub fn lay_over(&mut self, deltas: Deltas) {
        for (hive, mut delta) in deltas {
            plain(&mut delta);
            let Some(name) = top(hive) else {
                merge(&mut self.user.root, delta, Deletions::Remove);
                continue;
            };
            let key = self.system.root.subkey_or_insert(name);
            if hive == HiveName::System
                && let Some(set) = linked_set(key)
            {
                rename(&mut delta, &Name::from(CURRENT), set);
            }
            merge(key, delta, Deletions::Remove);
        }
    }

    /// What makes `after` of this registry, as delta hives. Keys of the host's hardware and of Wine's own are in no hive.
    pub fn changes(&self, after: &Self) -> Deltas {
        let empty = Key::new("");
        let mut changes = Vec::new();
        for hive in HiveName::ALL {
            let (before, after) = match top(hive) {
                Some(name) => (
                    self.system.root.subkey(name).unwrap_or(&empty),
                    after.system.root.subkey(name).unwrap_or(&empty),
                ),
                None => (&self.user.root, &after.user.root),
            };
            let Some(mut delta) = diff::delta(before, after) else {
                continue;
            };
            if hive == HiveName::System
                && let Some(set) = linked_set(before)
            {
                rename(&mut delta, &set, Name::from(CURRENT));
            }
            changes.push((hive, delta));
        }
        changes
    }

    /// The key of these names below that of a hive.
    pub fn key(&self, hive: HiveName, path: &str) -> Option<&Key> {
        let root = match top(hive) {
            Some(name) => self.system.root.subkey(name)?,
            None => &self.user.root,
        };
        root.descendant(&names(hive, root, path))
    }

    /// The key of these names below that of a hive, added where there is none.
    pub fn key_mut(&mut self, hive: HiveName, path: &str) -> &mut Key {
        let root = match top(hive) {
            Some(name) => self.system.root.subkey_or_insert(name),
            None => &mut self.user.root,
        };
        let names = names(hive, root, path);
        names.into_iter().fold(root, |key, name| key.subkey_or_insert(name))
    }

    /// The text of a value, up to its zero.
    pub fn text(&self, hive: HiveName, path: &str, value: &str) -> Option<String> {
        Some(text_of(&self.key(hive, path)?.value(value)?.data))
    }
}

/// Takes from keys what Wine's text cannot hold, which would seem to be taken away by the programs.
fn plain(key: &mut Key) {
    key.security = None;
    key.flags = KeyFlags::empty();
    key.subkeys.iter_mut().for_each(plain);
}

/// The text in a value's data, up to its zero.
pub(super) fn text_of(data: &[u8]) -> String {
    let units = wtf8::from_le_bytes(data);
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    wtf8::display(&units[..end])
}

/// The names of a path below the key of a hive, with the control set under its own name.
fn names(hive: HiveName, root: &Key, path: &str) -> Vec<Name> {
    let mut names: Vec<Name> = path.split('\\').map(Name::from).collect();
    if hive == HiveName::System
        && let Some(first) = names
            .first_mut()
            .filter(|name| name.matches(Name::from(CURRENT).units()))
        && let Some(set) = linked_set(root)
    {
        *first = set;
    }
    names
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

/// The control set that `CurrentControlSet` is a link to, where it is one.
fn linked_set(system: &Key) -> Option<Name> {
    let current = system.subkey(CURRENT).filter(|key| key.is_link)?;
    let units = wtf8::from_le_bytes(&current.value("SymbolicLinkValue")?.data);
    let last = units.rsplit(|unit| *unit == u16::from(b'\\')).next()?;
    Some(Name::from(last))
}

/// Gives a subkey another name; one that has it already is laid under it.
fn rename(key: &mut Key, from: &Name, to: Name) {
    let Ok(place) = key.position(from.units()) else { return };
    let mut subkey = key.subkeys.remove(place);
    subkey.name = to;
    match key.position(subkey.name.units()) {
        Ok(place) => merge(&mut key.subkeys[place], subkey, Deletions::Mark),
        Err(place) => key.subkeys.insert(place, subkey),
    }
}
