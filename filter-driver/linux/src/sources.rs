//! What a mount is made of, opened by its path: folders, volumes, layers.

use crate::member::{FolderMember, Marks, Member, NtfsMember};
use crate::view::MemberFacts;
use cv_disk::ReadAt;
use cv_image::{Gate, Image, OpenOptions};
use cv_ntfs::structure::FileReference;
use cv_ntfs::{FileError, Volume};
use cv_overlay::{LayerId, Names, Role};
use layerfmt::FILES_DIRECTORY;
use layerfmt::index::{Index, Limits};
use layerfmt::read::{Layer, LayerError, OpenError};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why something could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The host refused.
    #[error("cannot open {}", path.display())]
    Host {
        /// The file or folder.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// It is no image that can be read.
    #[error("cannot open the image {}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// What failed.
        source: Box<cv_image::OpenError>,
    },
    /// It holds no volume that can be read.
    #[error("cannot read {}", path.display())]
    Volume {
        /// The image.
        path: PathBuf,
        /// What failed.
        source: Box<cv_volume::FindError>,
    },
    /// Something on the volume cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The image.
        path: PathBuf,
        /// What failed.
        source: Box<FileError>,
    },
    /// Its manifest is refused.
    #[error("cannot open the layer {}", path.display())]
    NoLayer {
        /// The image.
        path: PathBuf,
        /// What failed.
        source: Box<OpenError>,
    },
    /// A part of the layer cannot be read.
    #[error("cannot read the layer {}", path.display())]
    Layer {
        /// The image.
        path: PathBuf,
        /// What failed.
        source: Box<LayerError>,
    },
    /// A layer must be a disk image.
    #[error("{} is a folder, expected the disk image of a layer", .0.display())]
    FolderAsLayer(PathBuf),
}

/// Where images may be found that others need: parents, extents.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Folders besides the image's own.
    pub folders: Vec<PathBuf>,
}

/// Something opened, to stand in a stack.
#[derive(Debug)]
pub struct Opened {
    /// What it is called; the id and the role are the stack's.
    pub facts: MemberFacts,
    /// The rules of its manifest.
    pub rules: Vec<cv_overlay::policy::Rule>,
    /// The thing itself.
    pub member: Arc<Member>,
}

/// A base or layer whose names' order is not yet known.
#[derive(Debug)]
pub enum Base {
    /// A folder.
    Folder(PathBuf),
    /// A volume in an image.
    Volume(PathBuf, Volume),
}

fn facts(path: &Path, role: Role, uuid: [u8; 16]) -> MemberFacts {
    MemberFacts {
        id: LayerId(0),
        role,
        source: path.to_path_buf(),
        name: None,
        uuid,
        priority: 0,
    }
}

fn host_error(path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.to_path_buf();
    move |source| SourceError::Host { path, source }
}

/// Opens the volume in an image.
pub fn open_volume(path: &Path, allowed: &Allowed) -> Result<Volume, SourceError> {
    let mut gate = Gate::beside(path).map_err(host_error(path))?;
    for folder in &allowed.folders {
        gate = gate.and_folder(folder).map_err(host_error(folder))?;
    }
    let image = Image::open(path, &OpenOptions::new(gate)).map_err(|source| SourceError::Image {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    let disk: Arc<dyn ReadAt> = Arc::new(image);
    cv_volume::open_volume(&disk, None).map_err(|source| SourceError::Volume {
        path: path.to_path_buf(),
        source: Box::new(source),
    })
}

impl Base {
    /// Opens a base: a folder, or the first NTFS volume of an image.
    pub fn open(path: &Path, allowed: &Allowed) -> Result<Self, SourceError> {
        let path = path.canonicalize().map_err(host_error(path))?;
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        let volume = open_volume(&path, allowed)?;
        Ok(Self::Volume(path, volume))
    }

    /// How names compare on it.
    pub fn names(&self, case_sensitive: bool) -> Names {
        match self {
            _ if case_sensitive => Names::case_sensitive(),
            Self::Folder(_) => Names::windows(),
            Self::Volume(_, volume) => Names::folded(volume.upcase().clone()),
        }
    }

    /// It as a member.
    pub fn into_member(self, names: &Arc<Names>) -> Result<Opened, SourceError> {
        match self {
            Self::Folder(path) => open_folder(&path, names, Role::Base),
            Self::Volume(path, volume) => plain_volume(&path, volume, names, Role::Base),
        }
    }
}

/// Opens a folder as base or writable volume.
pub fn open_folder(path: &Path, names: &Arc<Names>, role: Role) -> Result<Opened, SourceError> {
    let path = path.canonicalize().map_err(host_error(path))?;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| host_error(&path)(errno.into()))?;
    let stat = rustix::fs::fstat(&root).map_err(|errno| host_error(&path)(errno.into()))?;
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&stat.st_dev.to_le_bytes());
    uuid[8..].copy_from_slice(&stat.st_ino.to_le_bytes());
    Ok(Opened {
        facts: facts(&path, role, uuid),
        rules: Vec::new(),
        member: Arc::new(Member::Folder(FolderMember::new(root, names.clone(), role.is_upper()))),
    })
}

fn plain_volume(path: &Path, volume: Volume, names: &Arc<Names>, role: Role) -> Result<Opened, SourceError> {
    let root = volume.root().map_err(|source| SourceError::File {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    let mut uuid = *b"ntfs-volume\0\0\0\0\0";
    uuid[8..].copy_from_slice(&volume.serial_number().to_le_bytes());
    let reference: FileReference = root.reference();
    Ok(Opened {
        facts: facts(path, role, uuid),
        rules: Vec::new(),
        member: Arc::new(Member::Ntfs(NtfsMember::new(
            volume,
            Some(reference),
            names.clone(),
            Marks::none(),
        ))),
    })
}

/// Opens a layer in its image.
pub fn open_layer(path: &Path, allowed: &Allowed, names: &Arc<Names>) -> Result<Opened, SourceError> {
    let path = path.canonicalize().map_err(host_error(path))?;
    if path.is_dir() {
        return Err(SourceError::FolderAsLayer(path));
    }
    let volume = open_volume(&path, allowed)?;
    let refused = |source: LayerError| SourceError::Layer {
        path: path.clone(),
        source: Box::new(source),
    };
    let layer = match Layer::open_volume(volume.clone()) {
        Ok(layer) => layer,
        // A volume without manifest is a layer of nothing but files.
        Err(OpenError::NoLayer) => return plain_volume(&path, volume, names, Role::Layer),
        Err(source) => {
            return Err(SourceError::NoLayer {
                path,
                source: Box::new(source),
            });
        }
    };
    let files = volume.open_str(FILES_DIRECTORY);
    let root = match files {
        Ok(files) => Some(files.reference()),
        Err(FileError::NotFound { .. }) => None,
        Err(source) => {
            return Err(SourceError::File {
                path,
                source: Box::new(source),
            });
        }
    };
    // What the index says of single files is not kept: a large layer takes no more memory than a small one.
    let packed = layer.index_bytes().map_err(refused)?;
    let index = Index::parse(&packed, &Limits::default()).map_err(|source| refused(LayerError::Index(source)))?;
    let marks = Marks::of(&index, names);
    drop(index);
    let manifest = layer.manifest();
    Ok(Opened {
        facts: MemberFacts {
            name: Some(manifest.name.clone()).filter(|name| !name.is_empty()),
            ..facts(&path, Role::Layer, *manifest.id.as_bytes())
        },
        rules: Vec::new(),
        member: Arc::new(Member::Ntfs(NtfsMember::new(volume, root, names.clone(), marks))),
    })
}
