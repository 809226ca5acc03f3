//! Lines of minisign's files: a comment, or base64.

use super::SignError;
use data_encoding::BASE64;

/// What stands before a comment that nothing answers for.
pub const UNTRUSTED: &str = "untrusted comment: ";

/// What stands before a comment that is signed.
pub const TRUSTED: &str = "trusted comment: ";

/// Bytes of an untrusted comment at most; minisign reads 1024 with what stands before it.
pub const MAX_UNTRUSTED: usize = 1000;

/// Bytes of a trusted comment at most, so that a signature fits into its place in a layer.
pub const MAX_TRUSTED: usize = 2048;

/// Whether minisign shows the comment: no control characters but tabs.
pub fn is_printable(comment: &str) -> bool {
    comment.chars().all(|c| c == '\t' || !c.is_control())
}

/// The comment, if it can be written.
pub fn checked(comment: &str, limit: usize) -> Result<&str, SignError> {
    (comment.len() <= limit && is_printable(comment))
        .then_some(comment)
        .ok_or(SignError::Comment { limit })
}

/// Reads the lines of a file one by one.
pub struct Lines<'a> {
    what: &'static str,
    rest: std::str::Lines<'a>,
    number: usize,
}

impl<'a> Lines<'a> {
    /// Lines of the file that `what` names, which may have `limit` bytes.
    pub fn new(what: &'static str, text: &'a str, limit: usize) -> Result<Self, SignError> {
        let size = text.len();
        if size > limit {
            return Err(SignError::TooLarge { what, size, limit });
        }
        Ok(Self {
            what,
            rest: text.lines(),
            number: 0,
        })
    }

    /// An error about the line that was read last.
    pub fn fault(&self, expected: &'static str) -> SignError {
        SignError::Form {
            what: self.what,
            line: self.number,
            expected,
        }
    }

    fn next(&mut self) -> &'a str {
        self.number += 1;
        self.rest.next().unwrap_or_default()
    }

    /// A line with this before the comment.
    pub fn comment(&mut self, before: &str, expected: &'static str) -> Result<&'a str, SignError> {
        self.next()
            .strip_prefix(before)
            .filter(|comment| is_printable(comment))
            .ok_or_else(|| self.fault(expected))
    }

    /// A line of so many bytes in base64.
    pub fn bytes<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], SignError> {
        let line = self.next();
        decode(line).ok_or_else(|| self.fault(expected))
    }
}

/// So many bytes in base64.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.trim_end().as_bytes();
    let bytes = (text.len() <= N.div_ceil(3) * 4).then(|| BASE64.decode(text).ok())??;
    bytes.try_into().ok()
}

/// The `N` bytes at `offset`, which the caller knows to be there.
pub fn part<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[offset..offset + N]);
    part
}
