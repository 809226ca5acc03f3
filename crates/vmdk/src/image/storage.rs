//! Where the bytes of an image's extents are.

use crate::descriptor::{Access, ExtentKindName, ExtentLine};
use crate::error::OpenError;
use crate::extent_files::ExtentFiles;
use crate::sparse::{Below, SparseExtent, SparseKind};
use crate::structures::SECTOR;
use cv_disk::{Damage, ExtentKind, ReadAt, ReadError, Stored};
use std::sync::Arc;

/// An extent and its place in the disk.
#[derive(Debug, Clone)]
pub(crate) struct StoredExtent {
    /// The descriptor's line.
    pub line: ExtentLine,
    /// First byte of the disk.
    pub start: u64,
    /// Bytes of the disk, never 0.
    pub length: u64,
    /// The bytes.
    pub storage: Storage,
    /// Whether the extent has a file of its own, to be named where it fails.
    pub has_own_file: bool,
}

/// How an extent's bytes are stored.
#[derive(Clone)]
pub(crate) enum Storage {
    /// From byte `start` of the file on.
    Flat { file: Arc<dyn ReadAt>, start: u64 },
    /// In grains.
    Sparse(Arc<SparseExtent>),
    /// Nowhere: zeros.
    Zero,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flat { start, .. } => f.debug_struct("Flat").field("start", start).finish_non_exhaustive(),
            Self::Sparse(extent) => f.debug_tuple("Sparse").field(extent).finish(),
            Self::Zero => f.write_str("Zero"),
        }
    }
}

impl StoredExtent {
    /// The byte of the disk behind the last.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }

    /// A failure within this extent, with its file's name where it has one of its own.
    pub fn named<E>(&self, error: E, name: impl FnOnce(E, &str) -> E) -> E {
        match &self.line.name {
            Some(file) if self.has_own_file => name(error, file),
            _ => error,
        }
    }

    /// Fills `buf` with the bytes from byte `offset` of the disk on.
    pub fn read(&self, buf: &mut [u8], offset: u64, below: Below<'_>) -> Result<(), ReadError> {
        let within = offset - self.start;
        match &self.storage {
            Storage::Zero => {
                buf.fill(0);
                Ok(())
            }
            _ if self.line.access == Access::None => {
                Err(Damage::new("extent", within, "an extent that may be read", "NOACCESS").into())
            }
            Storage::Flat { file, start } => file.read_at(buf, start + within),
            Storage::Sparse(sparse) => sparse.read(buf, within, &|part, at| below(part, self.start + at)),
        }
        .map_err(|error| self.named(error, |error, file| error.in_file(file)))
    }

    /// Where a file of the host has the bytes from byte `offset` of the disk on, where one has them as they are.
    pub fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        let within = offset - self.start;
        let stored = match &self.storage {
            _ if self.line.access == Access::None => None,
            Storage::Flat { file, start } if start + within < file.len() => file.stored_at(start + within)?,
            Storage::Sparse(sparse) => sparse.stored_at(within)?,
            Storage::Flat { .. } | Storage::Zero => None,
        };
        Ok(stored.map(|stored| stored.clipped(self.length - within)))
    }

    /// The kind of byte `offset` of the disk, of this file alone, and where in the disk that kind ends.
    pub fn run_at(&self, offset: u64) -> Result<(ExtentKind, u64), ReadError> {
        let within = offset - self.start;
        let (kind, end) = match &self.storage {
            Storage::Zero => (ExtentKind::Zero, self.length),
            Storage::Flat { file, start } => {
                let extent = file.extent_at(start + within)?;
                // A hole of the host is zeros of this image.
                let kind = if extent.kind == ExtentKind::Hole {
                    ExtentKind::Zero
                } else {
                    extent.kind
                };
                (kind, extent.end() - start)
            }
            Storage::Sparse(sparse) => sparse.run_at(within)?,
        };
        Ok((kind, self.start + end.min(self.length)))
    }
}

