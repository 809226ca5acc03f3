//! All keys, from the root on.

use super::bins::CellMap;
use super::findings::Findings;
use super::security::Securities;
use super::{key, subkeys, values};
use crate::read::name::shown;
use crate::read::{Hive, KeyRef, NameRef};
use crate::structure::{KeyNode, Structure};
use crate::tree::MAX_DEPTH;
use cv_disk::{Damage, Severity};

/// What the checks of keys share.
pub(super) struct Check<'a, 'f> {
    pub hive: &'f Hive<'a>,
    pub cells: CellMap<'a>,
    pub securities: Securities,
    pub findings: &'f mut Findings,
    /// The names of the keys that lead to the one that is looked at, and its own.
    path: Vec<NameRef<'a>>,
}

impl Check<'_, '_> {
    /// Adds what is wrong with the key that is looked at, or with something of it.
    #[cold]
    pub fn add(&mut self, severity: Severity, damage: Damage) {
        let names: Vec<String> = self.path.iter().skip(1).map(shown).collect();
        let structure = format!("key `\\{}`: {}", names.join("\\"), damage.structure);
        self.findings.add(severity, Damage { structure, ..damage });
    }

    /// What `result` holds; what is wrong is added as an error.
    pub fn take<T>(&mut self, result: Result<T, Damage>) -> Option<T> {
        result.map_err(|damage| self.add(Severity::Error, damage)).ok()
    }
}

/// Looks at all keys that the root leads to, then at what nothing leads to.
pub(super) fn check<'a>(hive: &Hive<'a>, cells: CellMap<'a>, findings: &mut Findings) {
    let mut check = Check {
        hive,
        cells,
        securities: Securities::default(),
        findings,
        path: Vec::new(),
    };
    let root_offset = hive.base_block().root_cell_offset;
    let root = hive.root();
    match root.and_then(|root| check.cells.claim(root_offset, KeyNode::NAME).map(|_| root)) {
        Ok(root) => check.walk(root),
        Err(damage) => check.findings.add_fatal(damage),
    }
    let Check {
        mut cells,
        securities,
        findings,
        ..
    } = check;
    securities.check(&mut cells, findings);
    cells.check_owners(findings);
}

impl<'a> Check<'a, '_> {
    fn walk(&mut self, root: KeyRef<'a>) {
        let mut levels = vec![self.enter(&root, None).into_iter()];
        while let Some(level) = levels.last_mut() {
            if let Some((parent, subkey)) = level.next() {
                let subkeys = self.enter(&subkey, Some(parent));
                levels.push(subkeys.into_iter());
            } else {
                levels.pop();
                self.path.pop();
            }
        }
    }

    /// Looks at a key and what belongs to it, and gives its subkeys, each with the key's own offset.
    fn enter(&mut self, key: &KeyRef<'a>, parent: Option<u32>) -> Vec<(u32, KeyRef<'a>)> {
        self.path.push(key.name());
        key::check(self, key, parent);
        values::check(self, key);
        let subkeys = subkeys::check(self, key);
        if self.path.len() >= MAX_DEPTH && !subkeys.is_empty() {
            let expected = format!("none below {MAX_DEPTH} levels");
            let damage = key.damage("number of subkeys", 20, expected, subkeys.len());
            self.add(Severity::Error, damage);
            return Vec::new();
        }
        subkeys.into_iter().map(|subkey| (key.offset(), subkey)).collect()
    }
}
