//! Index trees: their nodes, the order of their keys, and which blocks they use.

use super::context::{Context, shown};
use super::file::{File, Held};
use super::findings::Findings;
use super::scan::Allowance;
use super::volume::{Clusters, Tally, Value};
use crate::structure::index::{EntryFlags, I30, IndexBlockHeader, IndexRootHeader, NodeFlags};
use crate::structure::{
    AttributeType, CollationRule, FileName, Geometry, IndexEntry, IndexHeader, Structure, fixup, moved, part,
    system_file, within,
};
use cv_disk::{Damage, Severity};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Levels of the deepest tree: one that deep of the fewest keys would fill any disk.
const DEEPEST: usize = 32;
/// An index of at most so many bytes is read as a whole.
const WHOLE: u64 = 8 << 20;
/// Bytes of a larger one that are read together.
const WINDOW: u64 = 64 << 10;

/// Bytes of a key that are shown.
const SHOWN: usize = 24;

/// Is called for each entry with a key, in the order of the keys, with the entry's place in the volume.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&IndexEntry<'_>, u64, &mut Findings);

/// Checks the index whose root is `root`, and hands its entries to `visit`.
pub(super) fn check(
    context: &Context,
    file: &File<'_>,
    root: &Held<'_>,
    allowance: &Allowance<'_>,
    findings: &mut Findings,
    visit: Visit<'_>,
) {
    let number = file.base.number;
    let name = root.attribute.name();
    let title = format!("index {}", shown(&name));
    let fault = |findings: &mut Findings, damage| findings.record(Severity::Error, number, within(damage, &title));
    let Some(value) = root.attribute.resident_value() else {
        return;
    };
    let root_place = root.value_place(context);
    let header = match IndexRootHeader::read_from(value, 0) {
        Ok(header) => header,
        Err(damage) => return fault(findings, moved(damage, root_place)),
    };
    if !check_root(context, number, &name, &header, root_place, &title, findings) {
        return;
    }
    let stream = |type_code, findings: &mut Findings| match file.value(context, type_code, &name) {
        Some(Ok(value)) => Some(value),
        Some(Err(damage)) => {
            fault(findings, within(damage, type_code));
            None
        }
        None => None,
    };
    let blocks = match stream(AttributeType::INDEX_ALLOCATION, findings) {
        Some(Value::Clusters(clusters)) => Some(clusters),
        _ => None,
    };
    if blocks
        .as_ref()
        .is_some_and(|blocks| !allowance.may_read_clusters(blocks, context))
    {
        let damage = context.damage(
            number,
            0,
            "$INDEX_ALLOCATION",
            "clusters of its own",
            "clusters of several files",
        );
        return fault(findings, damage);
    }
    let bitmap = stream(AttributeType::BITMAP, findings).filter(|bitmap| allowance.may_read(bitmap, context));
    let block_size = u64::from(header.bytes_per_index_buffer);
    if let Some(blocks) = &blocks {
        let size = blocks.size(&context.volume);
        if !size.is_multiple_of(block_size) {
            let expected = format!("a multiple of the block size, {block_size}");
            fault(
                findings,
                context.damage(number, 0, "$INDEX_ALLOCATION, data size", expected, size.to_string()),
            );
        }
    }
    let mut tree = Tree {
        context,
        number,
        title,
        // A wrong rule was told; the names are in order all the same.
        rule: if name == I30 {
            CollationRule::FILE_NAME
        } else {
            header.collation_rule
        },
        block_size,
        unit: u64::from(context.volume.geometry.index_vcn_unit(header.bytes_per_index_buffer)),
        blocks: blocks.as_ref(),
        window: Vec::new(),
        window_start: 0,
        reached: BTreeMap::new(),
        previous: None,
        is_damaged: false,
        findings,
        visit,
    };
    tree.node(
        value,
        IndexHeader::OFFSET_IN_ROOT,
        &|within| root_place + within as u64,
        0,
    );
    tree.compare_bitmap(bitmap.as_ref());
}

