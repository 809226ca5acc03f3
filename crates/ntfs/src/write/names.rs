//! The directories' contents in their order, and whether Windows can use the names.

use super::error::{CaseConflict, NameProblem, PlanError};
use super::options::{CaseConflicts, NameRule, PlanOptions};
use super::tree::{FileId, Kind, Tree};
use crate::structure::system_file::SYSTEM_FILES;
use cv_winname::{MAX_COMPONENT, MAX_PATH, ShortNames, UpcaseTable, check_component, is_short_name, wtf8};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// An entry of a directory's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A name of the tree.
    Long(u32),
    /// The 8.3 name beside it.
    Short(u32),
    /// A file of the volume itself, by its record.
    System(u32),
}

/// Marks of the two kinds that are not [`Key::Long`]; names have numbers below 2^30.
const SHORT: u32 = 1 << 31;
const SYSTEM: u32 = 1 << 30;

/// What every directory holds, in the order of its index.
#[derive(Debug, Clone, Default)]
pub(super) struct Directories {
    /// Keys of all directories, those of one directory together.
    keys: Vec<u32>,
    /// Where each file's keys begin; of a file that is no directory there are none.
    starts: Vec<u32>,
}

impl Directories {
    /// Sorts the names of `tree` into its directories, after having checked and, as far as the options say, changed them.
    pub fn of(tree: &mut Tree, options: &PlanOptions) -> Result<Self, PlanError> {
        check_names(tree, options.name_rule)?;
        let mut directories = Self::by_parent(tree);
        let upcase = UpcaseTable::windows();
        let mut conflicts = Vec::new();
        for directory in 0..tree.files.len() as u32 {
            let range = directories.range(directory);
            if range.is_empty() {
                continue;
            }
            let keys = &mut directories.keys[range];
            sort(tree, keys, upcase);
            resolve_conflicts(tree, directory, keys, options.case_conflicts, &mut conflicts);
        }
        if !conflicts.is_empty() {
            return Err(PlanError::CaseConflicts(conflicts));
        }
        directories.check_paths(tree, options.name_rule)?;
        directories.check_system_names(tree, upcase)?;
        directories.settle_short_names(tree, options.short_names, upcase);
        directories.add_more_keys(tree, upcase);
        Ok(directories)
    }

