//! Public keys.

use super::SignError;
use super::comment::{Lines, MAX_UNTRUSTED, UNTRUSTED, decode, part};
use data_encoding::BASE64;
use ed25519_dalek::VerifyingKey;
use std::fmt;

/// The algorithm of keys, and of signatures that are not prehashed.
pub(super) const ALGORITHM: [u8; 2] = *b"Ed";

/// Bytes of a public key: algorithm, id, key.
pub(super) const SIZE: usize = 42;

/// Bytes of a key's file at most.
pub(super) const MAX_FILE: usize = 1 << 14;

/// The number by which keys and their signatures find each other; random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);

/// As minisign shows it: 16 hexadecimal digits of a little-endian number.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A key that signatures are verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    key: VerifyingKey,
}

impl PublicKey {
    pub(super) fn new(id: KeyId, key: VerifyingKey) -> Self {
        Self { id, key }
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Reads a public key file: a comment and a line of base64. Returns the comment too.
    pub fn parse(text: &str) -> Result<(Self, String), SignError> {
        let mut lines = Lines::new("public key", text, MAX_FILE)?;
        let comment = lines.comment(UNTRUSTED, "`untrusted comment: ` and a comment")?;
        let bytes = lines.bytes::<SIZE>("the 42 bytes of a public key in base64")?;
        Ok((Self::from_bytes(&bytes)?, comment.to_owned()))
    }

    /// Reads the line of base64 alone, as `minisign -P` takes it.
    pub fn from_base64(text: &str) -> Result<Self, SignError> {
        let bytes = decode::<SIZE>(text).ok_or(SignError::Form {
            what: "public key",
            line: 1,
            expected: "the 42 bytes of a public key in base64",
        })?;
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8; SIZE]) -> Result<Self, SignError> {
        if bytes[..2] != ALGORITHM {
            return Err(SignError::Algorithm {
                what: "public key",
                found: String::from_utf8_lossy(&bytes[..2]).into_owned(),
            });
        }
        let key = VerifyingKey::from_bytes(&part(bytes, 10)).map_err(|_| SignError::Form {
            what: "public key",
            line: 2,
            expected: "a point of the curve",
        })?;
        Ok(Self {
            id: KeyId(part(bytes, 2)),
            key,
        })
    }

    /// The key as one line of base64.
    pub fn to_base64(&self) -> String {
        let mut bytes = [0; SIZE];
        bytes[..2].copy_from_slice(&ALGORITHM);
        bytes[2..10].copy_from_slice(&self.id.0);
        bytes[10..].copy_from_slice(self.key.as_bytes());
        BASE64.encode(&bytes)
    }

    /// The key as a file. A comment that cannot be written is left out.
    pub fn to_text(&self, comment: &str) -> String {
        let default = format!("minisign public key {}", self.id);
        let comment = super::comment::checked(comment, MAX_UNTRUSTED).unwrap_or_default();
        let comment = if comment.is_empty() { &default } else { comment };
        format!("{UNTRUSTED}{comment}\n{}\n", self.to_base64())
    }
}
