//! A registry file of a base, read to be merged with the deltas of a stack, and written again.

use super::trees::HiveTrees;
use super::wine::{LARGEST, WineFile};
use cv_disk::{Faults, ReadAt};
use cv_hive::file::{LogFile, RegistryFile};
use cv_hive::read::{MAX_HIVE_SIZE, read_to_memory};
use cv_hive::wine::WineRegistry;
use cv_hive::{Key, Name, WriteOptions, write_to_vec};
use layerfmt::content::HiveName;
use std::error::Error;

/// The name of the file in which Windows has the classes of a user.
pub const CLASSES_HIVE: &str = "UsrClass.dat";

/// Where those are in the hive of a user.
const CLASSES: [&str; 2] = ["Software", "Classes"];

/// What form a registry file has, and which hives of layers it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// A regf hive.
    Hive(HiveName),
    /// The regf hive of what a user's hive has in `Software\Classes`.
    UserClasses,
    /// Wine's `system.reg`.
    WineSystem,
    /// Wine's `user.reg`.
    WineUser,
}

impl Form {
    /// The hives of layers that it can hold.
    pub fn hives(self) -> impl Iterator<Item = HiveName> {
        HiveName::ALL.into_iter().filter(move |hive| match self {
            Self::Hive(own) => own == *hive,
            Self::WineSystem => *hive != HiveName::User,
            Self::UserClasses | Self::WineUser => *hive == HiveName::User,
        })
    }

    /// The name that a regf hive has; `None` for Wine's files.
    pub fn hive_file_name(self) -> Option<&'static str> {
        match self {
            Self::Hive(name) => Some(name.file_name()),
            Self::UserClasses => Some(CLASSES_HIVE),
            Self::WineSystem | Self::WineUser => None,
        }
    }
}

/// What is wrong with a file.
pub type FileFault = Box<dyn Error + Send + Sync>;

/// What a registry file holds.
#[derive(Debug, Clone)]
pub enum RegistryTree {
    /// A regf hive.
    Hive {
        /// Which.
        name: HiveName,
        /// Its root.
        root: Key,
        /// Whether the classes of this user are in a file of their own.
        is_without_classes: bool,
    },
    /// The classes of a user.
    UserClasses {
        /// A user's hive that has them alone, where they are in one.
        user: Key,
        /// The name of the file's root.
        name: Name,
    },
    /// A file of Wine.
    Wine(WineFile),
}

