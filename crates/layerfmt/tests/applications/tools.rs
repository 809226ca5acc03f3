//! Running other tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether all `tools` are there; in CI they must be.
pub fn have(tools: &[&str]) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&paths).collect();
    let is_missing = |tool: &&&str| !folders.iter().any(|folder| folder.join(tool).exists());
    let missing: Vec<_> = tools.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "missing in CI: {missing:?}");
    eprintln!("skipped: missing {missing:?}");
    false
}

/// Runs a command that must succeed and gives what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A program with a version resource in two languages and an icon of two sizes, made by mingw.
pub fn make_program(folder: &Path) -> PathBuf {
    let icon = two_icons();
    std::fs::write(folder.join("app.ico"), icon).unwrap();
    std::fs::write(folder.join("app.rc"), include_str!("app.rc")).unwrap();
    std::fs::write(folder.join("app.c"), "int main(void) { return 0; }\n").unwrap();
    run(Command::new("x86_64-w64-mingw32-windres")
        .args(["app.rc", "app.o"])
        .current_dir(folder));
    run(Command::new("x86_64-w64-mingw32-gcc")
        .args(["-s", "app.c", "app.o", "-o", "app.exe"])
        .current_dir(folder));
    folder.join("app.exe")
}

/// An `.ico` file with images of 16 and 32 pixels.
pub fn two_icons() -> Vec<u8> {
    let image = |side: u32| {
        let mut bytes = Vec::new();
        for number in [40, side, side * 2, 0x0020_0001, 0, side * side * 4, 0, 0, 0, 0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend((0..side * side).flat_map(|pixel| (pixel * side).to_le_bytes()));
        bytes.resize(bytes.len() + (side * side.div_ceil(32) * 4) as usize, 0);
        bytes
    };
    let images = [image(16), image(32)];
    let mut file = vec![0, 0, 1, 0, 2, 0];
    let mut offset = 6 + 32;
    for (image, side) in images.iter().zip([16, 32]) {
        file.extend([side, side, 0, 0, 1, 0, 32, 0]);
        file.extend((image.len() as u32).to_le_bytes());
        file.extend((offset as u32).to_le_bytes());
        offset += image.len();
    }
    file.extend(images.concat());
    file
}
