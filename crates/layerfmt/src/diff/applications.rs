//! What manifests say compared: applications, services, shortcuts, file types, and the manifests' own members.

use super::{ChangeKind, DiffOptions};
use crate::Manifest;
use crate::manifest::Applications;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// A member of a manifest, or of something that it lists, that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberChange {
    /// Its name.
    pub member: String,
    /// The first side's; null where that has none.
    pub before: Json,
    /// The second side's.
    pub after: Json,
}

/// An application, service, shortcut and so on that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApplicationChange {
    /// What happened to it.
    pub change: ChangeKind,
    /// In which list of the manifest it is: `installed`, `services` and so on.
    pub list: &'static str,
    /// What it is called there.
    pub name: String,
    /// In what the sides differ; of what only one side has, everything.
    pub members: Vec<MemberChange>,
}

/// The members that the identity of something consists of, by list, and the one that is shown, if another.
const LISTS: [(&str, &[&str], &str); 10] = [
    ("installed", &["key", "is_32_bit", "is_per_user"], "name"),
    ("programs", &["path"], "path"),
    ("shortcuts", &["path"], "path"),
    ("services", &["name"], "name"),
    ("file_types", &["extension", "protocol"], ""),
    ("com_classes", &["clsid", "is_32_bit"], "clsid"),
    ("fonts", &["name"], "name"),
    ("run", &["place", "name"], "name"),
    ("tasks", &["path"], "path"),
    ("environment", &["name", "is_per_user"], "name"),
];

/// Members that follow from the contents or from the build.
const DERIVED: [&str; 7] = ["schema", "applications", "counts", "index", "blocks", "hives", "size"];

/// Members that differ between two captures of the same install.
const GENERATED: [&str; 4] = ["id", "created", "creator", "provenance"];

fn object(value: &impl Serialize) -> Map<String, Json> {
    match serde_json::to_value(value) {
        Ok(Json::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The manifests' own members.
pub(super) fn manifest(before: &Manifest, after: &Manifest, options: &DiffOptions) -> Vec<MemberChange> {
    let is_left_out = |name: &str| DERIVED.contains(&name) || options.semantic && GENERATED.contains(&name);
    let mut changes = members(&object(before), &object(after));
    changes.retain(|change| !is_left_out(&change.member));
    changes
}

/// What is found in the layers.
pub(super) fn diff(before: &Applications, after: &Applications) -> Vec<ApplicationChange> {
    let (before, after) = (object(before), object(after));
    let mut changes = Vec::new();
    for (list, identity, shown) in LISTS {
        let (one, other) = (
            by_identity(before.get(list), identity),
            by_identity(after.get(list), identity),
        );
        let mut names: Vec<_> = one.keys().chain(other.keys()).collect();
        names.sort();
        names.dedup();
        for key in names {
            let nothing = Map::new();
            let (was, is) = (one.get(key), other.get(key));
            let members = members(was.copied().unwrap_or(&nothing), is.copied().unwrap_or(&nothing));
            if members.is_empty() && was.is_some() && is.is_some() {
                continue;
            }
            changes.push(ApplicationChange {
                change: match (was, is) {
                    (Some(_), Some(_)) => ChangeKind::Changed,
                    (Some(_), None) => ChangeKind::Removed,
                    _ => ChangeKind::Added,
                },
                list,
                name: name_of(is.or(was).copied().unwrap_or(&nothing), identity, shown),
                members,
            });
        }
    }
    changes
}

/// The entries of a list by what identifies them, whatever its case; of several alike the last counts.
fn by_identity<'j>(list: Option<&'j Json>, identity: &[&str]) -> BTreeMap<String, &'j Map<String, Json>> {
    let entries = list
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_object);
    entries
        .map(|entry| {
            let parts = identity
                .iter()
                .map(|member| entry.get(*member).map(text).unwrap_or_default());
            (parts.collect::<Vec<_>>().join("\0").to_lowercase(), entry)
        })
        .collect()
}

fn name_of(entry: &Map<String, Json>, identity: &[&str], shown: &str) -> String {
    let names = std::iter::once(&shown).chain(identity);
    let mut texts = names.filter_map(|member| entry.get(*member)).filter_map(Json::as_str);
    texts.find(|text| !text.is_empty()).unwrap_or_default().to_owned()
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn members(before: &Map<String, Json>, after: &Map<String, Json>) -> Vec<MemberChange> {
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let value = |members: &Map<String, Json>, name: &String| members.get(name).cloned().unwrap_or(Json::Null);
    names
        .into_iter()
        .map(|name| MemberChange {
            member: name.clone(),
            before: value(before, name),
            after: value(after, name),
        })
        .filter(|change| change.before != change.after)
        .collect()
}
