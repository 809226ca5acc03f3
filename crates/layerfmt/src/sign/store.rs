//! A signature put into a finished image.
//!
//! `layer.sig` has its [`SIGNATURE_FILE_SIZE`] bytes from the beginning, in clusters of their own, so that nothing of the file
//! system changes: the bytes are written where they lie.

use super::{PublicKey, SIGNATURE_FILE_SIZE, SignError, Signature};
use crate::{MANIFEST_NAME, SIGNATURE_NAME};
use cv_disk::{ReadAt, ReadError, WriteError};
use cv_image::{ChangeError, OpenOptions, WritableImage};
use cv_ntfs::structure::AttributeFlags;
use cv_ntfs::{FileError, Volume};
use cv_volume::FindError;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Why a signature could not be put into an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The image could not be opened or changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// It holds no volume.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The volume cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The manifest cannot be read.
    #[error("cannot read \\{MANIFEST_NAME}")]
    Read(#[from] ReadError),
    /// The signature could not be written.
    #[error("cannot write \\{SIGNATURE_NAME}")]
    Write(#[from] WriteError),
    /// The file is not made to be written in place.
    #[error(
        "\\{SIGNATURE_NAME} has no room for a signature: expected {SIGNATURE_FILE_SIZE} bytes in clusters that follow each other, found {found}"
    )]
    NoRoom {
        /// What it is instead.
        found: String,
    },
    /// The signature is not that of the manifest.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The manifest is larger than any may be.
    #[error("\\{MANIFEST_NAME} has {size} bytes, at most {} are read", crate::manifest::MAX_SIZE)]
    TooLarge {
        /// Its bytes.
        size: u64,
    },
}

/// Signs the layer in the image at `path`: `sign` is given the bytes of its manifest. Returns the signature.
///
/// The signature is verified with `key` before it is written. Ended at any moment, the image is as it was, or signed; should
/// power fail while the 4096 bytes are written, it may hold a part of the signature, which is no good one, and can be signed
/// again.
pub fn store<E: From<StoreError>>(
    path: &Path,
    options: &OpenOptions,
    key: &PublicKey,
    sign: impl FnOnce(&[u8]) -> Result<Signature, E>,
) -> Result<Signature, E> {
    let image = Arc::new(WritableImage::open(path, options).map_err(StoreError::from)?);
    let disk: Arc<dyn ReadAt> = image.clone();
    let (place, manifest) = locate(&disk)?;
    drop(disk);
    let signature = sign(&manifest)?;
    signature.verify(&manifest, key).map_err(StoreError::from)?;
    let bytes = signature.to_file_bytes().map_err(StoreError::from)?;
    image.disk().write_at(&bytes, place.start).map_err(StoreError::from)?;
    if let Some(image) = Arc::into_inner(image) {
        image.close().map_err(StoreError::from)?;
    }
    Ok(signature)
}

/// Where on the disk the signature's bytes stand, and the manifest.
fn locate(disk: &Arc<dyn ReadAt>) -> Result<(Range<u64>, Vec<u8>), StoreError> {
    let places = cv_volume::open_volumes(disk).map_err(FindError::from)?;
    let label: Vec<u16> = crate::VOLUME_LABEL.encode_utf16().collect();
    let labelled = |volume: &Volume| volume.label() == Some(&label);
    let (start, volume) = places
        .into_iter()
        .filter_map(|place| Some((place.range.start, place.volume.ok()?)))
        .find(|(_, volume)| labelled(volume))
        .ok_or(FindError::NoVolume {
            found: format!("none that is labelled {}", crate::VOLUME_LABEL),
        })?;
    let find = |name: &str| cv_volume::find(&volume, &name.encode_utf16().collect::<Vec<_>>());
    let within = place_in_volume(&volume, &find(SIGNATURE_NAME)?.file.stored_stream(&[])?)?;
    let content = find(MANIFEST_NAME)?.file.content()?;
    let size = content.len();
    if size > crate::manifest::MAX_SIZE {
        return Err(StoreError::TooLarge { size });
    }
    let mut manifest = vec![0; size as usize];
    content.read_at(&mut manifest, 0)?;
    Ok((start + within..start + within + SIGNATURE_FILE_SIZE as u64, manifest))
}

/// Where in the volume the stream's bytes stand, one behind the other.
fn place_in_volume(volume: &Volume, stream: &cv_ntfs::Stream) -> Result<u64, StoreError> {
    let no_room = |found: String| StoreError::NoRoom { found };
    let size = SIGNATURE_FILE_SIZE as u64;
    let clusters = stream
        .clusters()
        .ok_or_else(|| no_room("bytes in its file record, or compressed ones".to_owned()))?;
    let special = AttributeFlags::COMPRESSION_MASK | AttributeFlags::ENCRYPTED | AttributeFlags::SPARSE;
    if clusters.file_size != size || clusters.valid_data_length != size || clusters.flags.intersects(special) {
        return Err(no_room(format!(
            "{} bytes, {} of them written, flags {:?}",
            clusters.file_size, clusters.valid_data_length, clusters.flags
        )));
    }
    let geometry = volume.geometry();
    let scattered = || no_room("clusters that are scattered".to_owned());
    let first = clusters.runs.first().filter(|run| run.vcn == 0);
    let run = first.filter(|run| run.clusters.saturating_mul(geometry.cluster_size.into()) >= size);
    let lcn = run.and_then(|run| run.lcn).ok_or_else(scattered)?;
    geometry
        .clusters_offset(lcn, size.div_ceil(geometry.cluster_size.into()))
        .ok_or_else(scattered)
}
