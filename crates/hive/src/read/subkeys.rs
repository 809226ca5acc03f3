//! The subkeys of a key: lists read from end to end, and searched.

use super::key::KeyRef;
use crate::structure::{Cells, LeafKind, ListHeader, Structure, in_file, u32_at};
use cv_disk::Damage;
use std::cmp::Ordering;

/// A leaf of a list of subkeys.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    kind: LeafKind,
    elements: &'a [u8],
}

/// A list as the key node names it.
pub(crate) enum List<'a> {
    Leaf(Leaf<'a>),
    /// Offsets of leaves.
    Root(&'a [u8]),
}

/// What could be read of a list, and what is wrong with it.
pub(crate) type Listed<T> = (T, Option<Damage>);

/// The list at `offset`, cut to what its cell holds.
pub(crate) fn list_at(cells: Cells<'_>, offset: u32) -> Result<Listed<List<'_>>, Damage> {
    let cell = cells.get(offset, ListHeader::NAME)?;
    let place = in_file(offset) + 4;
    let header = ListHeader::parse(cell, place)?;
    let kind = LeafKind::of(header.signature);
    if kind.is_none() && header.signature != ListHeader::INDEX_ROOT {
        let structure = format!("cell {offset:#x}: subkeys list, signature");
        let found = format!("{:02x?}", header.signature);
        return Err(Damage::new(structure, place, "\"lf\", \"lh\", \"li\" or \"ri\"", found));
    }
    let content = &cell[ListHeader::SIZE..];
    let size = kind.map_or(4, LeafKind::element_size);
    let count = usize::from(header.number_of_elements);
    let room = content.len() / size;
    let damage = (count > room).then(|| {
        let structure = format!("cell {offset:#x}: subkeys list, number of elements");
        Damage::new(structure, place + 2, format!("at most {room}"), count.to_string())
    });
    let elements = &content[..size * count.min(room)];
    let list = match kind {
        Some(kind) => List::Leaf(Leaf { kind, elements }),
        None => List::Root(elements),
    };
    Ok((list, damage))
}

/// The leaf at `offset`, which an index root names: it must not be an index root itself.
pub(crate) fn leaf_at(cells: Cells<'_>, offset: u32) -> Result<Listed<Leaf<'_>>, Damage> {
    match list_at(cells, offset)? {
        (List::Leaf(leaf), damage) => Ok((leaf, damage)),
        (List::Root(_), _) => {
            let structure = format!("cell {offset:#x}: subkeys list in an index root, signature");
            Err(Damage::new(
                structure,
                in_file(offset) + 4,
                "\"lf\", \"lh\" or \"li\"",
                "\"ri\"",
            ))
        }
    }
}

impl Leaf<'_> {
    /// Which kind of leaf it is.
    pub fn kind(&self) -> LeafKind {
        self.kind
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.elements.len() / self.kind.element_size()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The offset of the key node in element `number`; [`NO_CELL`](crate::structure::NO_CELL) where there is no such
    /// element.
    pub fn offset(&self, number: usize) -> u32 {
        let element = self.elements.get(number * self.kind.element_size()..);
        element
            .and_then(|element| element.first_chunk().copied())
            .map_or(u32::MAX, u32::from_le_bytes)
    }

    /// The hint or hash in element `number`.
    pub fn tag(&self, number: usize) -> u32 {
        match self.kind {
            LeafKind::Index => 0,
            LeafKind::Fast | LeafKind::Hash => u32_at(self.elements, number * self.kind.element_size() + 4),
        }
    }
}

/// The subkeys of a key, in the order of the list.
#[derive(Debug, Clone)]
pub struct Subkeys<'a> {
    cells: Cells<'a>,
    minor_version: u32,
    /// Offsets of the leaves that are still to come.
    leaves: &'a [u8],
    leaf: Leaf<'a>,
    position: usize,
    damage: Option<Damage>,
    /// Damage of the index root, given when all its leaves were.
    last_damage: Option<Damage>,
}

impl<'a> Subkeys<'a> {
    pub(crate) fn none(cells: Cells<'a>) -> Self {
        Self {
            cells,
            minor_version: 0,
            leaves: &[],
            leaf: Leaf {
                kind: LeafKind::Index,
                elements: &[],
            },
            position: 0,
            damage: None,
            last_damage: None,
        }
    }

    pub(crate) fn new(cells: Cells<'a>, minor_version: u32, offset: u32) -> Self {
        let mut subkeys = Self {
            minor_version,
            ..Self::none(cells)
        };
        match list_at(cells, offset) {
            Ok((List::Leaf(leaf), damage)) => {
                subkeys.leaf = leaf;
                subkeys.damage = damage;
            }
            Ok((List::Root(leaves), damage)) => {
                subkeys.leaves = leaves;
                subkeys.last_damage = damage;
            }
            Err(damage) => subkeys.damage = Some(damage),
        }
        subkeys
    }

    /// Enters the next leaf of the index root; `None` where there is no other.
    fn next_leaf(&mut self) -> Option<()> {
        let offset = u32::from_le_bytes(*self.leaves.first_chunk()?);
        self.leaves = &self.leaves[4..];
        self.position = 0;
        match leaf_at(self.cells, offset) {
            Ok((leaf, damage)) => {
                self.leaf = leaf;
                self.damage = damage;
            }
            Err(damage) => {
                self.leaf.elements = &[];
                self.damage = Some(damage);
            }
        }
        Some(())
    }

    fn key(&self, offset: u32) -> Result<KeyRef<'a>, Damage> {
        KeyRef::at(self.cells, self.minor_version, offset)
    }
}

impl<'a> Iterator for Subkeys<'a> {
    type Item = Result<KeyRef<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.position < self.leaf.len() {
                self.position += 1;
                return Some(self.key(self.leaf.offset(self.position - 1)));
            }
            if let Some(damage) = self.damage.take() {
                return Some(Err(damage));
            }
            if self.next_leaf().is_none() {
                return self.last_damage.take().map(Err);
            }
        }
    }
}

