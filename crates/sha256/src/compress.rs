//! Blocks of one stream.

use crate::BLOCK;
#[cfg(target_arch = "x86_64")]
use crate::{
    vectors::{Vectors, has_instructions},
    words::{K, Words, each_of_sixteen},
};
#[cfg(target_arch = "x86_64")]
use pulp::Simd;
use sha2::digest::generic_array::GenericArray;

/// Blocks whose message schedules are made together, each in its lane.
#[cfg(target_arch = "x86_64")]
const TOGETHER: usize = 8;

/// Compresses whole blocks.
pub(crate) fn blocks(state: &mut [u32; 8], blocks: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    let blocks = match Vectors::of_processor() {
        _ if has_instructions() => blocks,
        Vectors::V3(vectors) => scheduled_together(vectors, state, blocks),
        // With what AVX-512 adds, the compiler makes vectors of the rounds too, which takes longer.
        Vectors::V4(vectors) => scheduled_together(*vectors, state, blocks),
        Vectors::None => blocks,
    };
    one_by_one(state, blocks);
}

/// Compresses whole blocks by the sha2 crate.
pub(crate) fn one_by_one(state: &mut [u32; 8], blocks: &[u8]) {
    for block in blocks.chunks_exact(BLOCK) {
        sha2::compress256(state, std::slice::from_ref(GenericArray::from_slice(block)));
    }
}

/// Compresses blocks whose message schedules, unlike their rounds, do not wait for each other; gives those that are too few.
#[cfg(target_arch = "x86_64")]
fn scheduled_together<'a>(vectors: pulp::x86::V3, state: &mut [u32; 8], blocks: &'a [u8]) -> &'a [u8] {
    let (groups, rest) = blocks.as_chunks();
    Simd::vectorize(vectors, Together { state, groups });
    rest
}

#[cfg(target_arch = "x86_64")]
struct Together<'a> {
    state: &'a mut [u32; 8],
    groups: &'a [[u8; TOGETHER * BLOCK]],
}

#[cfg(target_arch = "x86_64")]
impl pulp::WithSimd for Together<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, vectors: S) {
        debug_assert_eq!(S::U32_LANES, TOGETHER);
        for group in self.groups {
            let schedules = schedules(vectors, group);
            for lane in 0..TOGETHER {
                rounds(self.state, &schedules, lane);
            }
        }
    }
}

/// The message schedule of each block, the round constants added to it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn schedules<S: Simd>(vectors: S, group: &[u8; TOGETHER * BLOCK]) -> [[u32; TOGETHER]; 64] {
    let mut schedules = [[0; TOGETHER]; 64];
    for (lane, block) in group.chunks_exact(BLOCK).enumerate() {
        for (words, bytes) in schedules.iter_mut().zip(block.chunks_exact(4)) {
            words[lane] = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
    let words = Words(vectors);
    let mut w: [S::u32s; 16] = std::array::from_fn(|t| S::as_simd_u32s(&schedules[t]).0[0]);
    let sixteens = K.as_chunks::<16>().0.iter().zip(schedules.as_chunks_mut::<16>().0);
    for (group, (k, schedules)) in sixteens.enumerate() {
        each_of_sixteen!(T => {
            if group > 0 {
                w[T] = words.scheduled(&w, T + 16);
            }
            S::as_mut_simd_u32s(&mut schedules[T]).0[0] = words.add(w[T], vectors.splat_u32s(k[T]));
        });
    }
    schedules
}

/// The 64 rounds for one block (FIPS 180-4, 6.2.2).
#[cfg(target_arch = "x86_64")]
#[allow(clippy::many_single_char_names)] // The specification's names.
#[inline(always)]
fn rounds(state: &mut [u32; 8], schedules: &[[u32; TOGETHER]; 64], lane: usize) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    // What is b ^ c in a round was a ^ b in the one before.
    let mut b_xor_c = b ^ c;
    // Names change places instead of values.
    macro_rules! round {
        ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $schedule:expr) => {
            let sum1 = $e.rotate_right(6) ^ $e.rotate_right(11) ^ $e.rotate_right(25);
            let choice = $g ^ ($e & ($f ^ $g));
            let t1 = $h
                .wrapping_add($schedule[lane])
                .wrapping_add(choice)
                .wrapping_add(sum1);
            let sum0 = $a.rotate_right(2) ^ $a.rotate_right(13) ^ $a.rotate_right(22);
            let a_xor_b = $a ^ $b;
            let majority = $b ^ (a_xor_b & b_xor_c);
            b_xor_c = a_xor_b;
            $d = $d.wrapping_add(t1);
            $h = t1.wrapping_add(majority).wrapping_add(sum0);
        };
    }
    for eight in schedules.as_chunks::<8>().0 {
        round!(a b c d e f g h, eight[0]);
        round!(h a b c d e f g, eight[1]);
        round!(g h a b c d e f, eight[2]);
        round!(f g h a b c d e, eight[3]);
        round!(e f g h a b c d, eight[4]);
        round!(d e f g h a b c, eight[5]);
        round!(c d e f g h a b, eight[6]);
        round!(b c d e f g h a, eight[7]);
    }
    for (state, word) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *state = state.wrapping_add(word);
    }
}
