//! Judged by the sha2 crate.

use crate::{Sha256, digest, digest_all, update_all};
use proptest::prelude::*;
use sha2::Digest as _;

fn judged(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

#[test]
fn every_length_has_its_padding() {
    let bytes: Vec<u8> = (0..=255).collect();
    let streams: Vec<&[u8]> = (0..=bytes.len()).map(|length| &bytes[..length]).collect();
    let sums = digest_all(&streams);
    for (stream, sum) in streams.iter().zip(sums) {
        assert_eq!(sum, judged(stream), "{}", stream.len());
        assert_eq!(sum, digest(stream), "{}", stream.len());
    }
}

proptest! {
    #[test]
    fn pieces_of_any_length_make_the_sum_of_the_whole(
        streams in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6), 0..40),
    ) {
        let mut hashes = vec![Sha256::default(); streams.len()];
        for turn in 0..6 {
            let pieces = hashes.iter_mut().zip(&streams);
            update_all(pieces.filter_map(|(hash, pieces)| pieces.get(turn).map(|piece| (hash, &piece[..]))));
        }
        for (hash, pieces) in hashes.into_iter().zip(&streams) {
            prop_assert_eq!(hash.finish(), judged(&pieces.concat()));
        }
    }
}
