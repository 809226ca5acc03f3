//! SHA-256 (FIPS 180-4) of many streams at once.
//!
//! One stream's blocks depend on each other, so that a processor without instructions for SHA-256 is busy with one of them for
//! a long time. Blocks of different streams do not: they are worked on side by side, each in its lane of vector registers, in
//! little more time than one takes. Of a single stream, at least the message schedules of several blocks are made in lanes.
//!
//! ```
//! let files: [&[u8]; 2] = [b"abc", b""];
//! let sums = cv_sha256::digest_all(&files);
//! assert_eq!(sums[0][..4], [0xBA, 0x78, 0x16, 0xBF]);
//! assert_eq!(sums[1][..4], [0xE3, 0xB0, 0xC4, 0x42]);
//! ```

#![allow(
    clippy::inline_always,
    reason = "what is not inlined is not compiled for the vectors"
)]

mod compress;
mod lanes;
mod vectors;
#[cfg(target_arch = "x86_64")]
mod words;

use lanes::Job;

/// Bytes of a block.
const BLOCK: usize = 64;

/// The initial hash value (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];

/// Streams that are worked on at once at most: more of them in one call cost nothing, fewer leave lanes unused.
pub const LANES: usize = 16;

/// The sum of the bytes of one stream so far.
#[derive(Debug, Clone)]
pub struct Sha256 {
    state: [u32; 8],
    /// Bytes so far.
    length: u64,
    /// The last of them that are no whole block.
    rest: [u8; BLOCK],
}

impl Default for Sha256 {
    fn default() -> Self {
        Self {
            state: INITIAL,
            length: 0,
            rest: [0; BLOCK],
        }
    }
}

impl Sha256 {
    /// Appends bytes to the stream; faster for many streams with [`update_all`].
    pub fn update(&mut self, bytes: &[u8]) {
        let whole = self.begin(bytes);
        compress::blocks(&mut self.state, whole);
    }

    /// The sum of all bytes.
    pub fn finish(mut self) -> [u8; 32] {
        let (padding, length) = self.padding();
        compress::blocks(&mut self.state, &padding[..length]);
        self.sum()
    }

    /// Takes note of bytes that follow; gives those that are left to be compressed, which are whole blocks.
    fn begin<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        let filled = (self.length % BLOCK as u64) as usize;
        self.length += bytes.len() as u64;
        if filled > 0 {
            let more = bytes.len().min(BLOCK - filled);
            self.rest[filled..filled + more].copy_from_slice(&bytes[..more]);
            bytes = &bytes[more..];
            if filled + more < BLOCK {
                return bytes;
            }
            compress::blocks(&mut self.state, &self.rest);
        }
        let (whole, rest) = bytes.split_at(bytes.len() / BLOCK * BLOCK);
        self.rest[..rest.len()].copy_from_slice(rest);
        whole
    }

    /// The last blocks: the rest, a bit, zeros and the length in bits (FIPS 180-4, 5.1.1); and how many bytes they are.
    fn padding(&self) -> ([u8; 2 * BLOCK], usize) {
        let filled = (self.length % BLOCK as u64) as usize;
        let mut padding = [0; 2 * BLOCK];
        padding[..filled].copy_from_slice(&self.rest[..filled]);
        padding[filled] = 0x80;
        let length = if filled < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
        padding[length - 8..length].copy_from_slice(&(self.length * 8).to_be_bytes());
        (padding, length)
    }

    fn sum(&self) -> [u8; 32] {
        let mut sum = [0; 32];
        for (bytes, word) in sum.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        sum
    }
}

/// Appends bytes to several streams.
pub fn update_all<'a>(streams: impl IntoIterator<Item = (&'a mut Sha256, &'a [u8])>) {
    let jobs = streams.into_iter().map(|(stream, bytes)| {
        let blocks = stream.begin(bytes);
        Job {
            state: &mut stream.state,
            blocks,
        }
    });
    lanes::run(jobs);
}

/// The sums of several streams, each of which is one slice.
pub fn digest_all(streams: &[&[u8]]) -> Vec<[u8; 32]> {
    let mut hashes = vec![Sha256::default(); streams.len()];
    update_all(hashes.iter_mut().zip(streams.iter().copied()));
    let paddings: Vec<_> = hashes.iter().map(Sha256::padding).collect();
    // Of small streams the padding is a good part, so that it has lanes too.
    lanes::run(hashes.iter_mut().zip(&paddings).map(|(hash, (padding, length))| Job {
        state: &mut hash.state,
        blocks: &padding[..*length],
    }));
    hashes.iter().map(Sha256::sum).collect()
}

/// The sum of one stream.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::default();
    hash.update(bytes);
    hash.finish()
}

#[cfg(test)]
mod tests;
