//! The registry of a machine.

use super::files::{Entry, Files};
use super::folder::read_file;
use super::machine::Problem;
use super::profile::{ProfileName, profiles};
use cv_hive::reg::Patch;
use cv_hive::wine::WineRegistry;
use cv_hive::{Deletions, Hive, Key, KeyPath, Name, merge, recover};
use std::path::Path;
use std::sync::Mutex;

/// Bytes of a hive that are read at most.
const MAX_HIVE: u64 = 1 << 30;

/// Where the hives of the machine are.
const CONFIG: &[u8] = b"Windows/System32/config";

/// The name that the roots of hives have here.
const ROOT: &str = "ROOT";

/// The registry of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserHive {
    /// The name of the user's folder in `\Users`.
    pub profile: ProfileName,
    /// The user's SID, where it is known.
    pub sid: Option<String>,
    /// `HKEY_CURRENT_USER`; the user's classes are in it.
    pub root: Key,
}

/// The registry of a machine, as far as it can be captured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// `HKLM\SOFTWARE`.
    pub software: Option<Key>,
    /// `HKLM\SYSTEM`, with one control set: the current one, as `CurrentControlSet`.
    pub system: Option<Key>,
    /// The users, by the names of their profiles.
    pub users: Vec<UserHive>,
}

impl Registry {
    /// The key of these names below `HKLM\SOFTWARE`.
    pub fn software_key(&self, path: &str) -> Option<&Key> {
        key_at(self.software.as_ref()?, path)
    }

    /// The key of these names below `HKLM\SYSTEM`.
    pub fn system_key(&self, path: &str) -> Option<&Key> {
        key_at(self.system.as_ref()?, path)
    }

    pub(super) fn user(&mut self, profile: &str) -> &mut UserHive {
        let is = |user: &UserHive| user.profile.eq_ignore_ascii_case(profile);
        let place = self.users.iter().position(is).unwrap_or(self.users.len());
        if place == self.users.len() {
            self.users.push(UserHive {
                profile: profile.to_owned(),
                sid: None,
                root: Key::new(""),
            });
        }
        &mut self.users[place]
    }

    /// Brings what was read into its one form.
    pub(super) fn settle(&mut self) {
        if let Some(system) = &mut self.system {
            settle_control_sets(system);
            system.name = Name::from(ROOT);
        }
        if let Some(software) = &mut self.software {
            software.name = Name::from(ROOT);
        }
        for place in 0..self.users.len() {
            self.users[place].root.name = Name::from(ROOT);
            let sid = self.sid_of(&self.users[place].profile);
            let user = &mut self.users[place];
            user.sid = user.sid.take().or(sid);
        }
        self.users.sort_by(|left, right| left.profile.cmp(&right.profile));
    }

    /// The SID whose profile is the folder of this name.
    fn sid_of(&self, profile: &str) -> Option<String> {
        let list = self.software_key(r"Microsoft\Windows NT\CurrentVersion\ProfileList")?;
        let is_of = |key: &&Key| {
            let path = key.value("ProfileImagePath").map(|value| text_of(&value.data));
            let last = path.as_deref().and_then(|path| path.rsplit('\\').next());
            last.is_some_and(|last| last.eq_ignore_ascii_case(profile))
        };
        list.subkeys.iter().find(is_of).map(|key| key.name.to_string())
    }
}

/// The key of these names below `top`.
pub fn key_at<'a>(top: &'a Key, path: &str) -> Option<&'a Key> {
    path.split('\\').try_fold(top, |key, name| key.subkey(name))
}

/// The text in a value's data, up to its zero.
pub fn text_of(data: &[u8]) -> String {
    let units = cv_winname::wtf8::from_le_bytes(data);
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    cv_winname::wtf8::display(&units[..end])
}

/// Leaves the current control set alone, under the name that does not change.
fn settle_control_sets(system: &mut Key) {
    let current = system
        .subkey("Select")
        .and_then(|select| select.value("Current"))
        .and_then(|value| value.data.first_chunk::<4>())
        .map_or(1, |bytes| u32::from_le_bytes(*bytes));
    let wanted = Name::from(format!("ControlSet{current:03}").as_str());
    let alias = Name::from("CurrentControlSet");
    let mut found = None;
    system.subkeys.retain_mut(|key| {
        let is_set = key.name.to_string().to_ascii_uppercase().starts_with("CONTROLSET");
        let is_alias = key.name.matches(alias.units());
        // Where the alias is a key of its own, it is what programs see.
        if is_alias && !key.is_link || found.is_none() && key.name.matches(wanted.units()) {
            found = Some(std::mem::replace(key, Key::new("")));
            return false;
        }
        !is_set && !is_alias
    });
    if let Some(mut set) = found {
        set.name = alias;
        if let Err(place) = system.position(set.name.units()) {
            system.subkeys.insert(place, set);
        }
    }
}

