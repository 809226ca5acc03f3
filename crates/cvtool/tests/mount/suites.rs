//! Suites that others wrote for file systems: pjdfstest and fsx, in the releases that `tests/run` installs.

use super::support::{Lab, can_mount};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A program of the suites; in CI it must be there.
fn suite(name: &str) -> Option<PathBuf> {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let program = target.parent().unwrap().join("suites/bin").join(name);
    let found = program.is_file();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "{} is missing",
        program.display()
    );
    if !found {
        eprintln!("skipped: {} is missing, tests/run installs it", program.display());
    }
    found.then_some(program)
}

fn text(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn pjdfstest_fails_where_the_list_says() {
    const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mount/pjdfstest.toml");
    if !can_mount() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: pjdfstest takes root");
        return;
    }
    let Some(program) = suite("pjdfstest") else { return };
    let mut lab = Lab::new();
    lab.mount(&[
        "--base",
        "base",
        "--writable",
        "writable",
        "--case-sensitive",
        "--allow-other",
    ]);
    // Some of its tests are other users'.
    let open_to_all = |path: PathBuf| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(path, mode).unwrap();
    };
    open_to_all(lab.path(""));
    fs::create_dir(lab.mnt().join("suite")).unwrap();
    open_to_all(lab.mnt().join("suite"));
    // Another file system, for what must not cross the border.
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    open_to_all(other.path().to_owned());
    let output = Command::new(program)
        .args(["-c", CONFIGURATION, "-p"])
        .arg(lab.mnt().join("suite"))
        .arg("-s")
        .arg(other.path())
        .env("NO_COLOR", "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = text(&output);
    // Each with the line behind it, which says why.
    let lines: Vec<&str> = said.lines().collect();
    let failed: Vec<&[&str]> = lines
        .windows(2)
        .filter(|pair| pair[0].trim_end().ends_with("FAILED"))
        .collect();
    let summary = said
        .lines()
        .find(|line| line.starts_with("Summary"))
        .unwrap_or_default();
    assert!(output.status.success(), "{summary}\n{failed:#?}");
    let passed = summary.split(", ").find_map(|part| part.strip_suffix(" passed"));
    let passed: u32 = passed.unwrap_or_default().parse().unwrap_or_default();
    assert!(passed >= 380, "{summary}");
    lab.unmount();
}

const FSX: &str = "
flen = 262144
[weights]
close_open = 1
read = 10
write = 10
mapread = 10
mapwrite = 10
invalidate = 1
truncate = 2
fsync = 1
fdatasync = 1
posix_fallocate = 2
punch_hole = 2
sendfile = 2
posix_fadvise = 1
copy_file_range = 2
";

/// Random reads and writes of all sorts, each compared with what was written: for as many seconds as `FSX_SECONDS` says.
#[test]
fn fsx_reads_what_it_wrote() {
    if !can_mount() {
        return;
    }
    let Some(program) = suite("fsx") else { return };
    let seconds = std::env::var("FSX_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(16));
    let mut lab = Lab::new();
    // One file that is copied up from a layer, one from the base, one new.
    lab.put("l/lower", &vec![7; 300_000]);
    lab.put("base/base", &vec![9; 100_000]);
    lab.pack("l", "l.vhdx");
    fs::write(lab.path("fsx.toml"), FSX).unwrap();
    let mut seed = 1_u64;
    // With passthrough and without, however slow.
    while seed <= 2 || Instant::now() < until {
        let mut arguments = vec!["--base", "base", "--layer", "l.vhdx", "--writable", "writable"];
        arguments.extend(seed.is_multiple_of(2).then_some("--no-passthrough"));
        lab.mount(&arguments);
        for name in ["lower", "base", "new"] {
            let output = Command::new(&program)
                .args(["-N", "2000", "-S", &seed.to_string(), "-f"])
                .arg(lab.path("fsx.toml"))
                .arg("-P")
                .arg(lab.path(""))
                .arg(lab.mnt().join(name))
                .output()
                .unwrap();
            assert!(output.status.success(), "seed {seed}, {name}: {}", text(&output));
            fs::remove_file(lab.mnt().join(name)).unwrap();
        }
        lab.unmount();
        fs::remove_dir_all(lab.path("writable")).unwrap();
        fs::create_dir(lab.path("writable")).unwrap();
        seed += 1;
    }
}