/// The whole content of a registry file, which is bounded.
pub fn read_whole(source: &dyn ReadAt, form: Form) -> Result<Vec<u8>, FileFault> {
    if form.hive_file_name().is_some() {
        return Ok(read_to_memory(source, MAX_HIVE_SIZE)?);
    }
    if source.len() > LARGEST {
        return Err(format!(
            "it has {} bytes, and {LARGEST} are the most that are read",
            source.len()
        )
        .into());
    }
    let mut bytes = vec![0; source.len() as usize];
    source.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

impl RegistryTree {
    /// What these bytes hold, and for a dirty hive the logs beside it. Of a damaged hive what can be read counts.
    pub fn parse(bytes: Vec<u8>, form: Form, logs: Vec<LogFile>) -> Result<Self, FileFault> {
        let Some(name) = form.hive_file_name() else {
            return Ok(Self::Wine(WineFile {
                is_user: form == Form::WineUser,
                registry: WineRegistry::parse(&bytes)?,
            }));
        };
        let file = RegistryFile::from_bytes(bytes, name, logs)?;
        if file.hive().is_none() {
            return Err("it is no hive".into());
        }
        Ok(Self::of_root(form, file.tree(&[], &mut Faults::new())?))
    }

    fn of_root(form: Form, mut root: Key) -> Self {
        if let Form::Hive(name) = form {
            let is_without_classes = false;
            return Self::Hive {
                name,
                root,
                is_without_classes,
            };
        }
        let mut user = Key::new("ROOT");
        let [software, classes] = CLASSES;
        let name = std::mem::replace(&mut root.name, Name::from(classes));
        user.subkey_or_insert(software).subkeys.push(root);
        Self::UserClasses { user, name }
    }

    /// The classes of the user whose hive this is are in a file of their own: here deltas say nothing of them.
    pub fn leave_out_classes(&mut self) {
        if let Self::Hive { is_without_classes, .. } = self {
            *is_without_classes = true;
        }
    }

    /// The same read strictly: anything that is damaged is an error.
    pub fn parse_whole(bytes: Vec<u8>, form: Form) -> Result<Self, FileFault> {
        if form.hive_file_name().is_none() {
            return Self::parse(bytes, form, Vec::new());
        }
        let hive = cv_hive::Hive::open(&bytes)?;
        if hive.is_dirty() {
            return Err("it was not written to its end".into());
        }
        Ok(Self::of_root(form, hive.to_tree()?))
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FileFault> {
        match self {
            Self::Hive { name, root, .. } => write(root, name.file_name()),
            Self::UserClasses { user, name } => {
                let classes = user.descendant(&CLASSES.map(Name::from)).cloned();
                let mut root = classes.unwrap_or_else(|| Key::new(""));
                root.name = name.clone();
                write(&root, CLASSES_HIVE)
            }
            Self::Wine(file) => {
                let mut bytes = Vec::new();
                file.registry.write(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}

fn write(root: &Key, file_name: &str) -> Result<Vec<u8>, FileFault> {
    let options = WriteOptions {
        last_written: super::deltas::latest(root),
        file_name: Name::from(file_name),
        ..WriteOptions::default()
    };
    Ok(write_to_vec(root, &options)?)
}

impl HiveTrees for RegistryTree {
    fn tree(&self, hive: HiveName) -> Option<&Key> {
        match self {
            Self::Hive { name, root, .. } => (*name == hive).then_some(root),
            Self::UserClasses { user, .. } => (hive == HiveName::User).then_some(user),
            Self::Wine(file) => file.tree(hive),
        }
    }

    fn tree_mut(&mut self, hive: HiveName) -> Option<&mut Key> {
        match self {
            Self::Hive { name, root, .. } => (*name == hive).then_some(root),
            Self::UserClasses { user, .. } => (hive == HiveName::User).then_some(user),
            Self::Wine(file) => file.tree_mut(hive),
        }
    }

    fn current_set(&self) -> Option<Name> {
        match self {
            Self::UserClasses { .. } => None,
            Self::Hive { name, root, .. } => {
                // Windows counts its control sets and says in `Select` which it uses.
                let select = root.subkey("Select").filter(|_| *name == HiveName::System)?;
                let number = u32::from_le_bytes(select.value("Current")?.data.as_ref().try_into().ok()?);
                Some(Name::from(format!("ControlSet{number:03}").as_str()))
            }
            Self::Wine(file) => file.current_set(),
        }
    }

    fn reduce(&self, delta: &mut Key) {
        match self {
            Self::Wine(file) => file.reduce(delta),
            Self::Hive { is_without_classes, .. } => {
                if *is_without_classes && let Some(software) = subkey_mut(delta, CLASSES[0]) {
                    software.subkeys.retain(|key| !is_named(key, CLASSES[1]));
                }
            }
            Self::UserClasses { .. } => {
                keep_only(delta, CLASSES[0]);
                if let Some(software) = subkey_mut(delta, CLASSES[0]) {
                    keep_only(software, CLASSES[1]);
                }
            }
        }
    }
}

fn is_named(key: &Key, name: &str) -> bool {
    key.name.matches(Name::from(name).units())
}

fn subkey_mut<'k>(key: &'k mut Key, name: &str) -> Option<&'k mut Key> {
    key.subkeys.iter_mut().find(|subkey| is_named(subkey, name))
}

/// Leaves a key nothing but one subkey.
fn keep_only(key: &mut Key, name: &str) {
    key.values.clear();
    key.subkeys.retain(|subkey| is_named(subkey, name));
}
