//! What still tells of the packager.

use super::template::Template;
use cv_hive::Key;
use cv_winname::wtf8;

/// A place of a layer that tells of the packager's machine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Leftover {
    /// The file, the key, or the value behind a `!`.
    pub place: String,
    /// What stands there: a profile's path or a SID.
    pub found: String,
}

/// Looks for profiles and SIDs in the names and values of a hive, whose root stands for `top`.
pub fn leftovers(top: &str, root: &Key, template: &Template, found: &mut Vec<Leftover>) {
    let needles = needles(template);
    if !needles.is_empty() {
        look(top, root, &needles, found);
    }
}

/// Looks for profiles and SIDs in the paths of files.
pub fn leftovers_in_paths<'a>(paths: impl Iterator<Item = &'a str>, template: &Template, found: &mut Vec<Leftover>) {
    let needles = needles(template);
    found.extend(paths.filter_map(|path| {
        let needle = needle_in(path, &needles)?;
        Some(Leftover {
            place: path.to_owned(),
            found: needle.clone(),
        })
    }));
}

fn needles(template: &Template) -> Vec<String> {
    let profiles = template.profiles().iter();
    let mut needles: Vec<String> = profiles
        .map(|profile| format!(r"\users\{}", profile.to_lowercase()))
        .collect();
    needles.extend(template.sids().iter().map(|sid| sid.to_lowercase()));
    needles
}

fn look(path: &str, key: &Key, needles: &[String], found: &mut Vec<Leftover>) {
    for value in &key.values {
        let place = || format!("{path}!{}", value.name);
        let text = wtf8::display(&wtf8::from_le_bytes(&value.data));
        for text in [value.name.to_string(), text] {
            found.extend(needle_in(&text, needles).map(|needle| Leftover {
                place: place(),
                found: needle.clone(),
            }));
        }
    }
    for subkey in &key.subkeys {
        let name = subkey.name.to_string();
        let path = format!(r"{path}\{name}");
        found.extend(needle_in(&name, needles).map(|needle| Leftover {
            place: path.clone(),
            found: needle.clone(),
        }));
        look(&path, subkey, needles, found);
    }
}

/// The first of the needles that stands in a text as a whole: what follows is no part of a name.
pub fn needle_in<'a>(text: &str, needles: &'a [String]) -> Option<&'a String> {
    let text = text.to_lowercase().replace('/', r"\").replace(r"\\", r"\");
    needles.iter().find(|needle| {
        text.match_indices(needle.as_str()).any(|(place, _)| {
            let next = text[place + needle.len()..].chars().next();
            next.is_none_or(|next| !next.is_alphanumeric() && next != '-' && next != '_')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn folders_named_after_the_packager_are_listed() {
        let template = json!({ "profiles": ["Packager"], "sids": ["S-1-5-21-1-2-3-1001"] });
        let template = serde_json::from_value(template).unwrap();
        let paths = [
            r"\ProgramData\App\S-1-5-21-1-2-3-1001\a.dat",
            r"\ProgramData\App\S-1-5-21-1-2-3-10012",
            r"\ProgramData\App\C\Users\packager\b.dat",
            r"\ProgramData\App\packager",
        ];
        let mut found = Vec::new();
        leftovers_in_paths(paths.into_iter(), &template, &mut found);
        let places: Vec<&str> = found.iter().map(|leftover| leftover.place.as_str()).collect();
        assert_eq!(places, [paths[0], paths[2]]);
    }
}
