//! What calls of the kernel give.

#![allow(unsafe_code, reason = "the error's number is asked of Windows")]

use std::io;
use windows_sys::Win32::Foundation::{NTSTATUS, RtlNtStatusToDosError};

/// There is nothing more to list.
pub const NO_MORE_FILES: NTSTATUS = 0x8000_0006_u32.cast_signed();
/// There is nothing more to list, of a registry key.
pub const NO_MORE_ENTRIES: NTSTATUS = 0x8000_001A_u32.cast_signed();
/// The buffer holds a part of what there is.
pub const BUFFER_OVERFLOW: NTSTATUS = 0x8000_0005_u32.cast_signed();
/// The buffer is too small.
pub const BUFFER_TOO_SMALL: NTSTATUS = 0xC000_0023_u32.cast_signed();
/// The same, of fixed structures.
pub const INFO_LENGTH_MISMATCH: NTSTATUS = 0xC000_0004_u32.cast_signed();

/// What a status means; warnings count as success here.
pub fn check(status: NTSTATUS) -> io::Result<()> {
    if status >= 0 {
        return Ok(());
    }
    // SAFETY: any number is looked up in a table.
    let code = unsafe { RtlNtStatusToDosError(status) };
    Err(io::Error::from_raw_os_error(code.cast_signed()))
}

/// Whether a call wants a larger buffer.
pub fn is_too_small(status: NTSTATUS) -> bool {
    [BUFFER_OVERFLOW, BUFFER_TOO_SMALL, INFO_LENGTH_MISMATCH].contains(&status)
}
