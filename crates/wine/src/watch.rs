//! What ends the programs of a prefix when the process that waits for them is killed.

use crate::prefix::{Prefix, SERVER};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

/// A shell that reads from a pipe. The end of it without a word means that the other side is gone.
pub(crate) struct Watch(Child);

impl Watch {
    /// Watches over the prefix from now on.
    pub(crate) fn start(prefix: &Prefix) -> io::Result<Self> {
        let script = format!("read -r word || exec {SERVER} -k");
        let mut command = prefix.command("sh");
        let command = command.arg("-c").arg(script).stdin(Stdio::piped());
        // In a group of its own, so that what ends the whole group of the caller leaves it alone.
        let command = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command.spawn().map(Self)
    }

    /// Ends it without ending anything else.
    pub(crate) fn dismiss(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.0.wait();
    }
}
