//! Whether a machine is ready to be captured.

use super::machine::Snapshot;
use super::registry::{Registry, text_of};
use crate::rules::Platform;
use cv_hive::{Key, Value};

/// What a machine was like when its snapshot was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Readiness {
    /// The version of Windows, as `10.0.19045`; empty where it is not known.
    pub os_version: String,
    /// Whether it waits for a restart.
    pub pending_reboot: bool,
    /// What speaks against capturing it as it is.
    pub warnings: Vec<String>,
}

/// Keys whose being there means that a restart is waited for.
const PENDING: [(&str, &str); 4] = [
    (
        r"Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending",
        "Windows waits for a restart to complete the installation of its components",
    ),
    (
        r"Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired",
        "Windows Update waits for a restart",
    ),
    (
        r"Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\PostRebootReporting",
        "Windows Update has not reported since the last restart",
    ),
    (
        r"Microsoft\ServerManager\CurrentRebootAttempts",
        "the server manager waits for a restart",
    ),
];

/// What a snapshot says of its machine.
pub fn readiness(snapshot: &Snapshot) -> Readiness {
    let registry = &snapshot.registry;
    let mut readiness = Readiness {
        os_version: os_version(registry).unwrap_or_default(),
        ..Readiness::default()
    };
    for (key, what) in PENDING {
        if registry.software_key(key).is_some() {
            readiness.pending_reboot = true;
            readiness.warnings.push(what.to_owned());
        }
    }
    let updating = registry
        .software_key(r"Microsoft\Updates")
        .and_then(|key| key.value("UpdateExeVolatile"))
        .is_some_and(|value| value.data.iter().any(|byte| *byte != 0));
    if updating {
        readiness.pending_reboot = true;
        readiness.warnings.push("an update waits for a restart".to_owned());
    }
    if let Some(manager) = registry.system_key(r"CurrentControlSet\Control\Session Manager") {
        for name in ["PendingFileRenameOperations", "PendingFileRenameOperations2"] {
            let renames = manager.value(name).map_or(0, count_texts);
            if renames > 0 {
                readiness.pending_reboot = true;
                let warning = format!("files are to be renamed or deleted with the next restart ({name})");
                readiness.warnings.push(warning);
            }
        }
    }
    if let (Some(active), Some(next)) = (computer_name(registry, "Active"), computer_name(registry, ""))
        && !active.eq_ignore_ascii_case(&next)
    {
        readiness.pending_reboot = true;
        readiness
            .warnings
            .push("the machine gets another name with the next restart".to_owned());
    }
    if registry
        .software_key(r"Microsoft\Windows\CurrentVersion\Installer\InProgress")
        .is_some()
    {
        readiness.warnings.push("Windows Installer is at work".to_owned());
    }
    if snapshot.platform == Platform::Windows && registry.software.is_none() {
        readiness
            .warnings
            .push("there is no SOFTWARE hive: changes of the registry are not seen".to_owned());
    }
    readiness
}

fn count_texts(value: &Value) -> usize {
    value
        .data
        .chunks_exact(2)
        .filter(|unit| unit.iter().any(|byte| *byte != 0))
        .count()
}

fn computer_name(registry: &Registry, which: &str) -> Option<String> {
    let path = format!(r"CurrentControlSet\Control\ComputerName\{which}ComputerName");
    registry
        .system_key(&path)
        .and_then(|key| key.value("ComputerName"))
        .map(|value| text_of(&value.data))
}

fn os_version(registry: &Registry) -> Option<String> {
    let key = registry.software_key(r"Microsoft\Windows NT\CurrentVersion")?;
    let text = |name: &str| key.value(name).map(|value| text_of(&value.data));
    let build = text("CurrentBuildNumber").or_else(|| text("CurrentBuild"))?;
    let version = match (
        number(key, "CurrentMajorVersionNumber"),
        number(key, "CurrentMinorVersionNumber"),
    ) {
        (Some(major), Some(minor)) => format!("{major}.{minor}"),
        _ => text("CurrentVersion")?,
    };
    Some(format!("{version}.{build}"))
}

fn number(key: &Key, name: &str) -> Option<u32> {
    let bytes = key.value(name)?.data.first_chunk::<4>().copied()?;
    Some(u32::from_le_bytes(bytes))
}
