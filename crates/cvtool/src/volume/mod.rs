//! Commands on NTFS volumes, wherever they are: in a partition of a disk image of any container, or bare.

pub mod cat;
pub mod entry;
pub mod extract;
pub mod ls;
pub mod source;
pub mod tree;
