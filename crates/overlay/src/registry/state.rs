//! What a key or value of a delta hive says of the one below it.

/// What a key of a delta hive says of the key below it (layered keys, hive version 1.6). In other hives all keys merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Its values and subkeys are added to those below.
    #[default]
    Merge,
    /// The key and everything below it is deleted.
    Tombstone,
    /// The values of the key below are hidden; its subkeys are merged.
    SupersedeLocal,
    /// The key below is hidden with all its values and subkeys.
    SupersedeTree,
}

impl KeyState {
    /// Whether the key exists as far as this hive is asked.
    pub const fn is_present(self) -> bool {
        !matches!(self, Self::Tombstone)
    }

    /// Whether the values of the same key in lower hives are hidden.
    pub const fn hides_values_below(self) -> bool {
        !matches!(self, Self::Merge)
    }

    /// Whether the subkeys of the same key in lower hives are hidden, and all below them.
    pub const fn hides_subkeys_below(self) -> bool {
        matches!(self, Self::Tombstone | Self::SupersedeTree)
    }

    /// The state of the one key that stands for this key over `lower` when two delta hives become one.
    ///
    /// Its values are those of both (this key's before `lower`'s) unless this state
    /// [hides values](Self::hides_values_below), and its subkeys likewise. Value tombstones stay where the result is
    /// [`Merge`](Self::Merge) and are of no more use elsewhere.
    ///
    /// ```
    /// use cv_overlay::registry::KeyState;
    ///
    /// // A key that was deleted and created again no longer shows what the base has there.
    /// assert_eq!(KeyState::Merge.over(KeyState::Tombstone), KeyState::SupersedeTree);
    /// assert_eq!(KeyState::Merge.over(KeyState::SupersedeLocal), KeyState::SupersedeLocal);
    /// assert_eq!(KeyState::Tombstone.over(KeyState::Merge), KeyState::Tombstone);
    /// ```
    #[must_use]
    pub const fn over(self, lower: Self) -> Self {
        match (self, lower) {
            (Self::Tombstone, _) => Self::Tombstone,
            (Self::SupersedeTree, _) | (_, Self::Tombstone | Self::SupersedeTree) => Self::SupersedeTree,
            (Self::SupersedeLocal, _) | (_, Self::SupersedeLocal) => Self::SupersedeLocal,
            (Self::Merge, Self::Merge) => Self::Merge,
        }
    }
}

/// What a value of a delta hive says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ValueState {
    /// The value is there.
    #[default]
    Present,
    /// The value below is deleted.
    Tombstone,
}

/// What one hive of the stack adds to a merged key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyShare {
    /// Its values (and value tombstones) count.
    pub values: bool,
    /// Its subkeys count.
    pub subkeys: bool,
}

/// The rule by which the hives of a stack make one key: told the state of the key in each hive that has it, the highest
/// first, it answers what that hive adds.
///
/// Only hives that add subkeys to the parent key are asked at all: what is hidden stays hidden with everything in it.
///
/// | state of the key | its values | its subkeys | values below | subkeys below |
/// |---|---|---|---|---|
/// | `Merge` | count | count | count | count |
/// | `SupersedeLocal` | count | count | hidden | count |
/// | `SupersedeTree` | count | count | hidden | hidden |
/// | `Tombstone` | none | none | hidden | hidden |
///
/// The key exists when the highest hive that has it does not have a tombstone there. That hive gives the name as spelled,
/// the security and the time of the last write. The class is that of the highest hive that adds subkeys and does not
/// say that its class is inherited.
///
/// ```
/// use cv_overlay::registry::{KeyFold, KeyShare, KeyState};
///
/// let mut fold = KeyFold::new();
/// assert_eq!(fold.take(KeyState::SupersedeLocal), KeyShare { values: true, subkeys: true });
/// assert_eq!(fold.take(KeyState::Merge), KeyShare { values: false, subkeys: true });
/// assert_eq!(fold.take(KeyState::Tombstone), KeyShare { values: false, subkeys: false });
/// assert_eq!(fold.take(KeyState::Merge), KeyShare { values: false, subkeys: false });
/// assert!(fold.exists() && fold.is_closed());
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeyFold {
    exists: bool,
    values_hidden: bool,
    subkeys_hidden: bool,
}

impl KeyFold {
    /// Before any hive was asked.
    pub const fn new() -> Self {
        Self {
            exists: false,
            values_hidden: false,
            subkeys_hidden: false,
        }
    }

    /// What the next lower hive that has the key adds.
    pub const fn take(&mut self, state: KeyState) -> KeyShare {
        let share = KeyShare {
            values: state.is_present() && !self.values_hidden,
            subkeys: state.is_present() && !self.subkeys_hidden,
        };
        self.exists |= share.subkeys;
        self.values_hidden |= state.hides_values_below();
        self.subkeys_hidden |= state.hides_subkeys_below();
        share
    }

    /// Whether the key exists, by the hives asked so far.
    pub const fn exists(&self) -> bool {
        self.exists
    }

    /// Whether lower hives add nothing any more, so that none needs to be asked.
    pub const fn is_closed(&self) -> bool {
        self.subkeys_hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [KeyState; 4] = [
        KeyState::Merge,
        KeyState::Tombstone,
        KeyState::SupersedeLocal,
        KeyState::SupersedeTree,
    ];

    /// Whether the key exists, and whether the values and subkeys of a base below the given hives are seen.
    fn effect(states: &[KeyState]) -> (bool, bool, bool) {
        let mut fold = KeyFold::new();
        for state in states {
            fold.take(*state);
        }
        let exists = fold.exists();
        let base = fold.take(KeyState::Merge);
        (exists, base.values, base.subkeys)
    }

    #[test]
    fn one_key_in_place_of_two_does_what_the_two_do() {
        for upper in STATES {
            for lower in STATES {
                assert_eq!(
                    effect(&[upper, lower]),
                    effect(&[upper.over(lower)]),
                    "{upper:?} over {lower:?}"
                );
            }
        }
    }

    #[test]
    fn three_keys_become_one_in_any_grouping() {
        for a in STATES {
            for b in STATES {
                for c in STATES {
                    assert_eq!(a.over(b).over(c), a.over(b.over(c)));
                }
            }
        }
    }

    #[test]
    fn a_tombstone_ends_the_key_below_what_is_above_it() {
        assert_eq!(effect(&[KeyState::Tombstone]), (false, false, false));
        assert_eq!(effect(&[KeyState::Merge, KeyState::Tombstone]), (true, false, false));
        assert_eq!(effect(&[KeyState::SupersedeLocal]), (true, false, true));
    }
}
