//! How a new image is to be laid out, and where its identities come from.

use crate::format::Format;
use uuid::Uuid;

/// How a new image is laid out. What is not said is the format's own choice.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The container.
    pub format: Format,
    /// The kind within the format, in the format's words: `dynamic` or `fixed` of VHD and VHDX, VMware's names such as
    /// `monolithicSparse` of VMDK. Case does not matter.
    pub subformat: Option<String>,
    /// Bytes of a block, or of a grain.
    pub block_size: Option<u64>,
    /// Bytes of a logical sector, 512 or 4096; VHDX alone has the choice.
    pub sector_size: Option<u64>,
    /// A VHD as Azure takes it: fixed, and whole MiB.
    pub azure: bool,
    /// Where identities and the time come from.
    pub origin: Origin,
}

impl Layout {
    /// The format's usual layout.
    pub fn new(format: Format, origin: Origin) -> Self {
        Self {
            format,
            subformat: None,
            block_size: None,
            sector_size: None,
            azure: false,
            origin,
        }
    }

    pub(crate) fn refuse(&self, what: &'static str) -> LayoutError {
        LayoutError::NotOfFormat {
            format: self.format,
            what,
        }
    }
}

/// Why there can be no such image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The format has no such kind.
    #[error("{format} has no subformat {name:?}; there are {known}")]
    Subformat {
        /// The format.
        format: Format,
        /// The kind asked for.
        name: String,
        /// The kinds there are.
        known: &'static str,
    },
    /// The format has no such option.
    #[error("a {format} image has no {what}")]
    NotOfFormat {
        /// The format.
        format: Format,
        /// The option.
        what: &'static str,
    },
    /// A number is out of the format's range.
    #[error("{what} of {value} bytes is out of range")]
    Range {
        /// The option.
        what: &'static str,
        /// Its value.
        value: u64,
    },
}

/// Where the identities and the creation time of a new image come from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Creation, in seconds since 1970-01-01T00:00:00Z.
    pub created: i64,
    /// Identities are derived from this text, or random without it.
    pub seed: Option<String>,
}

impl Origin {
    /// Random identities and the clock's time.
    pub fn now() -> Self {
        Self {
            created: jiff::Timestamp::now().as_second(),
            seed: None,
        }
    }

    /// The same identities and time for the same text and time, so that the same input gives the same bytes.
    pub fn reproducible(created: i64, seed: impl Into<String>) -> Self {
        Self {
            created,
            seed: Some(seed.into()),
        }
    }

    /// The identity for one purpose.
    pub(crate) fn identity(&self, purpose: &str) -> Uuid {
        match &self.seed {
            Some(seed) => Uuid::new_v5(
                &Uuid::NAMESPACE_OID,
                format!("{purpose}\0{}\0{seed}", self.created).as_bytes(),
            ),
            None => Uuid::new_v4(),
        }
    }

    /// As [`identity`](Self::identity), in the 32 bits of VMware's content ids; never one of their special values.
    pub(crate) fn content_id(&self, purpose: &str) -> u32 {
        (self.identity(purpose).as_u128() as u32).clamp(1, 0xFFFF_FFFD)
    }
}