/// Reads files that were listed.
pub trait HiveFiles: Sync {
    /// The content of an entry of at most `limit` bytes.
    fn read(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, String>;
}

/// Whether a file of this name may be a hive, or a log of one.
pub fn may_be_hive(name: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    let stem = [".LOG1", ".LOG2", ".LOG"]
        .iter()
        .find_map(|end| name.strip_suffix(end.as_bytes()))
        .unwrap_or(&name);
    [&b"SOFTWARE"[..], b"SYSTEM", b"NTUSER.DAT", b"USRCLASS.DAT"].contains(&stem)
}

/// Where a hive belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Software,
    System,
    User(ProfileName),
    UserClasses(ProfileName),
}

impl Place {
    pub(super) fn put(self, registry: &mut Registry, mut root: Key) {
        match self {
            Self::Software => registry.software = Some(root),
            Self::System => registry.system = Some(root),
            Self::User(profile) => {
                let user = registry.user(&profile);
                // The classes may have come first.
                let classes = std::mem::replace(&mut user.root, Key::new(""));
                merge(&mut root, classes, Deletions::Remove);
                user.root = root;
            }
            Self::UserClasses(profile) => {
                let user = registry.user(&profile);
                let software = user.root.subkey_or_insert("Software");
                let classes = software.subkey_or_insert("Classes");
                root.name = classes.name.clone();
                // It is the link to this hive.
                *classes = root;
            }
        }
    }
}

/// Reads the hives of a drive C:, each with its logs, on up to `threads` threads.
pub fn of_hives(files: &Files, hives: &dyn HiveFiles, threads: usize, problems: &mut Vec<Problem>) -> Registry {
    let mut registry = Registry::default();
    add_hives(&mut registry, (files, hives), threads, problems, &|_| true);
    registry.settle();
    registry
}

/// Adds what the hives of a drive C: hold that are `wanted`.
pub(super) fn add_hives(
    registry: &mut Registry,
    (files, hives): (&Files, &dyn HiveFiles),
    threads: usize,
    problems: &mut Vec<Problem>,
    wanted: &dyn Fn(&Place) -> bool,
) {
    let mut jobs = Vec::new();
    if let Some(config) = files.find(CONFIG) {
        for (name, place) in [("SOFTWARE", Place::Software), ("SYSTEM", Place::System)] {
            let hive = files.child(config, &name.encode_utf16().collect::<Vec<_>>());
            jobs.extend(hive.map(|hive| (place, hive)));
        }
    }
    for (profile, folder) in profiles(files) {
        let below = |path: &str| {
            let names = path.split('/');
            names
                .map(|name| name.encode_utf16().collect::<Vec<_>>())
                .try_fold(folder, |at, name| files.child(at, &name))
        };
        let user = below("NTUSER.DAT");
        let classes = below("AppData/Local/Microsoft/Windows/UsrClass.dat");
        jobs.extend(user.map(|hive| (Place::User(profile.clone()), hive)));
        jobs.extend(classes.map(|hive| (Place::UserClasses(profile), hive)));
    }
    jobs.retain(|(place, _)| wanted(place));
    let read = in_parallel(threads, &jobs, |(_, hive)| read_hive(files, *hive, hives));
    for ((place, hive), read) in jobs.into_iter().zip(read) {
        let path = String::from_utf8_lossy(&files.path(hive)).into_owned();
        match read {
            Ok((root, faults)) => {
                problems.extend(faults.into_iter().map(|reason| Problem {
                    path: path.clone(),
                    reason,
                }));
                place.put(registry, root);
            }
            Err(reason) => problems.push(Problem { path, reason }),
        }
    }
}

