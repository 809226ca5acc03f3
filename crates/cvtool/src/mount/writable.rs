//! `cvtool writable`.

use crate::{Outcome, print};
use clap::{Args, Subcommand};
use layerfs::sources::Allowed;
use layerfs::writable::{Finding, Problem, check, repair};
use serde_json::json;
use std::path::PathBuf;

/// What to do with a writable folder.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what in a writable folder does not go with its base and layers any more; exit 1 where there is something
    Check(Arguments),
    /// Take that out of it: whiteouts go, files are set aside in `.cvlayer/set-aside`
    Repair(Arguments),
}

/// Which folder, and over what it is used.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The writable folder, which is not mounted
    folder: PathBuf,

    /// What everything stands on: a folder, a Wine prefix, or a disk image with an NTFS volume
    #[arg(long, value_name = "DIR|IMAGE")]
    base: PathBuf,

    /// A layer in its disk image; each stands above those before it
    #[arg(long = "layer", value_name = "LAYER")]
    layers: Vec<PathBuf>,

    /// Also open parents and extents in this folder and below
    #[arg(long, value_name = "FOLDER")]
    allow: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Checks or repairs.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let (Self::Check(arguments) | Self::Repair(arguments)) = self;
        let allowed = Allowed {
            folders: arguments.allow.clone(),
        };
        let checked = check(&arguments.folder, &arguments.base, &arguments.layers, &allowed)?;
        if arguments.json {
            let findings = checked.findings.iter().map(to_json);
            print::json(&json!({ "findings": findings.collect::<Vec<_>>() }))?;
        } else {
            for finding in &checked.findings {
                println!("{}", print::printable(&text(finding)));
            }
        }
        if matches!(self, Self::Repair(_)) {
            repair(&checked)?;
            return Ok(Outcome::Done);
        }
        Ok(if checked.findings.is_empty() {
            Outcome::Done
        } else {
            Outcome::Found
        })
    }
}

fn problem(problem: &Problem) -> &'static str {
    match problem {
        Problem::Shadows(_) => "shadows",
        Problem::OriginGone => "origin-gone",
        Problem::HidesNothing => "hides-nothing",
        Problem::AreaOfGone => "area-of-gone",
    }
}

fn to_json(finding: &Finding) -> serde_json::Value {
    let shadows = match &finding.problem {
        Problem::Shadows(source) => Some(source),
        _ => None,
    };
    json!({
        "path": String::from_utf8_lossy(&finding.path),
        "problem": problem(&finding.problem),
        "shadows": shadows,
    })
}

fn text(finding: &Finding) -> String {
    let path = String::from_utf8_lossy(&finding.path);
    match &finding.problem {
        Problem::Shadows(source) => format!("{path}: is a copy of another file than that of {}", source.display()),
        Problem::OriginGone => format!("{path}: is a copy of a file that no member has any more"),
        Problem::HidesNothing => format!("{path}: is a whiteout with nothing to hide"),
        Problem::AreaOfGone => format!("{path}: is the area of a layer that is gone"),
    }
}
