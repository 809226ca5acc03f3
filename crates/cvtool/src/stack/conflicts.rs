//! `cvtool conflicts`.

use super::layers::{open, warn_of_rules};
use crate::image::source::Opening;
use crate::{Outcome, print};
use clap::Args;
use layerfmt::stack::{ConflictReport, LayerStack, Unmet, unmet};
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// Which layers to look at.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The layers in the order in which they are attached: the later stands above the earlier
    #[arg(required = true)]
    layers: Vec<PathBuf>,

    /// Also what is the same in all layers that have it
    #[arg(short, long)]
    all: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Prints what more than one layer has.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let members = open(&self.layers, &self.opening)?;
        let stack = LayerStack::new(&members);
        warn_of_rules(&stack);
        let unmet = unmet(&members);
        let mut reports = Vec::new();
        let mut same = 0_u64;
        stack.conflicts(&mut |report| {
            if report.is_real() || self.all {
                reports.push(report);
            } else {
                same += 1;
            }
        });
        let is_clean = unmet.is_empty() && !reports.iter().any(ConflictReport::is_real);
        if self.json {
            print::json(&json!({
                "order": stack.order(),
                "unmet": unmet,
                "conflicts": reports,
                "same_left_out": same,
            }))?;
        } else {
            let mut out = BufWriter::new(io::stdout().lock());
            unmet.iter().try_for_each(|unmet| print_unmet(&mut out, unmet))?;
            reports.iter().try_for_each(|report| print_report(&mut out, report))?;
            out.flush()?;
        }
        Ok(if is_clean { Outcome::Done } else { Outcome::Found })
    }
}

fn print_unmet(out: &mut dyn Write, unmet: &Unmet) -> io::Result<()> {
    let words = if unmet.member == "requires" {
        "requires"
    } else {
        "does not go with"
    };
    let text = format!("{} {words} {}: {}", unmet.layer, unmet.reference, unmet.found);
    writeln!(out, "{}", print::printable(&text))
}

fn print_report(out: &mut dyn Write, report: &ConflictReport) -> io::Result<()> {
    let value = report
        .value
        .as_ref()
        .map(|value| format!("!{value}"))
        .unwrap_or_default();
    let text = format!("{}{value} ({})", report.path, report.content);
    writeln!(out, "{}", print::printable(&text))?;
    for claim in &report.claims {
        let text = format!("{}: {}, {}", claim.layer, claim.kind, claim.standing);
        writeln!(out, "    {}", print::printable(&text))?;
    }
    Ok(())
}
