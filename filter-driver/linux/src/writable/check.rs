//! What in a writable folder does not go with the base and the layers it is used over: copies that shadow another
//! file than they were made of, as after an update of a layer, copies of a layer that is gone, whiteouts that hide nothing,
//! areas of layers that are gone. A copy that was moved over another file hides that on purpose.

use crate::areas;
use crate::facts::Owner;
use crate::member::{Entry, FolderMember, Member, MemberError, OWN_DIRECTORY};
use crate::sources::{Allowed, Base, LayerOptions, SourceError, open_folder, open_layer};
use crate::upper::{Origin, Upper, file_number_at};
use cv_overlay::{Attachment, Kind, Layer, LayerId, NamePath, Role, Stack};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Findings that are listed at most.
const MOST: usize = 100_000;

/// Why a folder could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The folder, the base or a layer cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The folder is mounted, or cannot be a writable folder.
    #[error("cannot take {} into use: {}", path.display(), crate::mount::explain_upper(*source))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// What failed.
        source: Errno,
    },
    /// Something in it, or in what it is used over, cannot be read.
    #[error("{path}")]
    Read {
        /// The path in the view.
        path: String,
        /// What failed.
        source: MemberError,
    },
    /// There is more wrong than is listed.
    #[error("{} has more than {MOST} entries that do not go with its layers", .0.display())]
    TooMany(PathBuf),
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It is a copy of another file than the one of this member that it hides.
    Shadows(PathBuf),
    /// It is a copy of a file of something that is not in the stack.
    OriginGone,
    /// It is a whiteout, and there is nothing to hide.
    HidesNothing,
    /// It is the area of a layer that is not in the stack.
    AreaOfGone,
}

/// An entry that does not go with the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its path in the folder.
    pub path: Vec<u8>,
    /// What is wrong.
    pub problem: Problem,
}

/// A folder that was checked, and that nobody else can mount before this goes.
#[derive(Debug)]
pub struct Checked {
    /// The folder.
    pub folder: PathBuf,
    /// What was found, by path.
    pub findings: Vec<Finding>,
    _lock: Upper,
}

/// Checks a writable folder against the base and the layers that it is used over, the lowest first.
pub fn check(folder: &Path, base: &Path, layers: &[PathBuf], allowed: &Allowed) -> Result<Checked, CheckError> {
    let base = Base::open(base, allowed)?;
    let names = Arc::new(base.names(false));
    let site = base.site();
    let mut members = vec![base.into_member(&names, false)?];
    let options = LayerOptions {
        allowed: allowed.clone(),
        site,
        ..LayerOptions::default()
    };
    for layer in layers {
        members.push(open_layer(layer, &options, &names)?);
    }
    let attachments = members.iter().zip(1..).map(|(opened, number)| {
        let (id, role) = (LayerId(number), opened.facts.role);
        Attachment::new(id, role, opened.member.clone())
    });
    let checker = Checker {
        stack: Stack::new((*names).clone(), attachments.collect()),
        known: members
            .iter()
            .map(|opened| (opened.facts.uuid, opened.facts.source.clone()))
            .collect(),
    };
    let writable = open_folder(folder, &names, Role::Writable, true, site)?;
    let folder = writable.facts.source.clone();
    let owner = Owner {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        umask: 0o022,
    };
    let lock = Upper::open(&writable.member, owner).map_err(|source| CheckError::InUse {
        path: folder.clone(),
        source,
    })?;
    let mut findings = Vec::new();
    let too_many = || CheckError::TooMany(folder.clone());
    checker
        .walk(&writable.member, &mut findings)
        .map_err(|error| error.unwrap_or_else(too_many))?;
    for area in areas::ids(&folder) {
        let is_known = checker.known.iter().any(|(uuid, _)| *uuid == *area.as_bytes());
        if !is_known {
            findings.push(Finding {
                path: format!("{OWN_DIRECTORY}/{}/{area}", areas::AREAS).into_bytes(),
                problem: Problem::AreaOfGone,
            });
        }
    }
    findings.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(Checked {
        folder,
        findings,
        _lock: lock,
    })
}

