//! Secret keys, and the files that hold them.

use super::SignError;
use super::comment::{Lines, MAX_TRUSTED, MAX_UNTRUSTED, UNTRUSTED, checked, part};
use super::key_derivation::{Cost, derive};
use super::public_key::{ALGORITHM, KeyId, MAX_FILE, PublicKey};
use super::signature::{PREHASHED, Signature};
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};
use std::fmt;
use zeroize::Zeroizing;

/// The bytes of a secret key's file that may be hidden by a password: id, secret key, public key, checksum.
const HIDDEN: usize = 104;

/// Bytes of a secret key's file when it is no base64 any more: algorithms, salt, limits and [`HIDDEN`].
const SIZE: usize = 54 + HIDDEN;

const SCRYPT: [u8; 2] = *b"Sc";
const NO_PASSWORD: [u8; 2] = [0, 0];
const BLAKE2B: [u8; 2] = *b"B2";

/// A key that signs. Its bytes are wiped when it goes.
pub struct SecretKey {
    id: KeyId,
    key: SigningKey,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl SecretKey {
    /// A new key.
    pub fn generate() -> Result<Self, SignError> {
        let mut id = [0; 8];
        let mut seed = Zeroizing::new([0; 32]);
        random(&mut id)?;
        random(&mut *seed)?;
        Ok(Self {
            id: KeyId(id),
            key: SigningKey::from_bytes(&seed),
        })
    }

    /// The key that its signatures are verified with.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::new(self.id, self.key.verifying_key())
    }

    /// Signs `message`. The trusted comment is signed with it: one line of at most 2048 bytes.
    pub fn sign(&self, message: &[u8], trusted_comment: &str) -> Result<Signature, SignError> {
        let trusted_comment = checked(trusted_comment, MAX_TRUSTED)?;
        let signature = self.key.sign(&super::signature::prehash(message)).to_bytes();
        let mut global = signature.to_vec();
        global.extend_from_slice(trusted_comment.as_bytes());
        Ok(Signature {
            algorithm: PREHASHED,
            key_id: self.id,
            bytes: signature,
            untrusted_comment: format!("signature from cvtool, key {}", self.id),
            trusted_comment: trusted_comment.to_owned(),
            with_comment: self.key.sign(&global).to_bytes(),
        })
    }

    /// The key as a file, protected by a password or by nothing but the file's mode.
    pub fn to_text(&self, comment: &str, password: Option<&[u8]>) -> Result<Zeroizing<String>, SignError> {
        self.to_text_with(comment, password, Cost::SENSITIVE)
    }

    fn to_text_with(&self, comment: &str, password: Option<&[u8]>, cost: Cost) -> Result<Zeroizing<String>, SignError> {
        let mut hidden = Zeroizing::new([0; HIDDEN]);
        hidden[..8].copy_from_slice(&self.id.0);
        hidden[8..40].copy_from_slice(self.key.as_bytes());
        hidden[40..72].copy_from_slice(self.key.verifying_key().as_bytes());
        let checksum = checksum(&hidden);
        hidden[72..].copy_from_slice(&checksum);
        let mut bytes = Zeroizing::new([0; SIZE]);
        bytes[..2].copy_from_slice(&ALGORITHM);
        bytes[4..6].copy_from_slice(&BLAKE2B);
        if let Some(password) = password {
            let mut salt = [0; 32];
            random(&mut salt)?;
            bytes[2..4].copy_from_slice(&SCRYPT);
            bytes[6..38].copy_from_slice(&salt);
            bytes[38..46].copy_from_slice(&cost.operations.to_le_bytes());
            bytes[46..54].copy_from_slice(&cost.memory.to_le_bytes());
            hide(&mut hidden, password, &salt, cost)?;
        }
        bytes[54..].copy_from_slice(&*hidden);
        let comment = match checked(comment, MAX_UNTRUSTED)? {
            "" if password.is_some() => "minisign encrypted secret key",
            "" => "minisign secret key",
            comment => comment,
        };
        Ok(Zeroizing::new(format!(
            "{UNTRUSTED}{comment}\n{}\n",
            *Zeroizing::new(BASE64.encode(&*bytes))
        )))
    }
}

/// Signs manifests while layers are written ([`WriteOptions::signer`](crate::WriteOptions::signer)).
#[derive(Debug)]
pub struct ManifestSigner {
    /// The key.
    pub key: SecretKey,
    /// The trusted comment.
    pub comment: String,
}

impl crate::write::Sign for ManifestSigner {
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, cv_ntfs::write::SourceError> {
        let signature = self.key.sign(manifest, &self.comment)?;
        Ok(signature.to_file_bytes()?.to_vec())
    }
}

