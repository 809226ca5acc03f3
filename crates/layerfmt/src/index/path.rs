//! Paths of entries: WTF-8, from the root of the volume, names separated by `/`.

use cv_winname::{UpcaseTable, wtf8};
use std::cmp::Ordering;

/// Compares two paths name by name as Windows compares names, so that a directory comes before what is in it and that
/// before the directory's next sibling.
pub fn compare_paths(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        let common = left.iter().zip(right).take_while(|(one, other)| one == other).count();
        if common == left.len().min(right.len()) {
            // One begins with the other; a name may end here or go on.
            return left.len().cmp(&right.len());
        }
        // Names are compared whole.
        let begin = left[..common]
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |slash| slash + 1);
        let (one, other) = (first_name(&left[begin..]), first_name(&right[begin..]));
        match compare_names(one, other) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
        left = &left[begin + one.len()..];
        right = &right[begin + other.len()..];
        match (left.split_first(), right.split_first()) {
            (Some((_, below)), Some((_, other_below))) => (left, right) = (below, other_below),
            (one, other) => return one.is_some().cmp(&other.is_some()),
        }
    }
}

/// Whether `path` lies below `directory`, which may be empty for the root.
pub fn is_below(path: &[u8], directory: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/');
    let has_prefix = directory
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
        .all(|wanted| names.next().is_some_and(|name| compare_names(name, wanted).is_eq()));
    has_prefix && names.next().is_some_and(|name| !name.is_empty())
}

fn first_name(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    &path[..end]
}

fn compare_names(left: &[u8], right: &[u8]) -> Ordering {
    if left.is_ascii() && right.is_ascii() {
        // $UpCase maps a to z alone among these.
        let folded = left.iter().map(u8::to_ascii_uppercase);
        return folded.cmp(right.iter().map(u8::to_ascii_uppercase));
    }
    // What is no WTF-8 stands behind all else.
    match (wtf8::decode(left), wtf8::decode(right)) {
        (Ok(left), Ok(right)) => UpcaseTable::windows().compare(&left, &right),
        (left_units, right_units) => left_units
            .is_err()
            .cmp(&right_units.is_err())
            .then_with(|| left.cmp(right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_one_by_one() {
        let sorted = [
            "", "a", "A/b", "a/B/c", "a/b c", "a b", "a.txt", "B", "\u{e9}", "\u{fc}/x",
        ];
        for (place, path) in sorted.iter().enumerate() {
            for (other_place, other) in sorted.iter().enumerate() {
                let (path, other) = (path.as_bytes(), other.as_bytes());
                assert_eq!(
                    compare_paths(path, other),
                    place.cmp(&other_place),
                    "{path:?} {other:?}"
                );
            }
        }
        assert!(compare_paths("\u{c9}/X".as_bytes(), "\u{e9}/x".as_bytes()).is_eq());
    }

    #[test]
    fn what_is_below() {
        assert!(is_below(b"Files/a", b"files"));
        assert!(is_below(b"Files", b""));
        assert!(!is_below(b"Files", b"Files"));
        assert!(!is_below(b"Files2/a", b"Files"));
        assert!(!is_below(b"", b""));
    }
}
