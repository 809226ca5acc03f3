//! Environment variables: the values of `Environment`, and what the policy adds to lists.

use super::registry::{key, texts};
use super::system_keys;
use crate::content::HiveName;
use crate::manifest::{EnvironmentVariable, Policy};
use cv_hive::Key;
use std::collections::BTreeMap;

pub fn find(hives: &BTreeMap<HiveName, Key>, policy: &Policy) -> Vec<EnvironmentVariable> {
    let machine = system_keys(hives, r"Control\Session Manager\Environment").map(|key| (key, false));
    let user = key(hives, HiveName::User, "Environment").map(|key| (key, true));
    let set = machine.chain(user).flat_map(|(key, is_per_user)| {
        texts(key).map(move |(name, value)| EnvironmentVariable {
            name,
            value,
            is_per_user,
            ..EnvironmentVariable::default()
        })
    });
    let added = policy.environment.iter().map(|addition| EnvironmentVariable {
        name: addition.name.clone(),
        value: [&addition.prepend[..], &addition.append[..]].concat().join(";"),
        is_per_user: addition.is_per_user,
        ..EnvironmentVariable::default()
    });
    set.chain(added).collect()
}
