//! `cvtool capture rules`.

use super::output::read_rules;
use crate::{Outcome, print};
use clap::{Args, Subcommand, ValueEnum};
use cv_capture::rules::{Platform, RuleSet, Subject, check_examples, shipped_files};
use std::path::PathBuf;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check that the examples of rule files are decided as they say
    Test(Test),
    /// Say what becomes of paths, keys and values, and which rule decides
    Explain(Explain),
}

impl Command {
    /// Does it.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        match self {
            Self::Test(arguments) => arguments.run(),
            Self::Explain(arguments) => arguments.run(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Where {
    #[default]
    Windows,
    Wine,
}

impl From<Where> for Platform {
    fn from(place: Where) -> Self {
        match place {
            Where::Windows => Self::Windows,
            Where::Wine => Self::Wine,
        }
    }
}

/// Which files to check.
#[derive(Debug, Args)]
pub struct Test {
    /// The rule files; without any, those of cvtool
    files: Vec<PathBuf>,

    /// Where the install is taken to have run, for a file that does not say
    #[arg(long, value_name = "WHERE", default_value = "windows")]
    platform: Where,
}

impl Test {
    fn run(&self) -> anyhow::Result<Outcome> {
        let files = match self.files.as_slice() {
            [] => shipped_files().to_vec(),
            paths => paths.iter().map(|path| read_rules(path)).collect::<Result<_, _>>()?,
        };
        let (mut examples, mut failed) = (0, 0);
        for file in &files {
            let failures = check_examples(self.platform.into(), shipped_files(), file)?;
            for failure in &failures {
                println!("{}: {}", file.name, print::printable(&failure.to_string()));
            }
            examples += file
                .rules
                .iter()
                .map(|rule| rule.dropped.len() + rule.kept.len())
                .sum::<usize>();
            failed += failures.len();
        }
        println!("{examples} examples, {failed} failed");
        Ok(if failed == 0 { Outcome::Done } else { Outcome::Found })
    }
}

/// What to explain.
#[derive(Debug, Args)]
pub struct Explain {
    /// Paths that begin with \, keys, or values: the key, ! and the value's name
    #[arg(required = true)]
    subjects: Vec<String>,

    /// A rule file, besides the rules of cvtool
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,

    /// Where the install is taken to have run
    #[arg(long, value_name = "WHERE", default_value = "windows")]
    platform: Where,
}

impl Explain {
    fn run(&self) -> anyhow::Result<Outcome> {
        let rules: RuleSet = super::output::rules(&self.rules, self.platform.into())?;
        for text in &self.subjects {
            let Some(subject) = Subject::parse(text) else {
                anyhow::bail!("{text}: neither a path that begins with \\ nor a key that begins with a root");
            };
            let decision = rules.decide(&subject);
            let why = match decision.rule {
                Some(rule) => format!("{}: {}", rule.id, rule.reason),
                None => "no rule is about it".to_owned(),
            };
            println!(
                "{} {} ({})",
                decision.action,
                print::printable(text),
                print::printable(&why)
            );
        }
        Ok(Outcome::Done)
    }
}
