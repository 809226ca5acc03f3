//! Recipes with random damage: understood or refused, never a panic.

#[path = "../../fuzz/bodies/recipe.rs"]
mod bodies;

use proptest::prelude::*;

const SEEDS: [&str; 1] = [include_str!("../../fuzz/seeds/recipe/example.toml")];

/// What stands in recipes, to be put in anywhere.
const PIECES: [&str; 22] = [
    "[",
    "]",
    "[[source]]\n",
    "\"",
    "'",
    "${",
    "}",
    "$$",
    "=",
    "\n",
    "{",
    ",",
    "..",
    "\\",
    "/",
    "**",
    "%",
    "\u{fc}",
    "[layer]\n",
    "0x",
    "key = ",
    "'''",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn recipes(
        seed in 0..SEEDS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..PIECES.len(), 0_usize..12), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut text = SEEDS[seed].as_bytes().to_vec();
        for (place, piece, removed) in changes {
            let place = place.index(text.len());
            let end = (place + removed).min(text.len());
            text.splice(place..end, PIECES[piece].bytes());
        }
        if is_cut {
            text.truncate(cut.index(text.len()));
        }
        bodies::recipe(&text);
    }
}
