//! Registry data in memory: a key with its values and subkeys.

use std::sync::Arc;

use bitflags::bitflags;
use cv_overlay::registry::{KeyState, ValueState};
use cv_winname::UpcaseTable;

use crate::Name;

/// Levels of keys that a hive may have, that of its root included.
pub const MAX_DEPTH: usize = 512;

/// The type of a value: what its bytes mean. Any number may be stored; those of the specification have names here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueType(pub u32);

impl ValueType {
    /// `REG_NONE`: no type.
    pub const NONE: Self = Self(0);
    /// `REG_SZ`: text, UTF-16LE, ended by a zero unit.
    pub const SZ: Self = Self(1);
    /// `REG_EXPAND_SZ`: text with `%variables%`.
    pub const EXPAND_SZ: Self = Self(2);
    /// `REG_BINARY`: bytes.
    pub const BINARY: Self = Self(3);
    /// `REG_DWORD`: 32 bits, little-endian.
    pub const DWORD: Self = Self(4);
    /// `REG_DWORD_BIG_ENDIAN`: 32 bits, big-endian.
    pub const DWORD_BIG_ENDIAN: Self = Self(5);
    /// `REG_LINK`: the path of another key, UTF-16LE without a zero at its end.
    pub const LINK: Self = Self(6);
    /// `REG_MULTI_SZ`: texts, each ended by a zero unit, and one more zero unit.
    pub const MULTI_SZ: Self = Self(7);
    /// `REG_RESOURCE_LIST`.
    pub const RESOURCE_LIST: Self = Self(8);
    /// `REG_FULL_RESOURCE_DESCRIPTOR`.
    pub const FULL_RESOURCE_DESCRIPTOR: Self = Self(9);
    /// `REG_RESOURCE_REQUIREMENTS_LIST`.
    pub const RESOURCE_REQUIREMENTS_LIST: Self = Self(10);
    /// `REG_QWORD`: 64 bits, little-endian.
    pub const QWORD: Self = Self(11);
}

bitflags! {
    /// What else Windows notes of a key. The bits are those of the key node: the low half its flags, above them its
    /// virtualization control flags and user flags.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct KeyFlags: u32 {
        /// `KEY_NO_DELETE`: it cannot be deleted.
        const NO_DELETE = 0x0000_0008;
        /// It was virtualised at least once.
        const VIRTUAL_SOURCE = 0x0000_0080;
        /// It is virtual.
        const VIRTUAL_TARGET = 0x0000_0100;
        /// It is part of the path of a virtual store.
        const VIRTUAL_STORE = 0x0000_0200;
        /// `REG_KEY_DONT_VIRTUALIZE`: writes are not virtualised.
        const DONT_VIRTUALIZE = 0x0002_0000;
        /// `REG_KEY_DONT_SILENT_FAIL`: opening is not virtualised.
        const DONT_SILENT_FAIL = 0x0004_0000;
        /// `REG_KEY_RECURSE_FLAG`: new subkeys get the virtualization control flags too.
        const RECURSE = 0x0008_0000;
        /// User flags, set by `NtSetInformationKey` (WOW64 uses them).
        const USER_FLAGS = 0x00F0_0000;
    }
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The name; empty for the default value.
    pub name: Name,
    /// The type.
    pub value_type: ValueType,
    /// The bytes, as stored.
    pub data: Box<[u8]>,
    /// Whether it is there or deletes the one below.
    pub state: ValueState,
}

impl Value {
    /// A value that is there.
    pub fn new(name: impl Into<Name>, value_type: ValueType, data: impl Into<Box<[u8]>>) -> Self {
        Self {
            name: name.into(),
            value_type,
            data: data.into(),
            state: ValueState::Present,
        }
    }
}

/// A key with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name.
    pub name: Name,
    /// The class, where the key has one.
    pub class: Option<Name>,
    /// When the key was last written, in 100 ns since 1601-01-01 UTC.
    pub last_written: u64,
    /// The self-relative security descriptor, shared between keys that have the same; `None` for that of the parent key.
    pub security: Option<Arc<[u8]>>,
    /// Whether the key is a symbolic link, whose target is its value `SymbolicLinkValue`.
    pub is_link: bool,
    /// What else is noted of it.
    pub flags: KeyFlags,
    /// What it says of the key below it, in a delta hive.
    pub state: KeyState,
    /// Whether the class is that of the key below, in a delta hive.
    pub inherits_class: bool,
    /// The values, in the order in which they are stored. No two have the same name.
    pub values: Vec<Value>,
    /// The subkeys, in the order of their names by the `$UpCase` table. No two have the same name.
    pub subkeys: Vec<Self>,
}

impl Key {
    /// A key with nothing in it.
    pub fn new(name: impl Into<Name>) -> Self {
        Self {
            name: name.into(),
            class: None,
            last_written: 0,
            security: None,
            is_link: false,
            flags: KeyFlags::empty(),
            state: KeyState::Merge,
            inherits_class: false,
            values: Vec::new(),
            subkeys: Vec::new(),
        }
    }

    /// The value of this name.
    pub fn value(&self, name: impl Into<Name>) -> Option<&Value> {
        let name = name.into();
        self.values.iter().find(|value| value.name.matches(name.units()))
    }

    /// Where the subkey of this name is, or where it would be inserted.
    pub fn position(&self, name: &[u16]) -> Result<usize, usize> {
        let table = UpcaseTable::windows();
        self.subkeys
            .binary_search_by(|subkey| table.compare(subkey.name.units(), name))
    }

    /// The subkey of this name.
    pub fn subkey(&self, name: impl Into<Name>) -> Option<&Self> {
        self.position(name.into().units())
            .ok()
            .and_then(|position| self.subkeys.get(position))
    }

    /// The key that these names lead to from here, each that of a subkey of the one before.
    pub fn descendant(&self, names: &[Name]) -> Option<&Self> {
        names.iter().try_fold(self, |key, name| {
            let position = key.position(name.units()).ok()?;
            key.subkeys.get(position)
        })
    }

    /// As [`descendant`](Self::descendant), to be changed.
    pub fn descendant_mut(&mut self, names: &[Name]) -> Option<&mut Self> {
        names.iter().try_fold(self, |key, name| {
            let position = key.position(name.units()).ok()?;
            key.subkeys.get_mut(position)
        })
    }

    /// As [`descendant`](Self::descendant), taken out of the tree.
    pub fn into_descendant(self, names: &[Name]) -> Option<Self> {
        names.iter().try_fold(self, |mut key, name| {
            let position = key.position(name.units()).ok()?;
            Some(key.subkeys.swap_remove(position))
        })
    }

    /// The subkey of this name, added where there is none.
    pub fn subkey_or_insert(&mut self, name: impl Into<Name>) -> &mut Self {
        let name = name.into();
        let position = match self.position(name.units()) {
            Ok(position) => position,
            Err(position) => {
                self.subkeys.insert(position, Self::new(name));
                position
            }
        };
        &mut self.subkeys[position]
    }
}
