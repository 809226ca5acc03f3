//! The values of merged keys.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::{KeyFold, KeyLayer, Keys, ValueState};
use crate::order::Attachment;
use crate::place::{Part, Place};
use crate::stack::Stack;

/// A value that the view shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedValue<V> {
    /// The position of the member that has it.
    pub position: usize,
    /// The member's value.
    pub value: V,
}

impl<H: KeyLayer> Stack<Keys<H>> {
    /// The value of this name in a key; `None` when the view has none.
    pub fn value(&self, key: &Place<H::Key>, name: &[u16]) -> Result<Option<MergedValue<H::Value>>, H::Error> {
        self.value_below(key, name, None)
    }

    /// The value that the view would show if the member at the position `without` had none.
    pub(super) fn value_below(
        &self,
        key: &Place<H::Key>,
        name: &[u16],
        without: Option<usize>,
    ) -> Result<Option<MergedValue<H::Value>>, H::Error> {
        for (part, member) in self.value_parts(key) {
            if Some(part.position) == without {
                continue;
            }
            if let Some(value) = member.layer.0.value(&part.entry, name)? {
                return Ok(match member.layer.0.value_state(&value) {
                    ValueState::Present => Some(MergedValue {
                        position: part.position,
                        value,
                    }),
                    ValueState::Tombstone => None,
                });
            }
        }
        Ok(None)
    }

    /// The values of a key, each name once: those of the highest member in the order in which they are stored, then what
    /// the next lower adds, and so on.
    pub fn values(&self, key: &Place<H::Key>) -> Result<Vec<MergedValue<H::Value>>, H::Error> {
        let mut all = Vec::new();
        for (part, member) in self.value_parts(key) {
            for value in member.layer.0.values(&part.entry)? {
                all.push(MergedValue {
                    position: part.position,
                    value: value?,
                });
            }
        }
        // The sort is stable, so the highest of each name comes first.
        let mut by_name: Vec<usize> = (0..all.len()).collect();
        by_name.sort_by(|left, right| self.compare_values(all.get(*left), all.get(*right)));
        by_name.dedup_by(|later, earlier| self.compare_values(all.get(*later), all.get(*earlier)) == Ordering::Equal);
        by_name.sort_unstable();
        let mut wins = by_name.into_iter().peekable();
        let mut number = 0_usize;
        all.retain(|merged| {
            let is_shown = wins.next_if_eq(&number).is_some();
            number = number.saturating_add(1);
            is_shown
                && self
                    .member(merged.position)
                    .is_some_and(|member| member.layer.0.value_state(&merged.value) == ValueState::Present)
        });
        Ok(all)
    }

    /// The part of a key whose class the key has.
    pub fn class_part<'p>(&self, key: &'p Place<H::Key>) -> &'p Part<H::Key> {
        let mut class = key.winner();
        for part in key.merged() {
            class = part;
            let inherits = self
                .member(part.position)
                .is_some_and(|member| member.layer.0.inherits_class(&part.entry));
            if !inherits {
                break;
            }
        }
        class
    }

    /// The parts of a key whose values count, the highest first.
    fn value_parts<'p>(
        &'p self,
        key: &'p Place<H::Key>,
    ) -> impl Iterator<Item = (&'p Part<H::Key>, &'p Attachment<Keys<H>>)> {
        let mut fold = KeyFold::new();
        key.merged().filter_map(move |part| {
            let member = self.member(part.position)?;
            let share = fold.take(member.layer.0.key_state(&part.entry));
            share.values.then_some((part, member))
        })
    }

    fn compare_values(&self, left: Option<&MergedValue<H::Value>>, right: Option<&MergedValue<H::Value>>) -> Ordering {
        self.names().compare(self.value_name(left), self.value_name(right))
    }

    fn value_name<'v>(&'v self, value: Option<&'v MergedValue<H::Value>>) -> &'v [u16] {
        value
            .and_then(|merged| Some((self.member(merged.position)?, merged)))
            .map_or(&[], |(member, merged)| member.layer.0.value_name(&merged.value))
    }
}
