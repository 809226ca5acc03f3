//! The volume that a file is on.

#![allow(unsafe_code, reason = "calls of Windows take pointers")]

use std::io;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use windows_sys::Win32::Storage::FileSystem::{BY_HANDLE_FILE_INFORMATION, GetFileInformationByHandle};

/// Its serial number.
pub fn serial(file: &OwnedHandle) -> io::Result<u64> {
    let mut told = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and the structure is the one that the call fills.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut told) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(told.dwVolumeSerialNumber))
}
