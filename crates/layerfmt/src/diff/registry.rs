//! Hives compared: keys and values.

use super::{ChangeKind, DiffOptions};
use crate::content::HiveName;
use cv_hive::diff::{self as hive, What};
use cv_hive::{Key, KeyPath, Value, ValueState};
use data_encoding::HEXLOWER;
use serde::Serialize;

/// Bytes of a value's data that are told; of longer data these many, and how many there are.
const MOST_DATA: usize = 4096;

/// The state of a key of a delta hive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Merged with the key below.
    Merge,
    /// Deletes the key below.
    Tombstone,
    /// Hides the values below.
    SupersedeLocal,
    /// Hides the whole key below.
    SupersedeTree,
}

impl From<cv_hive::KeyState> for KeyState {
    fn from(state: cv_hive::KeyState) -> Self {
        match state {
            cv_hive::KeyState::Merge => Self::Merge,
            cv_hive::KeyState::Tombstone => Self::Tombstone,
            cv_hive::KeyState::SupersedeLocal => Self::SupersedeLocal,
            cv_hive::KeyState::SupersedeTree => Self::SupersedeTree,
        }
    }
}

/// What is told of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueSummary {
    /// Its type: `REG_SZ` and so on, or the number.
    #[serde(rename = "type")]
    pub value_type: String,
    /// Whether it deletes the value below instead of being one.
    pub tombstone: bool,
    /// Bytes of its data.
    pub size: u64,
    /// The data as text: texts as they are, several joined by line ends, numbers in decimal, other bytes as hexadecimal
    /// digits; of long data the beginning.
    pub text: String,
}

/// What differs at a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum RegistryWhat {
    /// The key itself; told for every key of a subtree that only one side has.
    Key {
        /// What it says of the key below.
        state: KeyState,
    },
    /// A value.
    Value {
        /// Its name; empty for the default value.
        name: String,
        /// The first side's.
        before: Option<ValueSummary>,
        /// The second side's.
        after: Option<ValueSummary>,
    },
    /// What the key says of the key below.
    State {
        /// The first side's.
        before: KeyState,
        /// The second side's.
        after: KeyState,
    },
    /// Something else of the key: `class`, `security`, `time`, `link`, `flags`, `case` or `order` of its values.
    Other {
        /// What.
        name: &'static str,
    },
}

/// A key or value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryChange {
    /// What happened to it.
    pub change: ChangeKind,
    /// The key, as `HKEY_LOCAL_MACHINE\SOFTWARE\…`.
    pub key: String,
    /// What differs at it.
    #[serde(flatten)]
    pub what: RegistryWhat,
}

/// Compares two hives of one name; adds what differs to `changes`.
pub(super) fn diff(
    name: HiveName,
    before: &Key,
    after: &Key,
    options: &DiffOptions,
    changes: &mut Vec<RegistryChange>,
) {
    let counted = if options.semantic {
        hive::DiffOptions::default()
    } else {
        hive::DiffOptions::strict()
    };
    for change in hive::diff(before, after, &counted) {
        let key = path_of(name, &change.key);
        let was = before.descendant(change.key.names());
        note(&key, was, change.what, options, changes);
    }
}

fn path_of(name: HiveName, key: &KeyPath) -> String {
    let mut path = name.root().to_owned();
    for name in key.names() {
        path.push('\\');
        path.push_str(&name.to_string());
    }
    path
}

fn note(key: &str, was: Option<&Key>, what: What, options: &DiffOptions, changes: &mut Vec<RegistryChange>) {
    let is_generated = |value: &Value| options.semantic && is_generated(key, value);
    let (change, what) = match what {
        What::KeyAdded(added) => return whole(ChangeKind::Added, key, &added, changes),
        What::KeyRemoved => {
            if let Some(was) = was {
                whole(ChangeKind::Removed, key, was, changes);
            }
            return;
        }
        What::ValueAdded(value) if !is_generated(&value) => (ChangeKind::Added, of_value(None, Some(&value))),
        What::ValueRemoved(value) if !is_generated(&value) => (ChangeKind::Removed, of_value(Some(&value), None)),
        What::ValueChanged { from, to } if !is_generated(&to) => {
            (ChangeKind::Changed, of_value(Some(&from), Some(&to)))
        }
        What::ValueAdded(_) | What::ValueRemoved(_) | What::ValueChanged { .. } => return,
        What::State { state, .. } => (
            ChangeKind::Changed,
            RegistryWhat::State {
                before: was.map_or(KeyState::Merge, |was| was.state.into()),
                after: state.into(),
            },
        ),
        other => {
            let name = match other {
                What::Renamed(_) => "case",
                What::Class(_) => "class",
                What::Security(_) => "security",
                What::LastWritten(_) => "time",
                What::Link(_) => "link",
                What::Flags(_) => "flags",
                What::ValueOrder(_) => "order",
                _ => "other",
            };
            (ChangeKind::Changed, RegistryWhat::Other { name })
        }
    };
    changes.push(RegistryChange {
        change,
        key: key.to_owned(),
        what,
    });
}

