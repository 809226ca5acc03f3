//! What manifests require of the other layers of a stack.

use super::{Member, VersionRange};
use crate::Manifest;
use crate::manifest::LayerReference;
use serde::Serialize;

/// A `requires` or `conflicts` of a manifest that does not hold in a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// The layer whose manifest says so.
    pub layer: String,
    /// `requires` or `conflicts`.
    pub member: &'static str,
    /// The layer that is meant, and which versions of it.
    pub reference: String,
    /// What there is instead, for people.
    pub found: String,
}

impl Unmet {
    /// Whether it tells of this reference.
    pub(crate) fn is_of(&self, reference: &LayerReference) -> bool {
        self.reference == text(reference)
    }
}

/// The references of all members that do not hold. The order of the members does not matter.
pub fn unmet(members: &[Member]) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    for member in members {
        let mut add = |name: &'static str, reference: &LayerReference, found: String| {
            unmet.push(Unmet {
                layer: member.name.clone(),
                member: name,
                reference: text(reference),
                found,
            });
        };
        let others = || members.iter().filter(|other| !std::ptr::eq(*other, member));
        for reference in &member.manifest.requires {
            if others().any(|other| is_meant(reference, &other.manifest).unwrap_or(false)) {
                continue;
            }
            let named = others().find(|other| is_named(reference, &other.manifest));
            add(
                "requires",
                reference,
                match (range(reference), named) {
                    (Err(error), _) => error.to_string(),
                    (_, Some(other)) => describe(&other.manifest),
                    (_, None) => "no layer of that name".to_owned(),
                },
            );
        }
        for reference in &member.manifest.conflicts {
            for other in others() {
                match is_meant(reference, &other.manifest) {
                    Ok(true) => add("conflicts", reference, describe(&other.manifest)),
                    Ok(false) => {}
                    // Nobody knows which versions are meant.
                    Err(error) => add(
                        "conflicts",
                        reference,
                        format!("{}: {error}", describe(&other.manifest)),
                    ),
                }
            }
        }
    }
    unmet
}

fn range(reference: &LayerReference) -> Result<VersionRange, super::VersionError> {
    VersionRange::parse(reference.version.as_deref().unwrap_or_default())
}

/// Names are compared without regard to case.
fn is_named(reference: &LayerReference, manifest: &Manifest) -> bool {
    reference.name.to_lowercase() == manifest.name.to_lowercase()
}

fn is_meant(reference: &LayerReference, manifest: &Manifest) -> Result<bool, super::VersionError> {
    let is_named = is_named(reference, manifest) && reference.id.is_none_or(|id| id == manifest.id);
    Ok(is_named && range(reference)?.contains(&manifest.version))
}

fn describe(manifest: &Manifest) -> String {
    format!("{} {} ({})", manifest.name, manifest.version, manifest.id)
}

fn text(reference: &LayerReference) -> String {
    let version = reference.version.iter().map(ToString::to_string);
    let id = reference.id.iter().map(|id| format!("({id})"));
    let parts = std::iter::once(reference.name.clone()).chain(version).chain(id);
    parts.collect::<Vec<_>>().join(" ")
}
