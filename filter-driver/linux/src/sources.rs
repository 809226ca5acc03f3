//! What a mount is made of, opened by its path: folders, volumes, layers.

use crate::integrity::{Integrity, Signature, TrustError, Verifier, judge};
use crate::member::{DRIVE, FolderMember, Marks, Member, NtfsMember, Site};
use crate::registry::deltas::LayerRegistry;
use crate::registry::wine::SYSTEM_FILE;
use crate::scripts::{ScriptError, ScriptSet};
use crate::view::MemberFacts;
use cv_disk::ReadAt;
use cv_image::{Gate, Image, OpenOptions};
use cv_ntfs::structure::FileReference;
use cv_ntfs::{FileError, Volume};
use cv_overlay::policy::Rule;
use cv_overlay::{LayerId, Names, Role};
use layerfmt::content::HiveName;
use layerfmt::index::{Index, Limits};
use layerfmt::read::{Layer, LayerError, OpenError};
use layerfmt::stack::{file_rules, key_rules};
use layerfmt::{FILES_DIRECTORY, INDEX_NAME, Manifest, Sha256Sum};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

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
    /// The layer is not what the trust policy asks for.
    #[error("the layer {} is not trusted", path.display())]
    Untrusted {
        /// The image.
        path: PathBuf,
        /// What is missing.
        source: Box<TrustError>,
    },
    /// A script of the layer cannot be run.
    #[error("cannot take the scripts of the layer {}", path.display())]
    Script {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        source: Box<ScriptError>,
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
    pub rules: Vec<Rule>,
    /// The thing itself.
    pub member: Arc<Member>,
    /// Rules that cannot be read, and what is wrong with them.
    pub faulty_rules: Vec<String>,
    /// Its scripts, where they were asked for.
    pub scripts: Option<Arc<ScriptSet>>,
    /// What it says of the registry, of a layer.
    pub registry: Option<Arc<LayerRegistry>>,
    /// How long it took to judge the signature and the index, in microseconds.
    pub verify_us: u64,
}

impl Opened {
    fn new(facts: MemberFacts, member: Member) -> Self {
        Self {
            facts,
            rules: Vec::new(),
            member: Arc::new(member),
            faulty_rules: Vec::new(),
            scripts: None,
            registry: None,
            verify_us: 0,
        }
    }
}

/// What is to be done with a layer while it is opened.
#[derive(Debug, Clone, Default)]
pub struct LayerOptions {
    /// Where images may be found that it needs.
    pub allowed: Allowed,
    /// What is asked of it.
    pub integrity: Integrity,
    /// Whether its scripts are to be run.
    pub scripts: bool,
    /// What the root of the view is.
    pub site: Site,
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
        signature: Signature::default(),
        scripts: Vec::new(),
        verifies_reads: false,
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

    /// What the root of a view of it is: of a Wine prefix the prefix.
    pub fn site(&self) -> Site {
        match self {
            Self::Folder(path) if path.join(DRIVE).is_dir() && path.join(SYSTEM_FILE).is_file() => Site::Prefix,
            _ => Site::Drive,
        }
    }

    /// It as a member.
    pub fn into_member(self, names: &Arc<Names>, takes_writes: bool) -> Result<Opened, SourceError> {
        match self {
            Self::Folder(path) => open_folder(&path, names, Role::Base, takes_writes, Site::Drive),
            Self::Volume(path, volume) => plain_volume(&path, volume, names, Role::Base, Site::Drive),
        }
    }
}

/// Opens a folder as base or writable volume. A base is the view's root whatever that is.
pub fn open_folder(
    path: &Path,
    names: &Arc<Names>,
    role: Role,
    takes_writes: bool,
    site: Site,
) -> Result<Opened, SourceError> {
    let path = path.canonicalize().map_err(host_error(path))?;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| host_error(&path)(errno.into()))?;
    let stat = rustix::fs::fstat(&root).map_err(|errno| host_error(&path)(errno.into()))?;
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&stat.st_dev.to_le_bytes());
    uuid[8..].copy_from_slice(&stat.st_ino.to_le_bytes());
    let member = FolderMember::new(root, names.clone(), takes_writes).standing_in(site);
    Ok(Opened::new(facts(&path, role, uuid), Member::Folder(member)))
}

