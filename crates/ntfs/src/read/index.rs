//! Reading the B-trees.

use crate::error::FileError;
use crate::read::attribute::{Content, FileAttribute};
use crate::read::file::File;
use crate::read::stream::Stream;
use crate::read::volume::Volume;
use crate::structure::index::{IndexBlockHeader, IndexRootHeader};
use crate::structure::{AttributeType, CollationRule, IndexEntry, IndexHeader, Structure, fixup, within};
use cv_disk::{Damage, ReadAt};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Nodes on the way down; more than any tree has whose blocks are at least a third full.
const MAX_DEPTH: usize = 64;

/// Blocks that cannot be read after which a walk looks for no more of them.
const MAX_FAILURES: u32 = 1000;

/// An index: the root in `$INDEX_ROOT` and the blocks in `$INDEX_ALLOCATION`.
#[derive(Debug, Clone)]
pub struct Index {
    volume: Volume,
    record: u64,
    name: String,
    root: Vec<u8>,
    root_header: IndexRootHeader,
    block_size: u32,
    vcn_unit: u32,
    blocks: Option<Stream>,
    /// Bit by block whether it is in use.
    bitmap: Option<Vec<u8>>,
}

/// A node: its bytes, and where its header stands in them.
#[derive(Debug, Clone)]
pub struct Node {
    /// Virtual cluster number of its block; `None` for the root.
    pub vcn: Option<u64>,
    /// The value of `$INDEX_ROOT`, or the block with its fixups undone.
    pub bytes: Vec<u8>,
    header_offset: usize,
}

impl Node {
    /// Its header.
    pub fn header(&self) -> Result<IndexHeader, Damage> {
        IndexHeader::read_from(&self.bytes, self.header_offset)
    }

    /// Its entries up to the one without a key.
    pub fn entries(&self) -> Result<crate::structure::IndexEntries<'_>, Damage> {
        self.header()?.entries(&self.bytes, self.header_offset)
    }
}

impl Index {
    pub(crate) fn open(file: &File, name: &[u16]) -> Result<Self, FileError> {
        let record = file.reference().record();
        let shown = cv_winname::wtf8::display(name);
        let damaged =
            |damage| FileError::damaged(record, within(damage, format_args!("file record {record}, {shown}")));
        let root = match file
            .attribute(AttributeType::INDEX_ROOT, name)
            .map(|root| &root.content)
        {
            Some(Content::Resident(root)) => root.clone(),
            Some(Content::NonResident(_)) => {
                return Err(damaged(Damage::new("$INDEX_ROOT", 0, "a resident value", "another")));
            }
            None => {
                let missing = Damage::new("$INDEX_ROOT", 0, "an attribute", "none");
                return Err(damaged(file.damage().first().cloned().unwrap_or(missing)));
            }
        };
        let root_header = IndexRootHeader::read_from(&root, 0).map_err(damaged)?;
        let geometry = *file.volume().geometry();
        let block_size = root_header.bytes_per_index_buffer;
        if !block_size.is_power_of_two() || !(512..=crate::structure::Geometry::MAX_BLOCK).contains(&block_size) {
            return Err(damaged(Damage::new(
                "$INDEX_ROOT, bytes per index block",
                8,
                "a power of two from 512 to 65536",
                block_size.to_string(),
            )));
        }
        let allocation = file.attribute(AttributeType::INDEX_ALLOCATION, name);
        let blocks = allocation
            .map(|allocation| file.attribute_stream(allocation))
            .transpose()?;
        let bitmap = file
            .attribute(AttributeType::BITMAP, name)
            .and_then(|bitmap| read_bitmap(file, bitmap));
        Ok(Self {
            volume: file.volume().clone(),
            record,
            name: shown,
            root,
            root_header,
            block_size,
            vcn_unit: geometry.index_vcn_unit(block_size),
            blocks,
            bitmap,
        })
    }

    /// The volume it is on.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// The record of its file.
    pub fn record(&self) -> u64 {
        self.record
    }

    /// How its keys are sorted.
    pub fn collation_rule(&self) -> CollationRule {
        self.root_header.collation_rule
    }

