//! Services and drivers: the keys of `Services`.

use super::registry::{number, subkey, subkeys, text};
use super::system_keys;
use crate::content::HiveName;
use crate::manifest::Service;
use cv_hive::Key;
use std::collections::BTreeMap;

/// `SERVICE_KERNEL_DRIVER`, `SERVICE_FILE_SYSTEM_DRIVER`, `SERVICE_ADAPTER` and `SERVICE_RECOGNIZER_DRIVER`.
const DRIVERS: u32 = 0x0F;

pub fn find(hives: &BTreeMap<HiveName, Key>) -> Vec<Service> {
    let services = system_keys(hives, "Services").flat_map(subkeys);
    services
        .filter_map(|key| {
            // Keys without a type hold parameters of what is a service elsewhere.
            let kind = number(key, "Type")?;
            Some(Service {
                name: key.name.to_string(),
                display_name: text(key, "DisplayName"),
                image: image(key),
                start: start(key).to_owned(),
                account: text(key, "ObjectName"),
                is_driver: kind & DRIVERS != 0,
                ..Service::default()
            })
        })
        .collect()
}

/// `ImagePath`, and for a service in a library that library.
fn image(key: &Key) -> String {
    let image = text(key, "ImagePath");
    let library = subkey(key, "Parameters").map(|key| text(key, "ServiceDll"));
    match library.filter(|library| !library.is_empty()) {
        Some(library) if image.to_ascii_lowercase().contains("svchost") => format!("{image} ({library})"),
        _ => image,
    }
}

fn start(key: &Key) -> &'static str {
    match number(key, "Start") {
        Some(0) => "boot",
        Some(1) => "system",
        Some(2) if number(key, "DelayedAutostart") == Some(1) => "delayed",
        Some(2) => "automatic",
        Some(3) => "manual",
        Some(4) => "disabled",
        _ => "",
    }
}
