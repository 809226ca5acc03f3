//! Installed applications: the keys of `Uninstall`.

use super::registry::{number, optional_text, subkeys, text};
use super::software_keys;
use crate::content::HiveName;
use crate::manifest::Application;
use cv_hive::Key;
use std::collections::BTreeMap;

const UNINSTALL: &str = r"Microsoft\Windows\CurrentVersion\Uninstall";

pub fn find(hives: &BTreeMap<HiveName, Key>) -> Vec<Application> {
    let mut applications = Vec::new();
    for (uninstall, is_32_bit, is_per_user) in software_keys(hives, UNINSTALL) {
        for key in subkeys(uninstall) {
            // Updates and parts of others have no name of their own, or say so.
            let Some(name) = optional_text(key, "DisplayName").filter(|name| !name.is_empty()) else {
                continue;
            };
            applications.push(Application {
                key: key.name.to_string(),
                name,
                version: text(key, "DisplayVersion"),
                publisher: text(key, "Publisher"),
                location: text(key, "InstallLocation"),
                uninstall: text(key, "UninstallString"),
                is_msi: number(key, "WindowsInstaller") == Some(1),
                is_32_bit,
                is_per_user,
                icon: text(key, "DisplayIcon"),
                ..Application::default()
            });
        }
    }
    applications
}
