//! COM classes: the keys of `CLSID`.

use super::registry::{subkey, subkeys, text};
use super::{VIEW_32, software_keys};
use crate::content::HiveName;
use crate::manifest::ComClass;
use cv_hive::Key;
use std::collections::BTreeMap;

/// What implements a class, and whether it is loaded into programs.
const SERVERS: [(&str, bool); 4] = [
    ("InprocServer32", true),
    ("LocalServer32", false),
    ("InprocHandler32", true),
    ("LocalService", false),
];

pub fn find(hives: &BTreeMap<HiveName, Key>) -> Vec<ComClass> {
    let mut classes = Vec::new();
    // The 32-bit view stands in `Classes`; what some installers leave in that of `Software` means the same.
    for (key, is_32_bit, _) in software_keys(hives, "Classes") {
        if let Some(clsid) = subkey(key, "CLSID") {
            classes_of(clsid, is_32_bit, &mut classes);
        }
        if let Some(clsid) = subkey(key, VIEW_32).and_then(|view| subkey(view, "CLSID")) {
            classes_of(clsid, true, &mut classes);
        }
    }
    classes
}

fn classes_of(clsid: &Key, is_32_bit: bool, classes: &mut Vec<ComClass>) {
    for key in subkeys(clsid) {
        for (name, is_in_process) in SERVERS {
            let Some(server) = subkey(key, name).map(|server| text(server, "")) else {
                continue;
            };
            classes.push(ComClass {
                clsid: key.name.to_string(),
                name: text(key, ""),
                server,
                is_in_process,
                is_32_bit,
                ..ComClass::default()
            });
        }
    }
}
