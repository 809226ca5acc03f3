//! Security descriptors, privileges and who runs the program.

#![allow(unsafe_code, reason = "calls of Windows take pointers")]

use super::status::{check, is_too_small};
use crate::buffer::Buffer;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use windows_sys::Wdk::Storage::FileSystem::{NtQuerySecurityObject, NtSetSecurityObject};
use windows_sys::Win32::Foundation::{GetLastError, LUID, LocalFree};
use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
use windows_sys::Win32::Security::{
    AdjustTokenPrivileges, GetTokenInformation, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_PRIVILEGE_ENABLED,
    TOKEN_ADJUST_PRIVILEGES, TOKEN_PRIVILEGES, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// Owner, group and access list.
const WHICH: u32 = 1 | 2 | 4;

/// The self-relative security descriptor of a file or key.
pub fn descriptor(object: &OwnedHandle, buffer: &mut Buffer) -> io::Result<usize> {
    loop {
        let mut needed = 0;
        // SAFETY: the buffer has as many bytes as is said.
        let status = unsafe {
            NtQuerySecurityObject(
                object.as_raw_handle(),
                WHICH,
                buffer.as_mut_ptr().cast(),
                buffer.len() as u32,
                &raw mut needed,
            )
        };
        // No access list has more than 64 KiB.
        if is_too_small(status) && needed as usize > buffer.len() && needed < 1 << 20 {
            buffer.grow(needed as usize);
            continue;
        }
        check(status)?;
        return Ok((needed as usize).min(buffer.len()));
    }
}

/// Gives a file another security descriptor; `descriptor` has been checked to be a sound self-relative one.
pub fn set_descriptor(object: &OwnedHandle, descriptor: &[u64]) -> io::Result<()> {
    // SAFETY: a self-relative descriptor holds no pointers, and the kernel checks where its offsets lead.
    let status = unsafe { NtSetSecurityObject(object.as_raw_handle(), WHICH, descriptor.as_ptr().cast_mut().cast()) };
    check(status)
}

fn token(access: u32) -> io::Result<OwnedHandle> {
    let mut handle = null_mut();
    // SAFETY: the handle of the own process is always there; the call writes one handle.
    if unsafe { OpenProcessToken(GetCurrentProcess(), access, &raw mut handle) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was made by this call, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Makes use of a privilege that the user has; whether there is one to make use of.
pub fn enable_privilege(name: &str) -> io::Result<bool> {
    let token = token(TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY)?;
    let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    let mut luid = LUID::default();
    // SAFETY: the name ends with a zero.
    if unsafe { LookupPrivilegeValueW(null(), name.as_ptr(), &raw mut luid) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let wanted = TOKEN_PRIVILEGES {
        PrivilegeCount: 1,
        Privileges: [LUID_AND_ATTRIBUTES {
            Luid: luid,
            Attributes: SE_PRIVILEGE_ENABLED,
        }],
    };
    // SAFETY: one privilege is announced and there; the former state is not asked for.
    let done = unsafe { AdjustTokenPrivileges(token.as_raw_handle(), 0, &raw const wanted, 0, null_mut(), null_mut()) };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it only reads what the call before left.
    Ok(unsafe { GetLastError() } == 0)
}

/// The SID of who runs the program, as `S-1-5-21-…`.
pub fn user_sid() -> io::Result<String> {
    let token = token(TOKEN_QUERY)?;
    let mut buffer = Buffer::new(256);
    let mut needed = 0;
    // SAFETY: the buffer has as many bytes as is said; a SID has 68 at most.
    let done = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            buffer.as_mut_ptr().cast(),
            buffer.len() as u32,
            &raw mut needed,
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut text = null_mut();
    // SAFETY: the call before put a TOKEN_USER there, which points to a SID behind it in the same buffer.
    let done = unsafe {
        let user = buffer.as_mut_ptr().cast::<TOKEN_USER>();
        ConvertSidToStringSidW((*user).User.Sid, &raw mut text)
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut sid = String::new();
    // SAFETY: the text ends with a zero, holds ASCII alone, and is freed once by the call that is meant for it.
    unsafe {
        let mut place = text;
        while *place != 0 {
            sid.push(char::from_u32(u32::from(*place)).unwrap_or_default());
            place = place.add(1);
        }
        LocalFree(text.cast());
    }
    Ok(sid)
}
