//! Recipes of any content.
#![no_main]

#[path = "../bodies/recipe.rs"]
mod recipe;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| recipe::recipe(bytes));