fn plain_volume(
    path: &Path,
    volume: Volume,
    names: &Arc<Names>,
    role: Role,
    site: Site,
) -> Result<Opened, SourceError> {
    let root = volume.root().map_err(|source| SourceError::File {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    let mut uuid = *b"ntfs-volume\0\0\0\0\0";
    uuid[8..].copy_from_slice(&volume.serial_number().to_le_bytes());
    let reference: FileReference = root.reference();
    let mut member = NtfsMember::new(volume, Some(reference), names.clone(), Marks::none());
    member.stand_in(site);
    Ok(Opened::new(facts(path, role, uuid), Member::Ntfs(member)))
}

/// Opens a layer in its image.
pub fn open_layer(path: &Path, options: &LayerOptions, names: &Arc<Names>) -> Result<Opened, SourceError> {
    let path = path.canonicalize().map_err(host_error(path))?;
    if path.is_dir() {
        return Err(SourceError::FolderAsLayer(path));
    }
    let untrusted = |source: TrustError| SourceError::Untrusted {
        path: path.clone(),
        source: Box::new(source),
    };
    let volume = {
        let _span = tracing::debug_span!("open").entered();
        open_volume(&path, &options.allowed)?
    };
    let refused = |source: LayerError| SourceError::Layer {
        path: path.clone(),
        source: Box::new(source),
    };
    let integrity = &options.integrity;
    let layer = match Layer::open_volume(volume.clone()) {
        Ok(layer) => layer,
        Err(OpenError::NoLayer) if integrity.trust.is_some() => return Err(untrusted(TrustError::NoManifest)),
        // A volume without manifest is a layer of nothing but files.
        Err(OpenError::NoLayer) => return plain_volume(&path, volume, names, Role::Layer, options.site),
        Err(source) => {
            return Err(SourceError::NoLayer {
                path,
                source: Box::new(source),
            });
        }
    };
    let begun = Instant::now();
    let signature = {
        let _span = tracing::debug_span!("verify").entered();
        judge(&layer, integrity.trust.as_deref()).map_err(untrusted)?
    };
    // A large layer that hides nothing is attached as fast as a small one: its index is not read.
    let is_index_needed = integrity.is_index_checked() || options.scripts || layer.manifest().counts.may_hide();
    let packed = is_index_needed
        .then(|| layer.index_bytes())
        .transpose()
        .map_err(refused)?;
    if let Some(packed) = packed.as_deref().filter(|_| integrity.is_index_checked()) {
        check_sealed(&layer, packed).map_err(untrusted)?;
    }
    let mut verify_us = micros(begun);
    let root = root_of(&volume, &path)?;
    // What the index says of single files is not kept: a large layer takes no more memory than a small one.
    let index = packed.map(|packed| Index::parse(&packed, &Limits::default()));
    let index = index.transpose().map_err(|source| refused(LayerError::Index(source)))?;
    let marks = index.as_ref().map_or_else(Marks::none, |index| Marks::of(index, names));
    let mut member = NtfsMember::new(volume, root, names.clone(), marks);
    member.stand_in(options.site);
    if let Some(index) = index.as_ref().filter(|_| integrity.verify_reads) {
        let begun = Instant::now();
        let blocks = layer.blocks().map_err(refused)?;
        let (cache, events) = (integrity.cache.clone(), integrity.events.clone());
        member.verify_by(Arc::new(Verifier::new(path.clone(), index, blocks, cache, events)));
        verify_us += micros(begun);
    }
    let scripts = index
        .as_ref()
        .filter(|_| options.scripts)
        .map(|index| ScriptSet::read(&layer, index))
        .transpose()
        .map_err(|source| SourceError::Script {
            path: path.clone(),
            source: Box::new(source),
        })?;
    let script_names = ScriptSet::names(&layer).map_err(|source| SourceError::File {
        path: path.clone(),
        source: Box::new(source),
    })?;
    drop(index);
    let manifest = layer.manifest();
    let (rules, faulty_rules) = rules_of(manifest, options.site);
    let facts = MemberFacts {
        name: Some(manifest.name.clone()).filter(|name| !name.is_empty()),
        signature,
        scripts: script_names,
        verifies_reads: integrity.verify_reads,
        ..facts(&path, Role::Layer, *manifest.id.as_bytes())
    };
    Ok(Opened {
        rules,
        faulty_rules,
        scripts: scripts.map(Arc::new),
        registry: Some(Arc::new(LayerRegistry::new(path, layer))),
        verify_us,
        ..Opened::new(facts, Member::Ntfs(member))
    })
}

/// The directory of a layer's file tree, where it has one.
fn root_of(volume: &Volume, path: &Path) -> Result<Option<FileReference>, SourceError> {
    match volume.open_str(FILES_DIRECTORY) {
        Ok(files) => Ok(Some(files.reference())),
        Err(FileError::NotFound { .. }) => Ok(None),
        Err(source) => Err(SourceError::File {
            path: path.to_path_buf(),
            source: Box::new(source),
        }),
    }
}

/// The rules for paths of a view, and what is wrong with rules that cannot be read.
fn rules_of(manifest: &Manifest, site: Site) -> (Vec<Rule>, Vec<String>) {
    let (mut rules, mut faulty) = file_rules(manifest);
    for rule in &mut rules {
        site.rule_in_view(&mut rule.pattern);
    }
    let of_keys = HiveName::ALL.into_iter().flat_map(|hive| key_rules(manifest, hive).1);
    // One that is of no hive is told once, not once for each.
    for error in of_keys {
        if !faulty.contains(&error) {
            faulty.push(error);
        }
    }
    (rules, faulty.iter().map(ToString::to_string).collect())
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Holds the index and the hives against what the manifest says of them.
fn check_sealed(layer: &Layer, packed: &[u8]) -> Result<(), TrustError> {
    let is_same = |sealed: Sha256Sum, bytes: &[u8]| sealed == Sha256Sum(Sha256::digest(bytes).into());
    if !is_same(layer.manifest().index.sha256, packed) {
        return Err(TrustError::Changed(INDEX_NAME.to_owned()));
    }
    for hive in layer.hives() {
        let bytes = layer.hive(hive)?;
        let mut sealed = layer.manifest().hives.iter();
        let sealed = sealed.find(|sealed| HiveName::of_file(&sealed.name) == Some(hive));
        if !sealed.is_some_and(|sealed| is_same(sealed.sha256, &bytes)) {
            return Err(TrustError::Changed(format!("the hive {hive}")));
        }
    }
    Ok(())
}
