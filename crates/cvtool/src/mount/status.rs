//! `cvtool status`.

use super::ask;
use crate::{Outcome, print};
use anyhow::bail;
use clap::Args;
use layerfs::control::{Reply, Request};
use std::path::PathBuf;

/// Of which mount.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The mount
    mountpoint: PathBuf,

    /// Say why this path of the view shows what it shows
    #[arg(long, value_name = "PATH")]
    explain: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Shows the stack, the highest member first, or what each member has at a path.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        match &self.explain {
            Some(path) => self.explain(path),
            None => self.status(),
        }
    }

    fn status(&self) -> anyhow::Result<Outcome> {
        let Reply::Status(status) = ask(&self.mountpoint, &Request::Status)? else {
            bail!("the mount gave another answer than expected");
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&status)?);
            return Ok(Outcome::Done);
        }
        println!("{:>6}  {:<8} {:>8} {:>5}  SOURCE", "NUMBER", "ROLE", "PRIORITY", "OPEN");
        for member in &status.members {
            let source = print::printable(&member.source.display().to_string());
            println!(
                "{:>6}  {:<8} {:>8} {:>5}  {source}",
                member.number, member.role, member.priority, member.open_files
            );
        }
        Ok(Outcome::Done)
    }

    fn explain(&self, path: &str) -> anyhow::Result<Outcome> {
        let request = Request::Explain { path: path.to_owned() };
        let Reply::Explained { path, members } = ask(&self.mountpoint, &request)? else {
            bail!("the mount gave another answer than expected");
        };
        if self.json {
            let value = serde_json::json!({ "path": path, "members": members });
            println!("{}", serde_json::to_string_pretty(&value)?);
            return Ok(Outcome::Done);
        }
        if members.is_empty() {
            println!("no member has {}", print::printable(&path));
        }
        for member in &members {
            let source = print::printable(&member.member.display().to_string());
            let why = match (&member.because, &member.hidden_by) {
                (Some(because), Some(by)) => {
                    format!(" by the {because} of {}", print::printable(&by.display().to_string()))
                }
                (Some(because), None) => format!(" by {because}"),
                _ => String::new(),
            };
            println!("{source}: {} {}{why}", member.kind, member.standing);
        }
        Ok(Outcome::Done)
    }
}
