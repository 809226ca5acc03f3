//! Keys and data of the indexes that do not hold names.
//!
//! | index | file | key | data | order |
//! |---|---|---|---|---|
//! | `$SII` | `$Secure` | [`SecurityIdKey`] | [`SecurityDescriptorEntryHeader`] | `NTOFS_ULONG` |
//! | `$SDH` | `$Secure` | [`SecurityHashKey`] | the same, and `II` in the padding | `NTOFS_SECURITY_HASH` |
//! | `$O` | `$Extend\$ObjId` | object id, 16 bytes | [`ObjectIdData`] | `NTOFS_ULONGS` |
//! | `$R` | `$Extend\$Reparse` | [`ReparseKey`] | none | `NTOFS_ULONGS` |
//! | `$O` | `$Extend\$Quota` | security identifier | owner's number, `u32` | `NTOFS_SID` |
//! | `$Q` | `$Extend\$Quota` | [`OwnerIdKey`] | [`QuotaData`], security identifier | `NTOFS_ULONG` |
//!
//! [`SecurityDescriptorEntryHeader`]: super::security::SecurityDescriptorEntryHeader

use super::file_reference::FileReference;
use super::fixed_size;
use super::time::NtfsTime;
use binrw::binrw;

/// Key of `$SII`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecurityIdKey {
    /// 0x00: the security descriptor's number.
    pub security_id: u32,
}

fixed_size!(SecurityIdKey, "$SII key", 4);

/// Key of `$SDH`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecurityHashKey {
    /// 0x00: hash of the security descriptor.
    pub hash: u32,
    /// 0x04: its number.
    pub security_id: u32,
}

fixed_size!(SecurityHashKey, "$SDH key", 8);

/// Data of `$ObjId`'s `$O`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectIdData {
    /// 0x00: the file.
    pub file_reference: FileReference,
    /// 0x08: object id of the volume it was made on.
    pub birth_volume_id: [u8; 16],
    /// 0x18: its object id there.
    pub birth_object_id: [u8; 16],
    /// 0x28: domain, 0.
    pub domain_id: [u8; 16],
}

fixed_size!(ObjectIdData, "$ObjId:$O data", 56);

/// Key of `$R`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReparseKey {
    /// 0x00: the reparse tag.
    pub reparse_tag: u32,
    /// 0x04: the file, not aligned.
    pub file_reference: FileReference,
}

fixed_size!(ReparseKey, "$Reparse:$R key", 12);

/// Key of `$Q`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerIdKey {
    /// 0x00: the owner's number; 1 for the defaults, users from 0x100.
    pub owner_id: u32,
}

fixed_size!(OwnerIdKey, "$Quota:$Q key", 4);

/// Data of `$Q` without the owner's security identifier, which follows.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaData {
    /// 0x00: 2.
    pub version: u32,
    /// 0x04: 1 default limits, 2 limit reached, 4 deleted, 0x10 tracking, 0x20 enforced, and so on.
    pub flags: u32,
    /// 0x08: bytes used.
    pub bytes_used: u64,
    /// 0x10: when it last changed.
    pub change_time: NtfsTime,
    /// 0x18: bytes at which a warning is given, `u64::MAX` for never.
    pub threshold: u64,
    /// 0x20: bytes allowed, `u64::MAX` for any.
    pub limit: u64,
    /// 0x28: when the limit was exceeded.
    pub exceeded_time: NtfsTime,
}

fixed_size!(QuotaData, "$Quota:$Q data", 0x30);
