//! What of a file the index repeats, and how.

use crate::index::EntryKind;
use cv_ntfs::structure::reparse::{ReparseHeader, ReparseTag};
use cv_ntfs::structure::{FileAttributes, Structure};

/// Attributes that follow from what a file holds.
const IMPLIED: FileAttributes = FileAttributes::DIRECTORY
    .union(FileAttributes::NORMAL)
    .union(FileAttributes::SPARSE_FILE)
    .union(FileAttributes::REPARSE_POINT)
    .union(FileAttributes::ENCRYPTED)
    .union(FileAttributes::EA)
    .union(FileAttributes::DIRECTORY_INDEX)
    .union(FileAttributes::VIEW_INDEX);

/// The attributes that do not follow from what a file holds: those that a layer keeps.
pub(crate) fn kept_attributes(attributes: FileAttributes, is_directory: bool) -> FileAttributes {
    let kept = attributes - IMPLIED;
    if is_directory {
        // What new files in it become.
        kept
    } else {
        kept - FileAttributes::COMPRESSED
    }
}

/// The attributes as the index has them: a link to a directory is told from one to a file.
pub(crate) fn index_attributes(attributes: FileAttributes, is_directory: bool, kind: EntryKind) -> u32 {
    let kept = kept_attributes(attributes, is_directory);
    let is_link = matches!(kind, EntryKind::Symlink | EntryKind::Junction);
    let directory = if is_directory && is_link {
        FileAttributes::DIRECTORY
    } else {
        FileAttributes::empty()
    };
    (kept | directory).bits()
}

/// The tag of reparse data.
pub(crate) fn reparse_tag(data: &[u8]) -> Option<ReparseTag> {
    ReparseHeader::read_from(data, 0).ok().map(|header| header.reparse_tag)
}

/// What a file or directory with this reparse data is.
pub(crate) fn entry_kind(reparse: Option<&[u8]>, is_directory: bool) -> EntryKind {
    match reparse.map(reparse_tag) {
        Some(Some(ReparseTag::SYMLINK | ReparseTag::LX_SYMLINK)) => EntryKind::Symlink,
        // What stands for something else has no entries of its own.
        Some(Some(tag)) if is_directory && !tag.is_name_surrogate() => EntryKind::Directory,
        Some(_) => EntryKind::Junction,
        None if is_directory => EntryKind::Directory,
        None => EntryKind::File,
    }
}
