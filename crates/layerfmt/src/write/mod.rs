//! Writing a layer: its content goes into a volume in a new disk image, in one pass.
//!
//! Every stream is read once and hashed on the way; `layer.blk`, `layer.idx`, `layer.json` and `layer.sig` are written last,
//! each answering for the ones before. The image appears when it is complete.
//!
//! ```
//! use cv_disk::{Quiet, RawFile, ReadAt};
//! use layerfmt::content::{Content, FileTree, Metadata, NodeKind, Stream};
//! use layerfmt::{Kind, Layer, Manifest, WriteOptions};
//! use std::sync::Arc;
//!
//! let mut content = Content::new(Manifest::new("Hello", "1.0", Kind::App));
//! let folder = content.files.directories(&"Program Files/Hello".encode_utf16().collect::<Vec<_>>())?;
//! let mut metadata = Metadata::default();
//! metadata.streams.push(Stream::of(*b"hello"));
//! content.files.add(folder, "hello.txt", NodeKind::File, metadata)?;
//!
//! let output = tempfile::tempdir()?;
//! let path = output.path().join("hello.img");
//! let written = layerfmt::write(&content, &path, &WriteOptions::new(cv_image::Format::Raw), &Quiet)?;
//!
//! let disk: Arc<dyn ReadAt> = Arc::new(RawFile::open(&path)?);
//! let layer = Layer::open(&disk)?;
//! assert_eq!(layer.manifest(), &written.manifest);
//! assert!(layer.index()?.entry(b"Files/Program Files/Hello/hello.txt").is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod hives;
mod seal;
mod volume_tree;

use crate::content::{Content, HiveName};
use crate::index::{BLOCKS_FROM, EntryKind, Index};
use crate::manifest::{Counts, Manifest, Sealed, SealedHive};
use crate::sign::SIGNATURE_FILE_SIZE;
use crate::{Sha256Sum, VOLUME_LABEL};
use cv_disk::partition::SectorSize;
use cv_disk::{Progress, ReadError};
use cv_image::{ChangeError, Format, Layout, NewImage, Origin};
use cv_ntfs::structure::NtfsTime;
use cv_ntfs::write::{self as ntfs, NameRule, PlanError, PlanOptions, PopulateError, SourceError};
use cv_volume::{DiskLayout, Scheme};
use cv_winname::wtf8;
use hives::WrittenHive;
use seal::LayerSource;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use volume_tree::VolumeTree;

/// Signs the manifest.
pub trait Sign: fmt::Debug + Send + Sync {
    /// The content of `layer.sig` for the manifest whose bytes these are, at most [`MAX_SIGNATURE`] bytes. What is shorter
    /// gets ends of lines behind it.
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, SourceError>;
}

/// Bytes of `layer.sig`: as many whether the layer is signed or not, so that it can be signed in place later.
pub const MAX_SIGNATURE: u64 = SIGNATURE_FILE_SIZE as u64;

/// How a layer is written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// The container. Its identities and its time follow from the content, whatever its origin says.
    pub container: Layout,
    /// Bytes of the disk; `None` for as many as the content needs, and some room.
    pub disk_size: Option<u64>,
    /// Bytes of a cluster; `None` for 4 KiB, or what a larger volume needs.
    pub cluster_size: Option<u32>,
    /// Streams begin at multiples of this many bytes where they are as long; a power of two, 1 for anywhere.
    pub alignment: u64,
    /// Which names are allowed.
    pub name_rule: NameRule,
    /// When the layer is made, in seconds since 1970, for a manifest that does not say; `None` for the latest time in it.
    pub created: Option<i64>,
    /// Who signs the manifest, if anybody does.
    pub signer: Option<Arc<dyn Sign>>,
    /// Threads that read, hash and write, at least one. What is written does not depend on it.
    pub threads: usize,
}

