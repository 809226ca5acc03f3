//! NTFS 3.1: one set of on-disk structures ([`structure`]) for the reader, the writer and the checker.

pub mod structure;
