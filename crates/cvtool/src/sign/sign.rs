//! `cvtool sign`.

use super::password::Password;
use super::signer::{comment, secret_key};
use crate::Outcome;
use crate::clock::source_date_epoch;
use crate::image::source::Opening;
use anyhow::Context;
use clap::Args;
use layerfmt::sign::{Signature, StoreError, store};
use std::path::PathBuf;

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
        let key = secret_key(&self.key, &self.password)?;
        let comment = match &self.comment {
            Some(text) => text.clone(),
            None => comment(source_date_epoch()?),
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
