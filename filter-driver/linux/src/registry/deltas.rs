//! The delta hives of a stack.

use crate::member::OWN_DIRECTORY;
use crate::sources::SourceError;
use cv_disk::{DurableFile, Resize, WriteAt};
use cv_hive::read::MAX_HIVE_SIZE;
use cv_hive::{Deletions, Hive, Key, Name, OpenError, WriteError, WriteOptions, merge, write_to_vec};
use cv_overlay::policy::Rule;
use layerfmt::content::HiveName;
use layerfmt::manifest::{EnvironmentAddition, RegistryRule};
use layerfmt::read::Layer;
use layerfmt::stack::key_rules;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The folder of delta hives, below the project's own in a writable folder.
pub(crate) const HIVES: &str = "Hives";

/// Why delta hives could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The layer cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The host refused.
    #[error("cannot use {}", path.display())]
    Host {
        /// The file or folder.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// It is larger than a hive may be.
    #[error("{} has {size} bytes, and {MAX_HIVE_SIZE} are the most of a hive", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// It is no hive.
    #[error("{} is no hive", path.display())]
    NoHive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: OpenError,
    },
    /// A hive is damaged.
    #[error("the hive {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        source: Box<cv_disk::Damage>,
    },
    /// What is to be kept does not fit into a hive.
    #[error("cannot write the hive {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<WriteError>,
    },
}

/// The delta hives of one member of a stack.
pub type Deltas = Vec<(HiveName, Key)>;

/// What a layer says of the registry. Its hives are read when they are first asked for.
#[derive(Debug)]
pub struct LayerRegistry {
    image: PathBuf,
    layer: Layer,
    deltas: OnceLock<Arc<Deltas>>,
}

impl LayerRegistry {
    /// That of a layer in this image.
    pub fn new(image: PathBuf, layer: Layer) -> Self {
        Self {
            image,
            layer,
            deltas: OnceLock::new(),
        }
    }

    /// Whether there is a delta hive of this name.
    pub fn has(&self, hive: HiveName) -> bool {
        self.layer.hives().any(|name| name == hive)
    }

    /// Its delta hives.
    pub fn deltas(&self) -> Result<Arc<Deltas>, DeltaError> {
        if let Some(known) = self.deltas.get() {
            return Ok(known.clone());
        }
        let tree = |name| {
            let (path, tree) = (self.image.clone(), self.layer.hive_tree(name));
            tree.map(|key| (name, key)).map_err(|source| {
                let source = Box::new(source);
                SourceError::Layer { path, source }.into()
            })
        };
        let deltas = self.layer.hives().map(tree).collect::<Result<_, DeltaError>>()?;
        Ok(self.deltas.get_or_init(|| Arc::new(deltas)).clone())
    }

    /// What its manifest adds to environment variables.
    pub fn environment(&self) -> &[EnvironmentAddition] {
        &self.layer.manifest().policy.environment
    }

    /// The rules of its manifest for keys of a hive.
    pub fn rules(&self, hive: HiveName) -> Vec<Rule> {
        key_rules(self.layer.manifest(), hive).0
    }

    /// All its rules for keys, as they stand in the manifest.
    pub fn written_rules(&self) -> &[RegistryRule] {
        &self.layer.manifest().policy.registry
    }
}

/// Where a writable folder has its delta hive of this name.
pub fn path_in(writable: &Path, name: HiveName) -> PathBuf {
    writable.join(OWN_DIRECTORY).join(HIVES).join(name.file_name())
}

/// The delta hives of a writable folder.
pub fn of_writable(writable: &Path) -> Result<Deltas, DeltaError> {
    let mut deltas = Vec::new();
    for name in HiveName::ALL {
        let path = path_in(writable, name);
        let host = |source| DeltaError::Host {
            path: path.clone(),
            source,
        };
        let size = match path.metadata() {
            Ok(facts) => facts.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(host(error)),
        };
        if size > MAX_HIVE_SIZE {
            return Err(DeltaError::TooLarge { path, size });
        }
        let bytes = std::fs::read(&path).map_err(host)?;
        let hive = Hive::open(&bytes).map_err(|source| DeltaError::NoHive {
            path: path.clone(),
            source,
        })?;
        let tree = hive.to_tree().map_err(|source| DeltaError::Damaged {
            path: path.clone(),
            source: Box::new(source),
        })?;
        deltas.push((name, tree));
    }
    Ok(deltas)
}

/// Adds `changes` to what a writable folder has, whose delta hives were `kept` so far. Each hive is there as it was or as it
/// is to be; all are made durable before the first takes its place.
pub fn keep(writable: &Path, mut kept: Deltas, changes: Deltas) -> Result<(), DeltaError> {
    let mut files = Vec::new();
    for (name, change) in changes {
        let place = kept.iter().position(|(hive, _)| *hive == name);
        let mut key = place.map_or_else(|| Key::new("ROOT"), |place| kept.swap_remove(place).1);
        if place.is_none() {
            key.inherits_class = true;
        }
        merge(&mut key, change, Deletions::Mark);
        key.name = Name::from("ROOT");
        let path = path_in(writable, name);
        let host = |source| DeltaError::Host {
            path: path.clone(),
            source,
        };
        let options = WriteOptions {
            last_written: latest(&key),
            file_name: Name::from(name.file_name()),
            ..WriteOptions::default()
        };
        let bytes = write_to_vec(&key, &options).map_err(|source| DeltaError::Write {
            path: path.clone(),
            source: Box::new(source),
        })?;
        let folder = writable.join(OWN_DIRECTORY).join(HIVES);
        std::fs::create_dir_all(folder).map_err(host)?;
        let file = DurableFile::create(&path).map_err(host)?;
        let disk = file.disk();
        let written = disk.set_len(bytes.len() as u64).and_then(|()| disk.write_at(&bytes, 0));
        written.map_err(|error| host(io::Error::other(error)))?;
        files.push(file);
    }
    DurableFile::commit_all(files).map_err(|source| DeltaError::Host {
        path: writable.join(OWN_DIRECTORY).join(HIVES),
        source,
    })
}

/// When the key written last was.
pub(super) fn latest(root: &Key) -> u64 {
    let (mut latest, mut pending) = (0, vec![root]);
    while let Some(key) = pending.pop() {
        latest = latest.max(key.last_written);
        pending.extend(&key.subkeys);
    }
    latest
}
