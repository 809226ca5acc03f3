//! Services and drivers.

use super::registry::{RegistrationError, Registry};

/// What a service is (`Type`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ServiceKind {
    /// A driver of the kernel.
    KernelDriver,
    /// A driver of a file system.
    FileSystemDriver,
    /// A program of its own.
    #[default]
    OwnProcess,
    /// One of several in a program.
    SharedProcess,
}

/// When a service starts (`Start`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Start {
    /// With the boot loader.
    Boot,
    /// With the kernel.
    System,
    /// With Windows.
    #[default]
    Automatic,
    /// Some time after Windows.
    Delayed,
    /// When asked for.
    Manual,
    /// Never.
    Disabled,
}

/// What Windows does when a service does not start (`ErrorControl`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ErrorControl {
    /// Nothing.
    Ignore,
    /// It notes it.
    #[default]
    Normal,
    /// It starts the last known good configuration.
    Severe,
    /// The same, and stops when that fails.
    Critical,
}

/// A service or a driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// A text for people.
    pub description: String,
    /// What it is.
    pub kind: ServiceKind,
    /// When it starts.
    pub start: Start,
    /// What happens when it does not.
    pub error_control: ErrorControl,
    /// The command that starts it, or the driver's file.
    pub image: String,
    /// For a service of a shared program: the library that has it.
    pub library: String,
    /// The account it runs as; empty for `LocalSystem`.
    pub account: String,
    /// The group it starts with.
    pub group: String,
    /// The services that must run before it.
    pub depends: Vec<String>,
}

impl Registry<'_> {
    /// Adds a service.
    pub fn service(&mut self, service: &Service) -> Result<(), RegistrationError> {
        let path = format!(r"HKLM\SYSTEM\CurrentControlSet\Services\{}", service.name);
        let is_driver = matches!(service.kind, ServiceKind::KernelDriver | ServiceKind::FileSystemDriver);
        self.number(
            &path,
            "Type",
            match service.kind {
                ServiceKind::KernelDriver => 0x01,
                ServiceKind::FileSystemDriver => 0x02,
                ServiceKind::OwnProcess => 0x10,
                ServiceKind::SharedProcess => 0x20,
            },
        )?;
        self.number(
            &path,
            "Start",
            match service.start {
                Start::Boot => 0,
                Start::System => 1,
                Start::Automatic | Start::Delayed => 2,
                Start::Manual => 3,
                Start::Disabled => 4,
            },
        )?;
        if service.start == Start::Delayed {
            self.number(&path, "DelayedAutostart", 1)?;
        }
        self.number(
            &path,
            "ErrorControl",
            match service.error_control {
                ErrorControl::Ignore => 0,
                ErrorControl::Normal => 1,
                ErrorControl::Severe => 2,
                ErrorControl::Critical => 3,
            },
        )?;
        // Windows expands variables in these two, whatever there is to expand.
        let expanded = cv_hive::ValueType::EXPAND_SZ;
        self.set(&path, "ImagePath", expanded, crate::bytes::utf16_bytes(&service.image))?;
        if !service.library.is_empty() {
            let library = crate::bytes::utf16_bytes(&service.library);
            self.set(&format!(r"{path}\Parameters"), "ServiceDll", expanded, library)?;
        }
        self.optional_text(&path, "DisplayName", &service.display_name)?;
        self.optional_text(&path, "Description", &service.description)?;
        self.optional_text(&path, "Group", &service.group)?;
        if !is_driver {
            let account = if service.account.is_empty() {
                "LocalSystem"
            } else {
                &service.account
            };
            self.text(&path, "ObjectName", account)?;
        }
        if !service.depends.is_empty() {
            self.texts(&path, "DependOnService", &service.depends)?;
        }
        Ok(())
    }
}
