//! Where a file's root stands in the registry, and so which names lead to a key of which whole path.

use crate::{Hive, KeyPath, Name, PathError, ValueType};
use cv_winname::wtf8;

/// A key that is not in the file, or a text that names none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Elsewhere {
    /// The path has another root.
    #[error("{path} is not in this file, which stands at {root}")]
    Elsewhere {
        /// The path.
        path: KeyPath,
        /// Where the file's root stands.
        root: KeyPath,
    },
    /// The text is no path.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Where a file's root stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands first of all.
    root: KeyPath,
    /// Other paths that lead into the file: to the key of these names.
    others: Vec<(KeyPath, Vec<Name>)>,
    /// Whether the name says nothing of the place, so that any will do.
    is_guess: bool,
    /// The control set that `CurrentControlSet` stands for.
    control_set: Option<Name>,
}

/// The hives that every Windows has, by the names of their files, and where they stand.
const KNOWN: [(&str, &str); 12] = [
    ("SOFTWARE", r"HKLM\SOFTWARE"),
    ("SYSTEM", r"HKLM\SYSTEM"),
    ("SAM", r"HKLM\SAM"),
    ("SECURITY", r"HKLM\SECURITY"),
    ("COMPONENTS", r"HKLM\COMPONENTS"),
    ("DRIVERS", r"HKLM\DRIVERS"),
    ("BCD", r"HKLM\BCD00000000"),
    ("DEFAULT", r"HKU\.DEFAULT"),
    ("NTUSER.DAT", "HKCU"),
    ("NTUSER.MAN", "HKCU"),
    ("USER", "HKCU"),
    ("USRCLASS.DAT", r"HKCU\Software\Classes"),
];

impl Standing {
    fn at(root: &str) -> Self {
        let path = |text: &str| KeyPath::parse(text).unwrap_or_default();
        let others = match root {
            r"HKLM\SOFTWARE" => vec![(path("HKCR"), vec!["Classes".into()])],
            r"HKCU\Software\Classes" => vec![(path("HKCR"), Vec::new())],
            _ => Vec::new(),
        };
        Self {
            root: path(root),
            others,
            is_guess: false,
            control_set: None,
        }
    }

    /// A file whose first keys are the roots of the registry.
    pub(super) fn everywhere() -> Self {
        Self::at("")
    }

    /// Where the root of a Wine file stands.
    pub(super) fn of_wine(relative_to: &KeyPath) -> Self {
        let names: Vec<String> = relative_to
            .names()
            .iter()
            .map(|name| name.to_string().to_lowercase())
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names[..] {
            ["registry", "machine"] => Self::at("HKLM"),
            ["registry", "user", ".default"] => Self::at(r"HKU\.DEFAULT"),
            ["registry", "user", _] => Self::at("HKCU"),
            _ => Self {
                is_guess: true,
                ..Self::at("HKLM")
            },
        }
    }

    /// Where the root of a hive stands, by the name of its file, or else by the path that it has noted itself.
    pub(super) fn of_hive(hive: &Hive<'_>, file: &str) -> Self {
        let noted = hive.base_block().file_name;
        let noted = noted.split(|unit| *unit == 0).next().unwrap_or_default();
        let noted = wtf8::display(noted);
        let noted = noted.rsplit('\\').next().unwrap_or_default();
        let known = [file, noted].into_iter().find_map(|name| {
            let is_same = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(name);
            KNOWN.iter().find(is_same)
        });
        let Some((_, root)) = known else {
            let name: String = file
                .chars()
                .take(255)
                .filter(|character| !r"\/".contains(*character))
                .collect();
            let name = if name.is_empty() { "HIVE".to_owned() } else { name };
            return Self {
                is_guess: true,
                ..Self::at(&format!(r"HKLM\{name}"))
            };
        };
        Self {
            control_set: control_set(hive),
            ..Self::at(root)
        }
    }

    /// Where the root stands; a likely place, where nothing says it.
    pub fn root(&self) -> &KeyPath {
        &self.root
    }

    /// The whole path of the key that these names lead to.
    pub fn full_path(&self, names: &[Name]) -> KeyPath {
        KeyPath::from([self.root.names(), names].concat())
    }

    /// As [`resolve`](Self::resolve), for a text with slashes or backslashes between the names.
    pub fn resolve_text(&self, text: &str) -> Result<Vec<Name>, Elsewhere> {
        let path = if text.contains('\\') {
            KeyPath::parse(text)?
        } else {
            KeyPath::parse(&text.replace('/', "\\"))?
        };
        self.resolve(&path)
    }

