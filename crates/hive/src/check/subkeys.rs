//! The list of a key's subkeys.

use super::tree::Check;
use crate::read::KeyRef;
use crate::read::name::shown;
use crate::read::subkeys::{Leaf, List, leaf_at, list_at};
use crate::structure::{KeyNode, LeafKind, ListHeader, NO_CELL, Structure, u32_at};
use cv_disk::Severity;

/// Looks at the list and gives the subkeys that no other list has.
pub(super) fn check<'a>(check: &mut Check<'a, '_>, key: &KeyRef<'a>) -> Vec<KeyRef<'a>> {
    let node = key.node();
    let count = node.number_of_subkeys as usize;
    if count == 0 {
        if node.subkeys_list_offset != NO_CELL {
            let found = format!("{:#x}", node.subkeys_list_offset);
            let damage = key.damage("subkeys list offset", 28, "none, as there are no subkeys", found);
            check.add(Severity::Note, damage);
        }
        return Vec::new();
    }
    let mut listed = Listed {
        key: *key,
        elements: 0,
        subkeys: Vec::new(),
        longest_name: 0,
        longest_class: 0,
        last: None,
    };
    let offset = node.subkeys_list_offset;
    let claimed = check.cells.claim(offset, ListHeader::NAME);
    if check.take(claimed).is_some()
        && let Some((list, damage)) = check.take(list_at(check.hive.cells(), offset))
    {
        if let Some(damage) = damage {
            check.add(Severity::Error, damage);
        }
        match list {
            List::Leaf(leaf) => listed.leaf(check, leaf, false),
            List::Root(leaves) => {
                for element in leaves.chunks_exact(4) {
                    listed.leaf_of_root(check, u32_at(element, 0));
                }
            }
        }
    }
    listed.finish(check, count)
}

/// What the leaves gave so far.
struct Listed<'a> {
    key: KeyRef<'a>,
    elements: usize,
    subkeys: Vec<KeyRef<'a>>,
    longest_name: usize,
    longest_class: usize,
    /// The last one that was readable.
    last: Option<KeyRef<'a>>,
}

impl<'a> Listed<'a> {
    fn leaf_of_root(&mut self, check: &mut Check<'a, '_>, offset: u32) {
        let claimed = check.cells.claim(offset, ListHeader::NAME);
        if check.take(claimed).is_none() {
            return;
        }
        if let Some((leaf, damage)) = check.take(leaf_at(check.hive.cells(), offset)) {
            if let Some(damage) = damage {
                check.add(Severity::Error, damage);
            }
            if leaf.is_empty() {
                let damage = self
                    .key
                    .damage("subkeys list", 28, "leaves with elements", "an empty one");
                check.add(Severity::Error, damage);
            }
            self.leaf(check, leaf, true);
        }
    }

    fn leaf(&mut self, check: &mut Check<'a, '_>, leaf: Leaf<'a>, below_root: bool) {
        let kind = LeafKind::for_version(check.hive.minor_version(), below_root);
        if leaf.kind() != kind {
            // Every Windows reads every kind.
            let expected = String::from_utf8_lossy(&kind.signature()).into_owned();
            let found = String::from_utf8_lossy(&leaf.kind().signature()).into_owned();
            check.add(Severity::Note, self.key.damage("subkeys list", 28, expected, found));
        }
        self.elements += leaf.len();
        for number in 0..leaf.len() {
            let offset = leaf.offset(number);
            let claimed = check.cells.claim(offset, KeyNode::NAME);
            if check.take(claimed).is_none() {
                continue;
            }
            let Some(subkey) = check.take(check.hive.key_at(offset)) else {
                continue;
            };
            self.element(check, &subkey, leaf.kind(), leaf.tag(number));
            self.subkeys.push(subkey);
        }
    }

    fn element(&mut self, check: &mut Check<'a, '_>, subkey: &KeyRef<'a>, kind: LeafKind, tag: u32) {
        let name = subkey.name();
        if let Some(last) = self.last.replace(*subkey)
            && !last.name().compare_to(name).is_lt()
        {
            let expected = format!("a name behind `{}`", shown(last.name()));
            check.add(
                Severity::Error,
                self.key
                    .damage("order of subkeys", 28, expected, format!("`{}`", shown(name))),
            );
        }
        let expected = kind.tag(name.units());
        // Windows writes hints in either case, and none where it cannot.
        let fits = match kind {
            LeafKind::Fast => tag == 0 || tag.to_le_bytes().eq_ignore_ascii_case(&expected.to_le_bytes()),
            LeafKind::Hash | LeafKind::Index => tag == expected,
        };
        if !fits {
            let what = format!("hint or hash of subkey `{}`", shown(name));
            let damage = self
                .key
                .damage(&what, 28, format!("{expected:#010x}"), format!("{tag:#010x}"));
            check.add(Severity::Error, damage);
        }
        self.longest_name = self.longest_name.max(2 * name.len());
        self.longest_class = self.longest_class.max(usize::from(subkey.node().class_name_length));
    }

    fn finish(self, check: &mut Check<'a, '_>, count: usize) -> Vec<KeyRef<'a>> {
        let node = self.key.node();
        if self.elements != count {
            let expected = format!("{}, as many as the list has", self.elements);
            check.add(
                Severity::Error,
                self.key.damage("number of subkeys", 20, expected, count),
            );
        }
        for (field, at, bound, longest) in [
            (
                "largest subkey name length",
                52,
                u32::from(node.largest_subkey_name_length),
                self.longest_name,
            ),
            (
                "largest subkey class name length",
                56,
                node.largest_subkey_class_name_length,
                self.longest_class,
            ),
        ] {
            if (bound as usize) < longest {
                let damage = self.key.damage(field, at, format!("at least {longest}"), bound);
                check.add(Severity::Warning, damage);
            }
        }
        self.subkeys
    }
}
