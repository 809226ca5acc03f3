//! The folders that rules of manifests send writes to, all inside the writable folder's own directory, where no program sees
//! them: an area for each layer that isolates, seen only while the layer is attached, and one session folder for what is
//! forgotten at logoff, which is when the mount ends.

use crate::facts::Owner;
use crate::member::{OWN_DIRECTORY, Site};
use crate::mount::MountError;
use crate::sources::{Opened, open_folder};
use crate::upper::Upper;
use crate::view::NewMember;
use cv_overlay::policy::Action;
use cv_overlay::{LayerId, Names, Role};
use layerfmt::content::HiveName;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of areas, by the ids of their layers.
pub(crate) const AREAS: &str = "areas";

/// The folder of what is forgotten.
pub(crate) const SESSION: &str = "session";

/// The folders that are open already, and how others are opened.
#[derive(Debug)]
pub struct Areas {
    writable: Option<PathBuf>,
    names: Arc<Names>,
    owner: Owner,
    site: Site,
}

impl Areas {
    /// Those of a writable folder; without one there are none, and what would be written in them is refused.
    pub fn new(writable: Option<PathBuf>, names: Arc<Names>, owner: Owner, site: Site) -> Self {
        Self {
            writable,
            names,
            owner,
            site,
        }
    }

    /// What must stand in the stack beside a layer: its area, and the session where that is not there yet.
    pub fn beside(&self, layer: &Opened, id: LayerId, has_session: bool) -> Result<Vec<NewMember>, MountError> {
        let Some(writable) = &self.writable else {
            return Ok(Vec::new());
        };
        let own = writable.join(OWN_DIRECTORY);
        let of_keys = |action| {
            let registry = layer.registry.iter();
            let mut rules = registry.flat_map(|registry| HiveName::ALL.map(|hive| registry.rules(hive)).concat());
            rules.any(|rule| rule.action == action)
        };
        let has = |action| layer.rules.iter().any(|rule| rule.action == action) || of_keys(action);
        let mut members = Vec::new();
        if has(Action::Isolate) {
            let uuid = uuid::Uuid::from_bytes(layer.facts.uuid).to_string();
            members.push(self.open(&own.join(AREAS).join(uuid), Role::Area(id))?);
        }
        if has(Action::Discard) && !has_session {
            let folder = own.join(SESSION);
            // Left behind by a mount that was killed.
            remove(&folder).map_err(|error| refused(&folder, &error))?;
            members.push(self.open(&folder, Role::Session)?);
        }
        Ok(members)
    }

    fn open(&self, folder: &Path, role: Role) -> Result<NewMember, MountError> {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|error| refused(folder, &error))?;
        let opened = open_folder(folder, &self.names, role, true, self.site)?;
        NewMember::writable(opened, self.owner)
    }

    /// Forgets what was written under rules that say so.
    pub fn discard(&self) -> io::Result<()> {
        match &self.writable {
            Some(writable) => remove(&writable.join(OWN_DIRECTORY).join(SESSION)),
            None => Ok(()),
        }
    }
}

fn refused(folder: &Path, error: &io::Error) -> MountError {
    MountError::Writable {
        path: folder.to_path_buf(),
        source: rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO),
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

impl NewMember {
    /// A folder that takes writes.
    pub(crate) fn writable(opened: Opened, owner: Owner) -> Result<Self, MountError> {
        let upper = Upper::open(&opened.member, owner).map_err(|source| MountError::Writable {
            path: opened.facts.source.clone(),
            source,
        })?;
        Ok(Self {
            upper: Some(upper),
            ..opened.into()
        })
    }
}

impl From<Opened> for NewMember {
    fn from(opened: Opened) -> Self {
        Self {
            facts: opened.facts,
            rules: opened.rules,
            member: opened.member,
            upper: None,
            scripts: opened.scripts,
            registry: opened.registry,
        }
    }
}

/// The ids of the layers that have areas in a writable folder.
pub(crate) fn ids(writable: &Path) -> Vec<uuid::Uuid> {
    let Ok(folder) = fs::read_dir(writable.join(OWN_DIRECTORY).join(AREAS)) else {
        return Vec::new();
    };
    let names = folder
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}
