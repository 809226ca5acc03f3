//! Finding repetitions in a piece of at most 64 KiB: hash chains over three bytes, as both encoders need them.

const HASH_BITS: u32 = 12;
const NONE: u16 = u16::MAX;
/// Bytes of the shortest match.
pub(super) const MIN_MATCH: usize = 3;

/// A repetition of what was there before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Match {
    pub length: usize,
    pub distance: usize,
}

/// Positions of a piece by what begins there.
#[derive(Debug)]
pub(super) struct MatchFinder {
    heads: Vec<u16>,
    previous: Vec<u16>,
    /// How many candidates are looked at.
    depth: usize,
}

impl MatchFinder {
    /// A finder that looks at `depth` candidates a position.
    pub fn new(depth: usize) -> Self {
        Self {
            heads: vec![NONE; 1 << HASH_BITS],
            previous: Vec::new(),
            depth,
        }
    }

    /// Forgets everything, for a piece of `length` bytes.
    pub fn reset(&mut self, length: usize) {
        debug_assert!(length <= usize::from(NONE));
        self.heads.fill(NONE);
        self.previous.clear();
        self.previous.resize(length, NONE);
    }

    fn hash(bytes: &[u8]) -> usize {
        let word = u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16;
        (word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize
    }

    /// Notes what begins at `position`.
    pub fn insert(&mut self, piece: &[u8], position: usize) {
        if position + MIN_MATCH <= piece.len() {
            let head = &mut self.heads[Self::hash(&piece[position..])];
            self.previous[position] = std::mem::replace(head, position as u16);
        }
    }

    /// The longest match at `position`, which is not noted yet, of `most` bytes at most; of length 0 where there is none.
    pub fn longest(&self, piece: &[u8], position: usize, most: usize) -> Match {
        let most = most.min(piece.len() - position);
        let mut best = Match::default();
        if most < MIN_MATCH {
            return best;
        }
        let here = &piece[position..position + most];
        let mut candidate = self.heads[Self::hash(here)];
        for _ in 0..self.depth {
            if candidate == NONE {
                break;
            }
            let start = usize::from(candidate);
            let there = &piece[start..];
            if best.length == 0 || there[best.length] == here[best.length] {
                let length = common_length(here, there);
                if length > best.length && length >= MIN_MATCH {
                    best = Match {
                        length,
                        distance: position - start,
                    };
                    if length == most {
                        break;
                    }
                }
            }
            candidate = self.previous[start];
        }
        best
    }
}

/// How many bytes both begin with alike; `left` is not the longer one.
fn common_length(left: &[u8], right: &[u8]) -> usize {
    let (left_words, _) = left.as_chunks::<8>();
    let (right_words, _) = right.as_chunks::<8>();
    let mut length = 0;
    for (a, b) in left_words.iter().zip(right_words) {
        let difference = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if difference != 0 {
            return length + (difference.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length
        + left[length..]
            .iter()
            .zip(&right[length..])
            .take_while(|(a, b)| a == b)
            .count()
}