/// Checks the root's header; false where its blocks cannot be read by it.
fn check_root(
    context: &Context,
    number: u64,
    name: &[u16],
    header: &IndexRootHeader,
    place: u64,
    title: &str,
    findings: &mut Findings,
) -> bool {
    let mut fault = |severity, offset, field: &str, expected: String, found: String| {
        let damage = Damage::new(
            format!("{title}: $INDEX_ROOT, {field}"),
            place + offset,
            expected,
            found,
        );
        findings.record(severity, number, damage);
    };
    let geometry = &context.volume.geometry;
    let size = header.bytes_per_index_buffer;
    if !size.is_power_of_two() || !(512..=Geometry::MAX_BLOCK).contains(&size) {
        let expected = "a power of two from 512 to 65536".into();
        fault(Severity::Error, 8, "block size", expected, size.to_string());
        return false;
    }
    if name == I30 && size != geometry.index_block_size {
        let expected = format!("{}, as the boot sector has it", geometry.index_block_size);
        fault(Severity::Warning, 8, "block size", expected, size.to_string());
    }
    let per_block = size / geometry.index_vcn_unit(size);
    if u32::from(header.blocks_per_index_buffer) != per_block {
        let found = header.blocks_per_index_buffer.to_string();
        fault(
            Severity::Warning,
            0x0C,
            "clusters per block",
            per_block.to_string(),
            found,
        );
    }
    let known: &[(&[u16], AttributeType, CollationRule)] = &[
        (&I30, AttributeType::FILE_NAME, CollationRule::FILE_NAME),
        (&system_file::SII, AttributeType(0), CollationRule::NTOFS_ULONG),
        (&system_file::SDH, AttributeType(0), CollationRule::NTOFS_SECURITY_HASH),
        (&system_file::R, AttributeType(0), CollationRule::NTOFS_ULONGS),
        (&system_file::Q, AttributeType(0), CollationRule::NTOFS_ULONG),
    ];
    for (known, indexed, rule) in known {
        if *known != name {
            continue;
        }
        if header.indexed_attribute != *indexed {
            let (expected, found) = (
                format!("{:#x}", indexed.0),
                format!("{:#x}", header.indexed_attribute.0),
            );
            fault(Severity::Error, 0, "indexed attribute", expected, found);
        }
        if header.collation_rule != *rule {
            let found = format!("{:?}", header.collation_rule);
            fault(Severity::Error, 4, "collation rule", format!("{rule:?}"), found);
        }
    }
    true
}

struct Tree<'a, 'v> {
    context: &'a Context,
    number: u64,
    title: String,
    rule: CollationRule,
    block_size: u64,
    /// Bytes for which one virtual cluster number stands.
    unit: u64,
    blocks: Option<&'a Clusters>,
    /// Blocks that were read together, from that offset on.
    window: Vec<u8>,
    window_start: u64,
    /// Bits of the blocks that were met, 64 to a word.
    reached: BTreeMap<u64, u64>,
    previous: Option<Key>,
    is_damaged: bool,
    findings: &'a mut Findings,
    visit: Visit<'v>,
}

/// A key as it is compared.
enum Key {
    Name(Vec<u16>),
    Other(Vec<u8>),
}

impl Tree<'_, '_> {
    fn fault(&mut self, severity: Severity, damage: Damage) {
        self.findings.record(severity, self.number, within(damage, &self.title));
    }

    /// The tree cannot be followed there: what is missing from it says nothing.
    fn broken(&mut self, damage: Damage) {
        self.is_damaged = true;
        self.fault(Severity::Error, damage);
    }

