//! `$OBJECT_ID`.

use super::{Structure, fixed_size, part};
use binrw::binrw;
use cv_disk::Damage;

/// `FILE_OBJECTID_BUFFER`. Only the first 16 bytes are always there.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ObjectId {
    /// 0x00: the object id, a GUID as Windows lays it out in memory.
    pub object_id: [u8; 16],
    /// 0x10: object id of the volume it was made on.
    pub birth_volume_id: [u8; 16],
    /// 0x20: its object id there.
    pub birth_object_id: [u8; 16],
    /// 0x30: domain, 0.
    pub domain_id: [u8; 16],
}

fixed_size!(ObjectId, "$OBJECT_ID", 64);

impl ObjectId {
    /// The object id whose value is `bytes`, 16 to 64 long; what is missing is 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        part(bytes, 0, 16, "$OBJECT_ID")?;
        let mut whole = [0; Self::SIZE];
        let length = bytes.len().min(Self::SIZE);
        whole[..length].copy_from_slice(&bytes[..length]);
        Self::read_from(&whole, 0)
    }
}
