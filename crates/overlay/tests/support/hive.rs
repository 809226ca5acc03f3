//! A tree of keys in memory that can be a member of a stack.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use cv_overlay::NamePath;
use cv_overlay::registry::{KeyLayer, KeyState, ValueState};
use cv_winname::UpcaseTable;

#[derive(Clone, Debug)]
pub struct HeldValue {
    pub name: Vec<u16>,
    pub state: ValueState,
    pub number: u32,
}

#[derive(Debug)]
pub struct HeldKey {
    pub name: Vec<u16>,
    pub state: Cell<KeyState>,
    /// What stands for the security.
    pub number: u32,
    pub class: Cell<u32>,
    pub inherits_class: Cell<bool>,
    /// In the order in which they were stored.
    pub values: RefCell<Vec<HeldValue>>,
    pub subkeys: RefCell<Vec<Rc<HeldKey>>>,
}

impl HeldKey {
    pub fn new(name: &[u16], state: KeyState, number: u32, class: u32) -> Rc<Self> {
        Rc::new(Self {
            name: name.to_vec(),
            state: Cell::new(state),
            number,
            class: Cell::new(class),
            inherits_class: Cell::new(false),
            values: RefCell::default(),
            subkeys: RefCell::default(),
        })
    }

    fn position(&self, name: &[u16]) -> Result<usize, usize> {
        self.subkeys
            .borrow()
            .binary_search_by(|key| UpcaseTable::windows().compare(&key.name, name))
    }

    pub fn subkey(&self, name: &[u16]) -> Option<Rc<Self>> {
        let position = self.position(name).ok()?;
        Some(Rc::clone(&self.subkeys.borrow()[position]))
    }

    pub fn put(&self, key: Rc<Self>) {
        match self.position(&key.name) {
            Ok(position) => self.subkeys.borrow_mut()[position] = key,
            Err(position) => self.subkeys.borrow_mut().insert(position, key),
        }
    }

    pub fn take(&self, name: &[u16]) -> Option<Rc<Self>> {
        let position = self.position(name).ok()?;
        Some(self.subkeys.borrow_mut().remove(position))
    }

    pub fn take_value(&self, name: &[u16]) -> Option<HeldValue> {
        let mut values = self.values.borrow_mut();
        let position = values
            .iter()
            .position(|value| UpcaseTable::windows().equal(&value.name, name))?;
        Some(values.remove(position))
    }

    pub fn put_value(&self, value: HeldValue) {
        self.take_value(&value.name);
        self.values.borrow_mut().push(value);
    }

    pub fn renamed(&self, name: &[u16]) -> Rc<Self> {
        Rc::new(Self {
            name: name.to_vec(),
            state: self.state.clone(),
            number: self.number,
            class: self.class.clone(),
            inherits_class: self.inherits_class.clone(),
            values: self.values.clone(),
            subkeys: self.subkeys.clone(),
        })
    }
}

#[derive(Debug)]
pub struct Hive(pub Rc<HeldKey>);

impl Hive {
    pub fn find(&self, path: &NamePath) -> Option<Rc<HeldKey>> {
        let mut key = Rc::clone(&self.0);
        for name in path.names() {
            key = key.subkey(name)?;
        }
        Some(key)
    }
}

impl KeyLayer for Hive {
    type Key = Rc<HeldKey>;
    type Value = HeldValue;
    type Error = Infallible;
    type Subkeys<'h> = std::vec::IntoIter<Result<Rc<HeldKey>, Infallible>>;
    type Values<'h> = std::vec::IntoIter<Result<HeldValue, Infallible>>;

    fn root(&self) -> Result<Option<Rc<HeldKey>>, Infallible> {
        Ok(Some(Rc::clone(&self.0)))
    }

    fn subkey(&self, key: &Rc<HeldKey>, name: &[u16]) -> Result<Option<Rc<HeldKey>>, Infallible> {
        Ok(key.subkey(name))
    }

    fn subkeys(&self, key: &Rc<HeldKey>) -> Result<Self::Subkeys<'_>, Infallible> {
        let keys: Vec<_> = key.subkeys.borrow().iter().cloned().map(Ok).collect();
        Ok(keys.into_iter())
    }

    fn key_name<'h>(&'h self, key: &'h Rc<HeldKey>) -> &'h [u16] {
        &key.name
    }

    fn key_state(&self, key: &Rc<HeldKey>) -> KeyState {
        key.state.get()
    }

    fn inherits_class(&self, key: &Rc<HeldKey>) -> bool {
        key.inherits_class.get()
    }

    fn value(&self, key: &Rc<HeldKey>, name: &[u16]) -> Result<Option<HeldValue>, Infallible> {
        let values = key.values.borrow();
        Ok(values
            .iter()
            .find(|value| UpcaseTable::windows().equal(&value.name, name))
            .cloned())
    }

    fn values(&self, key: &Rc<HeldKey>) -> Result<Self::Values<'_>, Infallible> {
        let values: Vec<_> = key.values.borrow().iter().cloned().map(Ok).collect();
        Ok(values.into_iter())
    }

    fn value_name<'h>(&'h self, value: &'h HeldValue) -> &'h [u16] {
        &value.name
    }

    fn value_state(&self, value: &HeldValue) -> ValueState {
        value.state
    }

    fn same_value(&self, value: &HeldValue, _: &Self, other: &HeldValue) -> bool {
        value.number == other.number
    }
}
