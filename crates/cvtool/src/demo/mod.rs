//! `cvtool demo`: the main job on a small machine that cvtool brings with it. Each step is a command of cvtool, shown as one
//! would type it and run as that would run.

mod fixture;

use crate::{Outcome, run_line};
use anyhow::{Context, bail};
use clap::Args;
use std::path::{Path, PathBuf};

/// Where to show it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder that gets the disks and layers; what the demo makes there is made anew
    #[arg(default_value = "cvtool-demo")]
    folder: PathBuf,
}

impl Arguments {
    /// Shows it.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.folder.display().to_string();
        std::fs::create_dir_all(&self.folder).with_context(name)?;
        let file = |name: &str| self.folder.join(name).display().to_string();

        say("Two versions of an application, Pocket Notes, were installed on copies of a small Windows machine.");
        say("These are the disks of the machine before and after:");
        println!();
        for machine in fixture::MACHINES {
            let disk = file(machine.disk);
            fixture::make_disk(machine, Path::new(&disk)).with_context(|| disk.clone())?;
            println!("  {disk:<40} {}", machine.what);
        }

        let (before, old, new) = (file("before.vhdx"), file("notes-1.0.vhdx"), file("notes-2.0.vhdx"));
        say("What each install changed becomes a layer. What Windows did meanwhile does not: rules leave it out.");
        for (version, after, layer) in [
            ("1.0", file("after-1.0.vhdx"), &old),
            ("2.0", file("after-2.0.vhdx"), &new),
        ] {
            let page = file(&format!("capture-{version}.html"));
            let states = ["--before", &before, "--after", &after, "--html", &page];
            shown(&[&["capture", "diff"][..], &states, &["-o", layer]].concat())?;
        }

        say("The layer tells what is in it.");
        shown(&["inspect", &new])?;

        say("What is new since version 1.0, as a page to search in as well:");
        let page = file("diff.html");
        shown(&["diff", "--semantic", &old, &new])?;
        quiet(&["diff", "--semantic", &old, &new, "--html", &page])?;

        say("Signed, so that nobody can change it unseen:");
        let (key, public) = (file("demo.key"), file("demo.pub"));
        for path in [&key, &public] {
            remove(path).with_context(|| path.clone())?;
        }
        shown(&["keygen", "--no-password", &key])?;
        shown(&["sign", &new, "--key", &key])?;

        say("And verified: the container, the volume, the hives, every file, the signature.");
        let trust = file("trusted-keys");
        std::fs::copy(&public, &trust).with_context(|| trust.clone())?;
        if shown(&["verify", &new, "--trust", &trust])? != Outcome::Done {
            bail!("{new}: the new layer does not verify");
        }

        say("Everything is there to look at:");
        println!();
        for (name, what) in [
            (&new, "the layer; Windows and hypervisors attach it as it is"),
            (&old, "the layer of the older version"),
            (
                &file("capture-2.0.html"),
                "what was captured and what was left out, and why",
            ),
            (&page, "what is new in version 2.0"),
        ] {
            println!("  {name:<40} {what}");
        }
        println!();
        println!("Go on with: cvtool tree {new}");
        println!("            cvtool reg {new}");
        println!("            cvtool cat {new} '/Program Files/Pocket Notes/readme.txt'");
        Ok(Outcome::Done)
    }
}

fn say(text: &str) {
    println!("\n{text}");
}

/// Shows a command of cvtool and runs it.
fn shown(arguments: &[&str]) -> anyhow::Result<Outcome> {
    let quoted = arguments.iter().map(|argument| {
        if argument.contains(' ') {
            format!("'{argument}'")
        } else {
            (*argument).to_owned()
        }
    });
    println!("\n$ cvtool {}", quoted.collect::<Vec<_>>().join(" "));
    quiet(arguments)
}

fn quiet(arguments: &[&str]) -> anyhow::Result<Outcome> {
    run_line(arguments).with_context(|| format!("cvtool {}", arguments[0]))
}

/// Removes what an earlier demo left.
fn remove(path: &str) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
