//! What a stack of hives shows as one tree, and where changes of it go, with the rules of manifests obeyed.

use super::HiveLayer;
use cv_hive::{Key, KeyFlags, KeyState, Name};
use cv_overlay::registry::Keys;
use cv_overlay::{NamePath, Place, Stack};

/// What the stack shows, as one tree without states of layered keys; `None` where no member has a root. Keys have the security
/// and the time of the highest member that says them.
///
/// ```
/// use cv_hive::{Key, Value, ValueType};
/// use cv_overlay::registry::Keys;
/// use cv_overlay::{Attachment, LayerId, Names, Role, Stack};
/// use layerfmt::stack::{HiveLayer, merged_tree};
///
/// let (mut base, mut delta) = (Key::new("base"), Key::new("delta"));
/// base.subkey_or_insert("App").values.push(Value::new("a", ValueType::DWORD, [1, 0, 0, 0]));
/// delta.subkey_or_insert("APP").values.push(Value::new("b", ValueType::DWORD, [2, 0, 0, 0]));
/// let stack = Stack::new(
///     Names::windows(),
///     vec![
///         Attachment::new(LayerId(0), Role::Base, Keys(HiveLayer::new(&base))),
///         Attachment::new(LayerId(1), Role::Layer, Keys(HiveLayer::new(&delta))),
///     ],
/// );
/// let tree = merged_tree(&stack).ok_or("no root")?;
/// assert_eq!(tree.subkey("app").map(|key| key.values.len()), Some(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn merged_tree(stack: &Stack<Keys<HiveLayer<'_>>>) -> Option<Key> {
    let Ok(root) = stack.root();
    root.map(|root| merged_key(stack, &root))
}

/// Hives have a bounded depth, so this recursion has one too.
fn merged_key<'k>(stack: &Stack<Keys<HiveLayer<'k>>>, place: &Place<&'k Key>) -> Key {
    let winner = place.winner().entry;
    let parts = || place.merged().map(|part| part.entry);
    let Ok(values) = stack.values(place);
    let Ok(listing) = stack.list(place);
    Key {
        name: winner.name.clone(),
        class: stack.class_part(place).entry.class.clone(),
        last_written: parts().map(|key| key.last_written).find(|time| *time != 0).unwrap_or(0),
        security: parts().find_map(|key| key.security.clone()),
        is_link: parts().any(|key| key.is_link),
        flags: parts().fold(KeyFlags::empty(), |flags, key| flags | key.flags),
        state: KeyState::Merge,
        inherits_class: false,
        values: values.into_iter().map(|merged| merged.value.clone()).collect(),
        subkeys: listing
            .map(|listed| {
                let Ok(listed) = listed;
                merged_key(stack, &listed.place)
            })
            .collect(),
    }
}

/// Takes a delta apart by the members of the stack, named by position, that take the writes of its keys; `None` stands for
/// keys that nothing takes.
pub fn split_by_writes(stack: &Stack<Keys<HiveLayer<'_>>>, delta: &Key) -> Vec<(Option<usize>, Key)> {
    let mut parts = Vec::new();
    split(stack, delta, &NamePath::root(), &mut parts);
    parts
}

fn split(stack: &Stack<Keys<HiveLayer<'_>>>, delta: &Key, path: &NamePath, parts: &mut Vec<(Option<usize>, Key)>) {
    let Ok(explanation) = stack.explain(path);
    let target = explanation.writes_to;
    let index = parts.iter().position(|(position, _)| *position == target);
    let index = index.unwrap_or_else(|| {
        parts.push((target, nothing_said(&Name::from(""))));
        parts.len() - 1
    });
    if let Some((_, root)) = parts.get_mut(index) {
        let mut at = root;
        for name in path.names() {
            let place = at.position(name).unwrap_or_else(|place| {
                at.subkeys.insert(place, nothing_said(&Name::from(name)));
                place
            });
            at = &mut at.subkeys[place];
        }
        let subkeys = std::mem::take(&mut at.subkeys);
        *at = own(delta);
        at.subkeys = subkeys;
    }
    for subkey in &delta.subkeys {
        split(stack, subkey, &path.joined(subkey.name.units()), parts);
    }
}