/// Applies `work` to each of `items` on up to `threads` threads; what it gives, in their order.
pub fn in_parallel<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = work(item);
            let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            done.push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, 64).min(items.len().max(1)) {
            scope.spawn(run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Reads a hive of the listed files, and what its logs hold besides.
fn read_hive(files: &Files, hive: u32, hives: &dyn HiveFiles) -> Result<(Key, Vec<String>), String> {
    let entry = files.entry(hive);
    let bytes = hives.read(entry, MAX_HIVE)?;
    let mut logs = Vec::new();
    for end in [".LOG1", ".LOG2", ".LOG"] {
        let name: Vec<u16> = String::from_utf8_lossy(&entry.name)
            .encode_utf16()
            .chain(end.encode_utf16())
            .collect();
        if let Some(log) = files.child(entry.parent, &name) {
            logs.push(hives.read(files.entry(log), MAX_HIVE)?);
        }
    }
    parse_hive(bytes, &logs)
}

/// The tree of a hive, and what of it is damaged.
fn parse_hive(bytes: Vec<u8>, logs: &[Vec<u8>]) -> Result<(Key, Vec<String>), String> {
    let mut faults = Vec::new();
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    let bytes = match recover(&bytes, &logs) {
        Ok(None) => bytes,
        Ok(Some(recovered)) => recovered.bytes,
        Err(error) => {
            faults.push(format!("not written to its end, and {error}"));
            bytes
        }
    };
    let hive = Hive::open(&bytes).map_err(|error| error.to_string())?;
    let (root, found) = hive.to_tree_with_faults().map_err(|damage| damage.to_string())?;
    faults.extend(found.listed().iter().map(|fault| fault.damage.to_string()));
    Ok((root, faults))
}

/// Whether a file at the top of a folder holds part of the registry, and is no file of drive C:.
pub fn is_loose(name: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    name.ends_with(b".REG") || may_be_hive(&name)
}

/// Adds the hives and `.reg` files that stand at the top of a folder: `SOFTWARE`, `SYSTEM`, `NTUSER.DAT` and `UsrClass.dat`,
/// the last two as those of the default user; then what `.reg` files set, in the order of their names.
pub fn add_loose(registry: &mut Registry, folder: &Path, problems: &mut Vec<Problem>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut names: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.file_name())
        .filter(|name| is_loose(name.as_encoded_bytes()))
        .collect();
    names.sort();
    let default = || "Default".to_owned();
    for name in &names {
        let upper = name.to_string_lossy().to_ascii_uppercase();
        let place = match upper.as_str() {
            "SOFTWARE" => Place::Software,
            "SYSTEM" => Place::System,
            "NTUSER.DAT" => Place::User(default()),
            "USRCLASS.DAT" => Place::UserClasses(default()),
            _ => continue,
        };
        let log = |end: &str| {
            let wanted = format!("{upper}{end}");
            let is = |name: &&std::ffi::OsString| name.to_string_lossy().to_ascii_uppercase() == wanted;
            let found = names.iter().find(is)?;
            read_file(&folder.join(found), MAX_HIVE).ok()
        };
        let logs: Vec<Vec<u8>> = [".LOG1", ".LOG2", ".LOG"].iter().filter_map(|end| log(end)).collect();
        let read = read_file(&folder.join(name), MAX_HIVE).map_err(|error| error.to_string());
        match read.and_then(|bytes| parse_hive(bytes, &logs)) {
            Ok((root, faults)) => {
                problems.extend(faults.into_iter().map(|reason| problem(name, reason)));
                place.put(registry, root);
            }
            Err(reason) => problems.push(problem(name, reason)),
        }
    }
    for name in &names {
        if !name.to_string_lossy().to_ascii_uppercase().ends_with(".REG") {
            continue;
        }
        let added = read_file(&folder.join(name), MAX_HIVE)
            .map_err(|error| error.to_string())
            .and_then(|bytes| Patch::parse(&bytes).map_err(|error| error.to_string()))
            .and_then(|patch| add_text(registry, patch));
        if let Err(reason) = added {
            problems.push(problem(name, reason));
        }
    }
    registry.settle();
}

fn problem(name: &std::ffi::OsStr, reason: String) -> Problem {
    Problem {
        path: name.to_string_lossy().into_owned(),
        reason,
    }
}

/// Makes the changes of a `.reg` file.
fn add_text(registry: &mut Registry, patch: Patch) -> Result<(), String> {
    let delta = patch
        .into_delta(&KeyPath::default(), 0)
        .map_err(|error| error.to_string())?;
    for root in delta.subkeys {
        match root.name.to_string().as_str() {
            "HKEY_LOCAL_MACHINE" => {
                for hive in root.subkeys {
                    let target = match hive.name.to_string().to_ascii_uppercase().as_str() {
                        "SOFTWARE" => &mut registry.software,
                        "SYSTEM" => &mut registry.system,
                        _ => continue,
                    };
                    merge(target.get_or_insert_with(|| Key::new("")), hive, Deletions::Remove);
                }
            }
            "HKEY_CURRENT_USER" => merge(&mut registry.user("Default").root, root, Deletions::Remove),
            "HKEY_CLASSES_ROOT" => {
                let software = registry.software.get_or_insert_with(|| Key::new(""));
                merge(software.subkey_or_insert("Classes"), root, Deletions::Remove);
            }
            other => return Err(format!("{other} is not captured")),
        }
    }
    Ok(())
}

/// Adds the registry of a Wine prefix.
pub fn add_wine(registry: &mut Registry, prefix: &Path, files: &Files, problems: &mut Vec<Problem>) {
    let read = |name: &str| {
        let bytes = read_file(&prefix.join(name), MAX_HIVE).map_err(|error| error.to_string())?;
        WineRegistry::parse(&bytes).map_err(|error| error.to_string())
    };
    match read("system.reg") {
        Ok(system) => {
            for key in system.root.subkeys {
                match key.name.to_string().to_ascii_uppercase().as_str() {
                    "SOFTWARE" => registry.software = Some(key),
                    "SYSTEM" => registry.system = Some(key),
                    // The rest is the host's hardware.
                    _ => {}
                }
            }
        }
        Err(reason) => problems.push(problem("system.reg".as_ref(), reason)),
    }
    match read("user.reg") {
        Ok(user) => {
            let sid = user.relative_to.names().last().map(ToString::to_string);
            // Wine names the profile after the user of the host.
            let found = profiles(files);
            let profile = found
                .iter()
                .map(|(name, _)| name.clone())
                .find(|name| !name.eq_ignore_ascii_case("Default"))
                .unwrap_or_else(|| "Default".to_owned());
            let hive = registry.user(&profile);
            hive.sid = sid;
            hive.root = user.root;
        }
        Err(reason) => problems.push(problem("user.reg".as_ref(), reason)),
    }
    registry.settle();
}
