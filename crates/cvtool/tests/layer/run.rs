//! Running cvtool and others.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs cvtool in `folder` at a fixed time.
pub fn cvtool(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(arguments)
        .current_dir(folder)
        .env("SOURCE_DATE_EPOCH", "1740000000")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs cvtool, which must end with `status`, and gives what it printed.
pub fn ends(folder: &Path, arguments: &[&str], status: i32) -> Vec<u8> {
    let output = cvtool(folder, arguments);
    let said = || text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", said());
    output.stdout
}

/// Runs cvtool, which must succeed, and gives what it printed.
pub fn done(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    ends(folder, arguments, 0)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Says that something is not there and what for, which it must be in CI.
pub fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
    eprintln!("skipped: {what}");
}

/// Runs another program; `None` where it is missing outside CI.
pub fn try_tool(folder: &Path, program: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    if let Err(error) = &output {
        missing(&format!("{program}: {error}"));
    }
    output.ok()
}

/// Runs another program, which must succeed, and gives what it printed; `None` where it is missing outside CI.
pub fn tool(folder: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let output = try_tool(folder, program, arguments)?;
    let said = || text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}", said());
    Some(text(&output.stdout))
}
