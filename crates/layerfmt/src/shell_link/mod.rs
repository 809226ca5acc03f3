//! Shortcuts, `.lnk` files: read and written.
//!
//! The format is that of \[MS-SHLLINK\] "Shell Link (.LNK) Binary File Format".
//!
//! ```
//! use layerfmt::shell_link::ShellLink;
//!
//! let link = ShellLink {
//!     path: Some(r"C:\Program Files\App\app.exe".into()),
//!     arguments: Some("--new".into()),
//!     ..ShellLink::default()
//! };
//! let bytes = link.to_bytes()?;
//! assert_eq!(ShellLink::parse(&bytes)?.target(), Some(r"C:\Program Files\App\app.exe"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod items;
mod read;
mod structure;
mod write;

pub use write::ShellLinkError;

/// Bytes of a shortcut at most; those of Windows have a few KiB.
pub const MAX_SIZE: u64 = 1 << 20;

/// How the window of what is started opens (`ShowCommand`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Window {
    /// As the program wants it.
    #[default]
    Normal,
    /// As large as the screen.
    Maximized,
    /// As a button of the task bar alone.
    Minimized,
}

/// What a shortcut says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShellLink {
    /// The path of the target, on a drive or a network share, as it was when the shortcut was made (`LinkInfo`).
    pub path: Option<String>,
    /// The path that the list of shell items leads to, where that is a file or directory (`LinkTargetIDList`). Written from
    /// [`path`](Self::path).
    pub item_path: Option<String>,
    /// The path of the target with `%variables%` (`EnvironmentVariableDataBlock`).
    pub environment_path: Option<String>,
    /// The description (`NAME_STRING`).
    pub description: Option<String>,
    /// The path of the target from the shortcut's folder (`RELATIVE_PATH`).
    pub relative_path: Option<String>,
    /// The directory in which the target is started (`WORKING_DIR`).
    pub directory: Option<String>,
    /// The arguments (`COMMAND_LINE_ARGUMENTS`).
    pub arguments: Option<String>,
    /// The file that has the icon (`ICON_LOCATION`).
    pub icon: Option<String>,
    /// Which of that file's icons.
    pub icon_index: i32,
    /// How the window opens.
    pub window: Window,
    /// The key that starts it: a virtual key code, and above it 1 for Shift, 2 for Ctrl, 4 for Alt.
    pub hot_key: u16,
    /// Whether it asks to be run as an administrator.
    pub is_elevated: bool,
    /// Whether the target is a directory.
    pub is_directory: bool,
    /// What Windows Installer resolves to the target (`DarwinDataBlock`).
    pub installer_descriptor: Option<String>,
}

impl ShellLink {
    /// What it starts: with `%variables%` where it was made so, else the path.
    pub fn target(&self) -> Option<&str> {
        [
            &self.environment_path,
            &self.path,
            &self.item_path,
            &self.relative_path,
            &self.installer_descriptor,
        ]
        .into_iter()
        .find_map(|path| path.as_deref().filter(|path| !path.is_empty()))
    }
}
