//! Reading what keys of a delta hive set: deleted keys and values are not there.

use crate::bytes::utf16_text;
use crate::content::HiveName;
use cv_hive::{Key, KeyState, ValueState, ValueType};
use std::collections::BTreeMap;

/// A hive's keys, where there is such a hive, from the key that these names lead to.
pub fn key<'a>(hives: &'a BTreeMap<HiveName, Key>, hive: HiveName, path: &str) -> Option<&'a Key> {
    below(hives.get(&hive)?, path)
}

/// The key below `key` that a path leads to.
pub fn below<'a>(key: &'a Key, path: &str) -> Option<&'a Key> {
    path.split('\\').try_fold(key, |key, name| subkey(key, name))
}

/// The subkey of this name.
pub fn subkey<'a>(key: &'a Key, name: &str) -> Option<&'a Key> {
    key.subkey(name).filter(|key| key.state != KeyState::Tombstone)
}

/// The subkeys.
pub fn subkeys(key: &Key) -> impl Iterator<Item = &Key> {
    key.subkeys.iter().filter(|key| key.state != KeyState::Tombstone)
}

/// The values that hold text, and their texts.
pub fn texts(key: &Key) -> impl Iterator<Item = (String, String)> + '_ {
    let present = key.values.iter().filter(|value| value.state == ValueState::Present);
    present.filter_map(|value| Some((value.name.to_string(), text_of(value.value_type, &value.data)?)))
}

/// The text of a value, empty where there is none.
pub fn text(key: &Key, name: &str) -> String {
    optional_text(key, name).unwrap_or_default()
}

/// The text of a value.
pub fn optional_text(key: &Key, name: &str) -> Option<String> {
    let value = key.value(name).filter(|value| value.state == ValueState::Present)?;
    text_of(value.value_type, &value.data)
}

/// The number of a value.
pub fn number(key: &Key, name: &str) -> Option<u32> {
    let value = key.value(name).filter(|value| value.state == ValueState::Present)?;
    match value.value_type {
        ValueType::DWORD => value.data.first_chunk().copied().map(u32::from_le_bytes),
        ValueType::DWORD_BIG_ENDIAN => value.data.first_chunk().copied().map(u32::from_be_bytes),
        _ => None,
    }
}

fn text_of(value_type: ValueType, data: &[u8]) -> Option<String> {
    matches!(value_type, ValueType::SZ | ValueType::EXPAND_SZ | ValueType::MULTI_SZ).then(|| utf16_text(data))
}
