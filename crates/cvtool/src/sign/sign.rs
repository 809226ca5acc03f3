//! `cvtool sign`.

use super::password::Password;
use crate::Outcome;
use crate::image::source::Opening;
use anyhow::{Context, anyhow};
use clap::Args;
use layerfmt::sign::{SecretKeyFile, Signature, StoreError, store};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// What to sign.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The layer; its image is changed in place
    layer: PathBuf,

    /// The file of the secret key, as keygen or minisign made it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// A comment that is signed too; without it, the time (that of `SOURCE_DATE_EPOCH`, if set) and the name layer.json
    #[arg(long)]
    comment: Option<String>,

    #[command(flatten)]
    password: Password,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Signs the manifest and writes the signature into the image.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let shown = || self.key.display().to_string();
        let text = zeroize::Zeroizing::new(std::fs::read_to_string(&self.key).with_context(shown)?);
        let file = SecretKeyFile::parse(&text).with_context(shown)?;
        let password = if file.is_protected() {
            Some(self.password.get()?)
        } else {
            None
        };
        let key = file
            .unlock(password.as_ref().map(|password| password.as_bytes()))
            .with_context(shown)?;
        let comment = match &self.comment {
            Some(comment) => comment.clone(),
            None => format!("timestamp:{}\tfile:{}\thashed", now()?, layerfmt::MANIFEST_NAME),
        };
        let sign = |manifest: &[u8]| -> Result<Signature, StoreError> { Ok(key.sign(manifest, &comment)?) };
        store(
            &self.layer,
            &self.opening.options(&self.layer)?,
            &key.public_key(),
            sign,
        )
        .with_context(|| self.layer.display().to_string())?;
        Ok(Outcome::Done)
    }
}

/// Seconds since 1970, by `SOURCE_DATE_EPOCH` where that is set.
fn now() -> anyhow::Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text
            .parse()
            .map_err(|_| anyhow!("SOURCE_DATE_EPOCH is {text:?}, expected seconds since 1970")),
        Err(_) => Ok(SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs())),
    }
}
