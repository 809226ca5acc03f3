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
//! * [`store`]: puts a signature into a finished image.
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
pub use secret_key::{SecretKey, SecretKeyFile};
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
