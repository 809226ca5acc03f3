//! Random stacks of files and writes to them.

#[path = "../fuzz/bodies/files.rs"]
mod body;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig {
        // PROPTEST_CASES asks for more.
        cases: ProptestConfig::default().cases.max(2_000),
        ..ProptestConfig::default()
    })]

    #[test]
    fn views_and_writes_are_those_of_the_model(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        body::files(&bytes);
    }

    #[test]
    fn changed_seeds_are_as_the_model_too(
        seed in prop::sample::select(body::support::seeds::seeds("files")),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = seed;
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        body::files(&bytes);
    }
}

#[test]
fn seeds_are_as_the_model() {
    for seed in body::support::seeds::seeds("files") {
        body::files(&seed);
    }
}
