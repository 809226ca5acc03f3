//! The hives of a layer, and where in the registry they belong.

use std::fmt;

/// A hive of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HiveName {
    /// `HKLM\SAM`.
    Sam,
    /// `HKLM\SECURITY`.
    Security,
    /// `HKLM\SOFTWARE`.
    Software,
    /// `HKLM\SYSTEM`, with the current control set as `CurrentControlSet`, whatever its number on a machine.
    System,
    /// `HKCU`, a template for every user.
    User,
}

impl HiveName {
    /// Every hive.
    pub const ALL: [Self; 5] = [Self::Sam, Self::Security, Self::Software, Self::System, Self::User];

    /// The name of its file in `\Hives`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Sam => "SAM",
            Self::Security => "SECURITY",
            Self::Software => "SOFTWARE",
            Self::System => "SYSTEM",
            Self::User => "USER",
        }
    }

    /// The key that its root stands for.
    pub fn root(self) -> &'static str {
        match self {
            Self::Sam => r"HKEY_LOCAL_MACHINE\SAM",
            Self::Security => r"HKEY_LOCAL_MACHINE\SECURITY",
            Self::Software => r"HKEY_LOCAL_MACHINE\SOFTWARE",
            Self::System => r"HKEY_LOCAL_MACHINE\SYSTEM",
            Self::User => "HKEY_CURRENT_USER",
        }
    }

    /// The hive whose file has this name; the case does not matter.
    pub fn of_file(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|hive| hive.file_name().eq_ignore_ascii_case(name))
    }
}

/// The keys that hold environment variables: of all users, and of the user.
pub const ENVIRONMENTS: [(HiveName, &str); 2] = [
    (
        HiveName::System,
        r"CurrentControlSet\Control\Session Manager\Environment",
    ),
    (HiveName::User, "Environment"),
];

impl fmt::Display for HiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file_name())
    }
}
