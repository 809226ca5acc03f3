//! Signatures of layers, in the format of minisign.
//!
//! A layer's signature stands in [`layer.sig`](crate::SIGNATURE_NAME) and signs the bytes of `layer.json`, which answers for
//! everything else. Signatures, public keys and secret keys have the form of [minisign](https://jedisct1.github.io/minisign/):
//! what is signed here is verified by that tool and the other way round. What is written is the prehashed form (`ED`, ed25519
//! of the BLAKE2b-512 of the message); the older form (`Ed`, ed25519 of the message) is read too.
//!
//! * [`SecretKey`], [`SecretKeyFile`], [`PublicKey`]: keys and their files.
//! * [`Signature`]: made by [`SecretKey::sign`], judged by [`Signature::verify`].
//! * [`TrustFile`]: the keys that somebody accepts.
//! * [`ManifestSigner`]: signs a layer while it is written; [`store`]: puts a signature into a finished image.
//!
//! ```
//! use layerfmt::sign::{SecretKey, Signature, TrustFile};
//!
//! let key = SecretKey::generate()?;
//! let text = key.sign(b"{}", "timestamp:1700000000\tfile:layer.json")?.to_text();
//!
//! let trust = TrustFile::parse(&key.public_key().to_text("releases"))?;
//! let signature = Signature::parse(&text)?;
//! let trusted = trust.verify(&signature, b"{}")?;
//! assert_eq!(trusted.comment, "releases");
//! assert!(trust.verify(&signature, b"[]").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod comment;
mod key_derivation;
mod public_key;
mod secret_key;
mod signature;
mod store;
mod trust;

pub use public_key::{KeyId, PublicKey};
pub use secret_key::{ManifestSigner, SecretKey, SecretKeyFile};
pub use signature::{SIGNATURE_FILE_SIZE, Signature};
pub use store::{StoreError, store};
pub use trust::{TrustFile, TrustedKey};

/// Why a key, a signature or a trust file was refused, or a signature is not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// It is longer than any such file may be.
    #[error("the {what} has {size} bytes, at most {limit} are read")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its bytes.
        size: usize,
        /// The most that there may be.
        limit: usize,
    },
    /// A line does not have the form of minisign.
    #[error("line {line} of the {what}: expected {expected}")]
    Form {
        /// What it is.
        what: &'static str,
        /// Which line, from 1.
        line: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// An algorithm that is not known here.
    #[error("the {what} is of the unknown algorithm {found:?}")]
    Algorithm {
        /// What it is.
        what: &'static str,
        /// What it says.
        found: String,
    },
    /// A comment cannot be written.
    #[error("a comment must be one line of at most {limit} bytes without control characters")]
    Comment {
        /// Bytes at most.
        limit: usize,
    },
    /// The key is protected, and there is no password.
    #[error("the secret key is protected by a password")]
    PasswordNeeded,
    /// The password is not that of the key, or the key is damaged.
    #[error("wrong password, or the secret key is damaged")]
    WrongPassword,
    /// Deriving a key from the password would take more than is allowed.
    #[error("the secret key's password needs {memory} bytes of memory, at most {limit} are allowed")]
    TooCostly {
        /// Bytes that it asks for.
        memory: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// The signature is of another key.
    #[error("signed with key {found}, not with key {expected}")]
    OtherKey {
        /// The key that was asked for.
        expected: KeyId,
        /// The key that signed.
        found: KeyId,
    },
    /// The key that signed is in no trust file.
    #[error("signed with key {0}, which is not trusted")]
    Untrusted(KeyId),
    /// The signature is not that of these bytes.
    #[error("the signature is wrong: the signed bytes were changed, or it is of other bytes")]
    Wrong,
    /// The signature of the trusted comment is wrong.
    #[error("the signature's trusted comment was changed")]
    WrongComment,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(text: &str) {
        let _ = Signature::parse(text);
        let _ = Signature::from_file_bytes(text.as_bytes());
        let _ = PublicKey::parse(text);
        let _ = TrustFile::parse(text);
        // A key without a password alone: the others take their time.
        let key = SecretKeyFile::parse(text).ok().filter(|key| !key.is_protected());
        let _ = key.map(|key| key.unlock(None));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in ".{0,400}") {
            read_all(&text);
        }

        #[test]
        fn changed_files_are_read_or_refused(place in 0_usize..400, with in any::<char>()) {
            let key = SecretKey::generate().expect("random numbers");
            let signature = key.sign(b"m", "comment").expect("a signature");
            for text in [signature.to_text(), key.public_key().to_text("c"), key.to_text("c", None).expect("a key").to_string()] {
                let changed: String = text.chars().enumerate().map(|(at, c)| if at == place { with } else { c }).collect();
                read_all(&changed);
                if let Ok(read) = Signature::parse(&changed) && read != signature {
                    let is_same_but_for_the_comment = Signature { untrusted_comment: signature.untrusted_comment.clone(), ..read.clone() } == signature;
                    prop_assert!(read.verify(b"m", &key.public_key()).is_err() || is_same_but_for_the_comment);
                }
            }
        }
    }
}
