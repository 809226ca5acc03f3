//! `cvtool verify`.

use crate::image::source::Opening;
use crate::volume::source::threads;
use crate::{Outcome, print, progress};
use anyhow::Context;
use clap::Args;
use layerfmt::sign::TrustFile;
use layerfmt::verify::{Report, VerifyOptions, verify};
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;

/// What to verify.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The layer
    layer: PathBuf,

    /// The keys that are accepted, one a line, or a public key of minisign; a layer that none of them signed is refused.
    /// Without it a signature is told but not judged
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,

    /// Threads that read and hash
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Verifies, and tells what is wrong.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.layer.display().to_string();
        let trust = self
            .trust
            .as_ref()
            .map(|path| {
                let shown = || path.display().to_string();
                let text = std::fs::read_to_string(path).with_context(shown)?;
                TrustFile::parse(&text).with_context(shown)
            })
            .transpose()?;
        let options = VerifyOptions {
            trust,
            threads: self.threads.unwrap_or_else(threads),
        };
        let opening = self.opening.options(&self.layer)?;
        let bar = progress::Bar::new("Verifying");
        let report = verify(&self.layer, &opening, &options, &bar).with_context(name)?;
        drop(bar);
        if self.json {
            print::json(&to_json(&name(), &report))?;
        } else {
            tell(&name(), &report)?;
        }
        Ok(if report.is_sound() {
            Outcome::Done
        } else {
            Outcome::Found
        })
    }
}

fn to_json(name: &str, report: &Report) -> serde_json::Value {
    json!({
        "file": name,
        "sound": report.is_sound(),
        "streams": report.streams,
        "bytes": report.bytes,
        "signed_by": report.signed_by.as_ref().map(|signed| json!({
            "key_id": signed.key_id,
            "comment": signed.comment,
            "trusted": signed.trusted,
        })),
        "findings": report.findings.iter().map(|finding| json!({
            "item": finding.item.to_string(),
            "problem": finding.problem.name(),
            "detail": finding.detail,
        })).collect::<Vec<_>>(),
        "findings_omitted": report.omitted,
    })
}

fn tell(name: &str, report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in &report.findings {
        writeln!(out, "{}", print::printable(&finding.to_string()))?;
    }
    if report.omitted > 0 {
        writeln!(out, "and {} more", report.omitted)?;
    }
    if report.is_sound() {
        let signed = match &report.signed_by {
            None => "not signed".to_owned(),
            Some(signed) => match &signed.trusted {
                Some(comment) => format!("signed by {} ({comment})", signed.key_id),
                None => format!("signed by {}, which nobody vouches for", signed.key_id),
            },
        };
        let (streams, bytes) = (report.streams, report.bytes);
        let line = format!("{name}: sound, {streams} streams of {bytes} bytes, {signed}");
        writeln!(out, "{}", print::printable(&line))?;
    }
    Ok(())
}
