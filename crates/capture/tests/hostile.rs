//! The bodies of the fuzz targets, on the seeds and on changed ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/bodies/rules.rs"]
mod rules;
#[path = "../fuzz/bodies/state.rs"]
mod state;

use proptest::prelude::*;
use proptest::sample::Index;

const RULES: &[u8] = include_bytes!("../fuzz/seeds/rules/every_member.toml");

#[test]
fn the_seed_is_a_rule_file() {
    let text = std::str::from_utf8(RULES).unwrap();
    let file = cv_capture::rules::RuleFile::parse("seed", text).unwrap();
    assert_eq!(file.rules.len(), 3);
    rules::rules(RULES);
}

proptest! {
    #[test]
    fn changed_rule_files_are_read_or_refused(changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8)) {
        let mut bytes = RULES.to_vec();
        for (place, value) in changes {
            let length = bytes.len();
            bytes[place.index(length)] = value;
        }
        rules::rules(&bytes);
    }

    #[test]
    fn any_bytes_are_a_state_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        state::state(&bytes);
    }
}
