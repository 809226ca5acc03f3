//! Making one layer of several that does over anything what they do together.
//!
//! Files follow [`cv_overlay::Stack::squash`], keys the states of layered keys. Streams are moved from image to image, and are
//! not hashed again.

mod keys;
mod rules;

use crate::applications;
use crate::content::{Content, FileTree, NodeId, NodeKind, TreeError};
use crate::manifest::{LayerReference, Manifest, Provenance};
use crate::read::{Layer, LayerError};
use crate::registration::Registry;
use crate::stack::{FileLayer, Member, file_rules, unmet};
use cv_overlay::{Attachment, Hiding, Kind, LayerId, Names, Role, Stack};
use std::collections::HashMap;
use uuid::Uuid;

/// A layer to be squashed.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is called in messages.
    pub name: String,
    /// The layer.
    pub layer: Layer,
}

/// Why layers could not be made one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SquashError {
    /// There is none.
    #[error("there is no layer to squash")]
    Nothing,
    /// A layer cannot be read.
    #[error("{name}")]
    Layer {
        /// Which one.
        name: String,
        /// What failed.
        source: Box<LayerError>,
    },
    /// Two layers have different scripts of one name, and both ought to run.
    #[error("{lower} and {upper} have different scripts {script:?}; take it out of one of them first")]
    Script {
        /// The script.
        script: String,
        /// The lower layer.
        lower: String,
        /// The upper layer.
        upper: String,
    },
    /// The layers do not go together.
    #[error("{0}")]
    Conflict(String),
    /// The new tree refuses a name.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// One layer, to be written.
#[derive(Debug)]
pub struct Squashed {
    /// What it is to hold. Its name and version are those of the topmost layer.
    pub content: Content,
    /// What is no longer quite what it was, for people.
    pub warnings: Vec<String>,
}

/// Makes one layer of several, the lowest first.
pub fn squash(parts: &[Part]) -> Result<Squashed, SquashError> {
    let failed = |part: &Part, source: LayerError| SquashError::Layer {
        name: part.name.clone(),
        source: Box::new(source),
    };
    let (top, _) = parts.split_last().ok_or(SquashError::Nothing)?;
    let mut contents = Vec::with_capacity(parts.len());
    let mut members = Vec::with_capacity(parts.len());
    for part in parts {
        contents.push(part.layer.content().map_err(|error| failed(part, error))?);
        members.push(Member {
            name: part.name.clone(),
            manifest: part.layer.manifest().clone(),
            index: part.layer.index().map_err(|error| failed(part, error))?.clone(),
            hives: Vec::new(),
        });
    }
    if let Some(conflict) = unmet(&members).into_iter().find(|unmet| unmet.member == "conflicts") {
        let what = format!(
            "{} does not go with {}: {}",
            conflict.layer, conflict.reference, conflict.found
        );
        return Err(SquashError::Conflict(what));
    }

    let mut squashed = Content::new(manifest(top.layer.manifest(), &members));
    squashed.files = files(&members, &contents)?;
    let mut hives: Vec<_> = contents
        .iter_mut()
        .map(|content| std::mem::take(&mut content.hives))
        .collect();
    keys::leave_out_ruled(&members, &mut hives);
    for (name, root) in hives.into_iter().flatten() {
        Registry::new(&mut squashed.hives, 0).merge(name, root);
    }
    for (part, content) in parts.iter().zip(contents) {
        for (script, bytes) in content.scripts {
            let there = squashed
                .scripts
                .keys()
                .find(|there| there.eq_ignore_ascii_case(&script));
            match there.and_then(|there| squashed.scripts.get(there)) {
                Some(other) if *other == bytes => continue,
                Some(_) => {
                    let has = |other: &&Part| {
                        let scripts = other.layer.scripts().unwrap_or_default();
                        scripts.keys().any(|there| there.eq_ignore_ascii_case(&script))
                    };
                    return Err(SquashError::Script {
                        lower: parts.iter().find(has).map(|part| part.name.clone()).unwrap_or_default(),
                        upper: part.name.clone(),
                        script,
                    });
                }
                None => squashed.scripts.insert(script, bytes),
            };
        }
    }
    let found = applications::find(&squashed);
    squashed.manifest.applications = found.applications;
    squashed.manifest.architecture = found.architecture.unwrap_or_default();
    Ok(Squashed {
        content: squashed,
        warnings: rules::warnings(&members),
    })
}

