//! Jobs, and what else there is to know of processes.

#![allow(unsafe_code, reason = "calls of Windows take pointers")]

use super::status::check;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicAccountingInformation,
    JobObjectExtendedLimitInformation, QueryInformationJobObject, SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::{OpenMutexW, SYNCHRONIZATION_SYNCHRONIZE};

#[link(name = "ntdll")]
unsafe extern "system" {
    /// Lets a process run that was made suspended; the documented call wants a thread's handle, which the standard library
    /// does not give.
    fn NtResumeProcess(process: HANDLE) -> NTSTATUS;
}

/// Makes a job whose processes end with its last handle.
pub fn new_job() -> io::Result<OwnedHandle> {
    // SAFETY: neither security nor a name is given.
    let handle = unsafe { CreateJobObjectW(null(), null()) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was made by this call, and nobody else has it.
    let job = unsafe { OwnedHandle::from_raw_handle(handle) };
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    // SAFETY: the structure is the one of this class, with its size.
    let done = unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            size_of_val(&limits) as u32,
        )
    };
    succeeded(done)?;
    Ok(job)
}

/// Takes a process into a job, with all that it will start.
pub fn assign(job: &OwnedHandle, process: &impl AsRawHandle) -> io::Result<()> {
    // SAFETY: both handles are open.
    succeeded(unsafe { AssignProcessToJobObject(job.as_raw_handle(), process.as_raw_handle()) })
}

/// Lets a process run that was made suspended.
pub fn resume(process: &impl AsRawHandle) -> io::Result<()> {
    // SAFETY: the handle is open.
    check(unsafe { NtResumeProcess(process.as_raw_handle()) })
}

/// How many processes of a job run.
pub fn active(job: &OwnedHandle) -> io::Result<u32> {
    let mut told = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
    // SAFETY: the structure is the one of this class, with its size.
    let done = unsafe {
        QueryInformationJobObject(
            job.as_raw_handle(),
            JobObjectBasicAccountingInformation,
            (&raw mut told).cast(),
            size_of_val(&told) as u32,
            null_mut(),
        )
    };
    succeeded(done)?;
    Ok(told.ActiveProcesses)
}

/// Ends all processes of a job.
pub fn terminate(job: &OwnedHandle, code: u32) -> io::Result<()> {
    // SAFETY: the handle is open.
    succeeded(unsafe { TerminateJobObject(job.as_raw_handle(), code) })
}

/// Whether a library that is loaded has a function.
pub fn has_function(library: &str, function: &std::ffi::CStr) -> bool {
    let library: Vec<u16> = library.encode_utf16().chain([0]).collect();
    // SAFETY: both names end with a zero; a library that is not loaded is no handle, and asked for nothing.
    unsafe {
        let module = GetModuleHandleW(library.as_ptr());
        !module.is_null() && GetProcAddress(module, function.as_ptr().cast()).is_some()
    }
}

/// Whether somebody holds a mutex of this name.
pub fn mutex_is_there(name: &str) -> bool {
    let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    // SAFETY: the name ends with a zero.
    let handle = unsafe { OpenMutexW(SYNCHRONIZATION_SYNCHRONIZE, 0, name.as_ptr()) };
    if handle.is_null() {
        return false;
    }
    // SAFETY: the handle was made by this call, and nobody else has it.
    drop(unsafe { OwnedHandle::from_raw_handle(handle) });
    true
}

fn succeeded(done: i32) -> io::Result<()> {
    if done == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
