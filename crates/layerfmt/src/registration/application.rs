//! Installed applications, what starts by itself, fonts and environment variables.

use super::registry::{RegistrationError, Registry};
use super::software;

/// An entry of Windows' list of installed applications.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Application {
    /// The name of its key below `Uninstall`.
    pub key: String,
    /// `DisplayName`.
    pub name: String,
    /// `DisplayVersion`.
    pub version: String,
    /// `Publisher`.
    pub publisher: String,
    /// `InstallLocation`.
    pub location: String,
    /// `UninstallString`; empty where the layer cannot be uninstalled by the user, and then the list offers nothing.
    pub uninstall: String,
    /// `DisplayIcon`.
    pub icon: String,
    /// `URLInfoAbout`.
    pub url: String,
    /// Whether it stands in the 32-bit view.
    pub is_32_bit: bool,
    /// Whether it is the user's alone.
    pub is_per_user: bool,
}

/// A program that starts when a user signs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunEntry {
    /// Its name.
    pub name: String,
    /// What is started.
    pub command: String,
    /// Whether only once.
    pub is_once: bool,
    /// Whether it is the user's alone.
    pub is_per_user: bool,
}

/// A font.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Font {
    /// Its name, such as `App Sans (TrueType)`.
    pub name: String,
    /// Its file: a name in `\Windows\Fonts`, or a path.
    pub file: String,
}

/// An environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether it is the user's alone.
    pub is_per_user: bool,
}

impl Registry<'_> {
    /// Adds an entry of the list of installed applications.
    pub fn application(&mut self, application: &Application) -> Result<(), RegistrationError> {
        let view = if application.is_32_bit { r"\WOW6432Node" } else { "" };
        let software = software(application.is_per_user);
        let path = format!(
            r"{software}{view}\Microsoft\Windows\CurrentVersion\Uninstall\{}",
            application.key
        );
        self.text(&path, "DisplayName", &application.name)?;
        for (name, text) in [
            ("DisplayVersion", &application.version),
            ("Publisher", &application.publisher),
            ("InstallLocation", &application.location),
            ("UninstallString", &application.uninstall),
            ("DisplayIcon", &application.icon),
            ("URLInfoAbout", &application.url),
        ] {
            self.optional_text(&path, name, text)?;
        }
        if application.uninstall.is_empty() {
            self.number(&path, "NoRemove", 1)?;
            self.number(&path, "NoModify", 1)?;
            self.number(&path, "NoRepair", 1)?;
        }
        Ok(())
    }

    /// Adds a program that starts when a user signs in.
    pub fn run(&mut self, entry: &RunEntry) -> Result<(), RegistrationError> {
        let key = if entry.is_once { "RunOnce" } else { "Run" };
        let software = software(entry.is_per_user);
        let path = format!(r"{software}\Microsoft\Windows\CurrentVersion\{key}");
        self.text(&path, &entry.name, &entry.command)
    }

    /// Adds a font.
    pub fn font(&mut self, font: &Font) -> Result<(), RegistrationError> {
        let path = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Fonts";
        self.text(path, &font.name, &font.file)
    }

    /// Sets an environment variable.
    pub fn variable(&mut self, variable: &Variable) -> Result<(), RegistrationError> {
        let path = if variable.is_per_user {
            r"HKCU\Environment"
        } else {
            r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
        };
        self.text(path, &variable.name, &variable.value)
    }
}
