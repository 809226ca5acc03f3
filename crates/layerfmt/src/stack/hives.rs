//! A layer's hive as a member of a stack.

use cv_hive::{Key, KeyState, Value, ValueState};
use cv_overlay::registry::KeyLayer;
use std::convert::Infallible;
use std::iter::Map;
use std::slice::Iter;

/// A hive in memory, or none.
#[derive(Debug, Clone, Copy, Default)]
pub struct HiveLayer<'a> {
    root: Option<&'a Key>,
}

impl<'a> HiveLayer<'a> {
    /// The hive with this root.
    pub fn new(root: &'a Key) -> Self {
        Self { root: Some(root) }
    }

    /// No hive: of a layer that rules keys without having any.
    pub fn none() -> Self {
        Self::default()
    }
}

impl<'a> KeyLayer for HiveLayer<'a> {
    type Key = &'a Key;
    type Value = &'a Value;
    type Error = Infallible;
    type Subkeys<'h>
        = Map<Iter<'a, Key>, fn(&'a Key) -> Result<&'a Key, Infallible>>
    where
        Self: 'h;
    type Values<'h>
        = Map<Iter<'a, Value>, fn(&'a Value) -> Result<&'a Value, Infallible>>
    where
        Self: 'h;

    fn root(&self) -> Result<Option<&'a Key>, Infallible> {
        Ok(self.root)
    }

    fn subkey(&self, key: &&'a Key, name: &[u16]) -> Result<Option<&'a Key>, Infallible> {
        Ok(key.position(name).ok().and_then(|place| key.subkeys.get(place)))
    }

    fn subkeys(&self, key: &&'a Key) -> Result<Self::Subkeys<'_>, Infallible> {
        Ok(key.subkeys.iter().map(Ok))
    }

    fn key_name<'h>(&'h self, key: &'h &'a Key) -> &'h [u16] {
        key.name.units()
    }

    fn key_state(&self, key: &&'a Key) -> KeyState {
        key.state
    }

    fn inherits_class(&self, key: &&'a Key) -> bool {
        key.inherits_class
    }

    fn value(&self, key: &&'a Key, name: &[u16]) -> Result<Option<&'a Value>, Infallible> {
        Ok(key.values.iter().find(|value| value.name.matches(name)))
    }

    fn values(&self, key: &&'a Key) -> Result<Self::Values<'_>, Infallible> {
        Ok(key.values.iter().map(Ok))
    }

    fn value_name<'h>(&'h self, value: &'h &'a Value) -> &'h [u16] {
        value.name.units()
    }

    fn value_state(&self, value: &&'a Value) -> ValueState {
        value.state
    }

    fn same_value(&self, value: &&'a Value, _: &Self, other: &&'a Value) -> bool {
        value.value_type == other.value_type && value.data == other.data
    }
}
