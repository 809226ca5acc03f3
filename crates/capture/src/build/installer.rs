//! How an installer ran.

use serde::{Deserialize, Serialize};

/// Exit codes by which Windows Installer asks for a restart, or says that it has begun one.
const REBOOT: [i32; 2] = [3010, 1641];

/// How an installer ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installer {
    /// What was run.
    pub command: Vec<String>,
    /// Its exit code; `None` where it was ended.
    pub exit_code: Option<i32>,
    /// Seconds until it and all that it started had ended.
    pub seconds: u64,
    /// What it wrote to its output, the last of it.
    pub output: String,
}

impl Installer {
    /// An exit code of which the host kept the low byte alone, as hosts that are no Windows do: where that is the low byte of
    /// a code by which Windows Installer asks for a restart, this is taken for it.
    pub fn code_of_low_byte(low: i32) -> i32 {
        REBOOT.into_iter().find(|code| code & 0xFF == low).unwrap_or(low)
    }

    /// Whether it wants the machine to start again.
    pub fn wants_reboot(&self) -> bool {
        self.exit_code.is_some_and(|code| REBOOT.contains(&code))
    }

    /// Whether it did what it should.
    pub fn succeeded(&self) -> bool {
        self.exit_code == Some(0) || self.wants_reboot()
    }
}
