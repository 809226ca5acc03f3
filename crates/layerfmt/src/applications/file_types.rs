//! File types and protocols: the keys of `Classes`.

use super::registry::{below, optional_text, subkey, subkeys, text};
use super::{VIEW_32, software_keys};
use crate::content::HiveName;
use crate::manifest::FileType;
use cv_hive::Key;
use std::collections::BTreeMap;

pub fn find(hives: &BTreeMap<HiveName, Key>) -> Vec<FileType> {
    let mut types = Vec::new();
    // Both views share what these keys hold.
    for (classes, ..) in software_keys(hives, "Classes").filter(|(_, is_32_bit, _)| !is_32_bit) {
        for key in subkeys(classes) {
            let name = key.name.to_string();
            if name.starts_with('.') {
                extension(classes, key, name, &mut types);
            } else if name != VIEW_32 && optional_text(key, "URL Protocol").is_some() {
                types.push(FileType {
                    protocol: name,
                    command: command(key).unwrap_or_default(),
                    ..FileType::default()
                });
            }
        }
    }
    types
}

/// The class that an extension leads to, and those that it is offered besides.
fn extension(classes: &Key, key: &Key, name: String, types: &mut Vec<FileType>) {
    let default = Some(text(key, "")).filter(|class| !class.is_empty());
    let offered = subkey(key, "OpenWithProgids").into_iter().flat_map(|key| {
        let names = key.values.iter().map(|value| value.name.to_string());
        names.collect::<Vec<_>>()
    });
    let mut led_to: Vec<String> = Vec::new();
    for class in default.into_iter().chain(offered) {
        if class.is_empty() || led_to.contains(&class) {
            continue;
        }
        let open = subkey(classes, &class).and_then(command);
        types.push(FileType {
            extension: name.clone(),
            command: open.or_else(|| command(key)).unwrap_or_default(),
            class: class.clone(),
            ..FileType::default()
        });
        led_to.push(class);
    }
    if led_to.is_empty()
        && let Some(command) = command(key)
    {
        types.push(FileType {
            extension: name,
            command,
            ..FileType::default()
        });
    }
}

/// What a class opens files with: the command of its default verb, of `open`, or of the first one.
fn command(class: &Key) -> Option<String> {
    let shell = subkey(class, "shell")?;
    let default = text(shell, "");
    let first = subkeys(shell).next().map(|key| key.name.to_string());
    [Some(default), Some("open".to_owned()), first]
        .into_iter()
        .flatten()
        .filter(|verb| !verb.is_empty())
        .find_map(|verb| optional_text(below(shell, &verb)?.subkey("command")?, ""))
}
