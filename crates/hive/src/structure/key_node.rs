//! Key node (`nk`): a key.

use super::fixed_size;
use binrw::binrw;
use bitflags::bitflags;
use cv_overlay::registry::KeyState;

bitflags! {
    /// What a key is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct KeyNodeFlags: u16 {
        /// It lives in memory only.
        const VOLATILE = 0x0001;
        /// Another hive is mounted there.
        const HIVE_EXIT = 0x0002;
        /// It is the root of the hive.
        const HIVE_ENTRY = 0x0004;
        /// It cannot be deleted.
        const NO_DELETE = 0x0008;
        /// It is a symbolic link.
        const SYM_LINK = 0x0010;
        /// Each byte of the name is a unit below 256; otherwise the name is UTF-16.
        const COMP_NAME = 0x0020;
        /// It stands for a predefined handle, which is in place of the number of values.
        const PREDEF_HANDLE = 0x0040;
        /// It was virtualised at least once.
        const VIRTUAL_SOURCE = 0x0080;
        /// It is virtual.
        const VIRTUAL_TARGET = 0x0100;
        /// It is part of the path of a virtual store.
        const VIRTUAL_STORE = 0x0200;
    }
}

/// The key node without its name, which follows.
///
/// The "largest" fields count names in bytes of UTF-16, whatever the form they are stored in. They are bounds: Windows
/// never lowers them.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyNode {
    /// 0: [`SIGNATURE`](Self::SIGNATURE).
    pub signature: [u8; 2],
    /// 2: what it is.
    #[br(map = KeyNodeFlags::from_bits_retain)]
    #[bw(map = KeyNodeFlags::bits)]
    pub flags: KeyNodeFlags,
    /// 4: when it was last written, in 100 ns since 1601-01-01 UTC.
    pub last_written: u64,
    /// 12: how it was opened: 1 before the registry was initialised, 2 after.
    pub access_bits: u8,
    /// 13: in hives of version 1.6, a [`KeyState`] and [`INHERIT_CLASS`](Self::INHERIT_CLASS).
    pub layered_key_bits: u8,
    /// 14: zero.
    pub spare: u16,
    /// 16: the key that has it as a subkey. Without meaning in the root.
    pub parent: u32,
    /// 20: number of subkeys.
    pub number_of_subkeys: u32,
    /// 24: number of subkeys in memory; stale on disk.
    pub number_of_volatile_subkeys: u32,
    /// 28: the list of subkeys.
    pub subkeys_list_offset: u32,
    /// 32: without meaning on disk.
    pub volatile_subkeys_list_offset: u32,
    /// 36: number of values.
    pub number_of_key_values: u32,
    /// 40: the list of values.
    pub key_values_list_offset: u32,
    /// 44: the security descriptor.
    pub key_security_offset: u32,
    /// 48: the class name, UTF-16.
    pub class_name_offset: u32,
    /// 52: bytes of the longest name of a subkey.
    pub largest_subkey_name_length: u16,
    /// 54: virtualization control flags (low four bits) and user flags (high four bits), since Windows Vista.
    pub control_and_user_flags: u8,
    /// 55: 1 where a debugger should stop at the key.
    pub debug: u8,
    /// 56: bytes of the longest class name of a subkey.
    pub largest_subkey_class_name_length: u32,
    /// 60: bytes of the longest name of a value.
    pub largest_value_name_length: u32,
    /// 64: bytes of the longest data of a value.
    pub largest_value_data_size: u32,
    /// 68: without meaning on disk.
    pub work_var: u32,
    /// 72: bytes of the name.
    pub key_name_length: u16,
    /// 74: bytes of the class name.
    pub class_name_length: u16,
}

fixed_size!(KeyNode, "key node", 76);

impl KeyNode {
    /// What a key node begins with.
    pub const SIGNATURE: [u8; 2] = *b"nk";
    /// [`layered_key_bits`](Self::layered_key_bits): the class is that of the key below.
    pub const INHERIT_CLASS: u8 = 0x80;
    /// Units of the longest name.
    pub const MAX_NAME: usize = 255;
    /// Bytes that a cell of a key node may have; Windows drops a key whose cell is larger.
    pub const MAX_CELL: u32 = 0x45C;

    /// The [`layered_key_bits`](Self::layered_key_bits) of a key in this state.
    pub fn layered_key_bits_of(state: KeyState, inherits_class: bool) -> u8 {
        let semantics = match state {
            KeyState::Merge => 0,
            KeyState::Tombstone => 1,
            KeyState::SupersedeLocal => 2,
            KeyState::SupersedeTree => 3,
        };
        if inherits_class {
            semantics | Self::INHERIT_CLASS
        } else {
            semantics
        }
    }

    /// What it does to the key below.
    pub fn state(&self) -> KeyState {
        match self.layered_key_bits & 3 {
            0 => KeyState::Merge,
            1 => KeyState::Tombstone,
            2 => KeyState::SupersedeLocal,
            _ => KeyState::SupersedeTree,
        }
    }

    /// Whether its class is that of the key below.
    pub fn inherits_class(&self) -> bool {
        self.layered_key_bits & Self::INHERIT_CLASS != 0
    }
}
