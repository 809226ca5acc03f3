//! Verifying a layer: that it is what it was when it was written, and by whom.
//!
//! The container, the volume and the hives are checked by their formats' rules; `layer.sig` answers for the manifest, the
//! manifest for the index, the block hashes and the hives, the index for every file: what it is, what it has and what it
//! holds. The volume must hold what the index lists and nothing else.

mod blocks;
mod entries;
mod finding;
mod hashing;

pub use blocks::{BlockError, StreamHashes, read_verified};
pub use finding::{Finding, Item, Problem, Report, SignedBy};

use crate::content::HiveName;
use crate::index::{EntryKind, Index};
use crate::manifest::{Manifest, Sealed, has_made_id};
use crate::read::{Layer, LayerError, OpenError};
use crate::sign::{Signature, TrustFile};
use crate::{BLOCKS_NAME, INDEX_NAME, MANIFEST_NAME, SIGNATURE_NAME, Sha256Sum};
use cv_disk::{Faults, Progress, Quiet, ReadAt, Severity};
use cv_image::{Image, OpenOptions};
use finding::Findings;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// Why a layer could not be verified at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The image cannot be opened.
    #[error(transparent)]
    Image(#[from] cv_image::OpenError),
    /// The layer cannot be opened.
    #[error(transparent)]
    Layer(#[from] OpenError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] cv_disk::Cancelled),
}

/// How to verify.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The keys that are accepted; `None` to accept layers whoever signed them, if anybody did.
    pub trust: Option<TrustFile>,
    /// Threads, at least one.
    pub threads: usize,
}

/// Verifies the layer in the image at `path`.
pub fn verify(
    path: &Path,
    open: &OpenOptions,
    options: &VerifyOptions,
    progress: &dyn Progress,
) -> Result<Report, VerifyError> {
    let findings = Findings::default();
    let container = cv_image::check(path, open)?;
    add_faults(&findings, &Item::Container, &container.faults);
    let disk: Arc<dyn ReadAt> = Arc::new(Image::open(path, open)?);
    match cv_volume::check(&disk, &mut |_| Box::new(Quiet)) {
        Ok(parts) => {
            for part in parts {
                let item = match part.part {
                    cv_volume::Part::PartitionTable => Item::PartitionTable,
                    cv_volume::Part::Volume(_) => Item::Volume,
                };
                add_faults(&findings, &item, &part.faults);
            }
        }
        Err(error) => findings.add(Item::Volume, Problem::Fault, &error),
    }
    let layer = match Layer::open(&disk) {
        Ok(layer) => layer,
        // Whatever else is wrong, this is why.
        Err(OpenError::Manifest(error)) => {
            findings.add(Item::Manifest, Problem::Unreadable, &error);
            return Ok(findings.into_report(None));
        }
        Err(OpenError::Read(error)) => {
            findings.add(Item::Manifest, Problem::Unreadable, &error);
            return Ok(findings.into_report(None));
        }
        Err(error) => return Err(error.into()),
    };
    let signed_by = verify_layer(&layer, options, &findings, progress)?;
    Ok(findings.into_report(signed_by))
}

fn verify_layer(
    layer: &Layer,
    options: &VerifyOptions,
    findings: &Findings,
    progress: &dyn Progress,
) -> Result<Option<SignedBy>, VerifyError> {
    let signed_by = signature(layer, options, findings);
    if has_made_id(layer.manifest(), layer.manifest_bytes()) == Some(false) {
        let text = "it is not what its id was made from";
        findings.tell(Item::Manifest, Problem::Hash, text);
    }
    hives(layer, findings);
    sealed(
        findings,
        Item::Index,
        INDEX_NAME,
        Some(&layer.manifest().index),
        layer.index_bytes().map(Some),
    );
    block_hashes(layer, findings);
    match layer.index() {
        Ok(index) => {
            counted(layer, index, findings);
            entries::verify(layer, index, options.threads.max(1), findings, progress)?;
        }
        Err(error) => findings.add(Item::Index, Problem::Unreadable, &error),
    }
    Ok(signed_by)
}

/// Whoever mounts a layer believes its manifest when that says that nothing is hidden.
fn counted(layer: &Layer, index: &Index, findings: &Findings) {
    let counts = &layer.manifest().counts;
    let Some(opaque) = counts.opaque_directories else {
        return;
    };
    let count = |kind| index.entries.iter().filter(|entry| entry.kind == kind).count() as u64;
    let found = (count(EntryKind::Whiteout), count(EntryKind::OpaqueDirectory));
    if found != (counts.whiteouts, opaque) {
        let text = format!(
            "it counts {} whiteouts and {opaque} opaque directories, the index has {} and {}",
            counts.whiteouts, found.0, found.1
        );
        findings.tell(Item::Manifest, Problem::Fault, &text);
    }
}

