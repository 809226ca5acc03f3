//! Repair: the hive without what is damaged.

use crate::read::{Hive, OpenError};
use crate::structure::{BaseBlock, KeyNode, security_descriptor};
use crate::tree::{Key, ValueType};
use crate::write::{Version, WriteError, WriteOptions, write_to_vec};
use cv_disk::{Damage, Faults};
use cv_overlay::registry::ValueState;

/// Why a hive could not be repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// It is none.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The root cannot be read, so nothing can be kept.
    #[error("cannot read the root")]
    Root(#[source] Damage),
    /// What could be read cannot be written.
    #[error("cannot write what could be read")]
    Write(#[from] WriteError),
}

/// A hive that was repaired.
#[derive(Debug, Clone)]
pub struct Repaired {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What was wrong.
    pub faults: Faults,
    /// What was dropped, because it could not be read.
    pub dropped: Faults,
}

/// The hive that is `bytes` without what is damaged, written anew: as Windows does when it heals a hive that it loads, a key
/// whose node, and a value whose record or data cannot be read is dropped, one whose place in a list is wrong gets its
/// right one, and counts, hashes, parents and the ring of security descriptors are made right. A security descriptor that
/// is not valid gives way to that of the key above.
///
/// `bytes` are not changed: the caller replaces the file, complete or not at all.
pub fn repair(bytes: &[u8]) -> Result<Repaired, RepairError> {
    let faults = super::check(bytes)?;
    let hive = Hive::open(bytes)?;
    let (mut tree, dropped) = hive.to_tree_with_faults().map_err(RepairError::Root)?;
    if tree.name.is_empty() {
        tree.name = "root".into();
    }
    prune(&mut tree);
    let base_block = hive.base_block();
    let mut options = WriteOptions {
        version: Some(match hive.minor_version() {
            0..=3 => Version::V1_3,
            4 | 5 => Version::V1_5,
            _ => Version::V1_6,
        }),
        last_written: base_block.last_written,
        file_name: base_block.file_name[..].into(),
    };
    let written = match write_to_vec(&tree, &options) {
        Err(WriteError::DataTooLarge { .. }) => {
            options.version = Some(Version::V1_5);
            write_to_vec(&tree, &options)
        }
        written => written,
    };
    let mut repaired = written?;
    // Names and GUIDs, and when Windows reorganised it.
    repaired[48..508].copy_from_slice(&bytes[48..508]);
    BaseBlock::seal(&mut repaired);
    Ok(Repaired {
        bytes: repaired,
        faults,
        dropped,
    })
}

/// Drops what no hive can hold, and the data of what deletes a value.
fn prune(key: &mut Key) {
    if key
        .security
        .as_deref()
        .is_some_and(|security| security_descriptor::check(security).is_err())
    {
        key.security = None;
    }
    key.subkeys
        .retain(|subkey| matches!(subkey.name.units().len(), 1..=KeyNode::MAX_NAME));
    key.values
        .retain(|value| value.name.units().len() <= crate::structure::KeyValue::MAX_NAME);
    for value in &mut key.values {
        if value.state == ValueState::Tombstone {
            value.value_type = ValueType::NONE;
            value.data = Box::default();
        }
    }
    key.subkeys.iter_mut().for_each(prune);
}
