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

/// What form a registry file has, and which hives of layers it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// A regf hive.
    Hive(HiveName),
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
            Self::WineUser => *hive == HiveName::User,
        })
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
    },
    /// A file of Wine.
    Wine(WineFile),
}

/// The whole content of a registry file, which is bounded.
pub fn read_whole(source: &dyn ReadAt, form: Form) -> Result<Vec<u8>, FileFault> {
    if let Form::Hive(_) = form {
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
        match form {
            Form::Hive(name) => {
                let file = RegistryFile::from_bytes(bytes, name.file_name(), logs)?;
                if file.hive().is_none() {
                    return Err("it is no hive".into());
                }
                let root = file.tree(&[], &mut Faults::new())?;
                Ok(Self::Hive { name, root })
            }
            Form::WineSystem | Form::WineUser => Ok(Self::Wine(WineFile {
                is_user: form == Form::WineUser,
                registry: WineRegistry::parse(&bytes)?,
            })),
        }
    }

    /// The same read strictly: anything that is damaged is an error.
    pub fn parse_whole(bytes: Vec<u8>, form: Form) -> Result<Self, FileFault> {
        match form {
            Form::Hive(name) => {
                let hive = cv_hive::Hive::open(&bytes)?;
                if hive.is_dirty() {
                    return Err("it was not written to its end".into());
                }
                let root = hive.to_tree()?;
                Ok(Self::Hive { name, root })
            }
            Form::WineSystem | Form::WineUser => Self::parse(bytes, form, Vec::new()),
        }
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FileFault> {
        match self {
            Self::Hive { name, root } => {
                let options = WriteOptions {
                    last_written: super::deltas::latest(root),
                    file_name: Name::from(name.file_name()),
                    ..WriteOptions::default()
                };
                Ok(write_to_vec(root, &options)?)
            }
            Self::Wine(file) => {
                let mut bytes = Vec::new();
                file.registry.write(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}

impl HiveTrees for RegistryTree {
    fn tree(&self, hive: HiveName) -> Option<&Key> {
        match self {
            Self::Hive { name, root } => (*name == hive).then_some(root),
            Self::Wine(file) => file.tree(hive),
        }
    }

    fn tree_mut(&mut self, hive: HiveName) -> Option<&mut Key> {
        match self {
            Self::Hive { name, root } => (*name == hive).then_some(root),
            Self::Wine(file) => file.tree_mut(hive),
        }
    }

    fn current_set(&self) -> Option<Name> {
        match self {
            Self::Hive { name, root } => {
                // Windows counts its control sets and says in `Select` which it uses.
                let select = root.subkey("Select").filter(|_| *name == HiveName::System)?;
                let number = u32::from_le_bytes(select.value("Current")?.data.as_ref().try_into().ok()?);
                Some(Name::from(format!("ControlSet{number:03}").as_str()))
            }
            Self::Wine(file) => file.current_set(),
        }
    }

    fn reduce(&self, delta: &mut Key) {
        if let Self::Wine(file) = self {
            file.reduce(delta);
        }
    }
}
