//! Which paths of a view are those of the registry: the hives of Windows, and the registry files of a Wine prefix.

use super::file::{CLASSES_HIVE, Form};
use super::wine::{SYSTEM_FILE, USER_FILE};
use cv_overlay::NamePath;
use cv_winname::{UpcaseTable, wtf8};
use layerfmt::content::HiveName;

/// Where Windows has the hives of the machine.
const MACHINE: [&str; 3] = ["Windows", "System32", "config"];

/// Where Windows has the profiles of users, and the hive in each.
const USERS: &str = "Users";
const USER_HIVE: &str = "NTUSER.DAT";

/// Where in a profile the classes of its user are.
const CLASSES: [&str; 5] = ["AppData", "Local", "Microsoft", "Windows", CLASSES_HIVE];

/// The hives of the machine that layers may have, by the names of their files.
const MACHINE_HIVES: [HiveName; 4] = [HiveName::Sam, HiveName::Security, HiveName::Software, HiveName::System];

/// A path of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistryPath {
    /// What lies there.
    pub form: Form,
    /// A name of its own for files that belong to it: as short as a name of a file may be, without separators.
    pub stem: String,
}

fn is(name: Option<&[u16]>, text: &str) -> bool {
    let text: Vec<u16> = text.encode_utf16().collect();
    name.is_some_and(|name| UpcaseTable::windows().equal(name, &text))
}

/// Whether a file of this name may be one of the registry: a quick answer for all others.
pub fn is_likely(name: &[u16]) -> bool {
    if !matches!(name.len(), 3 | 6 | 8 | 10 | 12) {
        return false;
    }
    let machine = MACHINE_HIVES.iter().map(|hive| hive.file_name());
    machine
        .chain([USER_HIVE, CLASSES_HIVE, SYSTEM_FILE, USER_FILE])
        .any(|known| is(Some(name), known))
}

/// What of the registry lies at a path of a view, which is a Wine prefix or drive C: of Windows.
pub fn at(path: &NamePath, is_prefix: bool) -> Option<RegistryPath> {
    let last = path.last()?;
    if is_prefix {
        let form = match () {
            () if path.depth() != 1 => return None,
            () if is(Some(last), SYSTEM_FILE) => Form::WineSystem,
            () if is(Some(last), USER_FILE) => Form::WineUser,
            () => return None,
        };
        let stem = if form == Form::WineUser { USER_FILE } else { SYSTEM_FILE };
        return Some(RegistryPath {
            form,
            stem: stem.to_owned(),
        });
    }
    if is(path.name(0), USERS) {
        let user = wtf8::display(path.name(1)?).to_uppercase();
        if path.depth() == 3 && is(Some(last), USER_HIVE) {
            return Some(RegistryPath {
                form: Form::Hive(HiveName::User),
                stem: format!("USER@{user}"),
            });
        }
        let mut names = CLASSES.iter().enumerate();
        let is_classes = path.depth() == 2 + CLASSES.len() && names.all(|(at, name)| is(path.name(2 + at), name));
        return is_classes.then(|| RegistryPath {
            form: Form::UserClasses,
            stem: format!("CLASSES@{user}"),
        });
    }
    let is_machine = path.depth() == 4 && (0..3).all(|depth| is(path.name(depth), MACHINE[depth]));
    let hive = MACHINE_HIVES
        .into_iter()
        .find(|hive| is_machine && is(Some(last), hive.file_name()))?;
    Some(RegistryPath {
        form: Form::Hive(hive),
        stem: hive.file_name().to_owned(),
    })
}

/// Where a hive of the machine, or Wine's file with it, lies in a view; those of users are in their profiles.
pub fn path_of(hive: HiveName, is_prefix: bool) -> Option<(NamePath, Form)> {
    match (is_prefix, hive) {
        (true, HiveName::User) => Some((NamePath::from(USER_FILE), Form::WineUser)),
        (true, _) => Some((NamePath::from(SYSTEM_FILE), Form::WineSystem)),
        (false, HiveName::User) => None,
        (false, _) => {
            let path = NamePath::from(format!("{}\\{}", MACHINE.join("\\"), hive.file_name()).as_str());
            Some((path, Form::Hive(hive)))
        }
    }
}

/// Where the classes of the user are whose hive is at this path.
pub fn classes_beside(user_hive: &NamePath) -> NamePath {
    let join = |path: NamePath, name: &&str| path.joined(&name.encode_utf16().collect::<Vec<_>>());
    CLASSES.iter().fold(user_hive.parent(), join)
}

/// The form of the file with this stem.
pub fn form_of_stem(stem: &str) -> Option<Form> {
    match stem {
        SYSTEM_FILE => Some(Form::WineSystem),
        USER_FILE => Some(Form::WineUser),
        user if user.starts_with("USER@") => Some(Form::Hive(HiveName::User)),
        user if user.starts_with("CLASSES@") => Some(Form::UserClasses),
        machine => MACHINE_HIVES
            .into_iter()
            .find(|hive| hive.file_name() == machine)
            .map(Form::Hive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_known_in_any_case() {
        let at = |path: &str, is_prefix| at(&NamePath::from(path), is_prefix);
        let software = at(r"windows\system32\CONFIG\software", false).unwrap();
        assert_eq!(
            (software.form, &*software.stem),
            (Form::Hive(HiveName::Software), "SOFTWARE")
        );
        let alice = at(r"users\Alice\ntuser.dat", false).unwrap();
        assert_eq!(form_of_stem(&alice.stem), Some(alice.form));
        let user = NamePath::from(r"Users\Alice\NTUSER.DAT");
        let classes = at(&classes_beside(&user).to_string(), false).unwrap();
        assert_eq!(classes.form, Form::UserClasses);
        assert_eq!(form_of_stem(&classes.stem), Some(Form::UserClasses));
        assert_eq!(at(r"Users\Alice\AppData\UsrClass.dat", false), None);
        assert_eq!(at(r"Windows\System32\config\DEFAULT", false), None);
        assert_eq!(at(r"system.reg", false), None);
        assert_eq!(at("SYSTEM.REG", true).map(|path| path.form), Some(Form::WineSystem));
        assert_eq!(at(r"drive_c\system.reg", true), None);
        for name in ["SOFTWARE", "sam", "NTUSER.dat", "usrclass.dat", "user.reg"] {
            assert!(is_likely(&name.encode_utf16().collect::<Vec<_>>()), "{name}");
        }
    }
}
