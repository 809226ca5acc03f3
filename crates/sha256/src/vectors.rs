//! What this processor has.

use std::sync::OnceLock;

/// The vectors of this processor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Vectors {
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    V4(pulp::x86::V4),
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    V3(pulp::x86::V3),
    /// None that are of use.
    None,
}

impl Vectors {
    pub fn of_processor() -> Self {
        static VECTORS: OnceLock<Vectors> = OnceLock::new();
        *VECTORS.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                if let Some(vectors) = pulp::x86::V4::try_new() {
                    return Self::V4(vectors);
                }
                if let Some(vectors) = pulp::x86::V3::try_new() {
                    return Self::V3(vectors);
                }
            }
            Self::None
        })
    }
}

/// Whether the processor has instructions for SHA-256.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_instructions() -> bool {
    std::is_x86_feature_detected!("sha")
}
