//! Fonts: the values of `Fonts`.

use super::registry::{below, key, texts};
use crate::content::HiveName;
use crate::manifest::Font;
use cv_hive::Key;
use std::collections::BTreeMap;

const FONTS: &str = r"Microsoft\Windows NT\CurrentVersion\Fonts";

pub fn find(hives: &BTreeMap<HiveName, Key>) -> Vec<Font> {
    let machine = hives
        .get(&HiveName::Software)
        .and_then(|software| below(software, FONTS));
    let user = key(hives, HiveName::User, "Software").and_then(|software| below(software, FONTS));
    let found = machine.into_iter().chain(user).flat_map(texts);
    found
        .map(|(name, file)| Font {
            name,
            file,
            ..Font::default()
        })
        .collect()
}
