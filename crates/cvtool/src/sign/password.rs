//! The password of a secret key: from a file, from a terminal, or from a pipe.

use anyhow::{Context, bail};
use clap::Args;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Bytes of a password at most, as minisign has it.
const MAX_PASSWORD: usize = 1024;

/// Where the password comes from.
#[derive(Debug, Args)]
pub struct Password {
    /// Read the password from the first line of this file. Without it, it is asked for on the terminal, or read from
    /// standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Password {
    /// The password.
    pub fn get(&self) -> anyhow::Result<Zeroizing<String>> {
        self.read("Password: ")
    }

    /// A password for a new key; on a terminal, asked for twice.
    pub fn choose(&self) -> anyhow::Result<Zeroizing<String>> {
        let password = self.read("Password: ")?;
        if self.password_file.is_none() && io::stdin().is_terminal() && *self.read("Password again: ")? != *password {
            bail!("the passwords differ");
        }
        if password.is_empty() {
            bail!("the password is empty; --no-password leaves the key without one");
        }
        Ok(password)
    }

    fn read(&self, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
        let password = if let Some(file) = &self.password_file {
            let shown = || file.display().to_string();
            let opened = std::fs::File::open(file).with_context(shown)?;
            first_line(io::BufReader::new(opened)).with_context(shown)?
        } else if io::stdin().is_terminal() {
            Zeroizing::new(rpassword::prompt_password(prompt).context("cannot ask for the password")?)
        } else {
            first_line(io::stdin().lock()).context("cannot read the password from standard input")?
        };
        if password.len() > MAX_PASSWORD {
            bail!("the password has more than {MAX_PASSWORD} bytes");
        }
        Ok(password)
    }
}

fn first_line(input: impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    input.take(MAX_PASSWORD as u64 + 2).read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
