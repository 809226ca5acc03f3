//! What hosts have no place for, and the extended attributes it is kept in.
//!
//! The names are those by which an ntfs-3g mount shows the same things, with `system.` in front on such a mount and `user.`
//! anywhere else, where `system.` is not open to programs. Numbers are little-endian, as ntfs-3g has them.
//!
//! | name | value |
//! |---|---|
//! | `ntfs_attrib` | file attributes, 4 bytes; left out where they are the usual ones |
//! | `ntfs_times` | creation, modification, access, change: 8 bytes each, in 100 ns since 1601 |
//! | `ntfs_acl` | the security descriptor, self-relative |
//! | `ntfs_reparse_data` | the value of `$REPARSE_POINT` |
//! | `ntfs_object_id` | the value of `$OBJECT_ID` |
//! | `ntfs_ea` | the value of `$EA` |
//! | `ntfs_dos_name` | the 8.3 name |
//!
//! Named streams are in `user.` with their own name behind. Where no attributes are kept, those count that Wine and Samba keep in
//! `user.DOSATTRIB`.

use cv_ntfs::structure::FileAttributes;

/// What stands before a stream's name.
pub const STREAM_PREFIX: &[u8] = b"user.";

/// The extended attribute in which Wine and Samba keep what a host has no place for.
pub const DOS_ATTRIBUTES: &str = "user.DOSATTRIB";

/// One of the things kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// File attributes.
    Attributes,
    /// The four times.
    Times,
    /// The security descriptor.
    Security,
    /// Reparse data.
    ReparseData,
    /// The object id.
    ObjectId,
    /// Extended attributes.
    ExtendedAttributes,
    /// The 8.3 name.
    ShortName,
}

/// Their names, without `system.` or `user.`.
pub const NAMES: [(&str, Kept); 7] = [
    ("ntfs_attrib", Kept::Attributes),
    ("ntfs_times", Kept::Times),
    ("ntfs_acl", Kept::Security),
    ("ntfs_reparse_data", Kept::ReparseData),
    ("ntfs_object_id", Kept::ObjectId),
    ("ntfs_ea", Kept::ExtendedAttributes),
    ("ntfs_dos_name", Kept::ShortName),
];

impl Kept {
    /// Its name, without `system.` or `user.`.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, kept)| *kept == self)
            .map_or("", |(name, _)| name)
    }
}

/// The attributes of files and directories where nothing is kept.
pub fn usual_attributes(is_directory: bool) -> FileAttributes {
    if is_directory {
        FileAttributes::empty()
    } else {
        FileAttributes::ARCHIVE
    }
}

/// The attributes in a value of [`DOS_ATTRIBUTES`]: a number as C writes it; Samba may have put a structure behind it.
pub fn dos_attributes(value: &[u8]) -> Option<FileAttributes> {
    let text = value.split(|byte| *byte == 0).next()?;
    let digits = std::str::from_utf8(text.strip_prefix(b"0x")?).ok()?;
    u32::from_str_radix(digits, 16)
        .ok()
        .map(FileAttributes::from_bits_retain)
}

/// Those of [`dos_attributes`] that Wine takes from there; the others it takes from what the host says.
pub fn attributes_of_wine(value: &[u8]) -> FileAttributes {
    dos_attributes(value).unwrap_or_default() & (FileAttributes::HIDDEN | FileAttributes::SYSTEM)
}

/// Attributes that follow from what a file holds, and are not kept.
pub const IMPLIED: FileAttributes = FileAttributes::DIRECTORY
    .union(FileAttributes::NORMAL)
    .union(FileAttributes::SPARSE_FILE)
    .union(FileAttributes::REPARSE_POINT)
    .union(FileAttributes::EA)
    .union(FileAttributes::DIRECTORY_INDEX)
    .union(FileAttributes::VIEW_INDEX);

/// The extended attribute that a stream is kept as; `None` where the name has another meaning.
pub fn stream_attribute(stream: &[u16]) -> Option<Vec<u8>> {
    let mut name = STREAM_PREFIX.to_vec();
    cv_winname::wtf8::encode_into(stream, &mut name);
    let own = &name[STREAM_PREFIX.len()..];
    let is_known = NAMES.iter().any(|(known, _)| known.as_bytes() == own) || name == DOS_ATTRIBUTES.as_bytes();
    (!is_known && !name.contains(&0)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_do_not_pass_for_metadata() {
        let name = |text: &str| stream_attribute(&text.encode_utf16().collect::<Vec<_>>());
        assert_eq!(name("Zone.Identifier"), Some(b"user.Zone.Identifier".to_vec()));
        assert_eq!(name("ntfs_acl"), None);
        assert_eq!(name("DOSATTRIB"), None);
        assert_eq!(name("a\0b"), None);
        assert_eq!(Kept::ShortName.name(), "ntfs_dos_name");
    }

    #[test]
    fn attributes_are_read_as_wine_and_samba_write_them() {
        let bits = |value: &[u8]| dos_attributes(value).map(|attributes| attributes.bits());
        assert_eq!(bits(b"0x22"), Some(0x22));
        assert_eq!(bits(b"0x6\0"), Some(6));
        assert_eq!(bits(b"0x12\0\0\x04\0\x04\0"), Some(0x12));
        assert_eq!((bits(b"22"), bits(b""), bits(b"0x")), (None, None, None));
        assert_eq!(attributes_of_wine(b"0x37").bits(), 6);
        assert_eq!(attributes_of_wine(b"?").bits(), 0);
    }
}
