//! Key security (`sk`): a security descriptor that keys share.

use super::fixed_size;
use binrw::binrw;

/// The key security item without its descriptor, which follows. All of a hive form a ring.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySecurity {
    /// 0: [`SIGNATURE`](Self::SIGNATURE).
    pub signature: [u8; 2],
    /// 2: without meaning.
    pub reserved: u16,
    /// 4: the next item of the ring.
    pub flink: u32,
    /// 8: the previous item of the ring.
    pub blink: u32,
    /// 12: number of keys that use it.
    pub reference_count: u32,
    /// 16: bytes of the descriptor.
    pub security_descriptor_size: u32,
}

fixed_size!(KeySecurity, "key security", 20);

impl KeySecurity {
    /// What a key security item begins with.
    pub const SIGNATURE: [u8; 2] = *b"sk";
}
