//! What every part of the check needs.

use super::mft::Mft;
use super::volume::Volume;
use crate::structure::attribute_definition::{AttributeDefinition, definitions};
use crate::structure::{AttributeType, FileName, FileReference, Namespace};
use cv_disk::Damage;
use cv_winname::UpcaseTable;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The volume, its records, and its tables.
pub(super) struct Context {
    pub volume: Volume,
    pub mft: Mft,
    /// The table by which the volume's names compare.
    pub upcase: UpcaseTable,
    definitions: Vec<AttributeDefinition>,
    hasher: RandomState,
}

/// Most directories of a path that is shown.
const DEEPEST_PATH: usize = 64;

impl Context {
    pub fn new(volume: Volume, mft: Mft, upcase: UpcaseTable) -> Self {
        Self {
            volume,
            mft,
            upcase,
            definitions: definitions(),
            hasher: RandomState::new(),
        }
    }

    /// Where byte `within` of record `number` stands in the volume.
    pub fn place(&self, number: u64, within: usize) -> u64 {
        self.mft.place(number, within, &self.volume)
    }

    /// Damage at byte `within` of record `number`.
    pub fn damage(
        &self,
        number: u64,
        within: usize,
        structure: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Damage {
        Damage::new(structure, self.place(number, within), expected, found)
    }

    /// What NTFS allows of attributes of that type.
    pub fn definition(&self, type_code: AttributeType) -> Option<&AttributeDefinition> {
        self.definitions.iter().find(|one| one.attribute_type_code == type_code)
    }

    /// A number for the name of `file` that `key`, a `$FILE_NAME` value, gives in `directory`. Different from run to run, so
    /// that nobody can make two names with the same one.
    pub fn name_hash(&self, directory: FileReference, file: FileReference, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(directory.0);
        hasher.write_u64(file.0);
        // Namespace and name; what stands before are copies.
        hasher.write(key.get(0x40..).unwrap_or_default());
        hasher.finish()
    }

    /// The path of a record's file by its first name that is for people; `None` where it has none.
    pub fn path(&self, number: u64) -> Option<String> {
        let mut names = Vec::new();
        let mut number = number;
        let mut sequence = 0;
        while number != crate::structure::system_file::ROOT.record {
            let record = self.mft.load(number, &self.volume).ok();
            let record = record.filter(|record| sequence == 0 || record.header.sequence_number == sequence);
            let name = record.and_then(|record| {
                let mut names: Vec<FileName> = record
                    .attributes()
                    .filter(|attribute| attribute.type_code() == AttributeType::FILE_NAME)
                    .filter_map(|attribute| FileName::parse(attribute.resident_value()?).ok())
                    .collect();
                let shown = names
                    .iter()
                    .position(|name| name.namespace() != Namespace::DOS)
                    .unwrap_or(0);
                (!names.is_empty()).then(|| names.swap_remove(shown))
            });
            let Some(name) = name.filter(|_| names.len() < DEEPEST_PATH) else {
                if names.is_empty() {
                    return None;
                }
                names.push("?".into());
                names.reverse();
                return Some(names.join("\\"));
            };
            names.push(shown(&name.name));
            number = name.parent().record();
            sequence = name.parent().sequence();
        }
        names.push(String::new());
        names.reverse();
        let path = names.join("\\");
        Some(if path.is_empty() { "\\".into() } else { path })
    }
}

/// A name as text on one line.
pub(super) fn shown(name: &[u16]) -> String {
    let text = cv_winname::wtf8::display(name);
    text.chars()
        .map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter })
        .collect()
}
