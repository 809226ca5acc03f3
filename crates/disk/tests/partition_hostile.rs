//! Partition tables that are damaged at random: no panic, and every fault called repairable can be mended.

#[path = "../fuzz/bodies/partition_table.rs"]
mod body;

use proptest::prelude::*;

const SEEDS: [&[u8]; 4] = [
    include_bytes!("../fuzz/seeds/partition_table/gpt-512.img"),
    include_bytes!("../fuzz/seeds/partition_table/gpt-4096.img"),
    include_bytes!("../fuzz/seeds/partition_table/mbr-logical.img"),
    include_bytes!("../fuzz/seeds/partition_table/gpt-hybrid.img"),
];

#[test]
fn every_seed_and_every_cut_of_it() {
    for seed in SEEDS {
        for length in (0..=seed.len()).step_by(509).chain([seed.len()]) {
            body::partition_table(&seed[..length]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn mutations(
        seed in 0..SEEDS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 1..8),
    ) {
        let mut bytes = SEEDS[seed].to_vec();
        // Most of a seed is empty; edits aim at what is not.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for (place, nearby, value) in edits {
            let at = (used[place.index(used.len())] + usize::from(nearby)).min(bytes.len() - 1);
            bytes[at] = value;
        }
        body::partition_table(&bytes);
    }
}
