//! Keys and signatures of layers.

pub mod keygen;
pub mod password;
#[expect(clippy::module_inception, reason = "the command's own name")]
pub mod sign;
pub mod signer;
