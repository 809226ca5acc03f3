//! A value of a key.

use super::name::{NameRef, shown};
use crate::structure::{BigData, Cells, KeyValue, KeyValueFlags, Structure, in_file, u32_at};
use crate::tree::ValueType;
use cv_disk::Damage;
use cv_overlay::registry::ValueState;
use std::borrow::Cow;
use std::fmt::Display;

/// A value, read where it stands.
#[derive(Debug, Clone, Copy)]
pub struct ValueRef<'a> {
    cells: Cells<'a>,
    minor_version: u32,
    offset: u32,
    record: KeyValue,
    name: NameRef<'a>,
}

impl<'a> ValueRef<'a> {
    pub(crate) fn at(cells: Cells<'a>, minor_version: u32, offset: u32) -> Result<Self, Damage> {
        let cell = cells.get(offset, KeyValue::NAME)?;
        let place = in_file(offset) + 4;
        let record = KeyValue::parse(cell, place)?;
        let damage = |field: &str, at: u64, expected: String, found: String| {
            let structure = format!("cell {offset:#x}: key value, {field}");
            Err(Damage::new(structure, place + at, expected, found))
        };
        if record.signature != KeyValue::SIGNATURE {
            return damage("signature", 0, "\"vk\"".into(), format!("{:02x?}", record.signature));
        }
        let length = usize::from(record.name_length);
        let Some(name) = cell.get(KeyValue::SIZE..KeyValue::SIZE + length) else {
            let room = cell.len() - KeyValue::SIZE;
            return damage("name length", 2, format!("at most {room}"), length.to_string());
        };
        Ok(Self {
            cells,
            minor_version,
            offset,
            record,
            name: NameRef::new(name, record.flags.contains(KeyValueFlags::COMP_NAME)),
        })
    }

    /// Where it is, from the start of the hive bins data.
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// The key value record.
    pub fn record(&self) -> &KeyValue {
        &self.record
    }

    /// Its name; that of the default value is empty.
    pub fn name(&self) -> NameRef<'a> {
        self.name
    }

    /// Its type.
    pub fn value_type(&self) -> ValueType {
        ValueType(self.record.data_type)
    }

    /// Whether it is there or, in a delta hive (version 1.6), deletes the value below.
    pub fn state(&self) -> ValueState {
        if self.minor_version >= 6 && self.record.flags.contains(KeyValueFlags::TOMBSTONE) {
            ValueState::Tombstone
        } else {
            ValueState::Present
        }
    }

    /// Bytes of its data, as the record says.
    pub fn data_size(&self) -> usize {
        self.record.length() as usize
    }

    /// Its data; copied only where it stands in several cells or in the record itself.
    pub fn data(&self) -> Result<Cow<'a, [u8]>, Damage> {
        let length = self.data_size();
        if length == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        if self.record.is_inline() {
            let data = self.record.data_offset.to_le_bytes();
            return match data.get(..length) {
                Some(data) => Ok(Cow::Owned(data.to_vec())),
                None => Err(self.damage("data size", 4, "at most 4 in the record itself", length)),
            };
        }
        let cell = self.cells.get(self.record.data_offset, "data of a value")?;
        if self.is_big_data(cell) {
            return self.big_data(cell).map(Cow::Owned);
        }
        match cell.get(..length) {
            Some(data) => Ok(Cow::Borrowed(data)),
            None => Err(self.damage("data size", 4, format!("at most {}", cell.len()), length)),
        }
    }

    /// Whether the cell where the data should be holds a big data record instead.
    pub(crate) fn is_big_data(&self, cell: &[u8]) -> bool {
        self.data_size() > BigData::SEGMENT
            && self.minor_version >= BigData::SINCE_MINOR_VERSION
            && cell.starts_with(&BigData::SIGNATURE)
    }

    /// The cells that hold the segments of big data, from its record, with what each holds of the data.
    pub(crate) fn segments(
        &self,
        cell: &'a [u8],
    ) -> Result<impl Iterator<Item = (u32, Result<&'a [u8], Damage>)> + use<'a>, Damage> {
        let cells = self.cells;
        let record = BigData::parse(cell, in_file(self.record.data_offset) + 4)?;
        let length = self.data_size();
        let needed = length.div_ceil(BigData::SEGMENT);
        let count = usize::from(record.number_of_segments);
        if count != needed {
            let structure = format!("cell {:#x}: big data, number of segments", self.record.data_offset);
            let place = in_file(self.record.data_offset) + 6;
            let expected = format!("{needed} for {length} bytes");
            return Err(Damage::new(structure, place, expected, count.to_string()));
        }
        let list = cells.get(record.segments_list_offset, "list of segments")?;
        let Some(list) = list.get(..4 * count) else {
            let structure = format!("cell {:#x}: list of segments", record.segments_list_offset);
            let found = format!("{} bytes", list.len());
            let place = in_file(record.segments_list_offset);
            return Err(Damage::new(structure, place, format!("{count} offsets"), found));
        };
        Ok(list.chunks_exact(4).enumerate().map(move |(number, element)| {
            let offset = u32_at(element, 0);
            let wanted = (length - number * BigData::SEGMENT).min(BigData::SEGMENT);
            let segment = cells.get(offset, "data segment").and_then(|segment| {
                segment.get(..wanted).ok_or_else(|| {
                    let found = format!("{} bytes", segment.len());
                    let structure = format!("cell {offset:#x}: data segment");
                    Damage::new(structure, in_file(offset), format!("{wanted} bytes"), found)
                })
            });
            (offset, segment)
        }))
    }

    fn big_data(&self, cell: &'a [u8]) -> Result<Vec<u8>, Damage> {
        let length = self.data_size();
        if length > self.cells.len() {
            // Segments that stand for each other must not make much of little.
            return Err(self.damage("data size", 4, format!("at most {}", self.cells.len()), length));
        }
        let mut data = Vec::with_capacity(length);
        for (_, segment) in self.segments(cell)? {
            data.extend_from_slice(segment?);
        }
        Ok(data)
    }

    /// Damage of the field that is `at` bytes into the record.
    #[cold]
    pub(crate) fn damage(&self, field: &str, at: u64, expected: impl Into<String>, found: impl Display) -> Damage {
        let structure = format!("cell {:#x}: key value `{}`, {field}", self.offset, shown(self.name));
        Damage::new(structure, in_file(self.offset) + 4 + at, expected, found.to_string())
    }
}
