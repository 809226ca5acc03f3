//! The source of a layer's streams: those that its content gives, and those that answer for them, made last.

use super::Sign;
use super::volume_tree::{Given, LateStreams, Slot, VolumeTree};
use crate::Sha256Sum;
use crate::content::StreamContent;
use crate::index::{BLOCK_SIZE, Index};
use crate::manifest::made_id;
use crate::manifest::{Manifest, Sealed};
use crate::sign::SIGNATURE_FILE_SIZE;
use cv_ntfs::write::tree_hash::{ChainingValue, root_of};
use cv_ntfs::write::{Hashes, OpenStream, Source, SourceError, StreamId};
use std::sync::{Arc, Mutex, PoisonError};

const _: () = assert!(BLOCK_SIZE == cv_ntfs::write::tree_hash::GROUP);

/// What of a layer is known when its data is written.
#[derive(Debug)]
pub(super) struct Unsealed {
    pub index: Index,
    pub manifest: Manifest,
    manifest_bytes: Vec<u8>,
    blocks_size: u64,
    index_size: u64,
}

/// The source of a layer's streams.
pub(super) struct LayerSource<'a> {
    given: Vec<Given<'a>>,
    slots: Vec<Slot>,
    copies: Vec<(usize, usize)>,
    late: LateStreams,
    signer: Option<Arc<dyn Sign>>,
    unsealed: Mutex<Unsealed>,
}

impl<'a> LayerSource<'a> {
    /// The source for the streams of `tree`, whose own tree is planned by now.
    pub fn new(
        tree: VolumeTree<'a>,
        late: LateStreams,
        manifest: Manifest,
        signer: Option<Arc<dyn Sign>>,
    ) -> LayerSource<'a> {
        Self {
            given: tree.given,
            slots: tree.slots,
            copies: tree.copies,
            late,
            signer,
            unsealed: Mutex::new(Unsealed {
                index: tree.index,
                manifest,
                manifest_bytes: Vec::new(),
                blocks_size: 0,
                index_size: 0,
            }),
        }
    }

    pub fn into_sealed(self) -> Unsealed {
        self.unsealed.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn given(&self, token: u64) -> Option<&Given<'a>> {
        self.given.get(usize::try_from(token).ok()?)
    }

    /// Notes the hashes of all streams in the index; gives `layer.blk`.
    fn blocks(&self, index: &mut Index, hashes: &Hashes) -> Result<Vec<u8>, SourceError> {
        let mut blocks = Vec::new();
        for slot in &self.slots {
            let stream = &mut index.entries[slot.entry].streams[slot.stream];
            stream.sha256 = Sha256Sum(*hashes.get(slot.id).ok_or("a stream was not hashed")?);
            let Some(place) = &mut stream.blocks else { continue };
            let known = slot.token.and_then(|token| self.given(token)?.known.as_ref());
            let groups: &[ChainingValue] = match (hashes.tree(slot.id), known) {
                (Some(hash), _) => &hash.groups,
                (None, Some((_, groups))) => groups,
                (None, None) => return Err("a large stream was not hashed".into()),
            };
            place.root = root_of(groups, stream.size).ok_or("a large stream has too few hashes")?;
            blocks.extend(groups.iter().flatten());
        }
        for (copy, first) in &self.copies {
            let streams = index.entries[*first].streams.clone();
            index.entries[*copy].streams = streams;
        }
        Ok(blocks)
    }

    fn sealed(stream: StreamId, size: u64, hashes: &Hashes) -> Sealed {
        Sealed {
            sha256: Sha256Sum(hashes.get(stream).copied().unwrap_or_default()),
            size,
            ..Sealed::default()
        }
    }
}

impl Source for LayerSource<'_> {
    fn open(&self, _stream: StreamId, token: u64) -> Result<OpenStream<'_>, SourceError> {
        let given = self.given(token).ok_or("there is no such stream")?;
        if let Some(bytes) = &given.read {
            return Ok(OpenStream::Reader(Box::new(&bytes[..])));
        }
        match given.content {
            StreamContent::Bytes(bytes) => Ok(OpenStream::Reader(Box::new(&bytes[..]))),
            StreamContent::Origin { origin, item } => origin.open(*item),
        }
    }

    fn late(&self, stream: StreamId, _token: u64, hashes: &Hashes) -> Result<Vec<u8>, SourceError> {
        let unsealed = &mut *self.unsealed.lock().unwrap_or_else(PoisonError::into_inner);
        if Some(stream) == self.late.blocks {
            let blocks = self.blocks(&mut unsealed.index, hashes)?;
            unsealed.blocks_size = blocks.len() as u64;
            return Ok(blocks);
        }
        if stream == self.late.index {
            if let Some(blocks) = self.late.blocks {
                unsealed.manifest.blocks = Some(Self::sealed(blocks, unsealed.blocks_size, hashes));
            } else {
                self.blocks(&mut unsealed.index, hashes)?;
                unsealed.manifest.blocks = None;
            }
            let bytes = unsealed.index.to_bytes()?;
            unsealed.index_size = bytes.len() as u64;
            return Ok(bytes);
        }
        if stream == self.late.manifest {
            unsealed.manifest.index = Self::sealed(self.late.index, unsealed.index_size, hashes);
            if unsealed.manifest.id.is_nil() {
                unsealed.manifest.id = made_id(&unsealed.manifest.to_bytes());
            }
            unsealed.manifest_bytes = unsealed.manifest.to_bytes();
            return Ok(unsealed.manifest_bytes.clone());
        }
        let Some(signer) = &self.signer else {
            return Ok(vec![0; SIGNATURE_FILE_SIZE]);
        };
        let mut signature = signer.sign(&unsealed.manifest_bytes)?;
        if signature.len() > SIGNATURE_FILE_SIZE {
            return Err(format!(
                "the signature has {} bytes, more than {SIGNATURE_FILE_SIZE}",
                signature.len()
            )
            .into());
        }
        signature.resize(SIGNATURE_FILE_SIZE, b'\n');
        Ok(signature)
    }

    fn known_hash(&self, _stream: StreamId, token: u64) -> Option<[u8; 32]> {
        let (sum, _) = self.given(token)?.known.as_ref()?;
        Some(sum.0)
    }
}
