//! Signatures.

use super::SignError;
use super::comment::{Lines, MAX_TRUSTED, MAX_UNTRUSTED, TRUSTED, UNTRUSTED, part};
use super::public_key::{ALGORITHM, KeyId, PublicKey};
use blake2::{Blake2b512, Digest};
use data_encoding::BASE64;

/// The algorithm of prehashed signatures.
pub(super) const PREHASHED: [u8; 2] = *b"ED";

/// Bytes of `layer.sig`, signed or not: it has its room from the beginning, so that a finished layer is signed in place.
pub const SIGNATURE_FILE_SIZE: usize = 4096;

/// Bytes of a signature: algorithm, id, signature.
const SIZE: usize = 74;

/// A signature with its comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub(super) algorithm: [u8; 2],
    pub(super) key_id: KeyId,
    pub(super) bytes: [u8; 64],
    pub(super) untrusted_comment: String,
    pub(super) trusted_comment: String,
    pub(super) with_comment: [u8; 64],
}

impl Signature {
    /// Reads a signature file: four lines. What follows them is ignored, as minisign does.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let mut lines = Lines::new("signature", text, 1 << 14)?;
        let untrusted_comment = lines
            .comment(UNTRUSTED, "`untrusted comment: ` and a comment")?
            .to_owned();
        let bytes = lines.bytes::<SIZE>("the 74 bytes of a signature in base64")?;
        let algorithm = part(&bytes, 0);
        if ![ALGORITHM, PREHASHED].contains(&algorithm) {
            return Err(SignError::Algorithm {
                what: "signature",
                found: String::from_utf8_lossy(&algorithm).into_owned(),
            });
        }
        let trusted_comment = lines.comment(TRUSTED, "`trusted comment: ` and a comment")?.to_owned();
        Ok(Self {
            algorithm,
            key_id: KeyId(part(&bytes, 2)),
            bytes: part(&bytes, 10),
            untrusted_comment,
            trusted_comment,
            with_comment: lines.bytes("the 64 bytes of a signature in base64")?,
        })
    }

    /// Reads what `layer.sig` holds; `None` when the layer is not signed: the file is empty, or zeros.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Option<Self>, SignError> {
        let limit = 1 << 14;
        if bytes.len() > limit {
            return Err(SignError::TooLarge {
                what: "signature",
                size: bytes.len(),
                limit,
            });
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| SignError::Form {
            what: "signature",
            line: 1,
            expected: "UTF-8",
        })?;
        Self::parse(text).map(Some)
    }

    /// The signature as a file of its own.
    pub fn to_text(&self) -> String {
        let mut bytes = [0; SIZE];
        bytes[..2].copy_from_slice(&self.algorithm);
        bytes[2..10].copy_from_slice(&self.key_id.0);
        bytes[10..].copy_from_slice(&self.bytes);
        format!(
            "{UNTRUSTED}{}\n{}\n{TRUSTED}{}\n{}\n",
            self.untrusted_comment,
            BASE64.encode(&bytes),
            self.trusted_comment,
            BASE64.encode(&self.with_comment)
        )
    }

    /// The signature as `layer.sig` holds it: [`SIGNATURE_FILE_SIZE`] bytes, ends of lines behind the fourth line.
    pub fn to_file_bytes(&self) -> Result<[u8; SIGNATURE_FILE_SIZE], SignError> {
        let text = self.to_text();
        let mut bytes = [b'\n'; SIGNATURE_FILE_SIZE];
        let place = bytes.get_mut(..text.len()).ok_or(SignError::Comment {
            limit: MAX_TRUSTED.min(MAX_UNTRUSTED),
        })?;
        place.copy_from_slice(text.as_bytes());
        Ok(bytes)
    }

    /// The id of the key that signed.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The comment that is signed too.
    pub fn trusted_comment(&self) -> &str {
        &self.trusted_comment
    }

    /// Whether it signs the BLAKE2b-512 of the message and not the message itself.
    pub fn is_prehashed(&self) -> bool {
        self.algorithm == PREHASHED
    }

    /// Whether this is the key's signature of `message`, trusted comment and all.
    pub fn verify(&self, message: &[u8], key: &PublicKey) -> Result<(), SignError> {
        if self.key_id != key.id() {
            return Err(SignError::OtherKey {
                expected: key.id(),
                found: self.key_id,
            });
        }
        let signature = ed25519_dalek::Signature::from_bytes(&self.bytes);
        let verified = if self.is_prehashed() {
            key.key().verify_strict(&prehash(message), &signature)
        } else {
            key.key().verify_strict(message, &signature)
        };
        verified.map_err(|_| SignError::Wrong)?;
        let mut global = self.bytes.to_vec();
        global.extend_from_slice(self.trusted_comment.as_bytes());
        let signature = ed25519_dalek::Signature::from_bytes(&self.with_comment);
        let verified = key.key().verify_strict(&global, &signature);
        verified.map_err(|_| SignError::WrongComment)
    }
}

/// What is signed of a message.
pub(super) fn prehash(message: &[u8]) -> [u8; 64] {
    Blake2b512::digest(message).into()
}

#[cfg(test)]
mod tests {
    use super::super::SecretKey;
    use super::*;

    #[test]
    fn any_change_is_noticed() -> Result<(), SignError> {
        let key = SecretKey::generate()?;
        let signature = key.sign(b"message", "a comment")?;
        signature.verify(b"message", &key.public_key())?;
        assert!(matches!(
            signature.verify(b"messagE", &key.public_key()),
            Err(SignError::Wrong)
        ));

        let changed = signature.to_text().replace("a comment", "another comment");
        let changed = Signature::parse(&changed)?.verify(b"message", &key.public_key());
        assert!(matches!(changed, Err(SignError::WrongComment)));

        let other = SecretKey::generate()?.public_key();
        assert!(matches!(
            signature.verify(b"message", &other),
            Err(SignError::OtherKey { .. })
        ));
        Ok(())
    }

    #[test]
    fn the_place_in_a_layer_is_padded() -> Result<(), SignError> {
        let signature = SecretKey::generate()?.sign(b"", &"c".repeat(MAX_TRUSTED))?;
        let bytes = signature.to_file_bytes()?;
        assert_eq!(Signature::from_file_bytes(&bytes)?, Some(signature));
        assert_eq!(Signature::from_file_bytes(&[0; SIGNATURE_FILE_SIZE])?, None);
        assert_eq!(Signature::from_file_bytes(b"")?, None);
        assert!(Signature::from_file_bytes(&[0xff; 10]).is_err());
        Ok(())
    }

    #[test]
    fn comments_are_one_line() -> Result<(), SignError> {
        let key = SecretKey::generate()?;
        for comment in ["two\nlines", "esc\u{1b}[2J", &"c".repeat(MAX_TRUSTED + 1)] {
            assert!(matches!(key.sign(b"", comment), Err(SignError::Comment { .. })));
        }
        Ok(())
    }
}
