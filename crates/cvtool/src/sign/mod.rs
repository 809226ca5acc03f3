//! Keys and signatures of layers.

pub mod keygen;
mod password;
#[expect(clippy::module_inception, reason = "the command's own name")]
pub mod sign;