/// The extents that a descriptor names, opened one by one with `open`.
pub(crate) fn open_extents(lines: Vec<ExtentLine>, files: &dyn ExtentFiles) -> Result<Vec<StoredExtent>, OpenError> {
    open_extents_with(lines, &mut |line| {
        let name = line.name.as_deref().unwrap_or_default();
        files.open(name).map_err(|source| OpenError::Extent {
            name: name.into(),
            source,
        })
    })
}

/// Opens the file of an extent.
type OpenExtent<'a> = dyn FnMut(&ExtentLine) -> Result<Arc<dyn ReadAt>, OpenError> + 'a;

/// As [`open_extents`], with the files from `open`.
pub(crate) fn open_extents_with(
    lines: Vec<ExtentLine>,
    open: &mut OpenExtent<'_>,
) -> Result<Vec<StoredExtent>, OpenError> {
    let mut extents = Vec::with_capacity(lines.len());
    let mut start = 0_u64;
    for line in lines {
        let name = line.name.clone().unwrap_or_default();
        let length = line
            .sectors
            .checked_mul(SECTOR)
            .filter(|length| start.checked_add(*length).is_some());
        let length = length.ok_or_else(|| {
            OpenError::from(Damage::new(
                "descriptor, extent size",
                0,
                "fewer than 2^55 sectors in all",
                format!("{} sectors", line.sectors),
            ))
        })?;
        if length == 0 {
            continue;
        }
        if let ExtentKindName::Unknown(kind) = &line.kind {
            return Err(OpenError::Unsupported(format!(
                "the extent {name:?} is of type {kind}, a device or an unknown kind, and cannot be opened"
            )));
        }
        if is_device(&name) {
            return Err(OpenError::Unsupported(format!(
                "the extent {name:?} is a device of the machine that made the image, and cannot be opened"
            )));
        }
        let storage = if line.kind == ExtentKindName::Zero {
            Storage::Zero
        } else {
            let file = open(&line)?;
            store(&line, file, length).map_err(|error| error.in_extent(&name))?
        };
        extents.push(StoredExtent {
            line,
            start,
            length,
            storage,
            has_own_file: true,
        });
        start += length;
    }
    if extents.is_empty() {
        return Err(Damage::new("descriptor", 0, "at least one extent", "none").into());
    }
    Ok(extents)
}

fn store(line: &ExtentLine, file: Arc<dyn ReadAt>, length: u64) -> Result<Storage, OpenError> {
    if matches!(line.kind, ExtentKindName::Flat | ExtentKindName::Vmfs) {
        let start = line.offset.unwrap_or(0).saturating_mul(SECTOR);
        if ReadError::check_range(start, length, file.len()).is_err() {
            return Err(Damage::new(
                "flat extent",
                start,
                format!("{length:#x} bytes"),
                format!("a file of {:#x} bytes", file.len()),
            )
            .into());
        }
        return Ok(Storage::Flat { file, start });
    }
    let sparse = SparseExtent::open(file)?;
    let fits = match (sparse.kind(), &line.kind) {
        (SparseKind::Hosted(_) | SparseKind::Cowd(_), ExtentKindName::Sparse | ExtentKindName::VmfsSparse)
        | (SparseKind::SeSparse(_), ExtentKindName::SeSparse) => sparse.len() >= length,
        _ => false,
    };
    if !fits {
        return Err(Damage::new(
            "sparse extent header",
            0,
            format!("an extent of type {} and at least {} sectors", line.kind, line.sectors),
            format!("another, of {} sectors", sparse.len() / SECTOR),
        )
        .into());
    }
    Ok(Storage::Sparse(Arc::new(sparse)))
}

/// Whether an extent's name is that of a device.
fn is_device(name: &str) -> bool {
    name.starts_with(r"\\.\") || name.starts_with("/dev/") || name.starts_with(r"\.\") || name.starts_with(r"\.")
}
