//! The tree made flat: what is checked and counted before cells get places.

use super::emit::Output;
use super::error::WriteError;
use super::form::{MAX_CLASS, MAX_DATA_IN_ONE_CELL};
use super::layout::{self, Measure};
use super::options::{Version, WriteOptions};
use super::place::Places;
use crate::structure::{BASE_BLOCK_SIZE, BaseBlock, BigData, KeyNode, KeyValue, security_descriptor};
use crate::tree::{Key, MAX_DEPTH};
use cv_disk::Resize;
use cv_overlay::registry::{KeyState, ValueState};
use cv_winname::UpcaseTable;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

/// A key and the places of what belongs to it.
#[derive(Debug)]
pub(super) struct PlannedKey<'t> {
    pub key: &'t Key,
    /// Position of the parent; of the root itself in the root.
    pub parent: u32,
    /// Position of the first subkey; the others follow it.
    pub first_subkey: u32,
    /// Number of its security descriptor.
    pub security: u32,
    pub depth: u16,
    pub node: u32,
    pub class: u32,
    pub values: u32,
    pub subkeys: u32,
}

/// A security descriptor and how many keys use it.
#[derive(Debug)]
pub(super) struct PlannedSecurity {
    pub descriptor: Arc<[u8]>,
    pub references: u32,
    pub item: u32,
}

/// A hive laid out, of which nothing is written yet.
#[derive(Debug)]
pub struct Plan<'t> {
    pub(super) keys: Vec<PlannedKey<'t>>,
    pub(super) securities: Vec<PlannedSecurity>,
    pub(super) version: Version,
    pub(super) last_written: u64,
    file_name: [u16; 32],
    /// Bytes of each hive bin.
    bins: Vec<u32>,
}

impl<'t> Plan<'t> {
    /// Lays out the hive of a tree.
    ///
    /// A key without a security descriptor gets its parent's; a root without one gets
    /// [`security_descriptor::default_for_root`]. The subkeys of each key must be in the order of their names, with no name
    /// twice, and no two of its values may have the same name.
    pub fn new(root: &'t Key, options: &WriteOptions) -> Result<Self, WriteError> {
        let units = options.file_name.units();
        let units = &units[units.len().saturating_sub(31)..];
        let mut file_name = [0; 32];
        file_name[..units.len()].copy_from_slice(units);
        let mut flattening = Flattening {
            keys: Vec::new(),
            securities: Vec::new(),
            by_pointer: HashMap::new(),
            by_content: HashMap::new(),
            version: options.version,
            has_layers: false,
        };
        flattening.flatten(root)?;
        let version = options.version.unwrap_or(if flattening.has_layers {
            Version::V1_6
        } else {
            Version::V1_5
        });
        let mut plan = Self {
            keys: flattening.keys,
            securities: flattening.securities,
            version,
            last_written: options.last_written,
            file_name,
            bins: Vec::new(),
        };
        let mut measure = Measure(Places::default());
        layout::lay_out(&mut plan, &mut measure)?;
        plan.bins = measure.0.into_bins();
        Ok(plan)
    }

    /// Bytes of the hive.
    #[expect(clippy::len_without_is_empty, reason = "no hive is empty")]
    pub fn len(&self) -> u64 {
        self.bins.iter().copied().map(u64::from).sum::<u64>() + BASE_BLOCK_SIZE as u64
    }

    /// The version that is written.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Puts out the hive, from its first byte to its last.
    pub fn write(&mut self, output: &mut dyn Write) -> Result<(), WriteError> {
        let mut bytes = self.base_block().to_sealed_bytes();
        bytes.resize(BASE_BLOCK_SIZE, 0);
        let bins = std::mem::take(&mut self.bins);
        let mut output = Output::new(output, bytes, &bins, self.last_written);
        let written = layout::lay_out(self, &mut output).and_then(|()| output.finish());
        self.bins = bins;
        written
    }

