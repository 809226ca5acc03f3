//! A plain tree of keys: what the view must be equal to, and what a write does to it.

use std::collections::BTreeMap;

use cv_overlay::NamePath;
use cv_overlay::registry::{KeyState, ValueState};

use super::hive::HeldKey;
use super::model::{Fault, fold};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainKey {
    pub spelled: Vec<u16>,
    pub number: u32,
    pub class: u32,
    /// By folded name: the name as spelled, and what stands for type and data.
    pub values: BTreeMap<Vec<u16>, (Vec<u16>, u32)>,
    pub subkeys: BTreeMap<Vec<u16>, PlainKey>,
}

impl PlainKey {
    /// Copies a key of a delta hive onto what is there; `None` when nothing is left.
    pub fn copied(key: &HeldKey, onto: Option<Self>) -> Option<Self> {
        let mut plain = match (key.state.get(), onto) {
            (KeyState::Tombstone, _) => return None,
            (KeyState::SupersedeTree, _) | (_, None) => Self {
                class: key.class.get(),
                ..Self::default()
            },
            (state, Some(mut below)) => {
                if state == KeyState::SupersedeLocal {
                    below.values.clear();
                }
                if !key.inherits_class.get() {
                    below.class = key.class.get();
                }
                below
            }
        };
        plain.spelled.clone_from(&key.name);
        plain.number = key.number;
        for value in key.values.borrow().iter() {
            match value.state {
                ValueState::Present => {
                    let held = (value.name.clone(), value.number);
                    plain.values.insert(fold(&value.name), held);
                }
                ValueState::Tombstone => {
                    plain.values.remove(&fold(&value.name));
                }
            }
        }
        for subkey in key.subkeys.borrow().iter() {
            let name = fold(&subkey.name);
            let below = plain.subkeys.remove(&name);
            if let Some(copied) = Self::copied(subkey, below) {
                plain.subkeys.insert(name, copied);
            }
        }
        Some(plain)
    }

    pub fn get(&mut self, path: &NamePath) -> Result<&mut Self, Fault> {
        let mut key = self;
        for name in path.names() {
            key = key.subkeys.get_mut(&fold(name)).ok_or(Fault::NotFound)?;
        }
        Ok(key)
    }

    pub fn create(&mut self, path: &NamePath, mut key: Self) -> Result<(), Fault> {
        let name = path.last().ok_or(Fault::Root)?;
        let parent = self.get(&path.parent())?;
        if parent.subkeys.contains_key(&fold(name)) {
            return Err(Fault::Exists);
        }
        key.spelled = name.to_vec();
        parent.subkeys.insert(fold(name), key);
        Ok(())
    }

    pub fn delete(&mut self, path: &NamePath) -> Result<(), Fault> {
        let name = path.last().ok_or(Fault::Root)?;
        let parent = self.get(&path.parent())?;
        let key = parent.subkeys.get(&fold(name)).ok_or(Fault::NotFound)?;
        if !key.subkeys.is_empty() {
            return Err(Fault::NotEmpty);
        }
        parent.subkeys.remove(&fold(name));
        Ok(())
    }

    pub fn rename(&mut self, from: &NamePath, to: &NamePath) -> Result<(), Fault> {
        let name = from.last().ok_or(Fault::Root)?;
        let key = self.get(from)?.clone();
        let folded = |path: &NamePath| path.names().map(fold).collect::<Vec<_>>();
        let (from_names, to_names) = (folded(from), folded(to));
        if to_names.len() > from_names.len() && to_names.starts_with(&from_names) {
            return Err(Fault::IntoItself);
        }
        if to.is_root() {
            return Err(Fault::Root);
        }
        self.get(&to.parent())?;
        if from_names != to_names && self.get(to).is_ok() {
            return Err(Fault::Exists);
        }
        self.get(&from.parent())?.subkeys.remove(&fold(name));
        self.create(to, key)
    }
}
