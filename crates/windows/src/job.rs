//! A program and all that it starts.

use crate::sys::process;
use std::io;
use std::os::windows::io::OwnedHandle;
use std::os::windows::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

/// How often it is looked whether all have ended.
const INTERVAL: Duration = Duration::from_millis(50);

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All its processes ended; the first one with this exit code.
    ByItself(i32),
    /// It was ended, because the caller wanted that.
    Stopped,
}

/// A program in a job of its own: what it starts is in the job as well, and ends with it.
#[derive(Debug)]
pub struct Job {
    job: OwnedHandle,
    child: Child,
}

impl Job {
    /// Starts a program in a new job. None of it has run before it is in there.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        const CREATE_SUSPENDED: u32 = 4;
        let job = process::new_job()?;
        let mut child = command.creation_flags(CREATE_SUSPENDED).spawn()?;
        let started = process::assign(&job, &child).and_then(|()| process::resume(&child));
        if let Err(error) = started {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        Ok(Self { job, child })
    }

    /// The program itself, for its output.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the program and all that it started have ended, or `is_over` says to end them.
    pub fn wait(&mut self, is_over: &mut dyn FnMut() -> bool) -> io::Result<Ended> {
        loop {
            if let Some(status) = self.child.try_wait()?
                && process::active(&self.job)? == 0
            {
                return Ok(Ended::ByItself(status.code().unwrap_or_default()));
            }
            if is_over() {
                process::terminate(&self.job, 1)?;
                self.child.wait()?;
                return Ok(Ended::Stopped);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}
