//! `$STANDARD_INFORMATION`.

use super::file_attributes::FileAttributes;
use super::time::NtfsTime;
use super::{Structure, fixed_size};
use binrw::binrw;
use cv_disk::Damage;

/// The part that every version has, and the whole of NTFS 1.2's 48 bytes, which root and `$Boot` still use.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StandardInformationBase {
    /// 0x00: when the file was made.
    pub creation_time: NtfsTime,
    /// 0x08: when its content last changed.
    pub last_modification_time: NtfsTime,
    /// 0x10: when its record last changed.
    pub last_change_time: NtfsTime,
    /// 0x18: when it was last read.
    pub last_access_time: NtfsTime,
    /// 0x20: its attributes.
    #[br(map = FileAttributes::from_bits_retain)]
    #[bw(map = FileAttributes::bits)]
    pub file_attributes: FileAttributes,
    /// 0x24: versions allowed, 0.
    pub maximum_versions: u32,
    /// 0x28: version, 0; 1 where versions allowed are 0 marks a directory whose names are case-sensitive (Windows 10).
    pub version_number: u32,
    /// 0x2C: class, 0.
    pub class_id: u32,
}

fixed_size!(StandardInformationBase, "$STANDARD_INFORMATION", 48);

/// What NTFS 3.0 added.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StandardInformationExtension {
    /// 0x30: the owner's number in `$Quota`, or 0.
    pub owner_id: u32,
    /// 0x34: the security descriptor's number in `$Secure`, or 0.
    pub security_id: u32,
    /// 0x38: bytes charged to the owner.
    pub quota_charged: u64,
    /// 0x40: update sequence number of the change journal.
    pub usn: u64,
}

fixed_size!(StandardInformationExtension, "$STANDARD_INFORMATION of NTFS 3", 24);

/// `$STANDARD_INFORMATION`, 48 or 72 bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StandardInformation {
    /// Times and attributes.
    pub base: StandardInformationBase,
    /// Security and quota; where it is missing the file has a `$SECURITY_DESCRIPTOR` of its own.
    pub extension: Option<StandardInformationExtension>,
}

impl StandardInformation {
    /// The structure whose value is `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let base = StandardInformationBase::read_from(bytes, 0)?;
        let extension = StandardInformationExtension::read_from(bytes, StandardInformationBase::SIZE).ok();
        Ok(Self { base, extension })
    }

    /// Its value.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.base.to_bytes();
        bytes.extend(self.extension.iter().flat_map(Structure::to_bytes));
        bytes
    }

    /// The security descriptor's number in `$Secure`, where it has one.
    pub fn security_id(&self) -> Option<u32> {
        self.extension
            .map(|extension| extension.security_id)
            .filter(|id| *id != 0)
    }
}
