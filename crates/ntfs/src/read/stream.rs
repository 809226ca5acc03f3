//! The content of a stream.

use crate::error::FileError;
use crate::read::attribute::{Content, FileAttribute};
use crate::read::clusters::Clusters;
use crate::read::lznt1_stream::Lznt1Stream;
use crate::read::volume::Inner;
use crate::read::wof_stream::WofStream;
use crate::structure::reparse::WofAlgorithm;
use crate::structure::{AttributeFlags, within};
use cv_disk::{Damage, Extent, ExtentKind, ReadAt, ReadError, Stored};
use std::fmt;
use std::sync::Arc;

/// The content of a stream, with any compression undone; zeros beyond its valid data length.
///
/// What is not stored is an [`ExtentKind::Hole`], what was never written an [`ExtentKind::Zero`]. A content encrypted by EFS
/// is read as it is stored.
#[derive(Clone)]
pub struct Stream {
    kind: Arc<Kind>,
    /// How its damage is told: the record and the attribute.
    place: Arc<str>,
}

enum Kind {
    Resident(Vec<u8>),
    Plain { volume: Arc<Inner>, clusters: Clusters },
    Lznt1(Lznt1Stream),
    Wof(WofStream),
}

impl Stream {
    pub(crate) fn of_attribute(volume: &Arc<Inner>, record: u64, attribute: &FileAttribute) -> Result<Self, FileError> {
        let place: Arc<str> = if attribute.name.is_empty() {
            format!("file record {record}, {}", attribute.type_code)
        } else {
            let name = cv_winname::wtf8::display(&attribute.name);
            format!("file record {record}, {} {name:?}", attribute.type_code)
        }
        .into();
        let kind = match &attribute.content {
            Content::Resident(value) => Kind::Resident(value.clone()),
            Content::NonResident(clusters) if attribute.flags.intersects(AttributeFlags::COMPRESSION_MASK) => {
                let stream = Lznt1Stream::new(volume.clone(), clusters.clone())
                    .map_err(|damage| FileError::damaged(record, within(damage, &place)))?;
                Kind::Lznt1(stream)
            }
            Content::NonResident(clusters) => Kind::Plain {
                volume: volume.clone(),
                clusters: clusters.clone(),
            },
        };
        Ok(Self {
            kind: Arc::new(kind),
            place,
        })
    }

    pub(crate) fn of_wof(record: u64, algorithm: WofAlgorithm, size: u64, compressed: Self) -> Self {
        Self {
            kind: Arc::new(Kind::Wof(WofStream::new(algorithm, size, compressed))),
            place: format!("file record {record}, WofCompressedData").into(),
        }
    }

    /// Where it lies on the volume, where it lies there uncompressed: for copying without reading.
    pub fn clusters(&self) -> Option<&Clusters> {
        match &*self.kind {
            Kind::Plain { clusters, .. } => Some(clusters),
            Kind::Resident(_) | Kind::Lznt1(_) | Kind::Wof(_) => None,
        }
    }

    /// Its bytes, where they stand in the file record.
    pub fn resident(&self) -> Option<&[u8]> {
        match &*self.kind {
            Kind::Resident(value) => Some(value),
            Kind::Plain { .. } | Kind::Lznt1(_) | Kind::Wof(_) => None,
        }
    }

    fn located(&self, error: ReadError) -> ReadError {
        match error {
            ReadError::Damaged(damage) => ReadError::Damaged(within(damage, &self.place)),
            ReadError::BeyondEnd { offset, length, size } => ReadError::Damaged(Damage::new(
                &*self.place,
                offset,
                format!("{length} bytes within the disk of {size} bytes"),
                "a place beyond its end",
            )),
            other => other,
        }
    }
}

impl ReadAt for Stream {
    fn len(&self) -> u64 {
        match &*self.kind {
            Kind::Resident(value) => value.len() as u64,
            Kind::Plain { clusters, .. } => clusters.file_size,
            Kind::Lznt1(stream) => stream.len(),
            Kind::Wof(stream) => stream.len(),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.len())?;
        if buf.is_empty() {
            return Ok(());
        }
        match &*self.kind {
            Kind::Resident(value) => {
                let start = offset as usize;
                buf.copy_from_slice(&value[start..start + buf.len()]);
                Ok(())
            }
            Kind::Plain { volume, clusters } => clusters.read(&*volume.disk, &volume.geometry, buf, offset),
            Kind::Lznt1(stream) => stream.read_at(buf, offset),
            Kind::Wof(stream) => stream.read_at(buf, offset),
        }
        .map_err(|error| self.located(error))
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        ReadError::check_range(offset, 1, self.len())?;
        match &*self.kind {
            Kind::Plain { volume, clusters } => clusters.extent(&*volume.disk, &volume.geometry, offset),
            Kind::Lznt1(stream) => stream.extent_at(offset),
            Kind::Resident(_) | Kind::Wof(_) => Ok(Extent {
                start: offset,
                length: self.len() - offset,
                kind: ExtentKind::Data,
            }),
        }
        .map_err(|error| self.located(error))
    }

    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        ReadError::check_range(offset, 1, self.len())?;
        let Kind::Plain { volume, clusters } = &*self.kind else {
            return Ok(None);
        };
        let stored = clusters.stored_at(&*volume.disk, &volume.geometry, offset);
        stored.map_err(|error| self.located(error))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("place", &self.place)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