/// A key that only one side has, with everything in it.
fn whole(change: ChangeKind, path: &str, key: &Key, changes: &mut Vec<RegistryChange>) {
    // Trees from hives are at most 512 levels deep, but nothing says so of others.
    let mut pending = vec![(path.to_owned(), key)];
    while let Some((path, key)) = pending.pop() {
        changes.push(RegistryChange {
            change,
            key: path.clone(),
            what: RegistryWhat::Key {
                state: key.state.into(),
            },
        });
        for value in &key.values {
            let what = match change {
                ChangeKind::Removed => of_value(Some(value), None),
                _ => of_value(None, Some(value)),
            };
            changes.push(RegistryChange {
                change,
                key: path.clone(),
                what,
            });
        }
        let subkeys = key.subkeys.iter().rev();
        pending.extend(subkeys.map(|subkey| (format!("{path}\\{}", subkey.name), subkey)));
    }
}

fn of_value(before: Option<&Value>, after: Option<&Value>) -> RegistryWhat {
    RegistryWhat::Value {
        name: after.or(before).map(|value| value.name.to_string()).unwrap_or_default(),
        before: before.map(value_summary),
        after: after.map(value_summary),
    }
}

/// Whether an installer writes something else there each time.
fn is_generated(key: &str, value: &Value) -> bool {
    let name = value.name.to_string();
    let is_date = ["InstallDate", "InstallTime"]
        .iter()
        .any(|date| name.eq_ignore_ascii_case(date));
    let mut names = key.split('\\');
    is_date && names.any(|name| name.eq_ignore_ascii_case("Uninstall") || name.eq_ignore_ascii_case("Installer"))
}

/// What is told of a value.
pub fn value_summary(value: &Value) -> ValueSummary {
    const NAMES: [&str; 12] = [
        "REG_NONE",
        "REG_SZ",
        "REG_EXPAND_SZ",
        "REG_BINARY",
        "REG_DWORD",
        "REG_DWORD_BIG_ENDIAN",
        "REG_LINK",
        "REG_MULTI_SZ",
        "REG_RESOURCE_LIST",
        "REG_FULL_RESOURCE_DESCRIPTOR",
        "REG_RESOURCE_REQUIREMENTS_LIST",
        "REG_QWORD",
    ];
    let number = value.value_type.0;
    let name = NAMES.get(number as usize).map(|name| (*name).to_owned());
    ValueSummary {
        value_type: name.unwrap_or_else(|| format!("{number:#x}")),
        tombstone: value.state == ValueState::Tombstone,
        size: value.data.len() as u64,
        text: text_of(number, &value.data),
    }
}

fn text_of(value_type: u32, data: &[u8]) -> String {
    let short = &data[..data.len().min(MOST_DATA)];
    match (value_type, data.len()) {
        (1 | 2 | 6 | 7, length) if length % 2 == 0 => {
            let units: Vec<u16> = cv_winname::wtf8::from_le_bytes(short);
            let text = String::from_utf16_lossy(&units);
            text.trim_end_matches('\0').replace('\0', "\n")
        }
        (4, 4) => u32::from_le_bytes([data[0], data[1], data[2], data[3]]).to_string(),
        (5, 4) => u32::from_be_bytes([data[0], data[1], data[2], data[3]]).to_string(),
        (11, 8) => data
            .iter()
            .rev()
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
            .to_string(),
        _ => HEXLOWER.encode(short),
    }
}
