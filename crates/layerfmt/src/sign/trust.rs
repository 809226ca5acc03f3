//! The keys that somebody accepts.

use super::comment::UNTRUSTED;
use super::{KeyId, PublicKey, SignError, Signature};

/// Bytes of a trust file at most.
const MAX_SIZE: usize = 1 << 20;

/// A key in a trust file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// What the file says of it.
    pub comment: String,
}

/// A list of public keys: plain text, a key a line as minisign writes it, in base64, and a comment behind it or in a line
/// `untrusted comment: …` before it. So public key files written one after the other are a trust file. Empty lines and lines
/// that begin with `#` count for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustFile {
    keys: Vec<TrustedKey>,
}

impl TrustFile {
    /// Reads a trust file. Anything in it that is no key is an error, as nobody should trust less than they wrote.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let what = "trust file";
        if text.len() > MAX_SIZE {
            return Err(SignError::TooLarge {
                what,
                size: text.len(),
                limit: MAX_SIZE,
            });
        }
        let mut keys = Vec::new();
        let mut comment_before = "";
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(comment) = line.strip_prefix(UNTRUSTED.trim_end()) {
                comment_before = comment.trim();
                continue;
            }
            let (key, comment) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let key = PublicKey::from_base64(key).map_err(|error| match error {
                SignError::Form { expected, .. } => SignError::Form {
                    what,
                    line: number + 1,
                    expected,
                },
                error => error,
            })?;
            let comment = match comment.trim() {
                "" => comment_before,
                comment => comment,
            };
            keys.push(TrustedKey {
                key,
                comment: comment.to_owned(),
            });
            comment_before = "";
        }
        Ok(Self { keys })
    }

    /// A trust file with one key.
    pub fn of(key: PublicKey, comment: &str) -> Self {
        let comment = comment.to_owned();
        Self {
            keys: vec![TrustedKey { key, comment }],
        }
    }

    /// Its keys.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// Whether a key of the file made this signature of `message`; which one.
    pub fn verify(&self, signature: &Signature, message: &[u8]) -> Result<&TrustedKey, SignError> {
        let mut last = SignError::Untrusted(signature.key_id());
        // Two keys may have one id by chance or malice.
        for trusted in self
            .keys
            .iter()
            .filter(|trusted| trusted.key.id() == signature.key_id())
        {
            match signature.verify(message, &trusted.key) {
                Ok(()) => return Ok(trusted),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The key of this id.
    pub fn key(&self, id: KeyId) -> Option<&TrustedKey> {
        self.keys.iter().find(|trusted| trusted.key.id() == id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SecretKey;
    use super::*;

    #[test]
    fn keys_come_with_their_comments() -> Result<(), SignError> {
        let keys = [SecretKey::generate()?, SecretKey::generate()?, SecretKey::generate()?];
        let text = format!(
            "# accepted\n\n{}{} the second\r\n{}\n",
            keys[0].public_key().to_text("the first"),
            keys[1].public_key().to_base64(),
            keys[2].public_key().to_base64()
        );
        let trust = TrustFile::parse(&text)?;
        let comments: Vec<_> = trust.keys().iter().map(|trusted| trusted.comment.as_str()).collect();
        assert_eq!(comments, ["the first", "the second", ""]);
        let signature = keys[1].sign(b"m", "")?;
        assert_eq!(trust.verify(&signature, b"m")?.comment, "the second");
        let stranger = SecretKey::generate()?.sign(b"m", "")?;
        assert!(matches!(trust.verify(&stranger, b"m"), Err(SignError::Untrusted(_))));
        let faulty = TrustFile::parse(&format!("{text}RWnokey\n"));
        assert!(matches!(faulty, Err(SignError::Form { line: 7, .. })), "{faulty:?}");
        Ok(())
    }
}
