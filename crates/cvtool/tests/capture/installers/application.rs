//! What is installed: one table, of which the scripts of installers and the expectation are made.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Which part of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Machine,
    /// The machine's, as 32-bit programs see it.
    Machine32,
    User,
}

/// What a value holds.
#[derive(Debug, Clone)]
pub enum Data {
    Text(String),
    Expand(String),
    Number(u32),
    Bytes(Vec<u8>),
    Texts(Vec<&'static str>),
    /// A path below the installing user's profile.
    InProfile(&'static str),
    /// What stood there, and this behind it.
    Appended(&'static str),
    /// What only the installer's engine knows: an identity, a date, a path of the host.
    Unknown,
}

/// A value that the installer sets.
#[derive(Debug, Clone)]
pub struct Setting {
    pub root: Root,
    pub key: String,
    pub name: String,
    pub data: Data,
}

/// Where it is installed.
pub const FOLDER: &str = r"C:\Program Files\CMake";
pub const SERVICE: &str = "CMakeServer";
pub const ENVIRONMENT: &str = r"System\CurrentControlSet\Control\Session Manager\Environment";
pub const BIN: &str = r"C:\Program Files\CMake\bin";
pub const UNINSTALL: &str = r"Software\Microsoft\Windows\CurrentVersion\Uninstall\CMake";

fn setting(root: Root, key: &str, name: &str, data: Data) -> Setting {
    Setting {
        root,
        key: key.to_owned(),
        name: name.to_owned(),
        data,
    }
}

fn text(text: &str) -> Data {
    Data::Text(text.to_owned())
}

/// What both installers set.
pub fn settings() -> Vec<Setting> {
    use Root::{Machine, Machine32, User};
    let own = r"Software\Kitware\CMake";
    let command = format!(r#""{BIN}\cmake.exe" -P "%1""#);
    vec![
        setting(Machine, own, "InstallDir", text(FOLDER)),
        setting(Machine, own, "Major", Data::Number(3)),
        setting(
            Machine,
            own,
            "Modules",
            Data::Expand(r"%ProgramFiles%\CMake\share".to_owned()),
        ),
        setting(Machine, own, "Signature", Data::Bytes(vec![0, 1, 2, 0xFE, 0xFF])),
        setting(
            Machine,
            own,
            "Generators",
            Data::Texts(vec!["Ninja", "NMake Makefiles"]),
        ),
        setting(Machine, r"Software\Kitware\CMake\Größe", "", text("größer")),
        setting(Machine32, own, "View", text("32")),
        setting(
            User,
            r"Software\Kitware\CMakeSetup\Settings",
            "StartPath",
            Data::InProfile(r"Documents\build"),
        ),
        setting(User, r"Software\Kitware\CMakeSetup\Settings", "Runs", Data::Number(7)),
        setting(Machine, r"Software\Classes\.cmake", "", text("CMake.Script")),
        setting(Machine, r"Software\Classes\CMake.Script", "", text("CMake script")),
        setting(
            Machine,
            r"Software\Classes\CMake.Script\shell\open\command",
            "",
            text(&command),
        ),
        setting(
            Machine,
            ENVIRONMENT,
            "PATH",
            Data::Appended(r";C:\Program Files\CMake\bin"),
        ),
    ]
}

/// The service, as the registry has it.
pub fn service() -> Vec<Setting> {
    let key = format!(r"System\CurrentControlSet\Services\{SERVICE}");
    let value = |name, data| setting(Root::Machine, &key, name, data);
    vec![
        value("DisplayName", text("CMake Server")),
        value("ErrorControl", Data::Number(1)),
        value("ImagePath", Data::Text(format!(r"{BIN}\cmake.exe"))),
        value("ObjectName", text("LocalSystem")),
        value("Start", Data::Number(3)),
        value("Type", Data::Number(0x10)),
    ]
}

/// A file of the wheel, and where it goes below [`FOLDER`].
#[derive(Debug, Clone)]
pub struct Installed {
    pub source: PathBuf,
    /// Names separated by backslashes.
    pub to: String,
}

/// The programs of `CMake`, and a part of its modules.
pub fn files(wheel: &Path) -> Vec<Installed> {
    let data = wheel.join("cmake/data");
    let mut files: Vec<Installed> = ["cmake.exe", "cmcldeps.exe"]
        .into_iter()
        .map(|name| Installed {
            source: data.join("bin").join(name),
            to: format!(r"bin\{name}"),
        })
        .collect();
    below(&data.join("share/cmake-3.31/Templates"), r"share\Templates", &mut files);
    below(
        &data.join("share/cmake-3.31/Modules/Platform"),
        r"share\Modules\Platform",
        &mut files,
    );
    files.sort_by(|left, right| left.to.cmp(&right.to));
    files
}

fn below(folder: &Path, to: &str, files: &mut Vec<Installed>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let to = format!(r"{to}\{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            below(&path, &to, files);
        } else {
            files.push(Installed { source: path, to });
        }
    }
}

/// The folder of the wheel of `CMake` for Windows, fetched once; `None`, said aloud, where that does not work outside of CI.
pub fn wheel() -> Option<&'static Path> {
    static WHEEL: OnceLock<Option<PathBuf>> = OnceLock::new();
    let fetch = || {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = cache.join("cmake-3.31.6-win_amd64");
        if folder.is_dir() {
            return Some(folder);
        }
        let new = tempfile::tempdir_in(cache).unwrap();
        let output = std::process::Command::new("pip")
            .args([
                "install",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--platform=win_amd64",
                "--target",
            ])
            .arg(new.path().join("wheel"))
            .arg("cmake==3.31.6")
            .output()
            .unwrap();
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(std::env::var_os("CI").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        // Another run may have been faster.
        let _ = std::fs::rename(new.path().join("wheel"), &folder);
        Some(folder)
    };
    WHEEL.get_or_init(fetch).as_deref()
}
