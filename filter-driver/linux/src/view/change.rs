//! Attaching and detaching: a new stack takes the place of the old one, and what the kernel remembers of the difference is
//! named, so that it can be told.

use super::{NewMember, State, View, lock};
use crate::member::{Entry, Member};
use crate::nodes::ROOT;
use cv_overlay::{Attachment, Kind, Layer, LayerId, Names, Role, Stack};
use cv_winname::wtf8;
use std::collections::HashMap;
use std::sync::Arc;

/// Where a layer is to stand among those of its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// Right above that layer.
    Above(LayerId),
    /// Right below that layer.
    Below(LayerId),
}

impl Neighbour {
    fn layer(self) -> LayerId {
        match self {
            Self::Above(layer) | Self::Below(layer) => layer,
        }
    }
}

/// What the kernel must forget after a change of the stack.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Directories whose listings and attributes may have changed.
    pub directories: Vec<u64>,
    /// Names that lead elsewhere: the directory, the name in a spelling that was used.
    pub names: Vec<(u64, Box<[u8]>)>,
}

/// Somebody who has files of a layer open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The path in the view, as far as the file still has one.
    pub path: String,
    /// The processes that opened it.
    pub pids: Vec<u32>,
}

pub(super) fn stack(names: &Names, members: &[NewMember]) -> Stack<Arc<Member>> {
    let attachments = members.iter().map(|member| Attachment {
        priority: member.facts.priority,
        rules: member.rules.clone(),
        ..Attachment::new(member.facts.id, member.facts.role, member.member.clone())
    });
    Stack::new(names.clone(), attachments.collect())
}

impl View {
    /// Attaches a layer, above all that have no higher priority, and the folders that its rules send writes to; the view
    /// chooses their ids. Says what the kernel must forget.
    pub fn attach(&self, layer: NewMember, uppers: Vec<NewMember>) -> (LayerId, Changed) {
        let mut state = self.change();
        let id = LayerId(state.next_id);
        let member = layer.member.clone();
        let has_rules = !layer.rules.is_empty();
        for mut new in std::iter::once(layer).chain(uppers) {
            new.facts.id = LayerId(state.next_id);
            if let Role::Area(owner) = &mut new.facts.role {
                *owner = id;
            }
            state.next_id += 1;
            state.members.push(new);
        }
        self.restack(&mut state);
        drop(state);
        (id, self.changed(&member, has_rules))
    }

    /// Gives a layer another priority, and the place beside another layer where one is named. Says what the kernel must
    /// forget; `None` where there are no such layers.
    pub fn reorder(&self, id: LayerId, priority: i32, beside: Option<Neighbour>) -> Option<Changed> {
        let mut state = self.change();
        let is_layer = |member: &NewMember, id: LayerId| member.facts.id == id && member.facts.role == Role::Layer;
        let index = state.members.iter().position(|member| is_layer(member, id))?;
        let other = beside.map(Neighbour::layer);
        if other == Some(id) || other.is_some_and(|other| !state.members.iter().any(|member| is_layer(member, other))) {
            return None;
        }
        let mut moved = state.members.remove(index);
        moved.facts.priority = priority;
        let member = moved.member.clone();
        let has_rules = !moved.rules.is_empty();
        // Of equal priorities the later attached stands above.
        let place = match beside {
            None => index,
            Some(beside) => {
                let mut members = state.members.iter();
                let place = members.position(|member| is_layer(member, beside.layer()))?;
                match beside {
                    Neighbour::Above(_) => place + 1,
                    Neighbour::Below(_) => place,
                }
            }
        };
        state.members.insert(place, moved);
        self.restack(&mut state);
        drop(state);
        Some(self.changed(&member, has_rules))
    }

    /// Detaches a layer. While files of it are open that fails with their holders, unless it is forced; then they stay
    /// readable for who has them open.
    pub fn detach(&self, id: LayerId, force: bool) -> Result<Option<Changed>, Vec<Holder>> {
        let mut state = self.change();
        let Some(index) = state
            .members
            .iter()
            .position(|member| member.facts.id == id && member.facts.role == Role::Layer)
        else {
            return Ok(None);
        };
        if !force {
            let held = self.held(&state, id);
            if !held.is_empty() {
                return Err(held);
            }
        }
        let gone = state.members.remove(index);
        state.members.retain(|member| member.facts.role != Role::Area(id));
        self.restack(&mut state);
        drop(state);
        Ok(Some(self.changed(&gone.member, !gone.rules.is_empty())))
    }

    /// Who has files of a layer open, or files that its rules keep for it.
    pub fn holders(&self, id: LayerId) -> Vec<Holder> {
        self.held(&self.read(), id)
    }

    fn held(&self, state: &State, id: LayerId) -> Vec<Holder> {
        let is_own = |member: &&NewMember| member.facts.id == id || member.facts.role == Role::Area(id);
        let own = state.members.iter().filter(is_own);
        let held = own.flat_map(|member| self.files.held(member.facts.id));
        held.map(|(number, pids)| Holder {
            path: self.path(number).map_or_else(String::new, |path| path.to_string()),
            pids,
        })
        .collect()
    }

    fn restack(&self, state: &mut State) {
        state.stack = stack(&self.names, &state.members);
        state.version += 1;
        self.hives.changed();
        lock(&self.places).clear();
    }

