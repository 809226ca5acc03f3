//! Patterns of paths.

use super::mistake::Marked;
use super::table::Reading;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns of one source at most.
const MAX_PATTERNS: usize = 1000;

/// The patterns as one: what they match, and everything below it. A pattern without a slash matches names in any directory,
/// one with a slash whole paths. The case does not matter.
pub fn set(reading: &mut Reading<'_>, patterns: &[Marked<String>]) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns.iter().take(MAX_PATTERNS) {
        let text = pattern.value.replace('\\', "/");
        let is_anywhere = !text.trim_end_matches('/').contains('/');
        let text = text.trim_matches('/');
        if text.is_empty() {
            reading.mistake(pattern.position, "the pattern is empty");
            continue;
        }
        let text = if is_anywhere {
            format!("**/{text}")
        } else {
            text.to_owned()
        };
        for text in [text.clone(), format!("{text}/**")] {
            let glob = GlobBuilder::new(&text)
                .case_insensitive(true)
                .literal_separator(true)
                .backslash_escape(false)
                .build();
            match glob {
                Ok(glob) => {
                    builder.add(glob);
                }
                Err(error) => {
                    let message = format!("{:?} is no pattern: {}", pattern.value, error.kind());
                    reading.mistake(pattern.position, message);
                    break;
                }
            }
        }
    }
    match builder.build() {
        Ok(set) => set,
        Err(error) => {
            let position = patterns.first().map(|pattern| pattern.position).unwrap_or_default();
            reading.mistake(position, format!("the patterns are too much together: {error}"));
            GlobSet::empty()
        }
    }
}
