//! Files by handle.

#![allow(unsafe_code, reason = "calls of Windows take pointers")]

use super::status::{NO_MORE_FILES, check, is_too_small};
use crate::buffer::Buffer;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{
    FileIdBothDirectoryInformation, NtCreateFile, NtFsControlFile, NtQueryDirectoryFile, NtQueryInformationFile,
    NtSetInformationFile,
};
use windows_sys::Win32::Foundation::UNICODE_STRING;
use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;

/// What a call on a file said and how many bytes it gave.
type Told = IO_STATUS_BLOCK;

/// How a file is opened or made.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    pub access: u32,
    pub attributes: u32,
    pub disposition: u32,
    pub options: u32,
}

/// The bytes of words.
pub fn bytes_of(words: &[u64]) -> &[u8] {
    // SAFETY: every byte of a word is one, and no byte needs alignment.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 8) }
}

/// A name as the kernel takes it.
pub fn unicode(name: &[u16]) -> io::Result<UNICODE_STRING> {
    let length = u16::try_from(name.len() * 2).map_err(|_| io::ErrorKind::InvalidFilename)?;
    Ok(UNICODE_STRING {
        Length: length,
        MaximumLength: length,
        Buffer: name.as_ptr().cast_mut(),
    })
}

/// Opens or makes what has a name in a folder. Case does not matter.
pub fn open(folder: &OwnedHandle, name: &[u16], opening: Opening) -> io::Result<OwnedHandle> {
    const OBJ_CASE_INSENSITIVE: u32 = 0x40;
    let name = unicode(name)?;
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: folder.as_raw_handle(),
        ObjectName: &raw const name,
        Attributes: OBJ_CASE_INSENSITIVE,
        SecurityDescriptor: null(),
        SecurityQualityOfService: null(),
    };
    let mut handle = null_mut();
    let mut told = Told::default();
    // SAFETY: all that is pointed to lives until the call returns; without an event it is done then.
    let status = unsafe {
        NtCreateFile(
            &raw mut handle,
            opening.access,
            &raw const attributes,
            &raw mut told,
            null(),
            opening.attributes,
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            opening.disposition,
            opening.options,
            null(),
            0,
        )
    };
    check(status)?;
    // SAFETY: the handle was made by this call, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Entries of a folder with their ids, as many as fit; none where there are no more.
pub fn list(folder: &OwnedHandle, buffer: &mut Buffer, from_start: bool) -> io::Result<usize> {
    let mut told = Told::default();
    // SAFETY: the buffer has as many bytes as is said, and the handle works synchronously.
    let status = unsafe {
        NtQueryDirectoryFile(
            folder.as_raw_handle(),
            null_mut(),
            None,
            null(),
            &raw mut told,
            buffer.as_mut_ptr().cast(),
            buffer.len() as u32,
            FileIdBothDirectoryInformation,
            false,
            null(),
            from_start,
        )
    };
    if status == NO_MORE_FILES {
        return Ok(0);
    }
    check(status)?;
    Ok(told.Information)
}

/// What a class of information says; the buffer grows as needed.
pub fn information(file: &OwnedHandle, class: i32, buffer: &mut Buffer) -> io::Result<usize> {
    loop {
        let mut told = Told::default();
        // SAFETY: the buffer has as many bytes as is said.
        let status = unsafe {
            NtQueryInformationFile(
                file.as_raw_handle(),
                &raw mut told,
                buffer.as_mut_ptr().cast(),
                buffer.len() as u32,
                class,
            )
        };
        if is_too_small(status) && buffer.len() < 1 << 20 {
            buffer.grow(buffer.len() * 4);
            continue;
        }
        check(status)?;
        return Ok(told.Information.min(buffer.len()));
    }
}

/// Sets a class of information.
pub fn set_information(file: &OwnedHandle, class: i32, value: &[u64], length: usize) -> io::Result<()> {
    let length = length.min(value.len() * 8);
    let mut told = Told::default();
    // SAFETY: the value has at least as many bytes as is said, and is aligned.
    let status = unsafe {
        NtSetInformationFile(
            file.as_raw_handle(),
            &raw mut told,
            value.as_ptr().cast(),
            length as u32,
            class,
        )
    };
    check(status)
}

/// Asks the file system for something; how many bytes it gave.
pub fn control(file: &OwnedHandle, code: u32, input: &[u8], output: &mut Buffer) -> io::Result<usize> {
    let mut told = Told::default();
    // SAFETY: both buffers have as many bytes as is said, and the handle works synchronously.
    let status = unsafe {
        NtFsControlFile(
            file.as_raw_handle(),
            null_mut(),
            None,
            null(),
            &raw mut told,
            code,
            input.as_ptr().cast(),
            input.len() as u32,
            output.as_mut_ptr().cast(),
            output.len() as u32,
        )
    };
    check(status)?;
    Ok(told.Information.min(output.len()))
}