/// A secret key's file, read but not unlocked.
pub struct SecretKeyFile {
    comment: String,
    bytes: Zeroizing<[u8; SIZE]>,
}

impl fmt::Debug for SecretKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKeyFile")
            .field("comment", &self.comment)
            .finish_non_exhaustive()
    }
}

impl SecretKeyFile {
    /// Reads a secret key's file.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let mut lines = Lines::new("secret key", text, MAX_FILE)?;
        let comment = lines.comment(UNTRUSTED, "`untrusted comment: ` and a comment")?;
        let bytes = Zeroizing::new(lines.bytes::<SIZE>("the 158 bytes of a secret key in base64")?);
        let known =
            bytes[..2] == ALGORITHM && [SCRYPT, NO_PASSWORD].contains(&part(&*bytes, 2)) && bytes[4..6] == BLAKE2B;
        if !known {
            return Err(SignError::Algorithm {
                what: "secret key",
                found: String::from_utf8_lossy(&bytes[..6]).into_owned(),
            });
        }
        Ok(Self {
            comment: comment.to_owned(),
            bytes,
        })
    }

    /// What its first line says.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Whether a password is needed.
    pub fn is_protected(&self) -> bool {
        self.bytes[2..4] == SCRYPT
    }

    /// The key. Without need, a password is not looked at.
    pub fn unlock(&self, password: Option<&[u8]>) -> Result<SecretKey, SignError> {
        let mut hidden = Zeroizing::new(part::<HIDDEN>(&*self.bytes, 54));
        if self.is_protected() {
            let cost = Cost {
                operations: u64::from_le_bytes(part(&*self.bytes, 38)),
                memory: u64::from_le_bytes(part(&*self.bytes, 46)),
            };
            let password = password.ok_or(SignError::PasswordNeeded)?;
            hide(&mut hidden, password, &part(&*self.bytes, 6), cost)?;
        }
        // Keys without a password may come without a checksum.
        let is_whole = hidden[72..] == checksum(&hidden) || !self.is_protected() && hidden[72..] == [0; 32];
        let key = SigningKey::from_bytes(&Zeroizing::new(part(&*hidden, 8)));
        if !is_whole || key.verifying_key().as_bytes() != &hidden[40..72] {
            return Err(SignError::WrongPassword);
        }
        Ok(SecretKey {
            id: KeyId(part(&*hidden, 0)),
            key,
        })
    }
}

/// The BLAKE2b-256 of algorithm, id and keys.
fn checksum(hidden: &[u8; HIDDEN]) -> [u8; 32] {
    let mut hash = Blake2b::<U32>::new();
    hash.update(ALGORITHM);
    hash.update(&hidden[..72]);
    hash.finalize().into()
}

/// Hides what is plain, or the reverse.
fn hide(hidden: &mut [u8; HIDDEN], password: &[u8], salt: &[u8; 32], cost: Cost) -> Result<(), SignError> {
    let mut mask = Zeroizing::new([0; HIDDEN]);
    derive(password, salt, cost, &mut *mask)?;
    for (byte, mask) in hidden.iter_mut().zip(mask.iter()) {
        *byte ^= mask;
    }
    Ok(())
}

fn random(bytes: &mut [u8]) -> Result<(), SignError> {
    getrandom::fill(bytes).map_err(|error| SignError::Random(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_with_their_password_alone() -> Result<(), SignError> {
        let key = SecretKey::generate()?;
        let cheap = Cost {
            operations: 1 << 15,
            memory: 1 << 24,
        };
        let text = key.to_text_with("", Some(b"secret"), cheap)?;
        let file = SecretKeyFile::parse(&text)?;
        assert!(file.is_protected());
        assert_eq!(file.unlock(Some(b"secret"))?.public_key(), key.public_key());
        assert!(matches!(file.unlock(Some(b"Secret")), Err(SignError::WrongPassword)));
        assert!(matches!(file.unlock(None), Err(SignError::PasswordNeeded)));

        let file = SecretKeyFile::parse(&key.to_text("mine", None)?)?;
        assert_eq!((file.is_protected(), file.comment()), (false, "mine"));
        assert_eq!(file.unlock(None)?.public_key(), key.public_key());
        Ok(())
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "",
            "untrusted comment: x\n",
            "untrusted comment: x\nRWQ=\n",
            "no comment\nRWQ=\n",
        ] {
            assert!(
                matches!(SecretKeyFile::parse(text), Err(SignError::Form { .. })),
                "{text:?}"
            );
        }
        assert!(matches!(
            SecretKeyFile::parse(&" ".repeat(1 << 20)),
            Err(SignError::TooLarge { .. })
        ));
    }
}