    /// Checks the node whose header stands at `start` of `bytes`, and all below it. `place` says where a byte stands in the
    /// volume.
    fn node(&mut self, bytes: &[u8], start: usize, place: &dyn Fn(usize) -> u64, depth: usize) {
        let header = match IndexHeader::read_from(bytes, start) {
            Ok(header) => header,
            Err(damage) => {
                return self.broken(Damage {
                    offset: place(damage.offset as usize),
                    ..damage
                });
            }
        };
        let space = bytes.len() - start;
        let (used, available) = (header.first_free_byte as usize, header.bytes_available as usize);
        if available > space || used > available {
            let expected = format!("at most {space}, and used size at most that");
            let found = format!("{available}, used {used}");
            let damage = Damage::new("index header, allocated size", place(start + 8), expected, found);
            if used > space {
                return self.broken(damage);
            }
            self.fault(Severity::Error, damage);
        }
        let entries = match header.entries(bytes, start) {
            Ok(entries) => entries,
            Err(damage) => {
                return self.broken(Damage {
                    offset: place(damage.offset as usize),
                    ..damage
                });
            }
        };
        let has_children = header.flags.contains(NodeFlags::INDEX_NODE);
        let mut end = start + header.first_index_entry as usize;
        let mut is_ended = false;
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(damage) => {
                    return self.broken(Damage {
                        offset: place(damage.offset as usize),
                        ..damage
                    });
                }
            };
            end = entry.offset + entry.bytes.len();
            is_ended = entry.is_end();
            if entry.header.flags.contains(EntryFlags::INDEX_ENTRY_NODE) != has_children {
                let expected = if has_children {
                    "a child, as the node has them"
                } else {
                    "no child, in a leaf"
                };
                let found = format!("{:#x}", entry.header.flags.bits());
                self.fault(
                    Severity::Error,
                    Damage::new("index entry, flags", place(entry.offset + 0x0C), expected, found),
                );
            }
            if let Some(child) = entry.child() {
                self.child(child, place(entry.offset + entry.bytes.len() - 8), depth);
            }
            if !entry.is_end() {
                let at = place(entry.offset);
                self.check_order(&entry, at);
                (self.visit)(&entry, at, self.findings);
            }
        }
        if is_ended && end != start + used {
            let damage = Damage::new(
                "index header, used size",
                place(start + 4),
                (end - start).to_string(),
                used.to_string(),
            );
            self.fault(Severity::Warning, damage);
        }
    }

    fn child(&mut self, vcn: u64, place: u64, depth: usize) {
        let fault = |expected: String, found: String| Damage::new("index entry, child", place, expected, found);
        let Some(blocks) = self.blocks else {
            return self.broken(fault("an $INDEX_ALLOCATION for its blocks".into(), "none".into()));
        };
        let count = blocks.size(&self.context.volume) / self.block_size;
        let offset = vcn.checked_mul(self.unit);
        let number = offset
            .filter(|offset| offset.is_multiple_of(self.block_size))
            .map(|offset| offset / self.block_size);
        let Some(number) = number.filter(|number| *number < count) else {
            return self.broken(fault(format!("a block of the index's {count}"), format!("VCN {vcn}")));
        };
        let word = self.reached.entry(number / 64).or_default();
        if *word >> (number % 64) & 1 == 1 {
            return self.broken(fault("a block that is reached once".into(), format!("VCN {vcn} again")));
        }
        *word |= 1 << (number % 64);
        if depth == DEEPEST {
            return self.broken(fault(format!("at most {DEEPEST} levels"), "more".into()));
        }
        match self.block(number, vcn) {
            Ok(bytes) => {
                let start = number * self.block_size;
                let volume = &self.context.volume;
                let place_of = |within: usize| {
                    let place = blocks.place(start + within as u64, volume);
                    place.map_or(0, |place| place.start)
                };
                self.node(&bytes, IndexHeader::OFFSET_IN_BLOCK, &place_of, depth + 1);
            }
            Err(damage) => self.broken(damage),
        }
    }

    /// Block `number`, with its fixups applied.
    fn block(&mut self, number: u64, vcn: u64) -> Result<Vec<u8>, Damage> {
        let Some(blocks) = self.blocks else {
            return Ok(Vec::new());
        };
        let volume = &self.context.volume;
        let offset = number * self.block_size;
        let place = blocks.place(offset, volume).map_or(0, |place| place.start);
        let is_held = offset >= self.window_start
            && offset + self.block_size <= self.window_start + self.window.len() as u64
            && !self.window.is_empty();
        if !is_held {
            let size = blocks.size(volume);
            let range = if size <= WHOLE {
                0..size
            } else {
                let start = offset / WINDOW * WINDOW;
                start..size.min(start + WINDOW)
            };
            self.window.resize((range.end - range.start) as usize, 0);
            self.window_start = range.start;
            if let Err(damage) = blocks.read(&mut self.window, range.start, volume, "index block") {
                self.window.clear();
                return Err(damage);
            }
        }
        let start = (offset - self.window_start) as usize;
        let mut bytes = part(&self.window, start, self.block_size as usize, "index block")?.to_vec();
        fixup::apply(&mut bytes, IndexBlockHeader::SIGNATURE).map_err(|damage| moved(damage, place))?;
        let header = IndexBlockHeader::read_from(&bytes, 0)?;
        if header.this_block != vcn {
            return Err(Damage::new(
                "INDX header, VCN",
                place + 0x10,
                vcn.to_string(),
                header.this_block.to_string(),
            ));
        }
        let array = header.multi_sector_header;
        let array_end =
            usize::from(array.update_sequence_array_offset) + 2 * usize::from(array.update_sequence_array_size);
        let node = IndexHeader::read_from(&bytes, IndexHeader::OFFSET_IN_BLOCK)?;
        let first = IndexHeader::OFFSET_IN_BLOCK + node.first_index_entry as usize;
        if first < array_end {
            return Err(Damage::new(
                "index header, first entry",
                place + 0x18,
                format!("behind the update sequence array, which ends at {array_end:#x}"),
                format!("{first:#x}"),
            ));
        }
        Ok(bytes)
    }

    fn check_order(&mut self, entry: &IndexEntry<'_>, place: u64) {
        let key = entry.key();
        let current = if self.rule == CollationRule::FILE_NAME {
            Key::Name(cv_winname::wtf8::from_le_bytes(
                FileName::name_bytes(key).unwrap_or_default(),
            ))
        } else {
            Key::Other(key.to_vec())
        };
        let order = match (&self.previous, &current) {
            (Some(Key::Name(previous)), Key::Name(current)) => self.context.upcase.collate(previous, current),
            (Some(Key::Other(previous)), Key::Other(current)) => {
                self.rule.compare(previous, current, &self.context.upcase)
            }
            _ => Ordering::Less,
        };
        if order != Ordering::Less {
            let text = |key: &Key| match key {
                Key::Name(name) => super::file::quoted(name),
                Key::Other(key) => format!("{:02x?}", &key[..key.len().min(SHOWN)]),
            };
            let found = match &self.previous {
                Some(previous) => format!("{} behind {}", text(&current), text(previous)),
                None => text(&current),
            };
            self.fault(
                Severity::Error,
                Damage::new("order of entries", place, "keys that ascend", found),
            );
        }
        self.previous = Some(current);
    }

    /// Compares the bitmap of blocks with those that the tree reaches.
    fn compare_bitmap(&mut self, bitmap: Option<&Value>) {
        let volume = &self.context.volume;
        let count = self.blocks.map_or(0, |blocks| blocks.size(volume) / self.block_size);
        let Some(bitmap) = bitmap else {
            return;
        };
        let size = bitmap.size(volume);
        if size < count.div_ceil(8) {
            let expected = format!("at least {} bytes, a bit for each block", count.div_ceil(8));
            let damage = Damage::new("$BITMAP, size", bitmap.place(0, volume), expected, size.to_string());
            self.fault(Severity::Error, damage);
        }
        let mut unreached = Tally::default();
        let mut behind = Tally::default();
        let mut reached = std::mem::take(&mut self.reached);
        for word in bitmap.words(volume, "$BITMAP") {
            let (word, marked) = match word {
                Ok(word) => word,
                Err(damage) => return self.broken(damage),
            };
            let reached = reached.get_mut(&word);
            let unused = marked & !reached.as_deref().copied().unwrap_or(0);
            if let Some(reached) = reached {
                *reached &= !marked;
            }
            let inside = match count.saturating_sub(word * 64) {
                left @ 0..64 => (1 << left) - 1,
                _ => u64::MAX,
            };
            unreached.add(word, unused & inside);
            behind.add(word, unused & !inside);
        }
        for (word, bits) in reached.into_iter().filter(|(_, bits)| *bits != 0) {
            let block = word * 64 + u64::from(bits.trailing_zeros());
            let expected = format!("block {block} marked, as the index uses it");
            let found = format!("clear, as {} of 64 that it uses", bits.count_ones());
            self.fault(
                Severity::Error,
                Damage::new("$BITMAP", bitmap.place(block / 8, volume), expected, found),
            );
        }
        if behind.count > 0 {
            let expected = format!("no bit set behind the index's {count} blocks");
            let place = bitmap.place(behind.first / 8, volume);
            self.fault(
                Severity::Warning,
                Damage::new("$BITMAP", place, expected, behind.to_string()),
            );
        }
        if unreached.count > 0 && !self.is_damaged {
            let expected = "blocks clear to which nothing in the index leads";
            let place = bitmap.place(unreached.first / 8, volume);
            self.fault(
                Severity::Warning,
                Damage::new("$BITMAP", place, expected, unreached.to_string()),
            );
        }
    }
}
