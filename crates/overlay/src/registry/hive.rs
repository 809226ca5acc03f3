//! What the engine asks a hive.

use core::ops::Deref;

use crate::layer::{Kind, Layer};

use super::{KeyState, ValueState};

/// A hive that can stand in a stack.
///
/// What the hive calls a key or value is its own affair; the engine keeps it and hands it back.
pub trait KeyLayer {
    /// The hive's own notion of a key, cheap to clone.
    type Key: Clone;
    /// The hive's own notion of a value.
    type Value: Clone;
    /// Why the hive could not answer.
    type Error;
    /// The subkeys of a key.
    type Subkeys<'h>: Iterator<Item = Result<Self::Key, Self::Error>>
    where
        Self: 'h;
    /// The values of a key.
    type Values<'h>: Iterator<Item = Result<Self::Value, Self::Error>>
    where
        Self: 'h;

    /// The root key; `None` when the hive has none.
    fn root(&self) -> Result<Option<Self::Key>, Self::Error>;

    /// The subkey of this name, tombstones included.
    fn subkey(&self, key: &Self::Key, name: &[u16]) -> Result<Option<Self::Key>, Self::Error>;

    /// The subkeys, tombstones included, in ascending order of [`Names::compare`](crate::Names::compare), each name once.
    fn subkeys(&self, key: &Self::Key) -> Result<Self::Subkeys<'_>, Self::Error>;

    /// The name of a key as spelled in this hive.
    fn key_name<'h>(&'h self, key: &'h Self::Key) -> &'h [u16];

    /// The state of a key.
    fn key_state(&self, key: &Self::Key) -> KeyState;

    /// Whether the class of a key is that of the key below.
    fn inherits_class(&self, key: &Self::Key) -> bool {
        let _ = key;
        false
    }

    /// The value of this name, tombstones included.
    fn value(&self, key: &Self::Key, name: &[u16]) -> Result<Option<Self::Value>, Self::Error>;

    /// The values in the order in which they are stored, tombstones included, each name once.
    fn values(&self, key: &Self::Key) -> Result<Self::Values<'_>, Self::Error>;

    /// The name of a value; empty for the default value.
    fn value_name<'h>(&'h self, value: &'h Self::Value) -> &'h [u16];

    /// The state of a value.
    fn value_state(&self, value: &Self::Value) -> ValueState;

    /// Whether two values have the same type and data.
    fn same_value(&self, value: &Self::Value, other: &Self, other_value: &Self::Value) -> bool;
}

/// What a key of this state is as a directory.
const fn directory_of(state: KeyState) -> Kind {
    match state {
        KeyState::Merge | KeyState::SupersedeLocal => Kind::Directory,
        KeyState::SupersedeTree => Kind::OpaqueDirectory,
        KeyState::Tombstone => Kind::Whiteout,
    }
}

/// A hive as a member of a stack: its keys are directories.
#[derive(Clone, Copy, Debug)]
pub struct Keys<H>(pub H);

impl<H: KeyLayer> Layer for Keys<H> {
    type Entry = H::Key;
    type Error = H::Error;
    type Listing<'l>
        = H::Subkeys<'l>
    where
        Self: 'l;

    fn root(&self) -> Result<Option<Self::Entry>, Self::Error> {
        self.0.root()
    }

    fn lookup(&self, directory: &Self::Entry, name: &[u16]) -> Result<Option<Self::Entry>, Self::Error> {
        self.0.subkey(directory, name)
    }

    fn list(&self, directory: &Self::Entry) -> Result<Self::Listing<'_>, Self::Error> {
        self.0.subkeys(directory)
    }

    fn kind(&self, entry: &Self::Entry) -> Kind {
        directory_of(self.0.key_state(entry))
    }

    fn name<'l>(&'l self, entry: &'l Self::Entry) -> &'l [u16] {
        self.0.key_name(entry)
    }
}

/// Whatever points to a hive (a reference, a box, an `Arc`) is one.
impl<P> KeyLayer for P
where
    P: Deref,
    P::Target: KeyLayer,
{
    type Key = <P::Target as KeyLayer>::Key;
    type Value = <P::Target as KeyLayer>::Value;
    type Error = <P::Target as KeyLayer>::Error;
    type Subkeys<'h>
        = <P::Target as KeyLayer>::Subkeys<'h>
    where
        Self: 'h;
    type Values<'h>
        = <P::Target as KeyLayer>::Values<'h>
    where
        Self: 'h;

    fn root(&self) -> Result<Option<Self::Key>, Self::Error> {
        (**self).root()
    }

    fn subkey(&self, key: &Self::Key, name: &[u16]) -> Result<Option<Self::Key>, Self::Error> {
        (**self).subkey(key, name)
    }

    fn subkeys(&self, key: &Self::Key) -> Result<Self::Subkeys<'_>, Self::Error> {
        (**self).subkeys(key)
    }

    fn key_name<'h>(&'h self, key: &'h Self::Key) -> &'h [u16] {
        (**self).key_name(key)
    }

    fn key_state(&self, key: &Self::Key) -> KeyState {
        (**self).key_state(key)
    }

    fn inherits_class(&self, key: &Self::Key) -> bool {
        (**self).inherits_class(key)
    }

    fn value(&self, key: &Self::Key, name: &[u16]) -> Result<Option<Self::Value>, Self::Error> {
        (**self).value(key, name)
    }

    fn values(&self, key: &Self::Key) -> Result<Self::Values<'_>, Self::Error> {
        (**self).values(key)
    }

    fn value_name<'h>(&'h self, value: &'h Self::Value) -> &'h [u16] {
        (**self).value_name(value)
    }

    fn value_state(&self, value: &Self::Value) -> ValueState {
        (**self).value_state(value)
    }

    fn same_value(&self, value: &Self::Value, other: &Self, other_value: &Self::Value) -> bool {
        (**self).same_value(value, other, other_value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyFold;
    use super::*;
    use crate::standing::{Judge, Standing};

    const STATES: [KeyState; 4] = [
        KeyState::Merge,
        KeyState::Tombstone,
        KeyState::SupersedeLocal,
        KeyState::SupersedeTree,
    ];

    #[test]
    fn subkeys_merge_as_the_entries_of_directories_do() {
        for number in 0..64 {
            let mut fold = KeyFold::new();
            let mut judge = Judge::new(0);
            let mut shown = false;
            for position in 0..3 {
                let state = STATES[number >> (2 * position) & 3];
                let standing = judge.take(position, directory_of(state));
                let counts = state.is_present() && matches!(standing, Standing::Wins | Standing::Merges);
                shown |= counts;
                assert_eq!(fold.take(state).subkeys, counts);
                assert_eq!(fold.is_closed(), judge.is_closed());
            }
            assert_eq!(fold.exists(), shown);
        }
    }
}
