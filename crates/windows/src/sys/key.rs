//! Keys of the registry by handle.

#![allow(unsafe_code, reason = "calls of Windows take pointers")]

use super::file::unicode;
use super::status::{NO_MORE_ENTRIES, check, is_too_small};
use crate::buffer::Buffer;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::System::Registry::{NtEnumerateKey, NtEnumerateValueKey, NtOpenKeyEx, NtQueryKey};

/// Bytes that a name or a value may have at most.
const MOST: usize = 1 << 30;

/// Opens a key below another, or by its full name; a link is opened itself. With the privilege to back up, keys are opened that
/// the user may not read otherwise.
pub fn open(above: Option<&OwnedHandle>, name: &[u16], as_backup: bool) -> io::Result<OwnedHandle> {
    const OBJ_CASE_INSENSITIVE: u32 = 0x40;
    const OBJ_OPENLINK: u32 = 0x100;
    const KEY_READ: u32 = 0x2_0019;
    const KEY_WOW64_64KEY: u32 = 0x100;
    const REG_OPTION_BACKUP_RESTORE: u32 = 4;
    const REG_OPTION_OPEN_LINK: u32 = 8;
    let name = unicode(name)?;
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: above.map_or(null_mut(), AsRawHandle::as_raw_handle),
        ObjectName: &raw const name,
        Attributes: OBJ_CASE_INSENSITIVE | OBJ_OPENLINK,
        SecurityDescriptor: null(),
        SecurityQualityOfService: null(),
    };
    let options = REG_OPTION_OPEN_LINK | if as_backup { REG_OPTION_BACKUP_RESTORE } else { 0 };
    let mut handle = null_mut();
    // SAFETY: all that is pointed to lives until the call returns.
    let status = unsafe {
        NtOpenKeyEx(
            &raw mut handle,
            KEY_READ | KEY_WOW64_64KEY,
            &raw const attributes,
            options,
        )
    };
    check(status)?;
    // SAFETY: the handle was made by this call, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The subkey of a number with its name and class; `None` behind the last.
pub fn subkey(key: &OwnedHandle, index: u32, buffer: &mut Buffer) -> io::Result<Option<usize>> {
    const NODE: i32 = 1;
    filled(buffer, |place, length, needed| {
        // SAFETY: the buffer has as many bytes as is said.
        unsafe { NtEnumerateKey(key.as_raw_handle(), index, NODE, place.cast(), length, needed) }
    })
}

/// The value of a number with its name, type and data; `None` behind the last.
pub fn value(key: &OwnedHandle, index: u32, buffer: &mut Buffer) -> io::Result<Option<usize>> {
    const FULL: i32 = 1;
    filled(buffer, |place, length, needed| {
        // SAFETY: the buffer has as many bytes as is said.
        unsafe { NtEnumerateValueKey(key.as_raw_handle(), index, FULL, place.cast(), length, needed) }
    })
}

/// What a class of information says of a key.
pub fn information(key: &OwnedHandle, class: i32, buffer: &mut Buffer) -> io::Result<usize> {
    let length = filled(buffer, |place, length, needed| {
        // SAFETY: the buffer has as many bytes as is said.
        unsafe { NtQueryKey(key.as_raw_handle(), class, place.cast(), length, needed) }
    })?;
    Ok(length.unwrap_or_default())
}

/// Makes a call again with a larger buffer until what it gives fits.
fn filled(buffer: &mut Buffer, call: impl Fn(*mut u64, u32, *mut u32) -> i32) -> io::Result<Option<usize>> {
    loop {
        let mut needed = 0;
        let status = call(buffer.as_mut_ptr(), buffer.len() as u32, &raw mut needed);
        if status == NO_MORE_ENTRIES {
            return Ok(None);
        }
        let needed = needed as usize;
        if is_too_small(status) && needed > buffer.len() && needed <= MOST {
            buffer.grow(needed);
            continue;
        }
        check(status)?;
        return Ok(Some(needed.min(buffer.len())));
    }
}
