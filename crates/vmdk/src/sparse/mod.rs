//! Sparse extents: where their grains are, and reading them.

mod compressed;
mod extent;
mod grain_tables;

pub(crate) use compressed::{GrainDecoder, compressed_size_max};
pub(crate) use extent::{Below, SparseExtent, SparseKind};
pub(crate) use grain_tables::{Directory, Grain};
