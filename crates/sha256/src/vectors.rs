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

/// What is for the vectors of AVX2, compiled with what AVX-512 adds to them: rotations, and any function of three operands.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Narrow<T>(pub pulp::x86::V3, pub T);

#[cfg(target_arch = "x86_64")]
impl<T: pulp::WithSimd> pulp::WithSimd for Narrow<T> {
    type Output = T::Output;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> T::Output {
        self.1.with_simd(self.0)
    }
}

/// Whether the processor has instructions for SHA-256.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_instructions() -> bool {
    std::is_x86_feature_detected!("sha")
}
