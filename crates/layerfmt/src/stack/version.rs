//! Versions, and ranges of them.
//!
//! A version is numbers and texts between dots, hyphens and pluses. Numbers compare as numbers, texts without regard to case,
//! a number stands above a text, and what is missing counts as 0: so `1.2` is `1.2.0`, and `1.10` above `1.9`.

use std::cmp::Ordering;

/// Why a range of versions was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no comparison of versions such as `>=1.2`")]
pub struct VersionError(String);

/// Comparisons that must all hold, such as `>=1.2, <2`. A version alone is meant exactly; an empty text means any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange(Vec<(Operator, String)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

impl VersionRange {
    /// Reads comparisons joined by commas.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        const OPERATORS: [(&str, Operator); 7] = [
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("!=", Operator::NotEqual),
            ("==", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
            ("=", Operator::Equal),
        ];
        let comparison = |part: &str| {
            let (operator, version) = OPERATORS
                .into_iter()
                .find_map(|(sign, operator)| Some((operator, part.strip_prefix(sign)?)))
                .unwrap_or((Operator::Equal, part));
            let version = version.trim();
            let is_version = version.starts_with(|c: char| c.is_ascii_alphanumeric());
            is_version
                .then(|| (operator, version.to_owned()))
                .ok_or_else(|| VersionError(part.to_owned()))
        };
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        text.split(',')
            .map(|part| comparison(part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a version is in the range.
    pub fn contains(&self, version: &str) -> bool {
        self.0.iter().all(|(operator, other)| {
            let order = compare(version, other);
            match operator {
                Operator::Less => order.is_lt(),
                Operator::LessOrEqual => order.is_le(),
                Operator::Equal => order.is_eq(),
                Operator::NotEqual => order.is_ne(),
                Operator::GreaterOrEqual => order.is_ge(),
                Operator::Greater => order.is_gt(),
            }
        })
    }
}

fn compare(left: &str, right: &str) -> Ordering {
    fn parts(version: &str) -> impl Iterator<Item = &str> {
        version.split(['.', '-', '+']).map(str::trim)
    }
    let (mut left, mut right) = (parts(left), parts(right));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (one, other) => compare_parts(one.unwrap_or("0"), other.unwrap_or("0")),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn compare_parts(left: &str, right: &str) -> Ordering {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match (number(left), number(right)) {
        (true, true) => {
            let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            // Of any length, as no number here is bounded.
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        }
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => left.to_lowercase().cmp(&right.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold() {
        let holds = |range: &str, version: &str| VersionRange::parse(range).map(|range| range.contains(version));
        assert_eq!(holds(">=1.2, <2", "1.10"), Ok(true));
        assert_eq!(holds(">=1.2, <2", "2.0.0"), Ok(false));
        assert_eq!(holds("1.2", "1.2.0"), Ok(true));
        assert_eq!(holds("!=1.2", "1.2"), Ok(false));
        assert_eq!(holds("", "anything"), Ok(true));
        assert_eq!(holds(">99999999999999999999998", "99999999999999999999999"), Ok(true));
        assert_eq!(holds("<1.0", "1.0-rc1"), Ok(true));
        assert!(VersionRange::parse(">=").is_err() && VersionRange::parse("1,").is_err());
    }
}
