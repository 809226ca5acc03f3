//! The names of hives in tars.

use crate::content::HiveName;
use cv_hive::{Key, Name};

/// The name of a hive's file in `Hives/`, as the Windows container host has it.
pub fn file_name(hive: HiveName) -> &'static str {
    match hive {
        HiveName::Sam => "Sam_Delta",
        HiveName::Security => "Security_Delta",
        HiveName::Software => "Software_Delta",
        HiveName::System => "System_Delta",
        HiveName::User => "DefaultUser_Delta",
    }
}

/// The hive that a file in `Hives/` is; the case does not matter.
pub fn of_file(name: &str) -> Option<HiveName> {
    let mut all = HiveName::ALL.into_iter();
    all.find(|hive| file_name(*hive).eq_ignore_ascii_case(name))
        .or_else(|| HiveName::of_file(name))
}

/// `HKLM\SYSTEM` as a machine has it: the current control set by its number, which a layer does without.
pub fn numbered(hive: HiveName, mut root: Key) -> Key {
    if hive != HiveName::System {
        return root;
    }
    let current = Name::from("CurrentControlSet");
    if let Ok(place) = root.position(current.units()) {
        let mut set = root.subkeys.remove(place);
        set.name = Name::from("ControlSet001");
        match root.position(set.name.units()) {
            // It has both; then it says more than a number can.
            Ok(_) => {
                set.name = current;
                root.subkeys.insert(place, set);
            }
            Err(place) => root.subkeys.insert(place, set),
        }
    }
    root
}
