//! Keys that a rule of one layer hides of the others have no place in the one layer.

use crate::content::HiveName;
use crate::stack::{HiveLayer, Member, key_rules};
use cv_hive::{Key, KeyState};
use cv_overlay::registry::Keys;
use cv_overlay::{Attachment, Hiding, LayerId, NamePath, Names, Role, Stack, Standing};
use std::collections::BTreeMap;

/// Takes out of the hives of each layer, the lowest first, what rules hide of them.
pub(super) fn leave_out_ruled(members: &[Member], hives: &mut [BTreeMap<HiveName, Key>]) {
    for name in HiveName::ALL {
        let rules: Vec<_> = members
            .iter()
            .map(|member| key_rules(&member.manifest, name).0)
            .collect();
        if rules.iter().all(Vec::is_empty) {
            continue;
        }
        let before: Vec<Option<Key>> = hives.iter().map(|hives| hives.get(&name).cloned()).collect();
        let attached = before.iter().zip(rules).enumerate().map(|(number, (root, rules))| {
            let layer = root.as_ref().map_or_else(HiveLayer::none, HiveLayer::new);
            let mut attached = Attachment::new(LayerId(number as u64), Role::Layer, Keys(layer));
            attached.rules = rules;
            attached
        });
        let stack = Stack::new(Names::windows(), attached.collect());
        for (number, hives) in hives.iter_mut().enumerate() {
            if let Some(root) = hives.get_mut(&name) {
                leave_out(&stack, number as u64, &mut NamePath::default(), root);
            }
        }
    }
}

/// Hives have a bounded depth, so this recursion has one too.
fn leave_out(stack: &Stack<Keys<HiveLayer<'_>>>, number: u64, path: &mut NamePath, key: &mut Key) {
    key.subkeys.retain_mut(|subkey| {
        path.push(subkey.name.units());
        let is_hidden = is_hidden(stack, number, path);
        if is_hidden {
            // A way to what a deeper rule shows again, perhaps.
            subkey.values.clear();
            subkey.state = KeyState::Merge;
        }
        leave_out(stack, number, path, subkey);
        path.pop();
        !is_hidden || !subkey.subkeys.is_empty()
    });
}

/// Whether a rule hides what a layer has at a path.
fn is_hidden(stack: &Stack<Keys<HiveLayer<'_>>>, number: u64, path: &NamePath) -> bool {
    let Ok(explained) = stack.explain_key(path);
    let is_own = |position: usize| {
        stack
            .members()
            .get(position)
            .is_some_and(|member| member.id == LayerId(number))
    };
    let claim = explained.claims.iter().find(|claim| is_own(claim.position));
    matches!(claim.map(|claim| claim.standing), Some(Standing::Hidden(hidden)) if matches!(hidden.why, Hiding::Rule(_)))
}
