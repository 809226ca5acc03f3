//! A key and everything below it, told in order: what the text forms and listings are written from, whether the key is in
//! memory or in a hive.

use cv_disk::{Fault, Faults, Severity};

use crate::read::Walk;
use crate::{Key, KeyRef, KeyState, Name, NameRef, ValueState, ValueType};

/// A name where it stands: in memory or in a hive.
#[derive(Clone, Copy, Debug)]
pub enum AnyName<'a> {
    /// UTF-16 units in memory.
    Units(&'a [u16]),
    /// As it is stored in a hive.
    Stored(NameRef<'a>),
}

impl<'a> AnyName<'a> {
    /// The name that these bytes hold in UTF-16LE.
    pub fn utf16(bytes: &'a [u8]) -> Self {
        Self::Stored(NameRef::new(bytes, false))
    }

    /// The UTF-16 units, one after the other.
    pub fn units(self) -> impl Iterator<Item = u16> + 'a {
        let (units, stored) = match self {
            Self::Units(units) => (units, NameRef::new(&[], false)),
            Self::Stored(name) => (&[][..], name),
        };
        units.iter().copied().chain(stored.units())
    }

    /// Whether the name has no units, as that of a key's default value has none.
    pub fn is_empty(self) -> bool {
        match self {
            Self::Units(units) => units.is_empty(),
            Self::Stored(name) => name.is_empty(),
        }
    }
}

impl<'a> From<&'a Name> for AnyName<'a> {
    fn from(name: &'a Name) -> Self {
        Self::Units(name.units())
    }
}

impl From<AnyName<'_>> for Name {
    fn from(name: AnyName<'_>) -> Self {
        Self::from(name.units().collect::<Vec<_>>())
    }
}

/// A key, without its values and subkeys.
#[derive(Clone, Copy, Debug)]
pub struct VisitedKey<'a> {
    /// The name.
    pub name: AnyName<'a>,
    /// The class, where the key has one.
    pub class: Option<AnyName<'a>>,
    /// When the key was last written, in 100 ns since 1601-01-01 UTC.
    pub last_written: u64,
    /// Whether the key is a symbolic link.
    pub is_link: bool,
    /// What it says of the key below it, in a delta hive.
    pub state: KeyState,
    /// How many values follow.
    pub values: usize,
    /// How many subkeys follow.
    pub subkeys: usize,
}

/// A value of the key that was told last.
#[derive(Clone, Copy, Debug)]
pub struct VisitedValue<'a> {
    /// The name; empty for the default value.
    pub name: AnyName<'a>,
    /// The type.
    pub value_type: ValueType,
    /// The bytes, as stored.
    pub data: &'a [u8],
    /// Whether it is there or deletes the one below.
    pub state: ValueState,
}

/// Is told a key, its values, then its subkeys, each in the same way.
pub trait Visitor {
    /// Why it wants no more.
    type Error;

    /// A key. Its values follow, then its subkeys, then [`leave`](Self::leave); nothing of it where this says
    /// [`Next::Skip`].
    fn enter(&mut self, key: &VisitedKey<'_>) -> Result<Next, Self::Error>;

    /// A value of the key that was entered last.
    fn value(&mut self, value: &VisitedValue<'_>) -> Result<(), Self::Error>;

    /// The end of the key that was entered last and not left yet.
    fn leave(&mut self) -> Result<(), Self::Error>;
}

/// What a visitor wants to be told of a key that it entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its values and subkeys.
    Into,
    /// Nothing; it counts as left.
    Skip,
}

impl Key {
    /// The key without its values and subkeys.
    pub fn visited(&self) -> VisitedKey<'_> {
        VisitedKey {
            name: (&self.name).into(),
            class: self.class.as_ref().map(AnyName::from),
            last_written: self.last_written,
            is_link: self.is_link,
            state: self.state,
            values: self.values.len(),
            subkeys: self.subkeys.len(),
        }
    }

