//! What layers add to environment variables that are lists, as `Path` is.
//!
//! Additions are joined around the value that the registry has by itself, those of higher layers outermost. They are no part of
//! what programs change: from a value that is taken back they go.

use super::trees::{HiveTrees, text_of};
use cv_hive::{Key, Name, Value, ValueType};
use layerfmt::content::{ENVIRONMENTS, HiveName};
use layerfmt::manifest::EnvironmentAddition;

/// The additions of a stack, the lowest layer's first.
#[derive(Debug, Clone, Default)]
pub struct Additions(Vec<EnvironmentAddition>);

fn place(addition: &EnvironmentAddition) -> (HiveName, &'static str) {
    ENVIRONMENTS[usize::from(addition.is_per_user)]
}

fn set(key: &mut Key, value: Value) {
    match key.values.iter_mut().find(|old| old.name.matches(value.name.units())) {
        Some(old) => *old = value,
        None => key.values.push(value),
    }
}

fn with_text(value_type: ValueType, name: &str, text: &str) -> Value {
    let data: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    Value::new(name, value_type, data)
}

impl Additions {
    /// Whether there are some that stand in a hive.
    pub fn touch(&self, hive: HiveName) -> bool {
        self.0.iter().any(|addition| place(addition).0 == hive)
    }

    /// Adds those of the next layer above.
    pub fn extend(&mut self, additions: Vec<EnvironmentAddition>) {
        self.0.extend(additions);
    }

    /// Joins them around what `registry` has.
    pub fn join(&self, registry: &mut impl HiveTrees) {
        for addition in &self.0 {
            let (hive, path) = place(addition);
            let Some(key) = registry.key_mut(hive, path) else {
                continue;
            };
            let old = key.value(addition.name.as_str());
            let text = old.map(|value| text_of(&value.data)).unwrap_or_default();
            let own = Some(text.as_str()).filter(|text| !text.is_empty());
            let parts = addition.prepend.iter().map(String::as_str).chain(own);
            let joined: Vec<&str> = parts.chain(addition.append.iter().map(String::as_str)).collect();
            let joined = joined.join(";");
            let value_type = match old.map(|value| value.value_type) {
                Some(ValueType::SZ) if !joined.contains('%') => ValueType::SZ,
                _ => ValueType::EXPAND_SZ,
            };
            set(key, with_text(value_type, &addition.name, &joined));
        }
    }

    /// Takes them out of `after`, which programs made of `joined`, which had been made of `own`.
    pub fn part<T: HiveTrees>(&self, own: &T, joined: &T, after: &mut T) {
        for addition in &self.0 {
            let (hive, path) = place(addition);
            let name = addition.name.as_str();
            let find = |registry: &T| registry.key(hive, path).and_then(|key| key.value(name)).cloned();
            let Some(now) = find(after) else { continue };
            if find(joined).is_some_and(|value| value.data == now.data && value.value_type == now.value_type) {
                let was = find(own);
                let Some(key) = after.key_mut(hive, path) else {
                    continue;
                };
                match was {
                    Some(value) => set(key, value),
                    None => key.values.retain(|value| !value.name.matches(Name::from(name).units())),
                }
                continue;
            }
            let text = text_of(&now.data);
            let is_added = |part: &&str| {
                let mut added = addition.prepend.iter().chain(&addition.append);
                added.any(|added| added.eq_ignore_ascii_case(part))
            };
            let kept: Vec<&str> = text.split(';').filter(|part| !is_added(part)).collect();
            let value = with_text(now.value_type, name, &kept.join(";"));
            if let Some(key) = after.key_mut(hive, path) {
                set(key, value);
            }
        }
    }
}
