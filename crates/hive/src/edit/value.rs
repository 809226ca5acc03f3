//! Values that are set and deleted.

use super::Editor;
use super::error::EditError;
use crate::Name;
use crate::read::ValueRef;
use crate::structure::key_value::KeyValueFlags;
use crate::structure::{BigData, KeyValue, NO_CELL, Structure, u32_at};
use crate::tree::Value;
use crate::write::form::{MAX_DATA_IN_ONE_CELL, data_size, inline_data, name_bytes};
use cv_overlay::registry::ValueState;

impl Editor {
    /// Sets a value of the key of this path: one of the same name gets other type, data and state, and keeps the case of
    /// its name; else it is added behind the others.
    pub fn set_value(&mut self, path: &[Name], value: &Value) -> Result<(), EditError> {
        self.check_value(value)?;
        let key = self.require(path)?;
        self.store.ensure_room(value.data.len())?;
        let found = self.key_at(key)?.value(value.name.clone())?;
        let old = found.map(|found| self.data_cells(&found)).transpose()?;
        let found = found.map(|found| (found.offset(), *found.record()));
        let data_offset = self.put_data(value)?;
        let set = |record: &mut KeyValue| {
            record.data_size = data_size(value);
            record.data_offset = data_offset;
            record.data_type = value.value_type.0;
            record
                .flags
                .set(KeyValueFlags::TOMBSTONE, value.state == ValueState::Tombstone);
        };
        if let Some((offset, mut record)) = found {
            set(&mut record);
            self.store.put(offset, 0, &record.to_bytes());
            self.store.free_all(old.unwrap_or_default());
        } else {
            self.add_value(key, &value.name, set)?;
        }
        let (name, data) = (2 * value.name.units().len() as u32, value.data.len() as u32);
        self.touch(key, |node| {
            node.largest_value_name_length = node.largest_value_name_length.max(name);
            node.largest_value_data_size = node.largest_value_data_size.max(data);
        })
    }

    /// Deletes a value of the key of this path; whether there was one.
    pub fn delete_value(&mut self, path: &[Name], name: &Name) -> Result<bool, EditError> {
        let key = self.require(path)?;
        let found = self.key_at(key)?;
        let Some(value) = found.value(name.clone())? else {
            return Ok(false);
        };
        self.store.ensure_room(0)?;
        let offset = value.offset();
        let cells = self.data_cells(&value)?;
        let list = found.node().key_values_list_offset;
        let mut offsets = self.value_offsets(key)?;
        offsets.retain(|other| *other != offset);
        self.store.free_all(cells);
        self.store.free(offset);
        let list = if offsets.is_empty() {
            self.store.free(list);
            NO_CELL
        } else {
            self.store.replace(list, &list_bytes(&offsets))?
        };
        self.touch(key, |node| {
            node.key_values_list_offset = list;
            node.number_of_key_values = offsets.len() as u32;
        })?;
        Ok(true)
    }

    /// Frees the values of a key, and their list.
    pub(super) fn free_values(&mut self, key: u32) -> Result<(), EditError> {
        let mut cells = Vec::new();
        for value in self.key_at(key)?.values() {
            let value = value?;
            cells.push(value.offset());
            cells.extend(self.data_cells(&value)?);
        }
        if !cells.is_empty() {
            cells.push(self.key_at(key)?.node().key_values_list_offset);
        }
        self.store.free_all(cells);
        Ok(())
    }

    fn check_value(&self, value: &Value) -> Result<(), EditError> {
        let units = value.name.units().len();
        if units > KeyValue::MAX_NAME {
            return Err(EditError::Name {
                what: "the value's name",
                units,
                least: 0,
                limit: KeyValue::MAX_NAME,
            });
        }
        let limit = if self.has_big_data() {
            BigData::MAX_DATA
        } else {
            MAX_DATA_IN_ONE_CELL
        };
        if value.data.len() > limit {
            return Err(EditError::DataTooLarge {
                size: value.data.len(),
                limit,
            });
        }
        if value.state == ValueState::Tombstone {
            self.needs_layers()?;
        }
        Ok(())
    }

    fn has_big_data(&self) -> bool {
        self.minor_version >= BigData::SINCE_MINOR_VERSION
    }

    pub(super) fn needs_layers(&self) -> Result<(), EditError> {
        match self.minor_version {
            6.. => Ok(()),
            minor => Err(EditError::NeedsLayers { minor }),
        }
    }

    fn value_offsets(&self, key: u32) -> Result<Vec<u32>, EditError> {
        let values = self.key_at(key)?.values();
        values.map(|value| Ok(value?.offset())).collect()
    }

    fn add_value(&mut self, key: u32, name: &Name, set: impl FnOnce(&mut KeyValue)) -> Result<(), EditError> {
        let (name, is_compressed) = name_bytes(name.units());
        let mut record = KeyValue {
            signature: KeyValue::SIGNATURE,
            name_length: name.len() as u16,
            data_size: 0,
            data_offset: NO_CELL,
            data_type: 0,
            flags: KeyValueFlags::empty(),
            spare: 0,
        };
        record.flags.set(KeyValueFlags::COMP_NAME, is_compressed);
        set(&mut record);
        let mut content = record.to_bytes();
        content.extend(name);
        let offset = self.store.allocate_with(&content)?;
        let mut offsets = self.value_offsets(key)?;
        let list = if offsets.is_empty() {
            self.store.allocate_with(&offset.to_le_bytes())?
        } else {
            offsets.push(offset);
            let list = self.key_at(key)?.node().key_values_list_offset;
            self.store.replace(list, &list_bytes(&offsets))?
        };
        self.change_node(key, |node| {
            node.key_values_list_offset = list;
            node.number_of_key_values += 1;
        })
    }

    /// Puts data into cells; gives what the record says of its place.
    fn put_data(&mut self, value: &Value) -> Result<u32, EditError> {
        if let Some(offset) = inline_data(value) {
            return Ok(offset);
        }
        let data = &*value.data;
        if data.len() <= BigData::SEGMENT || !self.has_big_data() {
            return self.store.allocate_with(data);
        }
        let mut segments = Vec::new();
        for segment in data.chunks(BigData::SEGMENT) {
            let cell = self.store.allocate(BigData::SEGMENT_CELL)?;
            self.store.put(cell, 0, segment);
            segments.push(cell);
        }
        let record = BigData {
            signature: BigData::SIGNATURE,
            number_of_segments: segments.len() as u16,
            segments_list_offset: self.store.allocate_with(&list_bytes(&segments))?,
        };
        self.store.allocate_with(&record.to_bytes())
    }

    /// The cells that hold the data of a value.
    fn data_cells(&self, value: &ValueRef<'_>) -> Result<Vec<u32>, EditError> {
        let record = value.record();
        if record.is_inline() || value.data_size() == 0 {
            return Ok(Vec::new());
        }
        let mut cells = vec![record.data_offset];
        let cell = self.store.cells().get(record.data_offset, "data of a value")?;
        if value.is_big_data(cell) {
            cells.push(u32_at(cell, 4));
            let count = value.data_size().div_ceil(BigData::SEGMENT);
            let list = self.store.cells().get(u32_at(cell, 4), "list of segments")?;
            cells.extend(list.chunks_exact(4).take(count).map(|element| u32_at(element, 0)));
        }
        Ok(cells)
    }
}

fn list_bytes(offsets: &[u32]) -> Vec<u8> {
    offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect()
}
