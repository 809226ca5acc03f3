//! `cvtool explain`.

use super::layers::{open, warn_of_rules};
use crate::image::source::Opening;
use crate::{Outcome, print};
use anyhow::{Context, bail};
use clap::Args;
use cv_overlay::NamePath;
use layerfmt::stack::{Explained, LayerStack};
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// What to explain.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The layers in the order in which they are attached (the later stands above the earlier), and last a path as on drive
    /// C:, or a key such as `HKLM\SOFTWARE\App`
    #[arg(required = true, num_args = 2.., value_names = ["LAYER", "PATH|KEY"])]
    layers: Vec<PathBuf>,

    /// Of a key, explain the value of this name; empty for the default value
    #[arg(long, value_name = "NAME")]
    value: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Prints what each layer has there, and why the view shows what it shows.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let (what, layers) = self.layers.split_last().context("a path or key is missing")?;
        let what = what.to_str().context("the path is no Unicode")?;
        let members = open(layers, &self.opening)?;
        let stack = LayerStack::new(&members);
        warn_of_rules(&stack);
        let explained = if LayerStack::is_key(what) {
            let explained = stack.explain_key(what, self.value.as_deref());
            explained.with_context(|| format!("{what}: in no hive that a layer has"))?
        } else if self.value.is_some() {
            bail!("{what}: --value needs a key such as HKLM\\SOFTWARE\\App");
        } else {
            stack.explain_path(&path_of(what))
        };
        if self.json {
            print::json(&json!({ "order": stack.order(), "explained": explained }))?;
        } else {
            let mut out = BufWriter::new(io::stdout().lock());
            print_explained(&mut out, &explained)?;
            out.flush()?;
        }
        Ok(if explained.shown.is_some() {
            Outcome::Done
        } else {
            Outcome::Found
        })
    }
}

/// A path as on drive C:, with or without the drive, its names separated by `\` or `/`.
fn path_of(text: &str) -> NamePath {
    let bytes = text.as_bytes();
    let has_drive = bytes.get(1) == Some(&b':') && bytes.first().is_some_and(u8::is_ascii_alphabetic);
    let text = if has_drive { &text[2..] } else { text };
    NamePath::from(text.replace('/', "\\").as_str())
}

fn print_explained(out: &mut dyn Write, explained: &Explained) -> io::Result<()> {
    let value = explained
        .value
        .as_ref()
        .map(|value| format!("!{value}"))
        .unwrap_or_default();
    let shown = explained
        .shown
        .as_ref()
        .map_or_else(|| "nothing is shown".to_owned(), |layer| format!("shown from {layer}"));
    writeln!(
        out,
        "{}",
        print::printable(&format!("{}{value}: {shown}", explained.path))
    )?;
    for claim in &explained.claims {
        let content = claim
            .content
            .as_ref()
            .map(|content| format!(" ({content})"))
            .unwrap_or_default();
        let text = format!("{}: {}{content}, {}", claim.layer, claim.kind, claim.standing);
        writeln!(out, "    {}", print::printable(&text))?;
    }
    let rule = explained
        .writes
        .rule
        .as_ref()
        .map(|rule| format!(" by the rule {rule}"))
        .unwrap_or_default();
    let writes = explained.writes.layer.as_deref().unwrap_or("no layer of this stack");
    writeln!(out, "    {}", print::printable(&format!("writes go to {writes}{rule}")))
}
