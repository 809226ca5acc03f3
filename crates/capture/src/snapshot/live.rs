//! The snapshot of the machine that this runs on.

use super::files::Files;
use super::folder;
use super::machine::{Problem, Snapshot, SnapshotError};
use super::registry::{self, Place, Registry, key_at, text_of};
use crate::rules::Platform;
use cv_hive::{Key, MAX_DEPTH, Name, Value, ValueType};
use cv_windows::journal::{Journal, Position};
use cv_windows::usn::UsnRecord;
use cv_windows::{Key as LiveKey, machine};
use cv_winname::UpcaseTable;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the registry keeps the users that are logged on.
const USERS: &str = r"\Registry\User";

pub fn snapshot(leave_out: &[PathBuf], threads: usize) -> Result<Snapshot, SnapshotError> {
    let can_read_all = machine::read_everything();
    let (files, hives, mut problems) = folder::live(&machine::system_drive(), leave_out)?.finish();
    let mut reader = Reader {
        as_backup: can_read_all,
        is_wine: machine::is_wine(),
        problems: Vec::new(),
        securities: std::collections::HashSet::new(),
    };
    let mut registry = Registry {
        software: reader.hive(r"\Registry\Machine\SOFTWARE", r"HKEY_LOCAL_MACHINE\SOFTWARE"),
        system: reader.hive(r"\Registry\Machine\SYSTEM", r"HKEY_LOCAL_MACHINE\SYSTEM"),
        users: Vec::new(),
    };
    let loaded = reader.users(&mut registry, &files);
    let is_idle = |place: &Place| match place {
        Place::User(profile) | Place::UserClasses(profile) => {
            !loaded.iter().any(|loaded| loaded.eq_ignore_ascii_case(profile))
        }
        Place::Software | Place::System => false,
    };
    registry::add_hives(&mut registry, (&files, &hives), threads, &mut problems, &is_idle);
    registry.settle();
    problems.extend(reader.problems);
    Ok(Snapshot {
        platform: if machine::is_wine() {
            Platform::Wine
        } else {
            Platform::Windows
        },
        files,
        registry,
        problems,
    })
}

/// What speaks against capturing this machine just now, besides what its registry says.
pub fn warnings() -> Vec<String> {
    let mut warnings = Vec::new();
    if !machine::read_everything() {
        warnings.push("some files and keys may not be readable: run this as administrator".to_owned());
    }
    if machine::installer_runs() {
        warnings.push("Windows Installer is installing something just now".to_owned());
    }
    warnings
}

/// Where the change journal of the drive stands; `None` where there is none, or it is not for this user.
pub fn journal_position() -> Option<Position> {
    Journal::of_drive(&machine::system_drive()).ok()?.position().ok()
}

/// What the change journal of the drive says has happened since. An error where it has forgotten some of it.
pub fn journal_since(position: Position) -> io::Result<Vec<UsnRecord>> {
    Journal::of_drive(&machine::system_drive())?.since(position)
}

struct Reader {
    as_backup: bool,
    is_wine: bool,
    problems: Vec<Problem>,
    /// Descriptors, each once.
    securities: std::collections::HashSet<Arc<[u8]>>,
}

impl Reader {
    fn problem(&mut self, path: &str, error: &io::Error) {
        self.problems.push(Problem {
            path: path.to_owned(),
            reason: error.to_string(),
        });
    }

    /// A part of the registry; `None` where it cannot be read.
    fn hive(&mut self, name: &str, shown: &str) -> Option<Key> {
        match LiveKey::open(name, self.as_backup) {
            Ok(key) => self.key(&key, Name::from("ROOT"), 0, shown, MAX_DEPTH),
            Err(error) => {
                self.problem(shown, &error);
                None
            }
        }
    }

