//! Everything that more than one layer has.

use super::claim::{ClaimReport, kind_name, shown_path, state_name};
use super::{FileLayer, HiveLayer, LayerStack};
use crate::content::HiveName;
use crate::diff::value_summary;
use cv_hive::{Key, Value, ValueState};
use cv_overlay::registry::{KeyClaim, Keys, RegistryConflict, ValueClaim};
use cv_overlay::{Agreement, Claim, NamePath, Stack, Standing};
use serde::Serialize;
use std::convert::Infallible;

/// Of what a conflict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConflictKind {
    /// A file, link or directory.
    File,
    /// A registry key that is hidden with everything in it.
    Key,
    /// A registry value.
    Value,
}

/// Something that more than one layer has, and of which something is hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConflictReport {
    /// Of what.
    pub of: ConflictKind,
    /// The path as on drive C:, or the key.
    pub path: String,
    /// The name of a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether all have the same: `same`, `different`, or `unknown` where a layer does not know its content.
    pub content: &'static str,
    /// What the layers have, the highest first.
    pub claims: Vec<ClaimReport>,
}

impl ConflictReport {
    /// Whether it matters who wins.
    pub fn is_real(&self) -> bool {
        self.content != "same"
    }
}

fn agreement_name(agreement: Agreement) -> &'static str {
    match agreement {
        Agreement::Same => "same",
        Agreement::Different => "different",
        Agreement::Unknown => "unknown",
    }
}

impl<'a> LayerStack<'a> {
    /// Tells `visit` every conflict: files in the order of their paths, then keys and values hive by hive.
    pub fn conflicts(&self, visit: &mut dyn FnMut(ConflictReport)) {
        let Ok(mut conflicts) = self.files.conflicts();
        while let Some(conflict) = next_of(conflicts.next()) {
            let claims = conflict.claims.iter();
            visit(ConflictReport {
                of: ConflictKind::File,
                path: conflict.path.to_string(),
                value: None,
                content: agreement_name(conflict.agreement),
                claims: claims.map(|claim| self.file_claim(claim, conflict.path)).collect(),
            });
        }
        for (hive, stack) in &self.hives {
            let Ok(mut conflicts) = stack.registry_conflicts();
            while let Some(conflict) = next_of(conflicts.next()) {
                visit(self.registry_conflict(*hive, stack, conflict));
            }
        }
    }

    fn registry_conflict(
        &self,
        hive: HiveName,
        stack: &Stack<Keys<HiveLayer<'a>>>,
        conflict: RegistryConflict<&'a Key, &'a Value>,
    ) -> ConflictReport {
        match conflict {
            RegistryConflict::Key { path, claims } => {
                // What hides a whole key hides other content, unless all that is hidden is a deletion itself.
                let is_lost =
                    |claim: &KeyClaim<_>| matches!(claim.standing, Standing::Hidden(_)) && claim.state.is_present();
                ConflictReport {
                    of: ConflictKind::Key,
                    path: shown_path(hive.root(), &path),
                    value: None,
                    content: if claims.iter().any(is_lost) {
                        "different"
                    } else {
                        "same"
                    },
                    claims: claims
                        .iter()
                        .map(|claim| self.key_claim(hive, stack, claim, &path))
                        .collect(),
                }
            }
            RegistryConflict::Value {
                path,
                name,
                claims,
                agreement,
            } => ConflictReport {
                of: ConflictKind::Value,
                path: shown_path(hive.root(), &path),
                value: Some(cv_winname::wtf8::display(&name)),
                content: agreement_name(agreement),
                claims: claims
                    .iter()
                    .map(|claim| self.value_claim(hive, stack, claim, &path))
                    .collect(),
            },
        }
    }

    pub(super) fn file_claim(&self, claim: &Claim<usize>, path: &NamePath) -> ClaimReport {
        let layer = self.files.members().get(claim.position).map(|member| &member.layer);
        ClaimReport {
            layer: self.member_at(&self.files, claim.position),
            kind: kind_name(claim.kind),
            content: layer.and_then(|layer| file_content(layer, claim.entry)),
            standing: self.standing(&self.files, claim.standing, "", path),
        }
    }

    pub(super) fn key_claim(
        &self,
        hive: HiveName,
        stack: &Stack<Keys<HiveLayer<'a>>>,
        claim: &KeyClaim<&'a Key>,
        path: &NamePath,
    ) -> ClaimReport {
        ClaimReport {
            layer: self.member_at(stack, claim.position),
            kind: state_name(claim.state),
            content: None,
            standing: self.standing(stack, claim.standing, hive.root(), path),
        }
    }

    pub(super) fn value_claim(
        &self,
        hive: HiveName,
        stack: &Stack<Keys<HiveLayer<'a>>>,
        claim: &ValueClaim<&'a Value>,
        path: &NamePath,
    ) -> ClaimReport {
        let summary = value_summary(claim.value);
        let is_there = claim.state == ValueState::Present;
        ClaimReport {
            layer: self.member_at(stack, claim.position),
            kind: if is_there { "value" } else { "tombstone" },
            content: is_there.then(|| format!("{} {}", summary.value_type, summary.text)),
            standing: self.standing(stack, claim.standing, hive.root(), path),
        }
    }
}

/// Layers in memory always answer.
fn next_of<T>(next: Result<Option<T>, Infallible>) -> Option<T> {
    let Ok(next) = next;
    next
}

fn file_content(layer: &FileLayer<'_>, entry: usize) -> Option<String> {
    let stream = layer.index().entries.get(entry)?.stream(b"")?;
    Some(format!("{} bytes, SHA-256 {}", stream.size, stream.sha256))
}