/// Finds the subkey of this name in a list from its start.
///
/// In a list that is in order a few comparisons of names are enough: the leaf is found by halving, in it the key by its
/// hash or by halving. A list that does not give the key so is searched from end to end by hashes and hints, which keeps a
/// key reachable whose list is out of order.
pub(crate) fn find<'a>(subkeys: Subkeys<'a>, name: &[u16]) -> Result<Option<KeyRef<'a>>, Damage> {
    if let Some(key) = find_in_order(&subkeys, name) {
        return Ok(Some(key));
    }
    find_anywhere(subkeys, name)
}

fn find_in_order<'a>(subkeys: &Subkeys<'a>, name: &[u16]) -> Option<KeyRef<'a>> {
    let leaf = if subkeys.leaves.is_empty() {
        subkeys.leaf
    } else {
        let count = subkeys.leaves.len() / 4;
        let leaf = |number: usize| leaf_at(subkeys.cells, u32_at(subkeys.leaves, 4 * number)).ok();
        // The last leaf whose first name is not beyond.
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            let first = subkeys.key(leaf(middle)?.0.offset(0)).ok()?;
            match first.name().compare(name) {
                Ordering::Equal => return Some(first),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        leaf(low.checked_sub(1)?)?.0
    };
    if leaf.kind == LeafKind::Hash {
        return by_tag(subkeys, leaf, name).0;
    }
    let (mut low, mut high) = (0, leaf.len());
    while low < high {
        let middle = low.midpoint(high);
        let key = subkeys.key(leaf.offset(middle)).ok()?;
        match key.name().compare(name) {
            Ordering::Equal => return Some(key),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
        }
    }
    None
}

fn find_anywhere<'a>(mut subkeys: Subkeys<'a>, name: &[u16]) -> Result<Option<KeyRef<'a>>, Damage> {
    let mut damage = subkeys.last_damage.take();
    loop {
        let (key, fault) = by_tag(&subkeys, subkeys.leaf, name);
        if let Some(key) = key {
            return Ok(Some(key));
        }
        damage = damage.or(fault).or_else(|| subkeys.damage.take());
        if subkeys.next_leaf().is_none() {
            return damage.map_or(Ok(None), Err);
        }
    }
}

/// The key of this name in a leaf, looking only at those whose hash or hint fits; and what damage was met.
fn by_tag<'a>(subkeys: &Subkeys<'a>, leaf: Leaf<'a>, name: &[u16]) -> Listed<Option<KeyRef<'a>>> {
    let wanted = leaf.kind.tag(name.iter().copied());
    let fits = |number: usize| match leaf.kind {
        LeafKind::Hash => leaf.tag(number) == wanted,
        // Hints keep case, and are left out where a name does not fit in: only ASCII letters fold within a byte there.
        LeafKind::Fast => {
            let hint = leaf.tag(number);
            hint == 0
                || wanted == 0
                || !hint.to_le_bytes().is_ascii()
                || !wanted.to_le_bytes().is_ascii()
                || hint.to_le_bytes().eq_ignore_ascii_case(&wanted.to_le_bytes())
        }
        LeafKind::Index => true,
    };
    let mut damage = None;
    for number in (0..leaf.len()).filter(|number| fits(*number)) {
        match subkeys.key(leaf.offset(number)) {
            Ok(key) if key.name().matches(name) => return (Some(key), damage),
            Ok(_) => {}
            Err(error) => damage = damage.or(Some(error)),
        }
    }
    (None, damage)
}