    /// The names that lead from the file's root to the key of this path. A path without one of the registry's roots begins at
    /// the file's root.
    pub fn resolve(&self, path: &KeyPath) -> Result<Vec<Name>, Elsewhere> {
        let mut names = if path.has_root() {
            self.below_root(path).ok_or_else(|| Elsewhere::Elsewhere {
                path: path.clone(),
                root: self.root.clone(),
            })?
        } else {
            path.names().to_vec()
        };
        if let (Some(control_set), Some(first)) = (&self.control_set, names.first_mut())
            && first.matches(&"CurrentControlSet".encode_utf16().collect::<Vec<_>>())
        {
            *first = control_set.clone();
        }
        Ok(names)
    }

    fn below_root(&self, path: &KeyPath) -> Option<Vec<Name>> {
        if let Some(names) = path.below(&self.root) {
            return Some(names.to_vec());
        }
        for (other, prefix) in &self.others {
            if let Some(names) = path.below(other) {
                return Some([&prefix[..], names].concat());
            }
        }
        let root = path.names().first()?.to_string();
        let is_user = self.root.names().len() == 1 && root == "HKEY_USERS";
        let above = match root.as_str() {
            // A user's hive stands at the user's identifier.
            "HKEY_USERS" if is_user || self.is_guess => 2,
            "HKEY_LOCAL_MACHINE" if self.is_guess => 2,
            "HKEY_CURRENT_USER" | "HKEY_CLASSES_ROOT" if self.is_guess => 1,
            _ => return None,
        };
        path.names().get(above..).map(<[Name]>::to_vec)
    }
}

/// The control set that the hive says is the current one, unless it has a key `CurrentControlSet` itself.
fn control_set(hive: &Hive<'_>) -> Option<Name> {
    if hive.key("CurrentControlSet").ok()?.is_some() {
        return None;
    }
    let value = hive.key("Select").ok()??.value("Current").ok()??;
    let data = value.data().ok()?;
    let number = u32::from_le_bytes(<[u8; 4]>::try_from(&data[..]).ok()?);
    (value.value_type() == ValueType::DWORD).then(|| Name::from(format!("ControlSet{number:03}").as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Value, WriteOptions, write_to_vec};

    fn standing(file: &str, root: &Key) -> Standing {
        let bytes = write_to_vec(root, &WriteOptions::default()).unwrap();
        Standing::of_hive(&Hive::open(&bytes).unwrap(), file)
    }

    fn resolved(standing: &Standing, text: &str) -> Option<String> {
        let names = standing.resolve_text(text).ok()?;
        Some(KeyPath::from(names).to_string())
    }

    #[test]
    fn whole_paths_and_short_ones_lead_to_the_same_key() {
        let root = Key::new("root");
        let software = standing("software", &root);
        for text in [r"HKLM\SOFTWARE\Wine\X", "hklm/software/Wine/X", "Wine/X", r"\Wine\X\"] {
            assert_eq!(resolved(&software, text).as_deref(), Some(r"Wine\X"), "{text}");
        }
        assert_eq!(resolved(&software, r"HKCR\.txt").as_deref(), Some(r"Classes\.txt"));
        assert_eq!(resolved(&software, r"HKLM\SYSTEM\Setup"), None);
        assert_eq!(resolved(&software, r"a/b\c").as_deref(), Some(r"a/b\c"));
        let user = standing("NTUSER.DAT", &root);
        assert_eq!(resolved(&user, r"HKCU\Software").as_deref(), Some("Software"));
        assert_eq!(resolved(&user, r"HKU\S-1-5-21\Software").as_deref(), Some("Software"));
        assert_eq!(resolved(&user, "HKLM"), None);
        let unknown = standing("amcache.hve", &root);
        assert_eq!(unknown.root().to_string(), r"HKEY_LOCAL_MACHINE\amcache.hve");
        assert_eq!(resolved(&unknown, r"HKLM\Anything\Root").as_deref(), Some("Root"));
        let classes = standing("UsrClass.dat", &root);
        assert_eq!(resolved(&classes, r"HKCR\.txt").as_deref(), Some(".txt"));
        assert_eq!(
            resolved(&classes, r"HKCU\Software\Classes\.txt").as_deref(),
            Some(".txt")
        );
    }

    #[test]
    fn the_current_control_set_is_the_selected_one() {
        let mut root = Key::new("root");
        let current = Value::new("Current", ValueType::DWORD, [2, 0, 0, 0]);
        root.subkey_or_insert("Select").values.push(current);
        let system = standing("SYSTEM", &root);
        let text = r"HKLM\SYSTEM\CurrentControlSet\Services";
        assert_eq!(resolved(&system, text).as_deref(), Some(r"ControlSet002\Services"));
        root.subkey_or_insert("CurrentControlSet");
        let system = standing("SYSTEM", &root);
        assert_eq!(resolved(&system, text).as_deref(), Some(r"CurrentControlSet\Services"));
    }
}
