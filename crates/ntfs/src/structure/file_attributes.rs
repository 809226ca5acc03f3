//! File attributes as `$STANDARD_INFORMATION` and `$FILE_NAME` hold them.

use bitflags::bitflags;

bitflags! {
    /// `FILE_ATTRIBUTE_…`, with the bits that exist on disk alone.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct FileAttributes: u32 {
        /// Not to be written.
        const READONLY = 0x0000_0001;
        /// Not shown.
        const HIDDEN = 0x0000_0002;
        /// Part of the system.
        const SYSTEM = 0x0000_0004;
        /// A directory; not used on disk, where [`DIRECTORY_INDEX`](Self::DIRECTORY_INDEX) says so.
        const DIRECTORY = 0x0000_0010;
        /// Changed since the last backup.
        const ARCHIVE = 0x0000_0020;
        /// A device.
        const DEVICE = 0x0000_0040;
        /// None of the others.
        const NORMAL = 0x0000_0080;
        /// To be kept in memory.
        const TEMPORARY = 0x0000_0100;
        /// With clusters that are not stored.
        const SPARSE_FILE = 0x0000_0200;
        /// With reparse data.
        const REPARSE_POINT = 0x0000_0400;
        /// Compressed by NTFS; of a directory, what new files in it become.
        const COMPRESSED = 0x0000_0800;
        /// Content lies elsewhere.
        const OFFLINE = 0x0000_1000;
        /// Not to be indexed for searching.
        const NOT_CONTENT_INDEXED = 0x0000_2000;
        /// Encrypted.
        const ENCRYPTED = 0x0000_4000;
        /// With integrity streams.
        const INTEGRITY_STREAM = 0x0000_8000;
        /// Not to be scrubbed.
        const NO_SCRUB_DATA = 0x0002_0000;
        /// With extended attributes; recalled when opened.
        const EA = 0x0004_0000;
        /// To be kept on this machine.
        const PINNED = 0x0008_0000;
        /// Not to be kept on this machine.
        const UNPINNED = 0x0010_0000;
        /// Recalled when read.
        const RECALL_ON_DATA_ACCESS = 0x0040_0000;
        /// Has an `$I30` index (`DUP_FILE_NAME_INDEX_PRESENT`): a directory. In `$FILE_NAME` only.
        const DIRECTORY_INDEX = 0x1000_0000;
        /// Has another index (`DUP_VIEW_INDEX_PRESENT`).
        const VIEW_INDEX = 0x2000_0000;
    }
}
