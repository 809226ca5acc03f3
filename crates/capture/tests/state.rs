//! Snapshots kept in files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cv_capture::snapshot::{EntryKind, LoadError, Snapshot, from_bytes, load, readiness, save, to_bytes};
use proptest::prelude::*;
use std::path::Path;

const REG: &str = "Windows Registry Editor Version 5.00\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\App]\r\n\"Version\"=\"1\"\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending]\r\n\
    [HKEY_LOCAL_MACHINE\\SYSTEM\\Select]\r\n\"Current\"=dword:00000002\r\n\
    [HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Control]\r\n\"Old\"=\"x\"\r\n\
    [HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet002\\Control\\Session Manager]\r\n\
    \"PendingFileRenameOperations\"=hex(7):41,00,00,00,00,00,00,00\r\n\
    [HKEY_CURRENT_USER\\Software\\App]\r\n\"Setting\"=dword:00000001\r\n";

fn machine(folder: &Path) -> Snapshot {
    let files = folder.join("Program Files/App");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("app.exe"), [7; 5000]).unwrap();
    std::fs::write(files.join("b.TXT"), "b").unwrap();
    std::fs::create_dir_all(folder.join("Users/Default/AppData")).unwrap();
    std::fs::write(folder.join("machine.reg"), REG).unwrap();
    Snapshot::of_folder(folder, 2).unwrap()
}

#[test]
fn a_snapshot_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = machine(&folder.path().join("machine"));
    assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
    let state = folder.path().join("state");
    save(&snapshot, &state).unwrap();
    let again = load(&state).unwrap();
    assert_eq!(again, snapshot);
    let app = again.files.find(b"PROGRAM FILES/app/B.txt").unwrap();
    assert_eq!(again.files.path(app), b"Program Files/App/b.TXT");
    assert_eq!(again.files.entry(app).kind, EntryKind::File);
    // The registry is no file of the machine, and has one control set.
    assert_eq!(again.files.find(b"machine.reg"), None);
    let system = again.registry.system.as_ref().unwrap();
    let names: Vec<String> = system.subkeys.iter().map(|key| key.name.to_string()).collect();
    assert_eq!(names, ["CurrentControlSet", "Select"]);
    let found = readiness(&again);
    assert!(found.pending_reboot);
    assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
}

#[test]
fn what_is_no_state_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = to_bytes(&machine(folder.path())).unwrap();
    assert!(matches!(from_bytes(b"regf"), Err(LoadError::NotAState(_))));
    let mut newer = bytes.clone();
    newer[7] = 9;
    assert!(matches!(from_bytes(&newer), Err(LoadError::Version(9))));
    for length in (0..bytes.len()).step_by(7) {
        assert!(
            from_bytes(&bytes[..length]).is_err(),
            "{length} bytes of {}",
            bytes.len()
        );
    }
    // A frame that unpacks to far more than a state can hold.
    let mut bomb = bytes[..8].to_vec();
    let section = u64::MAX.to_le_bytes();
    bomb.extend(zstd::encode_all(&section[..], 3).unwrap());
    assert!(matches!(from_bytes(&bomb), Err(LoadError::TooLarge { .. })));
}

#[test]
fn an_interrupted_save_leaves_the_old_state() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = machine(&folder.path().join("machine"));
    let state = folder.path().join("state");
    save(&snapshot, &state).unwrap();
    let before = std::fs::read(&state).unwrap();
    // Where the file cannot be made, nothing changes.
    let missing = folder.path().join("no such folder/state");
    assert!(save(&snapshot, &missing).is_err());
    let partial = cv_disk::DurableFile::create(&state).unwrap();
    cv_disk::Resize::set_len(&**partial.disk(), 10).unwrap();
    drop(partial);
    assert_eq!(std::fs::read(&state).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damaged_states_never_panic(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        thread_local! {
            static SEED: Vec<u8> = {
                let folder = tempfile::tempdir().unwrap();
                let bytes = to_bytes(&machine(folder.path())).unwrap();
                // Unpacked, so that changes reach what is inside.
                zstd::decode_all(&bytes[8..]).unwrap()
            };
        }
        let mut inside = SEED.with(Clone::clone);
        for (place, value) in places {
            let length = inside.len();
            inside[place.index(length)] = value;
        }
        let mut bytes = b"CVSTATE\x01".to_vec();
        bytes.extend(zstd::encode_all(&inside[..], 1).unwrap());
        if let Ok(snapshot) = from_bytes(&bytes) {
            for entry in 0..snapshot.files.len() as u32 {
                snapshot.files.path(entry);
                snapshot.files.security(entry);
            }
        }
    }
}
