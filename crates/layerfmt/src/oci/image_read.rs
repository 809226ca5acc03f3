//! Reading an OCI image layout.

use super::image_write::{MANIFEST_LABEL, SCRIPT_LABEL};
use super::tar_read::{finished, read_tar};
use crate::content::Content;
use crate::manifest::Manifest;
use crate::source::SourceError;
use cv_disk::{Cancelled, Progress};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of an index, a manifest or a configuration at most.
pub const MAX_JSON: u64 = 128 << 20;

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A file says something that it may not.
    #[error("{}: {reason}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The image has several layers.
    #[error("the image has {count} layers, and one is imported at a time: say which, from 1 to {count}")]
    Layers {
        /// How many.
        count: usize,
    },
    /// The layer's tar is refused.
    #[error(transparent)]
    Tar(#[from] SourceError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The layer in the image at `folder`: its only one, or the one of this number from 1. Every blob is checked against its
/// digest. The streams stay in the image until they are written.
pub fn read_image(
    folder: &Path,
    number: Option<usize>,
    name: Option<&str>,
    progress: &dyn Progress,
) -> Result<Content, ImageError> {
    let index_path = folder.join("index.json");
    let index = parse(&index_path, &bytes(&index_path, MAX_JSON)?)?;
    let manifests = index["manifests"].as_array().map_or(&[][..], Vec::as_slice);
    let is_windows = |manifest: &&Json| manifest["platform"]["os"].as_str().is_none_or(|os| os == "windows");
    let mut fitting = manifests.iter().filter(is_windows);
    let (Some(manifest), None) = (fitting.next(), fitting.next()) else {
        let reason = format!(
            "it names {} images for Windows, expected one",
            manifests.iter().filter(is_windows).count()
        );
        return Err(refused(&index_path, reason));
    };
    let (manifest_path, manifest) = document(folder, &index_path, manifest)?;
    let (configuration_path, configuration) = document(folder, &manifest_path, &manifest["config"])?;
    let layers = manifest["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let layer = match (number, layers) {
        (None, [only]) => Some(only),
        (Some(number), _) => number.checked_sub(1).and_then(|at| layers.get(at)),
        (None, _) => None,
    };
    let layer = layer.ok_or(ImageError::Layers { count: layers.len() })?;
    let blob = checked_blob(folder, &manifest_path, layer, progress)?;

    let mut content = read_tar(&blob, name, progress)?;
    let labels = configuration["config"]["Labels"].as_object();
    for (label, value) in labels.into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        if label == MANIFEST_LABEL && layers.len() == 1 {
            let parsed = Manifest::parse(text.as_bytes());
            content.manifest = parsed.map_err(|error| refused(&configuration_path, error.to_string()))?;
            content = finished(content, true);
        } else if let Some(script) = label.strip_prefix(SCRIPT_LABEL) {
            let decoded = BASE64.decode(text.as_bytes());
            let decoded =
                decoded.map_err(|_| refused(&configuration_path, format!("the label {label} is not base64")))?;
            let units: Vec<u16> = script.encode_utf16().collect();
            if let Err(fault) = cv_winname::check_component(&units) {
                return Err(refused(&configuration_path, format!("the label {label}: {fault}")));
            }
            content.scripts.insert(script.to_owned(), decoded);
        }
    }
    Ok(content)
}

fn refused(file: &Path, reason: impl Into<String>) -> ImageError {
    ImageError::Refused {
        file: file.to_path_buf(),
        reason: reason.into(),
    }
}

fn bytes(file: &Path, limit: u64) -> Result<Vec<u8>, ImageError> {
    let failed = |source| ImageError::Read {
        file: file.to_path_buf(),
        source,
    };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(failed)?;
    opened.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(refused(file, format!("more than the {limit} bytes that are allowed")));
    }
    Ok(bytes)
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Json, ImageError> {
    serde_json::from_slice(bytes).map_err(|error| refused(file, error.to_string()))
}

/// The file of the blob that a descriptor names, and its SHA-256. A digest names a file and nothing else.
fn blob_of(folder: &Path, file: &Path, descriptor: &Json) -> Result<(PathBuf, [u8; 32]), ImageError> {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    let hash = digest
        .strip_prefix("sha256:")
        .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
    let hash: Option<[u8; 32]> = hash.and_then(|hash| hash.try_into().ok());
    let hash = hash.ok_or_else(|| refused(file, format!("the digest {digest:?} is no sha256:…")))?;
    Ok((folder.join("blobs/sha256").join(HEXLOWER.encode(&hash)), hash))
}

fn document(folder: &Path, file: &Path, descriptor: &Json) -> Result<(PathBuf, Json), ImageError> {
    let (path, hash) = blob_of(folder, file, descriptor)?;
    let bytes = bytes(&path, MAX_JSON)?;
    let found: [u8; 32] = Sha256::digest(&bytes).into();
    differs(&path, found, hash)?;
    let parsed = parse(&path, &bytes)?;
    Ok((path, parsed))
}

fn checked_blob(folder: &Path, file: &Path, descriptor: &Json, progress: &dyn Progress) -> Result<PathBuf, ImageError> {
    let (path, hash) = blob_of(folder, file, descriptor)?;
    let failed = |source| ImageError::Read {
        file: path.clone(),
        source,
    };
    let mut opened = File::open(&path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        progress.advance(0)?;
        match opened.read(&mut buffer).map_err(failed)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    differs(&path, hasher.finalize().into(), hash)?;
    Ok(path)
}

fn differs(path: &Path, found: [u8; 32], expected: [u8; 32]) -> Result<(), ImageError> {
    if found == expected {
        return Ok(());
    }
    let reason = format!("its SHA-256 is {}, which is not its name", HEXLOWER.encode(&found));
    Err(refused(path, reason))
}
