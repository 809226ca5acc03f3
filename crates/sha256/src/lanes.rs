//! Blocks of several streams side by side.

use crate::vectors::Vectors;
use crate::{BLOCK, compress};
#[cfg(target_arch = "x86_64")]
use crate::{
    vectors::{Narrow, has_instructions},
    words::{K, Words, each_of_sixteen},
};
#[cfg(target_arch = "x86_64")]
use pulp::Simd;

/// Whole blocks that follow in a stream.
pub(crate) struct Job<'a> {
    pub state: &'a mut [u32; 8],
    pub blocks: &'a [u8],
}

/// Compresses the blocks of all jobs.
pub(crate) fn run<'a>(jobs: impl Iterator<Item = Job<'a>>) {
    let mut jobs: Vec<Job<'a>> = jobs.filter(|job| !job.blocks.is_empty()).collect();
    // The longest begin, so that none of them is left alone at the end.
    jobs.sort_by_key(|job| std::cmp::Reverse(job.blocks.len()));
    let mut jobs = jobs.into_iter();
    for job in run_side_by_side(&mut jobs, Vectors::of_processor()) {
        compress::blocks(job.state, job.blocks);
    }
    for job in jobs {
        compress::blocks(job.state, job.blocks);
    }
}

/// Compresses what is worth it side by side; gives the jobs that were begun and are not done.
#[cfg(target_arch = "x86_64")]
fn run_side_by_side<'a>(jobs: &mut dyn Iterator<Item = Job<'a>>, vectors: Vectors) -> Vec<Job<'a>> {
    match vectors {
        // By its own instructions for SHA-256, a processor does one stream about as fast as eight lanes of AVX2.
        Vectors::V4(vectors) if has_instructions() => sixteen(vectors, jobs, 9),
        // A lane of a few is faster than one of many.
        Vectors::V4(vectors) => {
            let left = sixteen(vectors, jobs, 9);
            eight_narrow(vectors, &mut left.into_iter(), 3)
        }
        Vectors::V3(vectors) if !has_instructions() => eight(vectors, jobs, 3),
        _ => Vec::new(),
    }
}

#[cfg(target_arch = "x86_64")]
fn sixteen<'a>(vectors: pulp::x86::V4, jobs: &mut dyn Iterator<Item = Job<'a>>, least: usize) -> Vec<Job<'a>> {
    side_by_side::<16>(&|rounds| Simd::vectorize(vectors, rounds), jobs, least)
}

#[cfg(target_arch = "x86_64")]
fn eight<'a>(vectors: pulp::x86::V3, jobs: &mut dyn Iterator<Item = Job<'a>>, least: usize) -> Vec<Job<'a>> {
    side_by_side::<8>(&|rounds| Simd::vectorize(vectors, rounds), jobs, least)
}

#[cfg(target_arch = "x86_64")]
fn eight_narrow<'a>(vectors: pulp::x86::V4, jobs: &mut dyn Iterator<Item = Job<'a>>, least: usize) -> Vec<Job<'a>> {
    side_by_side::<8>(
        &|rounds| Simd::vectorize(vectors, Narrow(*vectors, rounds)),
        jobs,
        least,
    )
}

#[cfg(not(target_arch = "x86_64"))]
fn run_side_by_side<'a>(_: &mut dyn Iterator<Item = Job<'a>>, _: Vectors) -> Vec<Job<'a>> {
    Vec::new()
}

/// The states of all lanes, word by word.
#[cfg(target_arch = "x86_64")]
type States<const LANES: usize> = [[u32; LANES]; 8];

/// Works on as many jobs as there are lanes, a new one taking the place of one that is done, while there are `least` of them;
/// gives those that were begun.
#[cfg(target_arch = "x86_64")]
fn side_by_side<'a, const LANES: usize>(
    compress: &dyn Fn(Rounds<'_, LANES>),
    jobs: &mut dyn Iterator<Item = Job<'a>>,
    least: usize,
) -> Vec<Job<'a>> {
    let mut states = [[0; LANES]; 8];
    let mut lanes: [Option<Job<'a>>; LANES] = std::array::from_fn(|_| None);
    loop {
        for (lane, place) in lanes.iter_mut().enumerate().filter(|(_, place)| place.is_none()) {
            let Some(job) = jobs.next() else { break };
            for (word, state) in states.iter_mut().zip(job.state.iter()) {
                word[lane] = *state;
            }
            *place = Some(job);
        }
        let used = lanes.iter().flatten();
        let Some(shortest) = used.clone().map(|job| job.blocks).min_by_key(|blocks| blocks.len()) else {
            return Vec::new();
        };
        if used.count() < least {
            break;
        }
        // Lanes without a job work on another's blocks, for nothing.
        let blocks = std::array::from_fn(|lane| lanes[lane].as_ref().map_or(shortest, |job| job.blocks));
        let length = shortest.len();
        compress(Rounds {
            states: &mut states,
            blocks: &blocks,
            count: length / BLOCK,
        });
        for (lane, place) in lanes.iter_mut().enumerate() {
            if let Some(job) = place {
                job.blocks = &job.blocks[length..];
                if job.blocks.is_empty() {
                    take(&states, lane, job.state);
                    *place = None;
                }
            }
        }
    }
    let left = lanes.into_iter().enumerate();
    let left = left.filter_map(|(lane, job)| job.map(|job| (lane, job)));
    left.map(|(lane, job)| {
        take(&states, lane, job.state);
        job
    })
    .collect()
}

#[cfg(target_arch = "x86_64")]
fn take<const LANES: usize>(states: &States<LANES>, lane: usize, state: &mut [u32; 8]) {
    for (state, word) in state.iter_mut().zip(states) {
        *state = word[lane];
    }
}