    /// The fixed part of `$INDEX_ROOT`.
    pub fn root_header(&self) -> &IndexRootHeader {
        &self.root_header
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u32 {
        self.block_size
    }

    /// Bytes of `$INDEX_ALLOCATION` in units of blocks.
    pub fn block_count(&self) -> u64 {
        self.blocks
            .as_ref()
            .map_or(0, |blocks| blocks.len() / u64::from(self.block_size))
    }

    /// Whether `$BITMAP` says that block `number` is in use; `None` where there is no `$BITMAP` that reaches so far.
    pub fn is_block_in_use(&self, number: u64) -> Option<bool> {
        let byte = self.bitmap.as_ref()?.get(usize::try_from(number / 8).ok()?)?;
        Some(byte >> (number % 8) & 1 == 1)
    }

    /// The virtual cluster number of block `number`.
    pub fn block_vcn(&self, number: u64) -> u64 {
        number * u64::from(self.block_size / self.vcn_unit.min(self.block_size))
    }

    fn damaged(&self, damage: Damage) -> FileError {
        let place = format_args!("file record {}, {}", self.record, self.name);
        FileError::damaged(self.record, within(damage, place))
    }

    /// The root.
    pub fn root(&self) -> Node {
        Node {
            vcn: None,
            bytes: self.root.clone(),
            header_offset: IndexHeader::OFFSET_IN_ROOT,
        }
    }

    /// The node in the block at `vcn`. The offsets that its damage tells count from the start of `$INDEX_ALLOCATION`.
    pub fn node(&self, vcn: u64) -> Result<Node, FileError> {
        let Some(offset) = vcn.checked_mul(u64::from(self.vcn_unit)) else {
            return Err(self.damaged(Damage::new("index entry, child", 0, "a block", vcn.to_string())));
        };
        let Some(blocks) = &self.blocks else {
            return Err(self.damaged(Damage::new("$INDEX_ALLOCATION", 0, "an attribute", "none")));
        };
        let mut bytes = vec![0; self.block_size as usize];
        blocks
            .read_at(&mut bytes, offset)
            .map_err(|error| FileError::read(self.record, error))?;
        let damaged = |damage| self.damaged(within(crate::structure::moved(damage, offset), "$INDEX_ALLOCATION"));
        fixup::apply(&mut bytes, IndexBlockHeader::SIGNATURE).map_err(damaged)?;
        let header = IndexBlockHeader::read_from(&bytes, 0).map_err(damaged)?;
        // Also what keeps a walk from going round in circles.
        if header.this_block != vcn {
            return Err(damaged(Damage::new(
                "INDX header, own VCN",
                0x10,
                vcn.to_string(),
                header.this_block.to_string(),
            )));
        }
        Ok(Node {
            vcn: Some(vcn),
            bytes,
            header_offset: IndexHeader::OFFSET_IN_BLOCK,
        })
    }

    /// Looks for an entry by descending: `order` says how a key compares with what is looked for. Gives what `take` makes of
    /// the entry that is equal; every entry passed on the way is shown to `passed`.
    pub(crate) fn descend<T>(
        &self,
        order: impl Fn(&[u8]) -> Result<Ordering, Damage>,
        mut passed: impl FnMut(&IndexEntry) -> Result<(), Damage>,
        take: impl Fn(&IndexEntry) -> Result<T, Damage>,
    ) -> Result<Option<T>, FileError> {
        let mut node = self.root();
        for _ in 0..MAX_DEPTH {
            let mut child = None;
            for entry in node.entries().map_err(|damage| self.damaged(damage))? {
                let entry = entry.map_err(|damage| self.damaged(damage))?;
                if !entry.is_end() {
                    passed(&entry).map_err(|damage| self.damaged(damage))?;
                    match order(entry.key()).map_err(|damage| self.damaged(damage))? {
                        Ordering::Less => continue,
                        Ordering::Equal => return take(&entry).map(Some).map_err(|damage| self.damaged(damage)),
                        Ordering::Greater => {}
                    }
                }
                child = entry.child();
                break;
            }
            match child {
                Some(vcn) => node = self.node(vcn)?,
                None => return Ok(None),
            }
        }
        Err(self.damaged(Damage::new("index", 0, format!("at most {MAX_DEPTH} levels"), "more")))
    }

    /// What `take` makes of the entry whose key is `key`, found by descending.
    pub fn find<T>(&self, key: &[u8], take: impl Fn(&IndexEntry) -> Result<T, Damage>) -> Result<Option<T>, FileError> {
        let rule = self.collation_rule();
        let upcase = self.volume.upcase();
        self.descend(|own| Ok(rule.compare(own, key, upcase)), |_| Ok(()), take)
    }

    /// What `take` makes of each entry, in the order of the keys.
    ///
    /// A damaged part yields an error in its place and the others follow; then come, where something was damaged, the entries
    /// of the blocks in use that nothing readable led to.
    pub fn entries<T, F: Fn(&IndexEntry) -> Result<T, Damage>>(&self, take: F) -> Entries<'_, T, F> {
        let mut entries = Entries {
            index: self,
            take,
            stack: Vec::new(),
            visited: HashSet::new(),
            failures: 0,
            sweep: 0,
        };
        entries.enter(&self.root());
        entries
    }
}

