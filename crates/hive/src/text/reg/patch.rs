//! What a `.reg` file changes.

use super::delta::DeltaBuilder;
use super::encoding::decode;
use super::grammar;
use crate::merge::{Deletions, merge};
use crate::text::TextError;
use crate::{Key, KeyPath, Value};

/// The changes of a `.reg` file, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// What is done to which key, one after the other. A key may stand here more than once.
    pub changes: Vec<KeyChange>,
}

/// What is done to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key, from a root of the registry on.
    pub path: KeyPath,
    /// What is done.
    pub action: KeyAction,
}

/// What is done to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// It is deleted, with everything below it.
    Delete,
    /// It is there afterwards, with those above it, and has these values; those with the state
    /// [`Tombstone`](crate::ValueState::Tombstone) it has not.
    Set(Vec<Value>),
}

/// Why a patch could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A key is not below the one that the patch is applied to.
    #[error("the key {path} is not below {top}")]
    Elsewhere {
        /// The key.
        path: KeyPath,
        /// What the patch is applied to.
        top: KeyPath,
    },
}

impl Patch {
    /// Reads a file. Its encoding is told by a byte order mark; without one, version 4 is in Windows-1252 and version 5 in
    /// UTF-8, or in Windows-1252 where it is no UTF-8.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let (text, is_version_4) = decode(bytes);
        match grammar::file(&text, is_version_4) {
            Ok(changes) => Ok(Self { changes }),
            Err(error) => Err(TextError::new(&text, error.rest, error.expected)),
        }
    }

    /// The patch as a delta: a tree whose root stands at `top`, in which deletions are tombstones. `last_written` is when its
    /// keys were written.
    pub fn into_delta(self, top: &KeyPath, last_written: u64) -> Result<Key, ApplyError> {
        self.gather(top, last_written, None)
    }

    fn gather(self, top: &KeyPath, last_written: u64, below: Option<&Key>) -> Result<Key, ApplyError> {
        let mut builder = DeltaBuilder::new(last_written);
        for KeyChange { path, action } in self.changes {
            let Some(names) = path.below(top) else {
                let top = top.clone();
                return Err(ApplyError::Elsewhere { path, top });
            };
            match action {
                KeyAction::Delete => builder.delete(names, below),
                KeyAction::Set(values) => builder.set(names, values),
            }
        }
        Ok(builder.finish())
    }

    /// Changes a tree whose root stands at `top`. The keys that are changed are said to be written at `last_written`. Where
    /// the root itself is deleted, it is emptied.
    pub fn apply(
        self,
        root: &mut Key,
        top: &KeyPath,
        deletions: Deletions,
        last_written: u64,
    ) -> Result<(), ApplyError> {
        let below = (deletions == Deletions::Remove).then_some(&*root);
        let delta = self.gather(top, last_written, below)?;
        merge(root, delta, deletions);
        Ok(())
    }
}