/// The compression of `count` blocks of each lane, to be compiled for the vectors that there are.
#[cfg(target_arch = "x86_64")]
struct Rounds<'a, const LANES: usize> {
    states: &'a mut States<LANES>,
    blocks: &'a [&'a [u8]; LANES],
    count: usize,
}

#[cfg(target_arch = "x86_64")]
impl<const LANES: usize> pulp::WithSimd for Rounds<'_, LANES> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, vectors: S) {
        const { assert!(S::U32_LANES == LANES) };
        for block in 0..self.count {
            let mut schedule = [[0; LANES]; 16];
            for (lane, blocks) in self.blocks.iter().enumerate() {
                let words = blocks[block * BLOCK..][..BLOCK].chunks_exact(4);
                for (word, bytes) in schedule.iter_mut().zip(words) {
                    word[lane] = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                }
            }
            rounds(vectors, self.states, &schedule);
        }
    }
}

/// Where the words a to h are after some rounds.
#[cfg(target_arch = "x86_64")]
const fn names(rounds: usize) -> [usize; 8] {
    let mut names = [0; 8];
    let mut name = 0;
    while name < 8 {
        names[name] = (name + 16 - rounds) % 8;
        name += 1;
    }
    names
}

/// The 64 rounds for one block of each lane (FIPS 180-4, 6.2.2).
#[cfg(target_arch = "x86_64")]
#[allow(clippy::many_single_char_names)] // The specification's names.
#[inline(always)]
fn rounds<S: Simd, const LANES: usize>(v: S, states: &mut States<LANES>, schedule: &[[u32; LANES]; 16]) {
    let load = |words: &[u32; LANES]| S::as_simd_u32s(words).0[0];
    let words = Words(v);
    let (add, xor3, rotated) = (
        |left, right| words.add(left, right),
        |one, two, three| words.xor3(one, two, three),
        |word, amount| words.rotated(word, amount),
    );
    let mut w: [S::u32s; 16] = std::array::from_fn(|t| load(&schedule[t]));
    let mut state: [S::u32s; 8] = std::array::from_fn(|word| load(&states[word]));
    for (group, k) in K.as_chunks::<16>().0.iter().enumerate() {
        each_of_sixteen!(T => {
            // Names change places instead of values.
            const NAMES: [usize; 8] = names(T);
            let [a, b, c] = [state[NAMES[0]], state[NAMES[1]], state[NAMES[2]]];
            let [e, f, g] = [state[NAMES[4]], state[NAMES[5]], state[NAMES[6]]];
            let [d, h] = [NAMES[3], NAMES[7]];
            if group > 0 {
                w[T] = words.scheduled(&w, T + 16);
            }
            let sum1 = xor3(rotated(e, 6), rotated(e, 11), rotated(e, 25));
            let choice = v.xor_u32s(v.and_u32s(e, f), v.and_u32s(v.not_u32s(e), g));
            let t1 = add(add(add(state[h], add(w[T], v.splat_u32s(k[T]))), choice), sum1);
            let sum0 = xor3(rotated(a, 2), rotated(a, 13), rotated(a, 22));
            let majority = xor3(v.and_u32s(a, b), v.and_u32s(a, c), v.and_u32s(b, c));
            state[d] = add(state[d], t1);
            state[h] = add(t1, add(sum0, majority));
        });
    }
    for (state, word) in states.iter_mut().zip(state) {
        let state = &mut S::as_mut_simd_u32s(state).0[0];
        *state = add(*state, word);
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// Each kernel that this processor can run, and streams of all lengths.
    #[test]
    fn every_kernel_agrees_with_one_stream_after_the_other() {
        let bytes: Vec<u8> = (0..40 * BLOCK).map(|place| (place * 151 % 251) as u8).collect();
        for streams in [1, 2, 7, 8, 9, 16, 17, 40] {
            let lengths = (0..streams).map(|stream| stream * 29 % 40);
            let expected: Vec<[u32; 8]> = lengths
                .clone()
                .map(|blocks| {
                    let mut state = crate::INITIAL;
                    compress::one_by_one(&mut state, &bytes[..blocks * BLOCK]);
                    state
                })
                .collect();
            let check = |kernel: &dyn Fn(&mut dyn Iterator<Item = Job<'_>>)| {
                let mut states = vec![crate::INITIAL; streams];
                let jobs = states.iter_mut().zip(lengths.clone());
                let jobs = jobs.map(|(state, blocks)| Job {
                    state,
                    blocks: &bytes[..blocks * BLOCK],
                });
                kernel(&mut jobs.filter(|job| !job.blocks.is_empty()));
                assert_eq!(states, expected, "{streams}");
            };
            let one_by_one = |jobs: &mut dyn Iterator<Item = Job<'_>>| {
                for job in jobs {
                    compress::blocks(job.state, job.blocks);
                }
            };
            if let Some(vectors) = pulp::x86::V4::try_new() {
                check(&|jobs| one_by_one(&mut sixteen(vectors, jobs, 9).into_iter()));
                check(&|jobs| one_by_one(&mut sixteen(vectors, jobs, 1).into_iter()));
                check(&|jobs| one_by_one(&mut eight_narrow(vectors, jobs, 1).into_iter()));
            }
            if let Some(vectors) = pulp::x86::V3::try_new() {
                check(&|jobs| one_by_one(&mut eight(vectors, jobs, 1).into_iter()));
                check(&|jobs| one_by_one(&mut eight(vectors, jobs, 3).into_iter()));
            }
            check(&|jobs| one_by_one(jobs));
        }
    }
}
