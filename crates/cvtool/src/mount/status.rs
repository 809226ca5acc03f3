//! `cvtool status`.

use super::ask;
use crate::{Outcome, print};
use anyhow::bail;
use clap::Args;
use layerfs::control::{ExplainedRule, Reply, Request, Status};
use std::io::{self, Write};
use std::path::PathBuf;

/// Of which mount.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The mount
    mountpoint: PathBuf,

    /// Say why this path of the view, or key such as `HKLM\SOFTWARE\App`, shows what it shows
    #[arg(long, value_name = "PATH|KEY")]
    explain: Option<String>,

    /// Of a key, explain the value of this name; empty for the default value
    #[arg(long, value_name = "NAME", requires = "explain")]
    value: Option<String>,

    /// Print what happened to the mount, an event a line as JSON, the oldest of the last thousand first
    #[arg(long, conflicts_with_all = ["explain", "json"])]
    events: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Shows the stack, the highest member first, or what each member has at a path.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        if self.events {
            return self.events();
        }
        match &self.explain {
            Some(path) => self.explain(path),
            None => self.status(),
        }
    }

    fn status(&self) -> anyhow::Result<Outcome> {
        let Reply::Status(status) = ask(&self.mountpoint, &Request::Status)? else {
            bail!("the mount gave another answer than expected");
        };
        show(&status, self.json)?;
        Ok(Outcome::Done)
    }

    fn events(&self) -> anyhow::Result<Outcome> {
        let Reply::Events { events } = ask(&self.mountpoint, &Request::Events { after: 0 })? else {
            bail!("the mount gave another answer than expected");
        };
        let mut out = io::stdout().lock();
        for event in &events {
            serde_json::to_writer(&mut out, event)?;
            writeln!(out)?;
        }
        Ok(Outcome::Done)
    }

    fn explain(&self, path: &str) -> anyhow::Result<Outcome> {
        let request = Request::Explain {
            path: path.to_owned(),
            value: self.value.clone(),
        };
        let Reply::Explained {
            path,
            members,
            writes_to,
            rule,
        } = ask(&self.mountpoint, &request)?
        else {
            bail!("the mount gave another answer than expected");
        };
        if self.json {
            let value = serde_json::json!({
                "path": path,
                "members": members,
                "writes_to": writes_to,
                "rule": rule,
            });
            println!("{}", serde_json::to_string_pretty(&value)?);
            return Ok(Outcome::Done);
        }
        if members.is_empty() {
            println!("no member has {}", print::printable(&path));
        }
        for member in &members {
            let source = print::printable(&member.member.display().to_string());
            let why = match (&member.because, &member.hidden_by) {
                _ if member.rule.is_some() => member.rule.as_ref().map(by_rule).unwrap_or_default(),
                (Some(because), Some(by)) => {
                    format!(" by the {because} of {}", print::printable(&by.display().to_string()))
                }
                (Some(because), None) => format!(" by {because}"),
                _ => String::new(),
            };
            let content = member
                .content
                .as_ref()
                .map(|content| format!(" ({})", print::printable(content)));
            let content = content.unwrap_or_default();
            println!("{source}: {}{content} {}{why}", member.kind, member.standing);
        }
        let by = rule.as_ref().map(by_rule).unwrap_or_default();
        match writes_to {
            Some(folder) => println!("writes go to {}{by}", print::printable(&folder.display().to_string())),
            None => println!("nothing is written here{by}"),
        }
        Ok(Outcome::Done)
    }
}

fn by_rule(rule: &ExplainedRule) -> String {
    let layer = print::printable(&rule.layer.display().to_string());
    format!(
        " by the rule {} {} of {layer}",
        rule.action,
        print::printable(&rule.path)
    )
}

/// Prints a stack, the highest member first.
pub fn show(status: &Status, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(status)?);
        return Ok(());
    }
    println!(
        "{:>6}  {:<8} {:>8} {:>5} {:<9} {:>5} {:>7}  SOURCE",
        "NUMBER", "ROLE", "PRIORITY", "OPEN", "SIGNATURE", "RULES", "SCRIPTS"
    );
    for member in &status.members {
        println!(
            "{:>6}  {:<8} {:>8} {:>5} {:<9} {:>5} {:>7}  {}",
            member.number,
            member.role,
            member.priority,
            member.open_files,
            member.signature.as_ref().map_or("-", |signature| signature.state()),
            member.rules.len(),
            member.scripts.len(),
            print::printable(&member.source.display().to_string())
        );
    }
    Ok(())
}
