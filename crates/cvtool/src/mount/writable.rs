//! `cvtool writable`.

use crate::image::source::Opening;
use crate::layer::output::{self, LayerOutput};
use crate::{Outcome, print, progress};
use clap::{Args, Subcommand};
use layerfs::sources::Allowed;
use layerfs::writable::{Finding, Problem, Unmounted, check, repair, unpack};
use serde_json::json;
use std::path::PathBuf;

/// What to do with a writable folder.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what in a writable folder does not go with its base and layers any more; exit 1 where there is something
    Check(Arguments),
    /// Take that out of it: whiteouts go, files are set aside in `.cvlayer/set-aside`
    Repair(Arguments),
    /// Make a layer of kind `writable` of a writable folder, which stays as it is
    Pack(Pack),
    /// Make a writable folder of a layer of kind `writable`
    Unpack(Unpack),
}

/// What to pack, and into what.
#[derive(Debug, Args)]
pub struct Pack {
    /// The writable folder, which is not mounted
    folder: PathBuf,

    /// The new layer; its extension says the container
    #[arg(short, long, value_name = "LAYER")]
    output: PathBuf,

    /// The new layer's name; without it that of the folder
    #[arg(long)]
    name: Option<String>,

    #[command(flatten)]
    written: LayerOutput,
}

/// What to unpack, and into what.
#[derive(Debug, Args)]
pub struct Unpack {
    /// The layer
    layer: PathBuf,

    /// The new folder, which is not there yet or empty
    folder: PathBuf,

    #[command(flatten)]
    opening: Opening,
}

impl Pack {
    fn run(&self) -> anyhow::Result<Outcome> {
        let folder = Unmounted::open(&self.folder)?;
        let path = self.folder.canonicalize()?;
        let named = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = self.name.clone().or(named).unwrap_or_default();
        let content = folder.content(&name, &progress::Bar::new("Reading"))?;
        self.written.write(&content, &self.output, None)?;
        Ok(Outcome::Done)
    }
}

impl Unpack {
    fn run(&self) -> anyhow::Result<Outcome> {
        let (layer, _) = output::open(&self.layer, &self.opening)?;
        unpack(&self.layer, &layer, &self.folder)?;
        Ok(Outcome::Done)
    }
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
    /// Checks, repairs, packs or unpacks.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let arguments = match self {
            Self::Check(arguments) | Self::Repair(arguments) => arguments,
            Self::Pack(pack) => return pack.run(),
            Self::Unpack(unpack) => return unpack.run(),
        };
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
