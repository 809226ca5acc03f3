//! Which cells a hive has, in which order.
//!
//! [`lay_out`] runs twice over the plan: with [`Measure`], which only gives places, and with the output, which fills the
//! same cells in the same order. What a cell refers to is either before it, or has its place from the first run.

use super::error::WriteError;
use super::form::{data_size, inline_data, name_form, put_name, put_units};
use super::options::Version;
use super::place::Places;
use super::plan::{Plan, PlannedKey};
use crate::structure::key_value::KeyValueFlags;
use crate::structure::{
    BigData, KeyNode, KeyNodeFlags, KeySecurity, KeyValue, LeafKind, ListHeader, NO_CELL, Structure,
};
use crate::tree::{Key, Value};
use cv_overlay::registry::ValueState;
use std::ops::Range;

/// Takes cells one after the other.
pub(super) trait Sink {
    /// A cell of `length` bytes, zeros that `fill` changes, and its place.
    fn cell(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> Result<u32, WriteError>;
}

/// Gives places, and fills nothing.
pub(super) struct Measure(pub Places);

impl Sink for Measure {
    fn cell(&mut self, length: usize, _: impl FnOnce(&mut [u8])) -> Result<u32, WriteError> {
        self.0.next(length)
    }
}

/// Hands all cells of the plan to `sink`, and notes their places in the plan.
pub(super) fn lay_out(plan: &mut Plan<'_>, sink: &mut impl Sink) -> Result<(), WriteError> {
    plan.keys[0].node = node(plan, 0, sink)?;
    for number in 0..plan.securities.len() {
        plan.securities[number].item = security(plan, number, sink)?;
    }
    let mut offsets = Vec::new();
    let mut pending = vec![0_u32];
    while let Some(position) = pending.pop() {
        let key = plan.keys[position as usize].key;
        let class = class(key, sink)?;
        let values = values(key, plan.version, &mut offsets, sink)?;
        let subkeys = subkeys_of(&plan.keys[position as usize]);
        for subkey in subkeys.clone() {
            plan.keys[subkey as usize].node = node(plan, subkey as usize, sink)?;
        }
        let list = subkeys_list(plan, subkeys.clone(), &mut offsets, sink)?;
        let planned = &mut plan.keys[position as usize];
        planned.class = class;
        planned.values = values;
        planned.subkeys = list;
        pending.extend(subkeys.rev());
    }
    Ok(())
}

fn subkeys_of(planned: &PlannedKey<'_>) -> Range<u32> {
    planned.first_subkey..planned.first_subkey + planned.key.subkeys.len() as u32
}

fn put_offsets(offsets: &[u32], bytes: &mut [u8]) {
    for (place, offset) in bytes.chunks_exact_mut(4).zip(offsets) {
        place.copy_from_slice(&offset.to_le_bytes());
    }
}

fn node(plan: &Plan<'_>, position: usize, sink: &mut impl Sink) -> Result<u32, WriteError> {
    let planned = &plan.keys[position];
    let key = planned.key;
    let units = key.name.units();
    let (length, is_compressed) = name_form(units);
    sink.cell(KeyNode::SIZE + length, |bytes| {
        let mut flags = KeyNodeFlags::from_bits_truncate(key.flags.bits() as u16);
        flags.set(KeyNodeFlags::COMP_NAME, is_compressed);
        flags.set(KeyNodeFlags::SYM_LINK, key.is_link);
        if position == 0 {
            flags |= KeyNodeFlags::HIVE_ENTRY | KeyNodeFlags::NO_DELETE;
        }
        let parent = match position {
            0 => NO_CELL,
            _ => plan.keys[planned.parent as usize].node,
        };
        let class_length = key.class.as_ref().map_or(0, |class| 2 * class.units().len());
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let subkey_names = &mut key.subkeys.iter().map(|subkey| 2 * subkey.name.units().len());
        let subkey_classes = &mut key.subkeys.iter().filter_map(|subkey| subkey.class.as_ref());
        let value_names = &mut key.values.iter().map(|value| 2 * value.name.units().len());
        KeyNode {
            signature: KeyNode::SIGNATURE,
            flags,
            last_written: key.last_written,
            access_bits: 0,
            layered_key_bits: KeyNode::layered_key_bits_of(key.state, key.inherits_class),
            spare: 0,
            parent,
            number_of_subkeys: key.subkeys.len() as u32,
            number_of_volatile_subkeys: 0,
            subkeys_list_offset: planned.subkeys,
            volatile_subkeys_list_offset: NO_CELL,
            number_of_key_values: key.values.len() as u32,
            key_values_list_offset: planned.values,
            key_security_offset: plan.securities[planned.security as usize].item,
            class_name_offset: planned.class,
            largest_subkey_name_length: longest(subkey_names) as u16,
            control_and_user_flags: (key.flags.bits() >> 16) as u8,
            debug: 0,
            largest_subkey_class_name_length: longest(&mut subkey_classes.map(|class| 2 * class.units().len())) as u32,
            largest_value_name_length: longest(value_names) as u32,
            largest_value_data_size: longest(&mut key.values.iter().map(|value| value.data.len())) as u32,
            work_var: 0,
            key_name_length: length as u16,
            class_name_length: class_length as u16,
        }
        .put(bytes);
        put_name(units, is_compressed, &mut bytes[KeyNode::SIZE..]);
    })
}

fn security(plan: &Plan<'_>, number: usize, sink: &mut impl Sink) -> Result<u32, WriteError> {
    let security = &plan.securities[number];
    let count = plan.securities.len();
    let item = |number: usize| plan.securities[number % count].item;
    sink.cell(KeySecurity::SIZE + security.descriptor.len(), |bytes| {
        KeySecurity {
            signature: KeySecurity::SIGNATURE,
            reserved: 0,
            flink: item(number + 1),
            blink: item(number + count - 1),
            reference_count: security.references,
            security_descriptor_size: security.descriptor.len() as u32,
        }
        .put(bytes);
        bytes[KeySecurity::SIZE..].copy_from_slice(&security.descriptor);
    })
}

fn class(key: &Key, sink: &mut impl Sink) -> Result<u32, WriteError> {
    match &key.class {
        Some(class) if !class.is_empty() => sink.cell(2 * class.units().len(), |bytes| put_units(class.units(), bytes)),
        _ => Ok(NO_CELL),
    }
}

/// The values of a key and their list.
fn values(key: &Key, version: Version, offsets: &mut Vec<u32>, sink: &mut impl Sink) -> Result<u32, WriteError> {
    if key.values.is_empty() {
        return Ok(NO_CELL);
    }
    offsets.clear();
    for value in &key.values {
        let data = data(value, version, sink)?;
        offsets.push(self::value(value, data, sink)?);
    }
    sink.cell(4 * offsets.len(), |bytes| put_offsets(offsets, bytes))
}

fn value(value: &Value, data_offset: u32, sink: &mut impl Sink) -> Result<u32, WriteError> {
    let units = value.name.units();
    let (length, is_compressed) = name_form(units);
    sink.cell(KeyValue::SIZE + length, |bytes| {
        let mut flags = KeyValueFlags::empty();
        flags.set(KeyValueFlags::COMP_NAME, is_compressed);
        flags.set(KeyValueFlags::TOMBSTONE, value.state == ValueState::Tombstone);
        KeyValue {
            signature: KeyValue::SIGNATURE,
            name_length: length as u16,
            data_size: data_size(value),
            data_offset,
            data_type: value.value_type.0,
            flags,
            spare: 0,
        }
        .put(bytes);
        put_name(units, is_compressed, &mut bytes[KeyValue::SIZE..]);
    })
}

/// The cells of data; what stands in the value's record as its place.
fn data(value: &Value, version: Version, sink: &mut impl Sink) -> Result<u32, WriteError> {
    let data = &*value.data;
    if let Some(offset) = inline_data(value) {
        return Ok(offset);
    }
    if data.len() > BigData::SEGMENT && version.minor() >= BigData::SINCE_MINOR_VERSION {
        big_data(data, sink)
    } else {
        sink.cell(data.len(), |bytes| bytes.copy_from_slice(data))
    }
}

fn big_data(data: &[u8], sink: &mut impl Sink) -> Result<u32, WriteError> {
    let mut segments = Vec::with_capacity(data.len().div_ceil(BigData::SEGMENT));
    for segment in data.chunks(BigData::SEGMENT) {
        segments.push(sink.cell(BigData::SEGMENT_CELL, |bytes| {
            bytes[..segment.len()].copy_from_slice(segment);
        })?);
    }
    let list = sink.cell(4 * segments.len(), |bytes| put_offsets(&segments, bytes))?;
    sink.cell(BigData::SIZE, |bytes| {
        BigData {
            signature: BigData::SIGNATURE,
            number_of_segments: segments.len() as u16,
            segments_list_offset: list,
        }
        .put(bytes);
    })
}

/// The list of the subkeys at these positions: a leaf, or an index root over leaves.
fn subkeys_list(
    plan: &Plan<'_>,
    subkeys: Range<u32>,
    leaves: &mut Vec<u32>,
    sink: &mut impl Sink,
) -> Result<u32, WriteError> {
    if subkeys.is_empty() {
        return Ok(NO_CELL);
    }
    let is_one = subkeys.len() <= LeafKind::MAX_ELEMENTS;
    let kind = LeafKind::for_version(plan.version.minor(), !is_one);
    leaves.clear();
    for part in plan.keys[subkeys.start as usize..subkeys.end as usize].chunks(LeafKind::MAX_ELEMENTS) {
        leaves.push(leaf(part, kind, sink)?);
    }
    if is_one {
        return Ok(leaves.first().copied().unwrap_or(NO_CELL));
    }
    sink.cell(ListHeader::SIZE + 4 * leaves.len(), |bytes| {
        put_list_header(ListHeader::INDEX_ROOT, leaves.len(), bytes);
        put_offsets(leaves, &mut bytes[ListHeader::SIZE..]);
    })
}

fn leaf(keys: &[PlannedKey<'_>], kind: LeafKind, sink: &mut impl Sink) -> Result<u32, WriteError> {
    let size = kind.element_size();
    sink.cell(ListHeader::SIZE + size * keys.len(), |bytes| {
        put_list_header(kind.signature(), keys.len(), bytes);
        for (element, planned) in bytes[ListHeader::SIZE..].chunks_exact_mut(size).zip(keys) {
            let tag = kind.tag(planned.key.name.units().iter().copied());
            put_offsets(&[planned.node, tag], element);
        }
    })
}

fn put_list_header(signature: [u8; 2], count: usize, bytes: &mut [u8]) {
    ListHeader {
        signature,
        number_of_elements: count as u16,
    }
    .put(bytes);
}