    /// Makes the hive the whole content of `disk`, and flushes it.
    pub fn write_to_disk(&mut self, disk: &dyn Resize) -> Result<(), WriteError> {
        struct Cursor<'d>(&'d dyn Resize, u64);
        impl Write for Cursor<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.write_at(bytes, self.1).map_err(io::Error::other)?;
                self.1 += bytes.len() as u64;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        disk.set_len(self.len())?;
        self.write(&mut Cursor(disk, 0))?;
        disk.flush()?;
        Ok(())
    }

    fn base_block(&self) -> BaseBlock {
        BaseBlock {
            signature: BaseBlock::SIGNATURE,
            primary_sequence_number: 1,
            secondary_sequence_number: 1,
            last_written: self.last_written,
            major_version: 1,
            minor_version: self.version.minor(),
            file_type: BaseBlock::PRIMARY_FILE,
            file_format: 1,
            root_cell_offset: self.keys.first().map_or(0, |root| root.node),
            hive_bins_data_size: self.bins.iter().sum(),
            clustering_factor: 1,
            file_name: self.file_name,
            rm_id: [0; 16],
            log_id: [0; 16],
            flags: 0,
            tm_id: [0; 16],
            guid_signature: 0,
            last_reorganized: 0,
            reserved: [0; 332],
            checksum: 0,
        }
    }
}

/// Makes the tree flat: subkeys of one key next to each other.
struct Flattening<'t> {
    keys: Vec<PlannedKey<'t>>,
    securities: Vec<PlannedSecurity>,
    by_pointer: HashMap<*const u8, u32>,
    by_content: HashMap<Arc<[u8]>, u32>,
    /// The version asked for.
    version: Option<Version>,
    has_layers: bool,
}

impl<'t> Flattening<'t> {
    fn flatten(&mut self, root: &'t Key) -> Result<(), WriteError> {
        let default = security_descriptor::default_for_root;
        let security = root.security.clone().unwrap_or_else(|| default().into());
        self.add(root, 0, 0, Some(&security))?;
        let mut pending = vec![0_u32];
        while let Some(position) = pending.pop() {
            let planned = &mut self.keys[position as usize];
            let (key, depth) = (planned.key, planned.depth);
            let first = self.keys.len() as u32;
            self.keys[position as usize].first_subkey = first;
            for subkey in &key.subkeys {
                self.add(subkey, position, depth + 1, subkey.security.as_ref())?;
            }
            pending.extend((first..self.keys.len() as u32).rev());
        }
        Ok(())
    }

    fn add(&mut self, key: &'t Key, parent: u32, depth: u16, security: Option<&Arc<[u8]>>) -> Result<(), WriteError> {
        let position = self.keys.len();
        if position >= u32::MAX as usize {
            return Err(WriteError::TooLarge);
        }
        self.keys.push(PlannedKey {
            key,
            parent,
            first_subkey: 0,
            security: 0,
            depth,
            node: 0,
            class: 0,
            values: 0,
            subkeys: 0,
        });
        self.check(position)?;
        let number = match security {
            Some(security) => self.security(position, security)?,
            None => self.keys[parent as usize].security,
        };
        self.securities[number as usize].references += 1;
        self.keys[position].security = number;
        Ok(())
    }

    fn security(&mut self, position: usize, security: &Arc<[u8]>) -> Result<u32, WriteError> {
        if let Some(number) = self.by_pointer.get(&security.as_ptr()) {
            return Ok(*number);
        }
        let number = if let Some(number) = self.by_content.get(security) {
            *number
        } else {
            if let Err(found) = security_descriptor::check(security) {
                let path = self.path(position);
                return Err(WriteError::Security { path, found });
            }
            let number = self.securities.len() as u32;
            self.by_content.insert(security.clone(), number);
            self.securities.push(PlannedSecurity {
                descriptor: security.clone(),
                references: 0,
                item: 0,
            });
            number
        };
        self.by_pointer.insert(security.as_ptr(), number);
        Ok(number)
    }