    /// The keys of `directory`.
    pub fn keys(&self, directory: u32) -> impl ExactSizeIterator<Item = Key> + DoubleEndedIterator + '_ {
        self.keys[self.range(directory)].iter().map(|key| unpack(*key))
    }

    /// Number of keys of `directory`.
    pub fn count(&self, directory: u32) -> usize {
        self.range(directory).len()
    }

    /// Key `position` of `directory`.
    pub fn key(&self, directory: u32, position: usize) -> Key {
        unpack(self.keys[self.starts[directory as usize] as usize + position])
    }

    fn range(&self, directory: u32) -> Range<usize> {
        let directory = directory as usize;
        self.starts[directory] as usize..self.starts[directory + 1] as usize
    }

    fn by_parent(tree: &Tree) -> Self {
        let mut starts = vec![0; tree.files.len() + 1];
        for name in &tree.names {
            starts[name.parent as usize + 1] += 1;
        }
        for directory in 1..starts.len() {
            starts[directory] += starts[directory - 1];
        }
        let mut keys = vec![0; tree.names.len()];
        // Filled from behind, each start moves to where it belongs.
        let mut places: Vec<u32> = starts[1..].to_vec();
        for (number, name) in tree.names.iter().enumerate().rev() {
            let place = &mut places[name.parent as usize];
            *place -= 1;
            keys[*place as usize] = number as u32;
        }
        Self { keys, starts }
    }

    /// Paths must stay short enough for Windows to open them.
    fn check_paths(&self, tree: &Tree, rule: NameRule) -> Result<(), PlanError> {
        if rule == NameRule::Any {
            return Ok(());
        }
        let mut problems = Vec::new();
        // Directories on the way down, with the length of their paths.
        let mut pending = vec![(0_u32, 0_usize)];
        while let Some((directory, length)) = pending.pop() {
            for key in &self.keys[self.range(directory)] {
                let units = length + 1 + tree.name_length(*key);
                let file = tree.names[*key as usize].file;
                if units > MAX_PATH {
                    let mut path = tree.path(FileId(directory));
                    path.push(u16::from(b'\\'));
                    path.extend_from_slice(tree.name_units(*key));
                    problems.push(NameProblem {
                        path: wtf8::display(&path),
                        reason: format!("the path has {units} UTF-16 units, {MAX_PATH} are allowed"),
                    });
                } else if tree.files[file as usize].kind == Kind::Directory {
                    pending.push((file, units));
                }
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(PlanError::Names(problems))
        }
    }

    /// No name in the root may be that of a file of the volume itself.
    fn check_system_names(&self, tree: &Tree, upcase: &UpcaseTable) -> Result<(), PlanError> {
        let problems: Vec<_> = self.keys[self.range(0)]
            .iter()
            .map(|name| tree.name_units(*name))
            .filter(|name| {
                name.first() == Some(&u16::from(b'$'))
                    && SYSTEM_FILES
                        .iter()
                        .any(|file| upcase.equal(name, &system_name(file.record as u32)))
            })
            .map(|name| NameProblem {
                path: format!(r"\{}", wtf8::display(name)),
                reason: "the name is that of a file of the volume itself".into(),
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(PlanError::Names(problems))
        }
    }

    /// Makes 8.3 names where they are wanted, and replaces those given in the tree that are not unique.
    fn settle_short_names(&self, tree: &mut Tree, make: bool, upcase: &UpcaseTable) {
        let has_any = make || (0..tree.names.len() as u32).any(|name| tree.short_name(name).is_some());
        if !has_any {
            return;
        }
        for directory in 0..tree.files.len() as u32 {
            let range = self.range(directory);
            if range.is_empty() {
                continue;
            }
            let keys = &self.keys[range];
            let mut taken: HashSet<ShortKey> = keys
                .iter()
                .filter_map(|name| short_key(tree.name_units(*name), upcase))
                .collect();
            let mut wanting = Vec::new();
            for name in keys {
                let given = tree.short_name(*name).and_then(|short| short_key(short, upcase));
                let own = short_key(tree.name_units(*name), upcase);
                match given {
                    Some(_) if given == own => tree.forget_short_name(*name),
                    Some(short) if taken.contains(&short) => {
                        tree.forget_short_name(*name);
                        wanting.push(*name);
                    }
                    Some(short) => {
                        taken.insert(short);
                    }
                    // As in Windows, a file's further names get no 8.3 name.
                    None if make && tree.first_name(FileId(tree.names[*name as usize].file)) == Some(*name) => {
                        wanting.push(*name);
                    }
                    None => {}
                }
            }
            wanting.retain(|name| !is_short_name(tree.name_units(*name)));
            give_short_names(tree, &wanting, &mut taken, upcase);
        }
    }

    /// Adds the keys of 8.3 names, and in the root those of the volume's own files.
    fn add_more_keys(&mut self, tree: &Tree, upcase: &UpcaseTable) {
        let shorts = (0..tree.names.len() as u32)
            .filter(|name| tree.short_name(*name).is_some())
            .count();
        let mut keys = Vec::with_capacity(self.keys.len() + shorts + SYSTEM_FILES.len());
        for directory in 0..tree.files.len() {
            let range = self.range(directory as u32);
            self.starts[directory] = keys.len() as u32;
            let start = keys.len();
            keys.extend_from_slice(&self.keys[range.clone()]);
            keys.extend(
                self.keys[range.clone()]
                    .iter()
                    .filter(|name| tree.short_name(**name).is_some())
                    .map(|name| name | SHORT),
            );
            if directory == 0 {
                keys.extend(SYSTEM_FILES.iter().map(|file| file.record as u32 | SYSTEM));
            }
            if keys.len() - start > range.len() {
                sort(tree, &mut keys[start..], upcase);
            }
        }
        if let Some(last) = self.starts.last_mut() {
            *last = keys.len() as u32;
        }
        self.keys = keys;
    }
}

/// An 8.3 name, or another that may be equal to one, without case.
type ShortKey = [u16; 12];

/// The key of a name; `None` where it is too long for an 8.3 name.
fn short_key(name: &[u16], upcase: &UpcaseTable) -> Option<ShortKey> {
    let mut key = [0; 12];
    key.get_mut(..name.len())?.copy_from_slice(name);
    upcase.fold_in_place(&mut key);
    Some(key)
}

/// Gives each of the names of one directory the first 8.3 name that is free there.
fn give_short_names(tree: &mut Tree, names: &[u32], taken: &mut HashSet<ShortKey>, upcase: &UpcaseTable) {
    /// Candidates that are looked at one by one; from there on names of the same hash take each other's.
    const FIRST: usize = 4;
    // By the first candidate behind those, how many are known to be taken.
    let mut known: HashMap<ShortKey, usize> = HashMap::new();
    for name in names {
        let candidates = ShortNames::of(tree.name_units(*name));
        let mut is_free = |candidate: &[u16]| short_key(candidate, upcase).is_some_and(|key| taken.insert(key));
        let mut free = candidates.clone().take(FIRST).find(|candidate| is_free(candidate));
        if free.is_none() {
            let mut rest = candidates.skip(FIRST).peekable();
            let Some(first) = rest.peek().and_then(|candidate| short_key(candidate, upcase)) else {
                continue;
            };
            let skipped = known.entry(first).or_insert(0);
            free = rest.skip(*skipped).find(|candidate| {
                *skipped += 1;
                is_free(candidate)
            });
        }
        if let Some(short) = free {
            tree.store_short_name(*name, &short);
        }
    }
}

fn unpack(key: u32) -> Key {
    if key & SHORT != 0 {
        Key::Short(key & !SHORT)
    } else if key & SYSTEM != 0 {
        Key::System(key & !SYSTEM)
    } else {
        Key::Long(key)
    }
}

/// The name of the volume's own file at `record`.
pub(super) fn system_name(record: u32) -> Vec<u16> {
    SYSTEM_FILES[record as usize].name.encode_utf16().collect()
}

fn sort(tree: &Tree, keys: &mut [u32], upcase: &UpcaseTable) {
    let own: Vec<Vec<u16>> = (0..SYSTEM_FILES.len() as u32).map(system_name).collect();
    let units = |key: u32| match unpack(key) {
        Key::Long(name) => tree.name_units(name),
        Key::Short(name) => tree.short_name(name).unwrap_or_default(),
        Key::System(record) => &own[record as usize],
    };
    keys.sort_unstable_by(|left, right| upcase.collate(units(*left), units(*right)).then(left.cmp(right)));
}

fn check_names(tree: &Tree, rule: NameRule) -> Result<(), PlanError> {
    if rule == NameRule::Any {
        return Ok(());
    }
    let problems: Vec<_> = (0..tree.names.len() as u32)
        .filter_map(|number| {
            let fault = check_component(tree.name_units(number)).err()?;
            let mut path = tree.path(FileId(tree.names[number as usize].parent));
            if path.len() > 1 {
                path.push(u16::from(b'\\'));
            }
            path.extend_from_slice(tree.name_units(number));
            Some(NameProblem {
                path: wtf8::display(&path),
                reason: fault.to_string(),
            })
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(PlanError::Names(problems))
    }
}

/// Finds the names of one directory, which are `keys` in their order, that differ in case alone or not at all.
fn resolve_conflicts(
    tree: &mut Tree,
    directory: u32,
    keys: &mut [u32],
    rule: CaseConflicts,
    conflicts: &mut Vec<CaseConflict>,
) {
    let upcase = UpcaseTable::windows();
    let pairs: Vec<usize> = (1..keys.len())
        .filter(|position| {
            let (left, right) = (tree.name_units(keys[position - 1]), tree.name_units(keys[*position]));
            upcase.equal(left, right) && (rule != CaseConflicts::Keep || left == right)
        })
        .collect();
    if pairs.is_empty() {
        return;
    }
    if rule != CaseConflicts::Rename {
        conflicts.extend(pairs.iter().map(|position| CaseConflict {
            directory: tree.shown_path(FileId(directory)),
            names: [position - 1, *position].map(|position| wtf8::display(tree.name_units(keys[position]))),
        }));
        return;
    }
    let mut taken: HashSet<Vec<u16>> = keys.iter().map(|name| upcase.fold(tree.name_units(*name))).collect();
    for position in pairs {
        let name = keys[position];
        let old = tree.name_units(name).to_vec();
        // There are fewer names than numbers, so one is free.
        let free = (2..=u32::MAX).map(|number| numbered(&old, number));
        if let Some(new) = free.into_iter().find(|new| taken.insert(upcase.fold(new))) {
            tree.rename(name, &new);
        }
    }
    sort(tree, keys, upcase);
}

/// `name (2).txt` for `name.txt`.
fn numbered(name: &[u16], number: u32) -> Vec<u16> {
    let mark: Vec<u16> = format!(" ({number})").encode_utf16().collect();
    let dot = name
        .iter()
        .rposition(|unit| *unit == u16::from(b'.'))
        .filter(|dot| *dot > 0);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let extension = &extension[..extension.len().min(MAX_COMPONENT - mark.len() - 1)];
    let mut stem = &stem[..stem.len().min(MAX_COMPONENT - mark.len() - extension.len())];
    // A character is not cut in two.
    if let [rest @ .., 0xD800..=0xDBFF] = stem {
        stem = rest;
    }
    [stem, &mark, extension].concat()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Metadata;
    use super::*;

    fn tree(names: &[&str]) -> Tree {
        let mut tree = Tree::new();
        for name in names {
            let units: Vec<u16> = name.encode_utf16().collect();
            tree.add_file(Tree::ROOT, &units, &Metadata::default()).unwrap();
        }
        tree
    }

    fn shown(tree: &Tree, directories: &Directories) -> Vec<String> {
        directories
            .keys(0)
            .filter_map(|key| match key {
                Key::Long(name) => Some(wtf8::display(tree.name_units(name))),
                Key::Short(name) => Some(format!("[{}]", wtf8::display(tree.short_name(name).unwrap()))),
                Key::System(_) => None,
            })
            .collect()
    }

    #[test]
    fn names_that_are_one_to_windows_are_listed_or_renamed() {
        let names = ["b.txt", "A.txt", "a.txt", "a.TXT", "a (2).txt"];
        let mut refused = tree(&names);
        let Err(PlanError::CaseConflicts(conflicts)) = Directories::of(&mut refused, &PlanOptions::default()) else {
            panic!("no conflict found");
        };
        assert_eq!(conflicts.len(), 2);
        assert_eq!(conflicts[0].to_string(), r#""A.txt" and "a.TXT" in \"#);

        let options = PlanOptions {
            case_conflicts: CaseConflicts::Rename,
            ..PlanOptions::default()
        };
        let mut renamed = tree(&names);
        let directories = Directories::of(&mut renamed, &options).unwrap();
        let expected = ["a (2).txt", "a (3).TXT", "a (4).txt", "A.txt", "b.txt"];
        assert_eq!(shown(&renamed, &directories), expected);

        let options = PlanOptions {
            case_conflicts: CaseConflicts::Keep,
            ..PlanOptions::default()
        };
        let mut kept = tree(&names);
        let directories = Directories::of(&mut kept, &options).unwrap();
        assert_eq!(
            shown(&kept, &directories),
            ["a (2).txt", "A.txt", "a.TXT", "a.txt", "b.txt"]
        );
        let mut doubled = tree(&["a", "a"]);
        assert!(Directories::of(&mut doubled, &options).is_err());
    }

    #[test]
    fn names_that_windows_cannot_use_are_named() {
        let mut refused = tree(&["nul.txt", "a:b", "end.", "fine"]);
        let Err(PlanError::Names(problems)) = Directories::of(&mut refused, &PlanOptions::default()) else {
            panic!("no problem found");
        };
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, [r"\nul.txt", r"\a:b", r"\end."]);
        let any = PlanOptions {
            name_rule: NameRule::Any,
            ..PlanOptions::default()
        };
        assert!(Directories::of(&mut tree(&["nul.txt", "a:b", "end."]), &any).is_ok());
        assert!(matches!(
            Directories::of(&mut tree(&["$mft"]), &any),
            Err(PlanError::Names(_))
        ));
    }

    #[test]
    fn short_names_are_unique_in_their_directory() {
        let options = PlanOptions {
            short_names: true,
            ..PlanOptions::default()
        };
        let mut tree = tree(&["Long name one.txt", "Long name two.txt", "LONGNA~1.TXT", "short.txt"]);
        let directories = Directories::of(&mut tree, &options).unwrap();
        assert_eq!(
            shown(&tree, &directories),
            [
                "Long name one.txt",
                "Long name two.txt",
                "LONGNA~1.TXT",
                "[LONGNA~2.TXT]",
                "[LONGNA~3.TXT]",
                "short.txt"
            ]
        );
    }

    #[test]
    fn paths_that_are_too_long_are_named() {
        let mut tree = Tree::new();
        let name = [0x61; 250];
        let mut directory = Tree::ROOT;
        for _ in 0..131 {
            directory = tree.add_directory(directory, &name, &Metadata::default()).unwrap();
        }
        assert!(matches!(
            Directories::of(&mut tree, &PlanOptions::default()),
            Err(PlanError::Names(problems)) if problems.len() == 1
        ));
    }
}
