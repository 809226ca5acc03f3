//! One side of a comparison.

use crate::content::HiveName;
use crate::index::{Entry, Index};
use crate::read::LayerError;
use crate::{FILES_DIRECTORY, Layer, Manifest, Sha256Sum};
use cv_hive::Key;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::{fmt, io};

/// Hashes streams of a side whose index does not know their hashes. Shared between threads.
pub trait HashStreams: fmt::Debug + Sync {
    /// The SHA-256 of a stream of the entry of this number.
    fn sha256(&self, entry: usize, stream: &[u8]) -> io::Result<Sha256Sum>;
}

/// What a side knows of its files besides content and kind; what either side does not know is not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Attributes.
    pub attributes: bool,
    /// Which of the four times.
    pub times: [bool; 4],
    /// Security descriptors.
    pub security: bool,
    /// Reparse data, extended attributes, object ids and 8.3 names.
    pub details: bool,
}

impl Known {
    /// All of it, as a layer does.
    pub const ALL: Self = Self {
        attributes: true,
        times: [true; 4],
        security: true,
        details: true,
    };

    /// What both know.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            attributes: self.attributes && other.attributes,
            times: std::array::from_fn(|time| self.times[time] && other.times[time]),
            security: self.security && other.security,
            details: self.details && other.details,
        }
    }
}

/// One side of a comparison: a layer, or a tree of files that stands for a layer's `\Files`.
#[derive(Debug)]
pub struct Side<'a> {
    /// Its entries.
    pub index: Cow<'a, Index>,
    /// What the layer is; `None` for a tree of files.
    pub manifest: Option<&'a Manifest>,
    /// The layer's hives.
    pub hives: BTreeMap<HiveName, Key>,
    /// What it knows of its files.
    pub known: Known,
    /// Who hashes its streams, where the index does not know their hashes.
    pub hasher: Option<&'a dyn HashStreams>,
}

impl<'a> Side<'a> {
    /// A tree of files with this index.
    pub fn of_index(index: &'a Index) -> Self {
        Self {
            index: Cow::Borrowed(index),
            manifest: None,
            hives: BTreeMap::new(),
            known: Known::ALL,
            hasher: None,
        }
    }

    /// A layer: its index and its hives are read, no stream is.
    pub fn of_layer(layer: &'a Layer) -> Result<Self, LayerError> {
        let hive = |name| Ok((name, layer.hive_tree(name)?));
        Ok(Self {
            manifest: Some(layer.manifest()),
            hives: layer.hives().map(hive).collect::<Result<_, LayerError>>()?,
            ..Self::of_index(layer.index()?)
        })
    }

    /// The entries that are compared with `other`'s, and the number of the first: all where both are layers, otherwise those
    /// in `\Files`.
    pub(super) fn entries(&self, other: &Self) -> (usize, &[Entry]) {
        if self.manifest.is_some() && other.manifest.is_some() {
            return (0, &self.index.entries);
        }
        let files = FILES_DIRECTORY.as_bytes();
        let start = self
            .index
            .entries
            .partition_point(|entry| crate::index::compare_paths(&entry.path, files).is_le());
        (start, self.index.below(files))
    }

    /// The security descriptor of an entry.
    pub(super) fn security(&self, entry: &Entry) -> Option<&[u8]> {
        let number = entry.security?;
        self.index.securities.get(number as usize).map(|bytes| &**bytes)
    }
}