/// A key of a delta that changes nothing of the one below it.
fn nothing_said(name: &Name) -> Key {
    Key {
        inherits_class: true,
        ..Key::new(name.clone())
    }
}

/// A key without what is below it.
fn own(key: &Key) -> Key {
    Key {
        name: key.name.clone(),
        class: key.class.clone(),
        last_written: key.last_written,
        security: key.security.clone(),
        is_link: key.is_link,
        flags: key.flags,
        state: key.state,
        inherits_class: key.inherits_class,
        values: key.values.clone(),
        subkeys: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_hive::{Value, ValueType};
    use cv_overlay::policy::{Action, Rule};
    use cv_overlay::{Attachment, LayerId, Names, Role};

    fn tree(paths: &[&str]) -> Key {
        let mut root = nothing_said(&Name::from("ROOT"));
        for path in paths {
            let key = path.split('\\').fold(&mut root, |key, name| key.subkey_or_insert(name));
            key.values
                .push(Value::new("v", ValueType::SZ, path.as_bytes().to_vec()));
        }
        root
    }

    fn stack<'k>(base: &'k Key, layer: &'k Key, writable: &'k Key, rules: Vec<Rule>) -> Stack<Keys<HiveLayer<'k>>> {
        let attached = |id, role, key| Attachment::new(LayerId(id), role, Keys(HiveLayer::new(key)));
        let members = vec![
            attached(1, Role::Base, base),
            Attachment {
                rules,
                ..attached(2, Role::Layer, layer)
            },
            attached(3, Role::Writable, writable),
            Attachment::new(LayerId(4), Role::Area(LayerId(2)), Keys(HiveLayer::none())),
        ];
        Stack::new(Names::windows(), members)
    }

    #[test]
    fn rules_hide_keys_and_send_writes_elsewhere() {
        let (base, layer) = (tree(&["A\\x", "B\\x"]), tree(&["a\\y", "C"]));
        let writable = tree(&["B\\z"]);
        let rules = vec![
            Rule::new(&NamePath::from("A"), Action::Override),
            Rule::new(&NamePath::from("B"), Action::Exclude),
            Rule::new(&NamePath::from("C"), Action::Isolate),
        ];
        let stack = stack(&base, &layer, &writable, rules);
        let merged = merged_tree(&stack).unwrap();
        let names = |key: &str| -> Vec<String> {
            let key = merged.subkey(key).unwrap();
            key.subkeys.iter().map(|key| key.name.to_string()).collect()
        };
        assert_eq!(
            (names("A"), names("B"), names("C")),
            (vec!["y".to_owned()], vec!["x".to_owned()], vec![])
        );

        let role = |position: Option<usize>| position.map(|position| stack.members()[position].role);
        let split = split_by_writes(&stack, &tree(&["A\\n", "B\\n", "C\\n"]));
        let of = |role_of: Role| {
            let found = split.iter().find(|(position, _)| role(*position) == Some(role_of));
            found.map(|(_, key)| key.subkeys.iter().map(|key| key.name.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(of(Role::Writable), Some(vec!["A".to_owned()]));
        assert_eq!(of(Role::Base), Some(vec!["B".to_owned()]));
        assert_eq!(of(Role::Area(LayerId(2))), Some(vec!["C".to_owned()]));
    }

    #[test]
    fn without_rules_it_is_what_laying_deltas_over_each_other_gives() {
        let mut layer = tree(&["A\\y", "D"]);
        layer.subkey_or_insert("B").state = KeyState::Tombstone;
        layer.subkey_or_insert("a").state = KeyState::SupersedeLocal;
        let mut writable = tree(&["A\\x", "B\\new"]);
        writable.subkey_or_insert("D").state = KeyState::SupersedeTree;
        let mut base = tree(&["A", "A\\x", "B\\x", "E"]);
        base.inherits_class = false;
        let merged = merged_tree(&stack(&base, &layer, &writable, Vec::new())).unwrap();
        let laid = cv_hive::resolve(base.clone(), [layer.clone(), writable.clone()]);
        assert_eq!(
            cv_hive::diff::diff(&laid, &merged, &cv_hive::diff::DiffOptions::default()),
            []
        );
    }
}