    /// What the kernel knows that a layer has a part in. Its rules may have a part in anything.
    fn changed(&self, member: &Member, has_rules: bool) -> Changed {
        if has_rules {
            return self.changed_anywhere();
        }
        let mut changed = Changed::default();
        // For each directory that the kernel knows, what the layer has there.
        let mut directories: HashMap<u64, Option<Entry>> = HashMap::new();
        directories.insert(ROOT, member.root().ok().flatten());
        let nodes = self.nodes();
        let known: Vec<(u64, u64, Box<[u16]>)> = nodes
            .all()
            .map(|(number, parent, name)| (number, parent, name.into()))
            .collect();
        drop(nodes);
        let places: HashMap<u64, (u64, &[u16])> = known
            .iter()
            .map(|(number, parent, name)| (*number, (*parent, &**name)))
            .collect();
        let state = self.read();
        for (number, parent, name) in &known {
            let Some(directory) = Self::part(member, &places, &mut directories, *parent) else {
                continue;
            };
            if Self::touches(member, &directory, name) && !self.still_leads_to(&state, *parent, name, *number) {
                changed.names.push((*parent, wtf8::encode(name).into()));
            }
        }
        drop(state);
        let mut negatives = lock(&self.negatives);
        for (parent, names) in &mut negatives.names {
            let Some(directory) = Self::part(member, &places, &mut directories, *parent) else {
                continue;
            };
            names.retain(|name| {
                let is_there = wtf8::decode(name)
                    .is_ok_and(|units| Self::touches(member, &directory, &units) || cv_winname::is_short_name(&units));
                if is_there {
                    changed.names.push((*parent, name.clone()));
                }
                !is_there
            });
        }
        negatives.count = negatives.names.values().map(Vec::len).sum();
        drop(negatives);
        // Directories that the kernel knows keep their number, so that whoever works in one is not thrown out; what is
        // listed of them is to be read again.
        changed.directories = directories
            .iter()
            .filter(|(_, part)| part.is_some())
            .map(|(number, _)| *number)
            .collect();
        changed.directories.sort_unstable();
        changed
    }

    /// What the kernel knows and would now find to be something else.
    fn changed_anywhere(&self) -> Changed {
        let mut changed = Changed::default();
        let nodes = self.nodes();
        let known: Vec<(u64, u64, Box<[u16]>)> = nodes
            .all()
            .map(|(number, parent, name)| (number, parent, name.into()))
            .collect();
        drop(nodes);
        let state = self.read();
        for (number, parent, name) in &known {
            if !self.still_leads_to(&state, *parent, name, *number) {
                changed.names.push((*parent, wtf8::encode(name).into()));
            }
            changed.directories.push(*parent);
        }
        drop(state);
        let mut negatives = lock(&self.negatives);
        for (parent, names) in std::mem::take(&mut negatives.names) {
            changed.names.extend(names.into_iter().map(|name| (parent, name)));
        }
        negatives.count = 0;
        drop(negatives);
        changed.directories.push(ROOT);
        changed.directories.sort_unstable();
        changed.directories.dedup();
        changed
    }

    /// Whether what a member has in a directory may change what a name leads to. An opaque directory changes all; a name
    /// that cannot be read may lead anywhere.
    fn touches(member: &Member, directory: &Entry, name: &[u16]) -> bool {
        member.kind(directory) == Kind::OpaqueDirectory || !matches!(member.lookup(directory, name), Ok(None))
    }

    /// Whether a name leads to the same file or directory as before.
    fn still_leads_to(&self, state: &State, parent: u64, name: &[u16], number: u64) -> bool {
        let found = || -> Result<Option<u64>, rustix::io::Errno> {
            let directory = self.directory(state, parent)?;
            let place = state.stack.lookup(&directory, name).map_err(|error| error.errno())?;
            place
                .filter(|place| state.stack.name(place) == name)
                .map(|place| {
                    // Two copies of one file, as a rule may lead to, have one number until both are seen.
                    let (_, identity, _) = self.look_at(state, &place)?;
                    let is_other = !place.is_directory() && self.nodes().identity(number) != Some(identity);
                    if is_other {
                        return Ok(0);
                    }
                    self.known_number(state, &place)
                })
                .transpose()
        };
        matches!(found(), Ok(Some(found)) if found == number)
    }

    /// What a member has at a directory that the kernel knows.
    fn part(
        member: &Member,
        places: &HashMap<u64, (u64, &[u16])>,
        known: &mut HashMap<u64, Option<Entry>>,
        number: u64,
    ) -> Option<Entry> {
        let mut way = Vec::new();
        let mut at = number;
        while !known.contains_key(&at) {
            let Some((parent, name)) = places.get(&at).filter(|_| way.len() < usize::from(u16::MAX)) else {
                known.insert(at, None);
                break;
            };
            way.push((at, *name));
            at = *parent;
        }
        let mut entry = known.get(&at).cloned().flatten();
        for (number, name) in way.into_iter().rev() {
            entry = entry
                .filter(|entry| member.kind(entry).is_directory())
                .and_then(|entry| member.lookup(&entry, name).ok().flatten());
            known.insert(number, entry.clone());
        }
        entry.filter(|entry| member.kind(entry).is_directory())
    }
}
