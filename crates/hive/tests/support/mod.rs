//! What the tests that use other tools and the corpus share.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod hivexml;
pub mod trees;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The hives of the corpus that are read without a fault.
pub const SOUND: [&str; 17] = [
    "SYSTEM",
    "NTUSER.DAT",
    "NTUSER-WIN7.DAT",
    "transactions_NTUSER.DAT",
    "yarp-OldDirtyHive",
    "yarp-RecoveredHive_Windows7",
    "amcache.hve",
    "testhive",
    "System_Delta",
    "yarp-BigDataHive",
    "yarp-ManySubkeysHive",
    "yarp-UnicodeHive",
    "yarp-PairHive",
    "yarp-WrongOrderHive",
    "SAM_hasBigEndianDWord",
    "minimal",
    "special",
];

/// Bytes without any pattern.
pub fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1);
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        // splitmix64
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ word >> 31).to_le_bytes()
    });
    words.take(length).collect()
}

/// Has the checker look at a hive that must have no fault, nor anything to note.
pub fn assert_sound(bytes: &[u8]) {
    let faults = faults(bytes);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What the checker says of a hive.
pub fn faults(bytes: &[u8]) -> Vec<String> {
    let faults = cv_hive::check::check(bytes).unwrap();
    faults.into_iter().map(|fault| fault.to_string()).collect()
}

/// Whether the tests must not be skipped for want of a tool.
fn is_ci() -> bool {
    std::env::var_os("CI").is_some()
}

/// A hive of the corpus, unpacked; `None`, said aloud, where the corpus is absent.
pub fn corpus(name: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/hives");
    let plain = folder.join(name);
    if plain.exists() {
        return Some(std::fs::read(plain).unwrap());
    }
    let packed = folder.join(format!("{name}.xz"));
    if !packed.exists() {
        eprintln!("skipped: no corpus at {}", packed.display());
        return None;
    }
    have(&["xz"]).then(|| run(Command::new("xz").arg("-dc").arg(packed)))
}

/// Whether all `tools` are there; in CI they must be.
pub fn have(tools: &[&str]) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&paths).collect();
    let is_missing = |tool: &&&str| !folders.iter().any(|folder| folder.join(tool).exists());
    let missing: Vec<_> = tools.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(!is_ci(), "missing in CI: {missing:?}");
    eprintln!("skipped: missing {missing:?}");
    false
}

/// Runs a command that must succeed and gives what it printed.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = try_run(command);
    output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command and gives what it printed, or else what it complained of.
pub fn try_run(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr)))
}
