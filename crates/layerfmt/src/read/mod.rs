//! Reading a layer: opened in place, nothing is unpacked.

mod content;

use crate::content::HiveName;
use crate::index::{self, Index, IndexError};
use crate::manifest::{self, Manifest, ManifestError};
use crate::write::MAX_SIGNATURE;
use crate::{BLOCKS_NAME, HIVES_DIRECTORY, INDEX_NAME, MANIFEST_NAME, SIGNATURE_NAME};
use cv_disk::{ReadAt, ReadError};
use cv_ntfs::{File, FileError, Volume};
use cv_volume::FindError;
use std::sync::{Arc, OnceLock};

/// Bytes of a packed index at most.
pub const MAX_INDEX: u64 = 1 << 30;

/// Bytes of a hive at most.
pub const MAX_HIVE: u64 = cv_hive::read::MAX_HIVE_SIZE;

/// Bytes of `layer.blk` at most: those of 32 TiB of streams.
pub const MAX_BLOCKS: u64 = 16 << 30;

/// Why a layer could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no volume.
    #[error(transparent)]
    Volume(#[from] FindError),
    /// The volume holds something else.
    #[error("the volume holds no layer: there is no {MANIFEST_NAME} in its root")]
    NoLayer,
    /// The manifest cannot be read.
    #[error("cannot read {MANIFEST_NAME}")]
    Read(#[source] LayerError),
    /// The manifest is refused.
    #[error("{MANIFEST_NAME}")]
    Manifest(#[from] ManifestError),
}

/// Why a part of a layer could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// It cannot be found on the volume, or its file is damaged.
    #[error("cannot open {name}")]
    File {
        /// Its path in the volume.
        name: String,
        /// What failed.
        source: FileError,
    },
    /// Its bytes cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// Its path in the volume.
        name: String,
        /// What failed.
        source: ReadError,
    },
    /// It is larger than it may be.
    #[error("{name} has {size} bytes, more than the {limit} that are allowed")]
    TooLarge {
        /// Its path in the volume.
        name: String,
        /// Its bytes.
        size: u64,
        /// Bytes it may have.
        limit: u64,
    },
    /// The index is refused.
    #[error("{INDEX_NAME}")]
    Index(#[source] IndexError),
    /// A hive is damaged.
    #[error("the hive {name} is damaged")]
    Hive {
        /// Which one.
        name: HiveName,
        /// What is wrong.
        source: cv_hive::OpenError,
    },
    /// A hive is damaged.
    #[error("the hive {name} is damaged")]
    HiveDamage {
        /// Which one.
        name: HiveName,
        /// What is wrong.
        source: cv_disk::Damage,
    },
    /// The file tree cannot be taken over.
    #[error("cannot read the file tree")]
    Source(#[from] crate::source::SourceError),
}

/// A layer, read in place by any number of threads at once. A clone is another handle to the same one.
#[derive(Debug, Clone)]
pub struct Layer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    volume: Volume,
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
    index: OnceLock<Index>,
}

impl Layer {
    /// Opens the layer on `disk`: its manifest alone is read, so that it takes no longer for a large layer.
    pub fn open(disk: &Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        Self::open_volume(cv_volume::open_volume(disk, None)?)
    }

    /// Opens the layer that is on `volume`.
    pub fn open_volume(volume: Volume) -> Result<Self, OpenError> {
        let manifest_bytes = match read_file(&volume, MANIFEST_NAME, manifest::MAX_SIZE) {
            Ok(bytes) => bytes,
            Err(LayerError::File {
                source: FileError::NotFound { .. },
                ..
            }) => return Err(OpenError::NoLayer),
            Err(error) => return Err(OpenError::Read(error)),
        };
        let manifest = Manifest::parse(&manifest_bytes)?;
        Ok(Self {
            inner: Arc::new(Inner {
                volume,
                manifest,
                manifest_bytes,
                index: OnceLock::new(),
            }),
        })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// The manifest as it stands in the layer, which is what a signature is of.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.inner.manifest_bytes
    }

    /// The volume that it is on.
    pub fn volume(&self) -> &Volume {
        &self.inner.volume
    }

    /// The index, read when it is first asked for. Nothing says yet that it is the one the manifest means.
    pub fn index(&self) -> Result<&Index, LayerError> {
        if let Some(index) = self.inner.index.get() {
            return Ok(index);
        }
        let packed = self.index_bytes()?;
        let index = Index::parse(&packed, &index::Limits::default()).map_err(LayerError::Index)?;
        Ok(self.inner.index.get_or_init(|| index))
    }

    /// The index as it stands in the layer.
    pub fn index_bytes(&self) -> Result<Vec<u8>, LayerError> {
        read_file(self.volume(), INDEX_NAME, MAX_INDEX)
    }

    /// The signature; `None` where there is none, though there be room for one.
    pub fn signature_bytes(&self) -> Result<Option<Vec<u8>>, LayerError> {
        match read_file(self.volume(), SIGNATURE_NAME, MAX_SIGNATURE) {
            Err(LayerError::File {
                source: FileError::NotFound { .. },
                ..
            }) => Ok(None),
            read => read.map(|bytes| Some(bytes).filter(|bytes| bytes.iter().any(|byte| *byte != 0))),
        }
    }

    /// The block hashes of large streams; `None` where there are none.
    pub fn blocks(&self) -> Result<Option<cv_ntfs::Stream>, LayerError> {
        match open_file(self.volume(), BLOCKS_NAME) {
            Err(LayerError::File {
                source: FileError::NotFound { .. },
                ..
            }) => Ok(None),
            opened => opened.map(|(_, stream)| Some(stream)),
        }
    }

    /// The hives that the manifest names and that are known here.
    pub fn hives(&self) -> impl Iterator<Item = HiveName> + '_ {
        let names = self.manifest().hives.iter();
        names.filter_map(|hive| HiveName::of_file(&hive.name))
    }

    /// The bytes of a hive.
    pub fn hive(&self, name: HiveName) -> Result<Vec<u8>, LayerError> {
        let path = format!("{HIVES_DIRECTORY}/{name}");
        let (_, stream) = open_file(self.volume(), &path)?;
        cv_hive::read::read_to_memory(&stream, MAX_HIVE).map_err(|source| LayerError::Hive { name, source })
    }

    /// The file at a path from the volume's root; `/` and `\` separate names.
    pub fn file(&self, path: &[u16]) -> Result<File, FileError> {
        self.volume().open_path(path)
    }
}

/// The file at a path in the volume, and its content.
fn open_file(volume: &Volume, path: &str) -> Result<(File, cv_ntfs::Stream), LayerError> {
    let failed = |source| LayerError::File {
        name: path.to_owned(),
        source,
    };
    let file = volume.open_str(path).map_err(failed)?;
    let stream = file.content().map_err(failed)?;
    Ok((file, stream))
}

/// The whole content of a file of at most `limit` bytes.
pub(crate) fn read_file(volume: &Volume, path: &str, limit: u64) -> Result<Vec<u8>, LayerError> {
    let (_, stream) = open_file(volume, path)?;
    let size = stream.len();
    if size > limit {
        return Err(LayerError::TooLarge {
            name: path.to_owned(),
            size,
            limit,
        });
    }
    let mut bytes = vec![0; size as usize];
    stream.read_at(&mut bytes, 0).map_err(|source| LayerError::Read {
        name: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}