struct Checker {
    stack: Stack<Arc<Member>>,
    known: Vec<([u8; 16], PathBuf)>,
}

impl Checker {
    /// By what a member is known. Ids count from 1 in that order.
    fn known_as(&self, id: LayerId) -> Option<&([u8; 16], PathBuf)> {
        self.known.get((id.0 as usize).wrapping_sub(1))
    }

    fn is_member(&self, id: LayerId, uuid: [u8; 16]) -> bool {
        self.known_as(id).is_some_and(|(known, _)| *known == uuid)
    }

    /// Looks at all that a writable folder holds; `None` is an error by too many findings.
    fn walk(&self, writable: &Member, findings: &mut Vec<Finding>) -> Result<(), Option<CheckError>> {
        let Some(folder) = writable.folder() else {
            return Ok(());
        };
        let read = |path: &NamePath| {
            let path = path.to_string();
            move |source| Some(CheckError::Read { path, source })
        };
        let root = writable.root().map_err(read(&NamePath::root()))?;
        // Each with whether what lies below the writable folder shows in it.
        let mut waiting: Vec<_> = root.into_iter().map(|root| (root, NamePath::root(), true)).collect();
        while let Some((directory, path, shows_more)) = waiting.pop() {
            let shows_more = shows_more && writable.kind(&directory) != Kind::OpaqueDirectory;
            for entry in writable.list(&directory).map_err(read(&path))? {
                let entry = entry.map_err(read(&path))?;
                let path = path.joined(writable.name(&entry));
                if writable.kind(&entry).is_directory() {
                    waiting.push((entry, path, shows_more));
                    continue;
                }
                if writable.kind(&entry) == Kind::Whiteout && !shows_more {
                    // It came along when the directory moved, and cannot have had anything to hide since.
                    continue;
                }
                let problem = self
                    .problem(folder, (&entry, writable.kind(&entry)), &path)
                    .map_err(read(&path))?;
                if let (Some(problem), Some(entry)) = (problem, entry.as_folder()) {
                    if findings.len() >= MOST {
                        return Err(None);
                    }
                    findings.push(Finding {
                        path: entry.path.to_vec(),
                        problem,
                    });
                }
            }
        }
        Ok(())
    }

    fn problem(
        &self,
        folder: &FolderMember,
        (entry, kind): (&Entry, Kind),
        path: &NamePath,
    ) -> Result<Option<Problem>, MemberError> {
        let Some(entry) = entry.as_folder() else {
            return Ok(None);
        };
        let below = || Ok::<_, MemberError>(self.stack.resolve(path)?.found());
        match kind {
            Kind::Whiteout => Ok(below()?.is_none().then_some(Problem::HidesNothing)),
            Kind::File => {
                let file = match folder.open(&entry.path, OFlags::RDONLY | OFlags::NONBLOCK) {
                    Ok(file) => file,
                    // A socket is no copy.
                    Err(Errno::NXIO | Errno::NODEV) => return Ok(None),
                    Err(errno) => return Err(errno.into()),
                };
                let Some(origin) = Origin::of(&file) else {
                    return Ok(None);
                };
                let members = self.stack.members();
                let made_of = members
                    .iter()
                    .position(|member| self.is_member(member.id, origin.member));
                let Some(place) = below()? else {
                    return Ok(made_of.is_none().then_some(Problem::OriginGone));
                };
                // A copy that somebody moved here is not of what it hides, and is to hide it.
                let was_moved = made_of.is_some_and(|position| {
                    let copied = file_number_at(&self.stack, position, path);
                    copied != Some(origin.file)
                });
                let shown = members.get(place.winner().position);
                let shown = shown.filter(|member| !was_moved && !self.is_member(member.id, origin.member));
                let shown = shown.and_then(|member| self.known_as(member.id));
                Ok(shown.map(|(_, source)| Problem::Shadows(source.clone())))
            }
            _ => Ok(None),
        }
    }
}