fn add_faults(findings: &Findings, item: &Item, faults: &Faults) {
    for fault in faults.listed().iter().filter(|fault| fault.severity != Severity::Note) {
        findings.tell(item.clone(), Problem::Fault, &fault.to_string());
    }
    findings.omit(faults.omitted());
}

fn signature(layer: &Layer, options: &VerifyOptions, findings: &Findings) -> Option<SignedBy> {
    let signature = match layer.signature_bytes() {
        Ok(Some(bytes)) => Signature::from_file_bytes(&bytes),
        Ok(None) => Ok(None),
        Err(error) => {
            findings.add(Item::Signature, Problem::Unreadable, &error);
            return None;
        }
    };
    let signature = match signature {
        Ok(Some(signature)) => signature,
        Ok(None) => {
            if options.trust.is_some() {
                findings.tell(Item::Signature, Problem::Missing, "the layer is not signed");
            }
            return None;
        }
        Err(error) => {
            findings.add(Item::Signature, Problem::Unreadable, &error);
            return None;
        }
    };
    let mut signed_by = SignedBy {
        key_id: signature.key_id().to_string(),
        comment: signature.trusted_comment().to_owned(),
        trusted: None,
    };
    if let Some(trust) = &options.trust {
        match trust.verify(&signature, layer.manifest_bytes()) {
            Ok(key) => signed_by.trusted = Some(key.comment.clone()),
            Err(error) => findings.add(Item::Manifest, Problem::Signature, &error),
        }
    }
    Some(signed_by)
}

/// Holds a file against what the manifest says of it.
fn sealed(
    findings: &Findings,
    item: Item,
    name: &str,
    expected: Option<&Sealed>,
    found: Result<Option<Vec<u8>>, LayerError>,
) {
    match (expected, found) {
        (_, Err(error)) => findings.add(item, Problem::Unreadable, &error),
        (Some(_), Ok(None)) => findings.tell(item, Problem::Missing, &format!("there is no {name}")),
        (None, Ok(Some(_))) => findings.tell(item, Problem::Unlisted, "the manifest does not mention it"),
        (None, Ok(None)) => {}
        (Some(expected), Ok(Some(bytes))) => compare(findings, item, (expected.sha256, expected.size), &bytes),
    }
}

fn compare(findings: &Findings, item: Item, (sum, size): (Sha256Sum, u64), bytes: &[u8]) {
    if bytes.len() as u64 != size {
        findings.differ(item, Problem::Size, size, bytes.len());
        return;
    }
    let found = Sha256Sum(Sha256::digest(bytes).into());
    if found != sum {
        findings.differ(item, Problem::Hash, sum, found);
    }
}

fn block_hashes(layer: &Layer, findings: &Findings) {
    let expected = layer.manifest().blocks.as_ref();
    let limit = crate::read::MAX_BLOCKS;
    let read = match layer.blocks() {
        Ok(None) => Ok(None),
        Ok(Some(_)) => crate::read::read_file(layer.volume(), BLOCKS_NAME, limit).map(Some),
        Err(error) => Err(error),
    };
    if let (Ok(Some(bytes)), Ok(index)) = (&read, layer.index()) {
        for entry in &index.entries {
            for stream in &entry.streams {
                if stream.blocks.is_some() && blocks::root_in(bytes, stream) != stream.blocks.map(|place| place.root) {
                    let item = Item::of_stream(entry, stream);
                    findings.tell(
                        item,
                        Problem::Blocks,
                        "its block hashes are not those of its BLAKE3 hash",
                    );
                }
            }
        }
    }
    sealed(findings, Item::Blocks, BLOCKS_NAME, expected, read);
}

fn hives(layer: &Layer, findings: &Findings) {
    let manifest: &Manifest = layer.manifest();
    for sealed in &manifest.hives {
        let item = Item::Hive(sealed.name.clone());
        let Some(name) = HiveName::of_file(&sealed.name) else {
            findings.tell(item, Problem::Unlisted, "a hive of that name is not known");
            continue;
        };
        match layer.hive(name) {
            Ok(bytes) => {
                compare(findings, item.clone(), (sealed.sha256, sealed.size), &bytes);
                match cv_hive::check::check(&bytes) {
                    Ok(faults) => add_faults(findings, &item, &faults),
                    Err(error) => findings.add(item, Problem::Unreadable, &error),
                }
            }
            Err(error) => findings.add(item, Problem::Unreadable, &error),
        }
    }
}

/// The files in the root that no entry of the index stands for.
const OWN_FILES: [&str; 4] = [MANIFEST_NAME, INDEX_NAME, SIGNATURE_NAME, BLOCKS_NAME];
