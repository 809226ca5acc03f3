//! The name that Windows gives a font in its registry.

use ttf_parser::{Face, fonts_in_collection, name_id};

/// Fonts of a collection at most.
const MAX_FACES: u32 = 64;

/// The font's full name and kind, such as `App Sans (TrueType)`; of a collection all names. `None` where it is no font.
pub fn registry_name(bytes: &[u8]) -> Option<String> {
    let count = fonts_in_collection(bytes).unwrap_or(1).min(MAX_FACES);
    let mut names = Vec::new();
    let mut is_open_type = false;
    for number in 0..count {
        let face = Face::parse(bytes, number).ok()?;
        is_open_type |= face.tables().cff.is_some();
        let full = face
            .names()
            .into_iter()
            .filter(|name| name.name_id == name_id::FULL_NAME);
        // English (United States) first, as Windows shows it whatever its language.
        let all: Vec<_> = full
            .filter_map(|name| Some((name.language_id != 0x0409, name.to_string()?)))
            .collect();
        names.push(all.into_iter().min_by_key(|(is_other, _)| *is_other)?.1);
    }
    let kind = if is_open_type { "OpenType" } else { "TrueType" };
    (!names.is_empty()).then(|| format!("{} ({kind})", names.join(" & ")))
}