impl WriteOptions {
    /// The usual layout in that container.
    pub fn new(format: Format) -> Self {
        Self {
            container: Layout::new(format, Origin::reproducible(0, "")),
            disk_size: None,
            cluster_size: None,
            alignment: 1,
            name_rule: NameRule::default(),
            created: None,
            signer: None,
            threads: ntfs::WriteOptions::default().threads,
        }
    }
}

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Something cannot be on a volume.
    #[error("cannot put the content onto a volume")]
    Tree(#[from] ntfs::TreeError),
    /// The volume cannot be laid out.
    #[error("cannot lay out the volume")]
    Plan(#[from] PlanError),
    /// A hive cannot be written.
    #[error("cannot write the hive {name}")]
    Hive {
        /// Which one.
        name: HiveName,
        /// Why.
        source: cv_hive::WriteError,
    },
    /// Two scripts have the same name.
    #[error("there are two scripts {0:?}")]
    Script(String),
    /// A time is beyond what a volume can hold.
    #[error("{0} s since 1970 is no time that a volume can hold")]
    Time(i64),
    /// A sector has another size.
    #[error("a sector has 512 or 4096 bytes, not {0}")]
    SectorSize(u64),
    /// There is no room for a volume.
    #[error("a disk of {0} bytes has no room for a volume")]
    DiskTooSmall(u64),
    /// The index cannot be made.
    #[error("cannot make the index")]
    Index(#[source] io::Error),
    /// The image cannot be made.
    #[error("cannot make the image")]
    Image(#[from] ChangeError),
    /// The partition table cannot be written.
    #[error("cannot write the partition table")]
    Table(#[from] cv_disk::WriteError),
    /// The volume has no place on the disk.
    #[error("the volume has no place on the disk")]
    Place(#[source] ReadError),
    /// The volume cannot be written.
    #[error(transparent)]
    Populate(#[from] PopulateError),
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The manifest, with everything filled in.
    pub manifest: Manifest,
    /// The index.
    pub index: Index,
    /// Bytes of the disk.
    pub disk_size: u64,
    /// Bytes of the volume that are in use.
    pub used_size: u64,
}

/// Writes `content` as a layer in a new disk image, which appears at `output` when it is complete; a file there is replaced.
///
/// The same content and options give the same bytes.
pub fn write(
    content: &Content,
    output: &Path,
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<Written, WriteError> {
    let hives: Vec<WrittenHive> = content
        .hives
        .iter()
        .filter(|(_, root)| !is_empty(root))
        .map(|(name, root)| hives::write(*name, root))
        .collect::<Result<_, _>>()?;
    let fallback = options.created.unwrap_or(0);
    let fallback = NtfsTime::from_unix(fallback, 0).ok_or(WriteError::Time(fallback))?;
    let mut tree = VolumeTree::new(content, &hives, fallback)?;
    let created = options.created.unwrap_or_else(|| tree.newest.to_unix().0);
    let manifest = filled(&content.manifest, &tree, &hives, created)?;
    let forecast = tree.index.forecast().map_err(WriteError::Index)?;
    let late = tree.add_late(forecast.longest, manifest.to_bytes().len() as u64)?;

    let mut container = options.container.clone();
    let mut disk_layout = disk_layout(&mut container, options.alignment)?;
    if let Some(size) = options.disk_size {
        disk_layout = disk_layout.for_size(size);
    }
    let from_disk = disk_layout.plan_options(options.disk_size);
    let plan_options = PlanOptions {
        cluster_size: options.cluster_size,
        // Whether bytes are here or elsewhere makes no difference.
        serial: Some(forecast.fingerprint),
        label: VOLUME_LABEL.encode_utf16().collect(),
        name_rule: options.name_rule,
        ..from_disk.ok_or(WriteError::DiskTooSmall(options.disk_size.unwrap_or(0)))?
    };
    let plan = ntfs::plan(std::mem::take(&mut tree.tree), &plan_options)?;
    for (name, entry) in plan.tree().names().zip(&tree.names) {
        if let Some(entry) = entry {
            tree.index.entries[*entry].short_name = name.short_name.map(wtf8::display);
        }
    }
    let (disk_layout, disk_size) = disk_layout.fitted(plan.volume_size(), options.disk_size);
    let seed = format!("{:016x} {disk_size} {}", plan.serial(), manifest.name);
    container.origin = Origin::reproducible(created, seed);
    let image = NewImage::create(output, disk_size, &container)?;
    let volume = disk_layout
        .place(image.disk(), plan.volume_size())
        .map_err(WriteError::Place)?;
    let write_options = ntfs::WriteOptions {
        hash: true,
        tree_hash_from: Some(BLOCKS_FROM),
        threads: options.threads,
    };
    tree.take_read_ahead();
    let source = LayerSource::new(tree, late, manifest, options.signer.clone());
    let outcome = ntfs::write(&plan, &source, &volume, &write_options, progress)?;
    let sealed = source.into_sealed();
    // Windows takes a disk offline whose identity another has too, so that it follows from everything in the layer.
    let seed = sealed.manifest.id.to_string();
    disk_layout.write_table(image.disk(), plan.volume_size(), VOLUME_LABEL, &seed)?;
    image.finish()?;
    Ok(Written {
        manifest: sealed.manifest,
        index: sealed.index,
        disk_size,
        used_size: outcome.used_size,
    })
}

/// How the disk in such a container is divided.
fn disk_layout(container: &mut Layout, alignment: u64) -> Result<DiskLayout, WriteError> {
    let sector_size = match container.sector_size {
        Some(bytes) => SectorSize::from_bytes(bytes).ok_or(WriteError::SectorSize(bytes))?,
        None => SectorSize::Bytes512,
    };
    if container.format == Format::Raw {
        // The file does not say; the volume and its partition table do.
        container.sector_size = None;
    }
    Ok(DiskLayout {
        scheme: if container.format.prefers_gpt() {
            Scheme::Gpt
        } else {
            Scheme::Mbr
        },
        sector_size,
        alignment,
    })
}

/// Whether a hive says nothing.
fn is_empty(root: &cv_hive::Key) -> bool {
    root.values.is_empty() && root.subkeys.is_empty() && root.state == cv_hive::KeyState::Merge
}

/// The manifest with all that is known before data is read; sizes still unknown have as many digits as there can be.
fn filled(
    manifest: &Manifest,
    tree: &VolumeTree<'_>,
    hives: &[WrittenHive],
    created: i64,
) -> Result<Manifest, WriteError> {
    let mut filled = manifest.clone();
    if filled.created.is_empty() {
        let time = jiff::Timestamp::from_second(created).map_err(|_| WriteError::Time(created))?;
        filled.created = time.to_string();
    }
    if filled.creator.is_empty() {
        concat!("cvtool ", env!("CARGO_PKG_VERSION")).clone_into(&mut filled.creator);
    }
    filled.counts = counts(tree, hives, &manifest.counts);
    filled.hives = hives
        .iter()
        .map(|hive| {
            let known = manifest.hives.iter().find(|known| known.name == hive.name.file_name());
            SealedHive {
                name: hive.name.file_name().to_owned(),
                sha256: Sha256Sum(Sha256::digest(&hive.bytes).into()),
                size: hive.bytes.len() as u64,
                other: known.map(|known| known.other.clone()).unwrap_or_default(),
            }
        })
        .collect();
    let unknown = Sealed {
        size: u64::MAX,
        ..Sealed::default()
    };
    filled.blocks = Some(unknown.clone());
    filled.index = unknown;
    Ok(filled)
}

fn counts(tree: &VolumeTree<'_>, hives: &[WrittenHive], known: &Counts) -> Counts {
    let copies: std::collections::HashSet<usize> = tree.copies.iter().map(|(copy, _)| *copy).collect();
    let mut counts = Counts {
        bytes: tree.size,
        registry_keys: hives.iter().map(|hive| hive.keys).sum(),
        registry_values: hives.iter().map(|hive| hive.values).sum(),
        other: known.other.clone(),
        ..Counts::default()
    };
    let is_opaque = |entry: &&crate::index::Entry| entry.kind == EntryKind::OpaqueDirectory;
    counts.opaque_directories = Some(tree.index.entries.iter().filter(is_opaque).count() as u64);
    for (number, entry) in tree.index.entries.iter().enumerate() {
        let is_in_files = crate::index::is_below(&entry.path, crate::FILES_DIRECTORY.as_bytes());
        let count = match entry.kind {
            _ if !is_in_files || copies.contains(&number) => continue,
            EntryKind::File => &mut counts.files,
            EntryKind::Directory | EntryKind::OpaqueDirectory => &mut counts.directories,
            EntryKind::Symlink | EntryKind::Junction => &mut counts.links,
            EntryKind::Whiteout => &mut counts.whiteouts,
        };
        *count += 1;
    }
    counts
}