fn read_bitmap(file: &File, attribute: &FileAttribute) -> Option<Vec<u8>> {
    /// Blocks for some tens of millions of names.
    const MAX_BITMAP: u64 = 1 << 20;
    if let Content::Resident(value) = &attribute.content {
        return Some(value.clone());
    }
    let stream = file.attribute_stream(attribute).ok()?;
    let mut bytes = vec![0; stream.len().min(MAX_BITMAP) as usize];
    stream.read_at(&mut bytes, 0).ok()?;
    Some(bytes)
}

/// The entries of an index ([`Index::entries`]).
#[derive(Debug)]
pub struct Entries<'a, T, F> {
    index: &'a Index,
    take: F,
    /// What is still to come of each node on the way from the root, the next step last.
    stack: Vec<Vec<Step<T>>>,
    visited: HashSet<u64>,
    failures: u32,
    /// The next block to look at once all that is reachable was visited.
    sweep: u64,
}

/// A step of a walk through a node.
#[derive(Debug)]
enum Step<T> {
    Entry(T),
    Child(u64),
    Damage(Damage),
}

impl<T, F: Fn(&IndexEntry) -> Result<T, Damage>> Entries<'_, T, F> {
    fn enter(&mut self, node: &Node) {
        let mut steps = Vec::new();
        match node.entries() {
            Err(damage) => steps.push(Step::Damage(damage)),
            Ok(entries) => {
                for entry in entries {
                    let entry = match entry {
                        Ok(entry) => entry,
                        Err(damage) => {
                            steps.push(Step::Damage(damage));
                            break;
                        }
                    };
                    steps.extend(entry.child().map(Step::Child));
                    if !entry.is_end() {
                        steps.push((self.take)(&entry).map_or_else(Step::Damage, Step::Entry));
                    }
                }
            }
        }
        steps.reverse();
        self.stack.push(steps);
    }

    fn enter_child(&mut self, vcn: u64) -> Result<(), FileError> {
        if !self.visited.insert(vcn) {
            return Err(self.index.damaged(Damage::new(
                "index entry, child",
                0,
                "a block that no other entry leads to",
                format!("VCN {vcn}"),
            )));
        }
        let node = self.index.node(vcn)?;
        self.enter(&node);
        Ok(())
    }

    /// The next block in use that was not visited.
    fn next_unreached(&mut self) -> Option<u64> {
        let is_of_use = 1..MAX_FAILURES;
        while is_of_use.contains(&self.failures) && self.sweep < self.index.block_count() {
            let number = self.sweep;
            self.sweep += 1;
            let vcn = self.index.block_vcn(number);
            match self.index.is_block_in_use(number) {
                Some(true) if !self.visited.contains(&vcn) => return Some(vcn),
                Some(_) => {}
                // The bitmap ends here.
                None => return None,
            }
        }
        None
    }
}

impl<T, F: Fn(&IndexEntry) -> Result<T, Damage>> Iterator for Entries<'_, T, F> {
    type Item = Result<T, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let step = match self.stack.last_mut() {
                Some(steps) => steps.pop(),
                None => Some(Step::Child(self.next_unreached()?)),
            };
            let failure = match step {
                None => {
                    self.stack.pop();
                    continue;
                }
                Some(Step::Entry(entry)) => return Some(Ok(entry)),
                Some(Step::Damage(damage)) => self.index.damaged(damage),
                Some(Step::Child(vcn)) => match self.enter_child(vcn) {
                    Ok(()) => continue,
                    Err(failure) => failure,
                },
            };
            self.failures += 1;
            return Some(Err(failure));
        }
    }
}