/// The file tree of the one layer.
fn files(members: &[Member], contents: &[Content]) -> Result<FileTree, SquashError> {
    let attached = members.iter().enumerate().map(|(number, member)| {
        let layer = FileLayer::new(&member.index);
        let mut attached = Attachment::new(LayerId(number as u64), Role::Layer, layer);
        attached.rules = file_rules(&member.manifest).0;
        attached
    });
    let stack = Stack::new(Names::windows(), attached.collect());
    let has_rules = members.iter().any(|member| !member.manifest.policy.files.is_empty());
    let mut tree = FileTree::new();
    // Where the names of a file are, by the layer that it is from and its number there.
    let mut links: HashMap<(usize, u32), NodeId> = HashMap::new();
    if let Some(content) = contents.last() {
        *tree.metadata_mut(FileTree::ROOT) = content.files.metadata(FileTree::ROOT).clone();
    }
    let (mut squash, is_root_opaque) = match stack.squash() {
        Ok(begun) => begun,
        Err(never) => match never {},
    };
    tree.set_opaque(FileTree::ROOT, is_root_opaque);
    loop {
        let next = match squash.next() {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(tree),
            Err(never) => match never {},
        };
        let Some(number) = stack.members().get(next.position).map(|member| member.id.0 as usize) else {
            continue;
        };
        // What a rule of one layer hides of the others has no place in the one layer.
        if has_rules {
            let Ok(explanation) = stack.explain(next.path);
            let is_left = if next.kind == Kind::Whiteout {
                // It shows nothing, whether it is needed or not.
                let mut claims = explanation.claims.iter();
                let own = claims.find(|claim| claim.position == next.position);
                !own.and_then(|claim| claim.standing.hidden())
                    .is_some_and(|hidden| matches!(hidden.why, Hiding::Rule(_)))
            } else {
                explanation.shown().is_some_and(|shown| shown.position == next.position)
            };
            if !is_left {
                continue;
            }
        }
        let mut names: Vec<&[u16]> = next.path.names().collect();
        let Some(name) = names.pop() else { continue };
        let joined = |names: &[&[u16]]| names.join(&u16::from(b'\\'));
        let directory = tree.directories(&joined(&names))?;
        names.push(name);
        let files = &contents[number].files;
        // The index may name what the volume does not have; verifying the layer says so.
        let Some(node) = files.find(&joined(&names)) else {
            continue;
        };
        let kind = match next.kind {
            Kind::Directory => NodeKind::Directory,
            Kind::OpaqueDirectory => NodeKind::OpaqueDirectory,
            Kind::Whiteout => NodeKind::Whiteout,
            Kind::File | Kind::Symlink | Kind::Junction => NodeKind::File,
        };
        let known = (number, files.file_number(node));
        let added = match links.get(&known) {
            Some(first) if kind == NodeKind::File => tree.link(directory, name, *first)?,
            _ => tree.add(directory, name, kind, files.metadata(node).clone())?,
        };
        tree.set_short_name(added, files.short_name(node).cloned());
        links.insert(known, added);
    }
}

fn manifest(top: &Manifest, members: &[Member]) -> Manifest {
    let mut manifest = top.clone();
    manifest.id = Uuid::nil();
    manifest.created.clear();
    manifest.creator.clear();
    manifest.policy = crate::manifest::Policy::default();
    manifest.requires.clear();
    manifest.conflicts.clear();
    manifest.provenance = Some(Provenance {
        method: "squash".to_owned(),
        sources: members
            .iter()
            .map(|member| {
                let manifest = &member.manifest;
                format!("{} {} ({})", manifest.name, manifest.version, manifest.id)
            })
            .collect(),
        ..Provenance::default()
    });
    (manifest.policy.files, manifest.policy.registry) = rules::joined(members);
    // What one of them needs and another is does not need to be attached besides.
    let open = unmet(members);
    for member in members {
        let policy = &member.manifest.policy;
        let all = &mut manifest.policy;
        for addition in &policy.environment {
            if !all.environment.contains(addition) {
                all.environment.push(addition.clone());
            }
        }
        all.other.extend(policy.other.clone());
        for reference in &member.manifest.requires {
            let is_open = open
                .iter()
                .any(|unmet| unmet.layer == member.name && unmet.member == "requires" && unmet.is_of(reference));
            if is_open {
                add_reference(&mut manifest.requires, reference);
            }
        }
        for reference in &member.manifest.conflicts {
            add_reference(&mut manifest.conflicts, reference);
        }
    }
    manifest
}

fn add_reference(all: &mut Vec<LayerReference>, reference: &LayerReference) {
    if !all.contains(reference) {
        all.push(reference.clone());
    }
}
