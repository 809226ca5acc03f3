//! The registry as it is stored.

use crate::buffer::{Buffer, u32_at, u64_at, units_at};
use crate::sys::{key, security};
use std::io;
use std::os::windows::io::OwnedHandle;

/// What a key is, besides what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyDetails {
    /// Its class.
    pub class: Vec<u16>,
    /// Whether it is gone with the next start of the machine; `None` where Windows does not tell.
    pub is_volatile: Option<bool>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Its name.
    pub name: Vec<u16>,
    /// The number of its type.
    pub value_type: u32,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// A key that is open for reading, as 64-bit programs see it. The view of 32-bit programs is in its `WOW6432Node` keys.
#[derive(Debug)]
pub struct Key {
    handle: OwnedHandle,
    as_backup: bool,
}

impl Key {
    /// Opens a key by its full name, as `\Registry\Machine\SOFTWARE`. With `as_backup`, and the privilege to back up, keys can
    /// be read that the user may not read otherwise.
    pub fn open(name: &str, as_backup: bool) -> io::Result<Self> {
        let name: Vec<u16> = name.encode_utf16().collect();
        let handle = key::open(None, &name, as_backup)?;
        Ok(Self { handle, as_backup })
    }

    /// Opens a subkey; a link is opened itself.
    pub fn subkey(&self, name: &[u16]) -> io::Result<Self> {
        let handle = key::open(Some(&self.handle), name, self.as_backup)?;
        Ok(Self {
            handle,
            as_backup: self.as_backup,
        })
    }

    /// The names of its subkeys, and when each was last written, in 100 ns since 1601.
    pub fn subkey_names(&self) -> io::Result<Vec<(Vec<u16>, u64)>> {
        let mut names = Vec::new();
        let mut buffer = Buffer::new(1 << 10);
        for index in 0.. {
            let Some(length) = key::subkey(&self.handle, index, &mut buffer)? else {
                break;
            };
            let bytes = &buffer.bytes()[..length];
            names.push((units_at(bytes, 24, u32_at(bytes, 20) as usize), u64_at(bytes, 0)));
        }
        Ok(names)
    }

    /// Its values.
    pub fn values(&self) -> io::Result<Vec<KeyValue>> {
        let mut values = Vec::new();
        let mut buffer = Buffer::new(4 << 10);
        for index in 0.. {
            let Some(length) = key::value(&self.handle, index, &mut buffer)? else {
                break;
            };
            let bytes = &buffer.bytes()[..length];
            let start = (u32_at(bytes, 8) as usize).min(length);
            let end = start.saturating_add(u32_at(bytes, 12) as usize).min(length);
            values.push(KeyValue {
                name: units_at(bytes, 20, u32_at(bytes, 16) as usize),
                value_type: u32_at(bytes, 4),
                data: bytes[start..end].to_vec(),
            });
        }
        Ok(values)
    }

    /// What it is.
    pub fn details(&self) -> io::Result<KeyDetails> {
        const FULL: i32 = 2;
        const FLAGS: i32 = 5;
        const VOLATILE: u32 = 1;
        let mut buffer = Buffer::new(512);
        let length = key::information(&self.handle, FULL, &mut buffer)?;
        let bytes = &buffer.bytes()[..length];
        let class = units_at(bytes, u32_at(bytes, 12) as usize, u32_at(bytes, 16) as usize);
        let mut flags = Buffer::new(16);
        let is_volatile = match key::information(&self.handle, FLAGS, &mut flags) {
            Ok(8..) => Some(u32_at(flags.bytes(), 4) & VOLATILE != 0),
            _ => None,
        };
        Ok(KeyDetails { class, is_volatile })
    }

    /// Owner, group and access list, as a self-relative descriptor.
    pub fn security(&self) -> io::Result<Vec<u8>> {
        let mut buffer = Buffer::new(512);
        let length = security::descriptor(&self.handle, &mut buffer)?;
        Ok(buffer.bytes()[..length].to_vec())
    }
}