    /// The users that are logged on; the names of their profiles.
    fn users(&mut self, registry: &mut Registry, files: &Files) -> Vec<String> {
        let names = match LiveKey::open(USERS, self.as_backup).and_then(|users| users.subkey_names()) {
            Ok(names) => names,
            Err(error) => {
                self.problem("HKEY_USERS", &error);
                return Vec::new();
            }
        };
        let own = machine::user_sid().unwrap_or_default();
        let mut loaded = Vec::new();
        for (name, _) in names {
            let sid = String::from_utf16_lossy(&name);
            if !sid.starts_with("S-1-5-21-") || sid.ends_with("_Classes") {
                continue;
            }
            let Some(profile) = profile_of(registry, files, &sid, &own) else {
                continue;
            };
            let path = format!(r"{USERS}\{sid}");
            if let Some(root) = self.hive(&path, &format!(r"HKEY_USERS\{sid}")) {
                Place::User(profile.clone()).put(registry, root);
            }
            if LiveKey::open(&format!("{path}_Classes"), self.as_backup).is_ok()
                && let Some(root) = self.hive(&format!("{path}_Classes"), &format!(r"HKEY_USERS\{sid}_Classes"))
            {
                Place::UserClasses(profile.clone()).put(registry, root);
            }
            registry.user(&profile).sid = Some(sid);
            loaded.push(profile);
        }
        loaded
    }

    /// A key with all that is in it; `None` for one that is gone with the next start.
    fn key(&mut self, key: &LiveKey, name: Name, written: u64, shown: &str, levels: usize) -> Option<Key> {
        let mut read = Key::new(name);
        read.last_written = written;
        match key.details() {
            Ok(details) if details.is_volatile == Some(true) => return None,
            Ok(details) => read.class = (!details.class.is_empty()).then(|| Name::from(details.class)),
            Err(error) => self.problem(shown, &error),
        }
        match key.values() {
            Ok(values) => {
                read.values.extend(values.into_iter().map(|value| {
                    let value_type = ValueType(value.value_type);
                    Value::new(Name::from(value.name), value_type, value.data)
                }));
            }
            Err(error) => self.problem(shown, &error),
        }
        // What Wine gives says nothing of the machine.
        if !self.is_wine {
            match key.security() {
                Ok(descriptor) => read.security = Some(self.shared(descriptor)),
                Err(error) => self.problem(shown, &error),
            }
        }
        // What a link leads to is captured where it is.
        read.is_link = read
            .value("SymbolicLinkValue")
            .is_some_and(|value| value.value_type == ValueType::LINK);
        if read.is_link || levels == 0 {
            return Some(read);
        }
        let mut names = match key.subkey_names() {
            Ok(names) => names,
            Err(error) => {
                self.problem(shown, &error);
                Vec::new()
            }
        };
        let table = UpcaseTable::windows();
        names.sort_by(|(left, _), (right, _)| table.compare(left, right));
        names.dedup_by(|(left, _), (right, _)| table.compare(left, right).is_eq());
        for (name, written) in names {
            let shown = format!(r"{shown}\{}", cv_winname::wtf8::display(&name));
            // Wine gives no key there that could be read, but the counters themselves.
            if self.is_wine && shown.ends_with(r"\CurrentVersion\Perflib\009") {
                continue;
            }
            match key.subkey(&name) {
                Ok(subkey) => {
                    let subkey = self.key(&subkey, Name::from(name), written, &shown, levels - 1);
                    read.subkeys.extend(subkey);
                }
                // It went away since the key above was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.problem(&shown, &error),
            }
        }
        Some(read)
    }

    fn shared(&mut self, descriptor: Vec<u8>) -> Arc<[u8]> {
        if let Some(known) = self.securities.get(descriptor.as_slice()) {
            return known.clone();
        }
        let new: Arc<[u8]> = descriptor.into();
        self.securities.insert(new.clone());
        new
    }
}

/// The name of the folder that is a user's profile.
fn profile_of(registry: &Registry, files: &Files, sid: &str, own: &str) -> Option<String> {
    let listed = registry
        .software
        .as_ref()
        .and_then(|software| key_at(software, r"Microsoft\Windows NT\CurrentVersion\ProfileList"))
        .and_then(|list| list.subkey(sid))
        .and_then(|key| key.value("ProfileImagePath"))
        .map(|value| text_of(&value.data));
    let path = match listed {
        Some(path) => path,
        None if sid == own => std::env::var("USERPROFILE").ok()?,
        None => return None,
    };
    let name = path.trim_end_matches('\\').rsplit('\\').next()?;
    // As the drive has it.
    let folder = files.find(format!("Users/{name}").as_bytes());
    Some(folder.map_or_else(
        || name.to_owned(),
        |folder| String::from_utf8_lossy(&files.entry(folder).name).into_owned(),
    ))
}