    /// Checks what a hive cannot hold in the key at `position`.
    fn check(&mut self, position: usize) -> Result<(), WriteError> {
        let PlannedKey { key, depth, parent, .. } = self.keys[position];
        if usize::from(depth) >= MAX_DEPTH {
            return Err(WriteError::TooDeep {
                path: self.path(position),
                limit: MAX_DEPTH,
            });
        }
        if key.name.is_empty() {
            return Err(WriteError::NoName {
                parent: self.path(parent as usize),
            });
        }
        self.check_name(position, "the name", key.name.units().len(), KeyNode::MAX_NAME)?;
        if let Some(class) = &key.class {
            self.check_name(position, "the class", class.units().len(), MAX_CLASS)?;
        }
        if key.state != KeyState::Merge || key.inherits_class {
            self.needs_layers(position)?;
        }
        let table = UpcaseTable::windows();
        for pair in key.subkeys.windows(2) {
            if !table.compare(pair[0].name.units(), pair[1].name.units()).is_lt() {
                return Err(WriteError::Order {
                    path: self.path(position),
                    name: pair[1].name.to_string(),
                });
            }
        }
        self.check_values(position, key)
    }

    fn check_values(&mut self, position: usize, key: &Key) -> Result<(), WriteError> {
        let limit = match self.version {
            Some(Version::V1_3) => MAX_DATA_IN_ONE_CELL,
            _ => BigData::MAX_DATA,
        };
        for value in &key.values {
            self.check_name(position, "a value", value.name.units().len(), KeyValue::MAX_NAME)?;
            if value.data.len() > limit {
                return Err(WriteError::DataTooLarge {
                    path: self.path(position),
                    name: value.name.to_string(),
                    size: value.data.len(),
                    limit,
                });
            }
            if value.state != ValueState::Present {
                self.needs_layers(position)?;
            }
        }
        if let Some(name) = repeated_value(key) {
            let path = self.path(position);
            return Err(WriteError::RepeatedValue { path, name });
        }
        Ok(())
    }

    fn check_name(&self, position: usize, what: &'static str, units: usize, limit: usize) -> Result<(), WriteError> {
        if units <= limit {
            return Ok(());
        }
        let path = self.path(position);
        Err(WriteError::NameTooLong {
            path,
            what,
            units,
            limit,
        })
    }

    fn needs_layers(&mut self, position: usize) -> Result<(), WriteError> {
        self.has_layers = true;
        match self.version {
            Some(version) if version < Version::V1_6 => Err(WriteError::NeedsLayers {
                path: self.path(position),
                version,
            }),
            _ => Ok(()),
        }
    }

    /// The path of a key for people, below the root.
    fn path(&self, position: usize) -> String {
        let mut names = Vec::new();
        let mut planned = &self.keys[position];
        while planned.depth > 0 {
            names.push(planned.key.name.to_string());
            planned = &self.keys[planned.parent as usize];
        }
        names.reverse();
        names.join("\\")
    }
}

/// The name that two values of a key have.
fn repeated_value(key: &Key) -> Option<String> {
    use crate::structure::subkeys_list::name_hash;
    if key.values.len() < 2 {
        return None;
    }
    let hash = |units: &[u16]| name_hash(units.iter().copied());
    let mut hashes: Vec<u32> = key.values.iter().map(|value| hash(value.name.units())).collect();
    hashes.sort_unstable();
    hashes.windows(2).find(|pair| pair[0] == pair[1])?;
    // Few names that differ have the same hash: compare in full.
    let table = UpcaseTable::windows();
    let mut names = HashSet::new();
    let repeated = key
        .values
        .iter()
        .find(|value| !names.insert(table.fold(value.name.units())));
    repeated.map(|value| value.name.to_string())
}
