//! Signing a layer while it is written.

use super::password::Password;
use anyhow::Context;
use layerfmt::sign::{SecretKey, SecretKeyFile};
use layerfmt::write::Sign;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Reads the secret key in a file; where it is protected, the password is asked for.
pub fn secret_key(path: &Path, password: &Password) -> anyhow::Result<SecretKey> {
    let shown = || path.display().to_string();
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(path).with_context(shown)?);
    let file = SecretKeyFile::parse(&text).with_context(shown)?;
    let password = if file.is_protected() {
        Some(password.get()?)
    } else {
        None
    };
    let password = password.as_ref().map(|password| password.as_bytes());
    file.unlock(password).with_context(shown)
}

/// The comment that minisign would sign too; `epoch` is the time that the environment says.
pub fn comment(epoch: Option<i64>) -> String {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_secs().cast_signed()
    };
    let time = epoch.unwrap_or_else(now);
    format!("timestamp:{time}\tfile:{}\thashed", layerfmt::MANIFEST_NAME)
}

/// Who signs with the secret key in a file.
pub fn signer(path: &Path, password: &Password, epoch: Option<i64>) -> anyhow::Result<Arc<dyn Sign>> {
    Ok(Arc::new(Signer {
        key: secret_key(path, password)?,
        comment: comment(epoch),
    }))
}

struct Signer {
    key: SecretKey,
    comment: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("comment", &self.comment)
            .finish_non_exhaustive()
    }
}

impl Sign for Signer {
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, cv_ntfs::write::SourceError> {
        Ok(self.key.sign(manifest, &self.comment)?.to_file_bytes()?.to_vec())
    }
}
