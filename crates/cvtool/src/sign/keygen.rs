//! `cvtool keygen`.

use super::password::Password;
use crate::Outcome;
use anyhow::{Context, bail};
use clap::Args;
use layerfmt::sign::SecretKey;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What to make.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file of the secret key; it must not be there yet
    secret: PathBuf,

    /// The file of the public key; without it, that of the secret key with the extension .pub
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,

    /// What the files say of the key
    #[arg(long, default_value = "")]
    comment: String,

    /// Leave the secret key without a password: whoever can read the file can sign
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,

    #[command(flatten)]
    password: Password,
}

impl Arguments {
    /// Makes a key and writes both files.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let public = self.public.clone().unwrap_or_else(|| self.secret.with_extension("pub"));
        if public == self.secret {
            bail!(
                "{}: the public key needs another file than the secret key",
                public.display()
            );
        }
        // Said before anybody thinks of a password.
        for file in [&self.secret, &public] {
            if file.symlink_metadata().is_ok() {
                bail!("{}: there already; keys are not overwritten", file.display());
            }
        }
        let password = if self.no_password {
            None
        } else {
            Some(self.password.choose()?)
        };
        let key = SecretKey::generate()?;
        let text = key.to_text(&self.comment, password.as_ref().map(|password| password.as_bytes()))?;
        write_new(&self.secret, text.as_bytes(), 0o600)?;
        let written = write_new(&public, key.public_key().to_text(&self.comment).as_bytes(), 0o644);
        if written.is_err() {
            // A secret key whose public key is lost is of no use.
            let _ = std::fs::remove_file(&self.secret);
        }
        written?;
        Ok(Outcome::Done)
    }
}

/// Writes a file that must not be there, which nobody else may read where the mode says so.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let shown = || path.display().to_string();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).with_context(shown)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written.with_context(shown)
}
