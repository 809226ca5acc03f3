//! The words of SHA-256 in vectors.

use pulp::Simd;

/// The round constants (FIPS 180-4, 4.2.2).
#[rustfmt::skip]
pub(crate) const K: [u32; 64] = [
    0x428A_2F98, 0x7137_4491, 0xB5C0_FBCF, 0xE9B5_DBA5, 0x3956_C25B, 0x59F1_11F1, 0x923F_82A4, 0xAB1C_5ED5,
    0xD807_AA98, 0x1283_5B01, 0x2431_85BE, 0x550C_7DC3, 0x72BE_5D74, 0x80DE_B1FE, 0x9BDC_06A7, 0xC19B_F174,
    0xE49B_69C1, 0xEFBE_4786, 0x0FC1_9DC6, 0x240C_A1CC, 0x2DE9_2C6F, 0x4A74_84AA, 0x5CB0_A9DC, 0x76F9_88DA,
    0x983E_5152, 0xA831_C66D, 0xB003_27C8, 0xBF59_7FC7, 0xC6E0_0BF3, 0xD5A7_9147, 0x06CA_6351, 0x1429_2967,
    0x27B7_0A85, 0x2E1B_2138, 0x4D2C_6DFC, 0x5338_0D13, 0x650A_7354, 0x766A_0ABB, 0x81C2_C92E, 0x9272_2C85,
    0xA2BF_E8A1, 0xA81A_664B, 0xC24B_8B70, 0xC76C_51A3, 0xD192_E819, 0xD699_0624, 0xF40E_3585, 0x106A_A070,
    0x19A4_C116, 0x1E37_6C08, 0x2748_774C, 0x34B0_BCB5, 0x391C_0CB3, 0x4ED8_AA4A, 0x5B9C_CA4F, 0x682E_6FF3,
    0x748F_82EE, 0x78A5_636F, 0x84C8_7814, 0x8CC7_0208, 0x90BE_FFFA, 0xA450_6CEB, 0xBEF9_A3F7, 0xC671_78F2,
];

/// Operations on vectors of words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<S>(pub S);

impl<S: Simd> Words<S> {
    #[inline(always)]
    pub fn add(self, left: S::u32s, right: S::u32s) -> S::u32s {
        self.0.add_u32s(left, right)
    }

    #[inline(always)]
    pub fn xor3(self, one: S::u32s, two: S::u32s, three: S::u32s) -> S::u32s {
        self.0.xor_u32s(self.0.xor_u32s(one, two), three)
    }

    #[inline(always)]
    pub fn shifted(self, word: S::u32s, amount: u32) -> S::u32s {
        self.0.wrapping_dyn_shr_u32s(word, self.0.splat_u32s(amount))
    }

    #[inline(always)]
    pub fn rotated(self, word: S::u32s, amount: u32) -> S::u32s {
        let wrapped = self.0.wrapping_dyn_shl_u32s(word, self.0.splat_u32s(32 - amount));
        self.0.or_u32s(self.shifted(word, amount), wrapped)
    }

    /// Word `t` of the message schedule, from the 16 words before it, each in its place modulo 16 (FIPS 180-4, 6.2.2).
    #[inline(always)]
    pub fn scheduled(self, w: &[S::u32s; 16], t: usize) -> S::u32s {
        let (w2, w7) = (w[(t - 2) % 16], w[(t - 7) % 16]);
        let (w15, w16) = (w[(t - 15) % 16], w[t % 16]);
        let sigma0 = self.xor3(self.rotated(w15, 7), self.rotated(w15, 18), self.shifted(w15, 3));
        let sigma1 = self.xor3(self.rotated(w2, 17), self.rotated(w2, 19), self.shifted(w2, 10));
        self.add(self.add(w16, sigma0), self.add(w7, sigma1))
    }
}

/// Does something with each number of 16, known when it is compiled: what is in arrays then stays in registers.
macro_rules! each_of_sixteen {
    ($t:ident => $body:block) => {
        each_of_sixteen!($t => $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($name:ident => $body:block, $($number:literal)*) => {
        $({
            const $name: usize = $number;
            $body
        })*
    };
}

pub(crate) use each_of_sixteen;
