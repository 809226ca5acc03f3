//! What became of everything that changed.

use super::installer::Installer;
use super::items::Change;
use crate::paths::Leftover;
use crate::rules::Action;
use crate::snapshot::{Problem, Readiness};
use layerfmt::manifest::{Dropped, Provenance};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A change and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// `file`, `directory`, `key` or `value`.
    pub kind: String,
    /// The path as on drive C:, the key, or the value behind a `!`.
    pub path: String,
    /// How it changed.
    pub change: Change,
    /// More of that: what of a file changed, or what its name was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What became of it.
    pub action: Action,
    /// Whether it is in the layer: what was deleted is only where that was asked for.
    pub applied: bool,
    /// The rule that decided; none for what is kept because no rule is about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// The rule's reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Bytes of a file.
    #[serde(default)]
    pub size: u64,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Items in the layer.
    pub kept: u64,
    /// Of these, what to look at.
    pub review: u64,
    /// Of these, what a user begins with.
    pub seed: u64,
    /// Items that rules left out.
    pub dropped: u64,
    /// Bytes of files that rules left out.
    pub dropped_bytes: u64,
    /// What the install deleted, whether the layer does so or not.
    pub deleted: u64,
    /// Files written again with what they held before.
    pub touched: u64,
}

/// What became of everything that changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How many of what.
    pub counts: Counts,
    /// The machine before the install: its version of Windows.
    pub os_version: String,
    /// Whether it waited for a restart.
    pub pending_reboot: bool,
    /// What spoke against capturing it.
    pub warnings: Vec<String>,
    /// The rule files that decided, with their SHA-256.
    pub rules: Vec<String>,
    /// The changes.
    pub items: Vec<Captured>,
    /// How the installer ran, where it was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installer: Option<Installer>,
    /// Places that tell of the packager.
    pub leftovers: Vec<Leftover>,
    /// What could not be read or stored.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Notes what the machine was like.
    pub fn set_readiness(&mut self, readiness: Readiness) {
        self.os_version = readiness.os_version;
        self.pending_reboot = readiness.pending_reboot;
        self.warnings = readiness.warnings;
    }

    /// Notes that a file is not in the layer after all, because of a problem.
    pub fn leave_out(&mut self, problem: Problem) {
        let file = problem.path.split(':').next().unwrap_or_default();
        let counts = &mut self.counts;
        for item in self.items.iter_mut().filter(|item| item.applied && item.path == file) {
            item.applied = false;
            counts.kept = counts.kept.saturating_sub(1);
            counts.review -= u64::from(item.action == Action::Review).min(counts.review);
            counts.seed -= u64::from(item.action == Action::Seed).min(counts.seed);
        }
        self.problems.push(problem);
    }

    /// What a layer's manifest says of the capture. Of what was left out only the highest is named where the same rule left
    /// out what is below it.
    pub fn provenance(&self, method: &str, sources: Vec<String>) -> Provenance {
        let mut dropped: Vec<Dropped> = Vec::new();
        for item in self.items.iter().filter(|item| item.action == Action::Drop) {
            let is_below = dropped.iter().rev().take(64).any(|above| {
                let rest = item.path.strip_prefix(&above.path);
                above.rule == item.rule && rest.is_some_and(|rest| rest.starts_with(['\\', '!']))
            });
            if !is_below {
                dropped.push(Dropped {
                    path: item.path.clone(),
                    rule: item.rule.clone(),
                    reason: item.reason.clone(),
                });
            }
        }
        let named = |wanted: &dyn Fn(&Captured) -> bool| -> Vec<&str> {
            let items = self.items.iter().filter(|item| wanted(item));
            items.map(|item| item.path.as_str()).collect()
        };
        let mut provenance = Provenance {
            method: method.to_owned(),
            sources,
            rules: self.rules.clone(),
            dropped,
            readiness: Some(layerfmt::manifest::Readiness {
                os_version: self.os_version.clone(),
                pending_reboot: Some(self.pending_reboot),
                warnings: self.warnings.clone(),
                ..Default::default()
            }),
            ..Provenance::default()
        };
        let capture = json!({
            "counts": self.counts,
            // How long it took is different every time.
            "installer": self.installer.as_ref().map(|installer| json!({
                "command": installer.command,
                "exit_code": installer.exit_code,
            })),
            "review": named(&|item| item.action == Action::Review && item.applied),
            "seed": named(&|item| item.action == Action::Seed && item.applied),
            "deleted": named(&|item| item.change == Change::Deleted && item.action != Action::Drop),
            "leftovers": self.leftovers,
            "problems": self.problems,
        });
        provenance.other.insert("capture".to_owned(), capture);
        provenance
    }
}
