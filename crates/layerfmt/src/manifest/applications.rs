//! What was found in a layer: programs, and how Windows is told of them.

use super::Architecture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// Declares a record of optional members that keeps unknown ones.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $(
                $(#[$member_doc])*
                #[serde(skip_serializing_if = "is_default")]
                pub $member: $type,
            )*
            /// Members unknown here.
            #[serde(flatten)]
            pub other: Map<String, Json>,
        }
    };
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

record! {
    /// An entry of Windows' list of installed applications.
    Application {
        /// The name of its key below `Uninstall`.
        key: String,
        /// `DisplayName`.
        name: String,
        /// `DisplayVersion`.
        version: String,
        /// `Publisher`.
        publisher: String,
        /// `InstallLocation`.
        location: String,
        /// `UninstallString`.
        uninstall: String,
        /// Whether it is a package of Windows Installer, whose product code its key then is.
        is_msi: bool,
        /// Whether it stands in the 32-bit view.
        is_32_bit: bool,
        /// Whether it is the user's alone.
        is_per_user: bool,
        /// Where its icon is, a path and a number behind a comma.
        icon: String,
    }
}

record! {
    /// A shortcut, a `.lnk` file.
    Shortcut {
        /// Its path, as on drive C:.
        path: String,
        /// What it starts.
        target: String,
        /// With which arguments.
        arguments: String,
        /// In which directory.
        directory: String,
        /// Its description.
        description: String,
        /// Where its icon is, a path and a number behind a comma.
        icon: String,
    }
}

record! {
    /// A service or a driver.
    Service {
        /// Its name.
        name: String,
        /// `DisplayName`.
        display_name: String,
        /// `ImagePath`.
        image: String,
        /// `boot`, `system`, `automatic`, `delayed`, `manual` or `disabled`.
        start: String,
        /// `ObjectName`, the account it runs as.
        account: String,
        /// Whether it is a driver, which a layer can bring along but not always load.
        is_driver: bool,
    }
}

record! {
    /// A file type.
    FileType {
        /// The extension, with its dot; empty for a protocol.
        extension: String,
        /// The protocol, such as `mailto`.
        protocol: String,
        /// The class that it leads to.
        class: String,
        /// What opens it.
        command: String,
    }
}

record! {
    /// A COM class.
    ComClass {
        /// Its identity.
        clsid: String,
        /// Its name.
        name: String,
        /// What implements it.
        server: String,
        /// Whether that is a library loaded into programs.
        is_in_process: bool,
        /// Whether it stands in the 32-bit view.
        is_32_bit: bool,
    }
}

record! {
    /// A font.
    Font {
        /// Its name in the registry.
        name: String,
        /// Its file.
        file: String,
    }
}

record! {
    /// A program that starts by itself.
    RunEntry {
        /// Its name.
        name: String,
        /// What is started.
        command: String,
        /// Where it says so: a registry key or a folder.
        place: String,
    }
}

record! {
    /// A task of the task scheduler.
    ScheduledTask {
        /// Its path below `\Windows\System32\Tasks`.
        path: String,
        /// What is started.
        command: String,
        /// With which arguments.
        arguments: String,
    }
}

record! {
    /// An environment variable.
    EnvironmentVariable {
        /// Its name.
        name: String,
        /// Its value; of `Path`, what is added.
        value: String,
        /// Whether it is the user's alone.
        is_per_user: bool,
    }
}

record! {
    /// A program, an `.exe` file, and what its version resource says.
    Program {
        /// Its path, as on drive C:.
        path: String,
        /// `ProductName`.
        name: String,
        /// `FileDescription`.
        description: String,
        /// `CompanyName`.
        company: String,
        /// `FileVersion`.
        version: String,
        /// `ProductVersion`.
        product_version: String,
        /// The processor it is for.
        architecture: Architecture,
    }
}

record! {
    /// What was found in a layer.
    Applications {
        /// Installed applications.
        installed: Vec<Application>,
        /// Programs.
        programs: Vec<Program>,
        /// Shortcuts.
        shortcuts: Vec<Shortcut>,
        /// Services and drivers.
        services: Vec<Service>,
        /// File types and protocols.
        file_types: Vec<FileType>,
        /// COM classes.
        com_classes: Vec<ComClass>,
        /// Fonts.
        fonts: Vec<Font>,
        /// Programs that start by themselves.
        run: Vec<RunEntry>,
        /// Tasks.
        tasks: Vec<ScheduledTask>,
        /// Environment variables.
        environment: Vec<EnvironmentVariable>,
    }
}
