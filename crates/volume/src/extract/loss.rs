//! What a host could not keep.

/// What the host could not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Loss {
    /// Modification and access time.
    Times,
    /// `ntfs_times`.
    ExactTimes,
    /// `ntfs_attrib`.
    Attributes,
    /// `ntfs_acl`.
    Security,
    /// `ntfs_object_id`.
    ObjectId,
    /// `ntfs_ea`.
    ExtendedAttributes,
    /// `ntfs_dos_name`.
    ShortName,
    /// `ntfs_reparse_data` of a file that has content too.
    ReparseData,
}

impl Loss {
    /// What was lost, for people.
    pub fn what(self) -> &'static str {
        match self {
            Self::Times => "times",
            Self::ExactTimes => "creation and change times",
            Self::Attributes => "file attributes",
            Self::Security => "security descriptors",
            Self::ObjectId => "object ids",
            Self::ExtendedAttributes => "extended attributes",
            Self::ShortName => "8.3 names",
            Self::ReparseData => "reparse data",
        }
    }
}
