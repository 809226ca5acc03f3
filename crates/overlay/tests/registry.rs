//! Random stacks of hives and writes to them.

#[path = "../fuzz/bodies/registry.rs"]
mod body;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(8_000),
        ..ProptestConfig::default()
    })]

    #[test]
    fn views_and_writes_are_those_of_the_model(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        body::registry(&bytes);
    }
}