    /// Tells `visitor` the key and everything below it.
    pub fn visit<V: Visitor>(&self, visitor: &mut V) -> Result<(), V::Error> {
        // Trees in memory may be deeper than the stack: those still to be told are kept here.
        let mut open: Vec<std::slice::Iter<'_, Self>> = Vec::new();
        let mut next = Some(self);
        loop {
            if let Some(key) = next {
                if visitor.enter(&key.visited())? == Next::Into {
                    for value in &key.values {
                        visitor.value(&VisitedValue {
                            name: (&value.name).into(),
                            value_type: value.value_type,
                            data: &value.data,
                            state: value.state,
                        })?;
                    }
                    open.push(key.subkeys.iter());
                }
            } else {
                open.pop();
                visitor.leave()?;
            }
            match open.last_mut() {
                Some(subkeys) => next = subkeys.next(),
                None => return Ok(()),
            }
        }
    }
}

impl KeyRef<'_> {
    /// As [`Key::visit`], straight from the hive. What damage costs is not told; the damage is added to `faults`.
    ///
    /// Parts that stand for each other, so that a small hive tells much, are damage where they tell more than the hive has
    /// room for.
    pub fn visit<V: Visitor>(&self, visitor: &mut V, faults: &mut Faults) -> Result<(), V::Error> {
        let mut report = |damage| faults.push(Fault::new(Severity::Error, damage));
        let mut budget = self.cells().len();
        let mut walk = Walk::new(self.cells(), Ok(*self));
        let mut entered = 0;
        while let Some((depth, key)) = walk.next() {
            for _ in depth..std::mem::replace(&mut entered, depth) {
                visitor.leave()?;
            }
            let key = match key {
                Ok(key) => key,
                Err(damage) => {
                    report(damage);
                    continue;
                }
            };
            let class = key.class().unwrap_or_else(|damage| {
                report(damage);
                None
            });
            let visited = VisitedKey {
                name: AnyName::Stored(key.name()),
                class: class.map(AnyName::Stored),
                last_written: key.last_written(),
                is_link: key.is_link(),
                state: key.state(),
                values: key.values().len(),
                subkeys: key.node().number_of_subkeys as usize,
            };
            if visitor.enter(&visited)? == Next::Skip {
                walk.skip_subkeys();
                continue;
            }
            entered += 1;
            for value in key.values() {
                let data = value.and_then(|value| {
                    let size = value.record().name_length as usize + value.data_size();
                    match budget.checked_sub(size) {
                        Some(rest) => budget = rest,
                        None => return Err(value.damage("content", 0, "no more than the hive has room for", "more")),
                    }
                    Ok((value, value.data()?))
                });
                match data {
                    Ok((value, data)) => visitor.value(&VisitedValue {
                        name: AnyName::Stored(value.name()),
                        value_type: value.value_type(),
                        data: &data,
                        state: value.state(),
                    })?,
                    Err(damage) => report(damage),
                }
            }
        }
        (0..entered).try_for_each(|_| visitor.leave())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[derive(Default)]
    struct Told(Vec<String>);

    impl Visitor for Told {
        type Error = std::convert::Infallible;

        fn enter(&mut self, key: &VisitedKey<'_>) -> Result<Next, Self::Error> {
            let name = Name::from(key.name).to_string();
            let next = if name == "skipped" { Next::Skip } else { Next::Into };
            self.0.push(name);
            Ok(next)
        }

        fn value(&mut self, value: &VisitedValue<'_>) -> Result<(), Self::Error> {
            self.0.push(format!("={}", Name::from(value.name)));
            Ok(())
        }

        fn leave(&mut self) -> Result<(), Self::Error> {
            self.0.push("^".into());
            Ok(())
        }
    }

    #[test]
    fn keys_are_told_with_their_values_first() {
        let mut root = Key::new("root");
        root.values.push(Value::new("v", ValueType::SZ, Vec::new()));
        root.subkey_or_insert("a").subkey_or_insert("b");
        root.subkey_or_insert("skipped").subkey_or_insert("never");
        let mut told = Told::default();
        let Ok(()) = root.visit(&mut told);
        assert_eq!(told.0, ["root", "=v", "a", "b", "^", "^", "skipped", "^"]);

        let mut told = Told::default();
        let Ok(()) = Key::new("skipped").visit(&mut told);
        assert_eq!(told.0, ["skipped"]);
    }
}
