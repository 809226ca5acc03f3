//! Looking for faults in what a disk holds.

use crate::find::{Place, open_volumes};
use cv_disk::{Faults, Progress, ReadAt, ReadError, Slice, partition};
use cv_ntfs::OpenError;
use std::sync::Arc;

/// Where a boot sector says that it is one of NTFS, and how.
const OEM_ID: (u64, &[u8; 8]) = (3, b"NTFS    ");

/// A part of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its partition table.
    PartitionTable,
    /// The volume in a partition, by its number, or the one that is the whole disk.
    Volume(Option<u32>),
}

/// A part of a disk that was looked at.
#[derive(Debug)]
pub struct Checked {
    /// Which one.
    pub part: Part,
    /// What is wrong with it. Offsets are those of the disk or the volume.
    pub faults: Faults,
}

/// Why a disk could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The disk's first sector cannot be read.
    #[error("cannot read the partition table")]
    Table(#[from] ReadError),
    /// A volume cannot be checked at all.
    #[error("cannot check the volume at byte {start}")]
    Volume {
        /// Where it begins on the disk.
        start: u64,
        /// What failed.
        source: cv_ntfs::check::CheckError,
    },
}

/// Checks the partition table of `disk` and every NTFS volume on it; changes nothing. `progress` gives each volume's.
pub fn check(
    disk: &Arc<dyn ReadAt>,
    progress: &mut dyn FnMut(Part) -> Box<dyn Progress>,
) -> Result<Vec<Checked>, CheckError> {
    let places = open_volumes(disk)?;
    let is_bare = places
        .iter()
        .any(|place| place.number.is_none() && place.volume.is_ok());
    let mut checked = Vec::new();
    if !is_bare {
        checked.push(Checked {
            part: Part::PartitionTable,
            faults: partition::check(&**disk, None)?,
        });
    }
    for place in places {
        // A partition that reaches beyond the disk is a fault of the table.
        let Ok(volume) = Slice::new(disk.clone(), place.range.clone()) else {
            continue;
        };
        if !is_ntfs(&place, &volume) {
            continue;
        }
        let part = Part::Volume(place.number);
        let volume: Arc<dyn ReadAt> = Arc::new(volume);
        let faults = cv_ntfs::check::check(&volume, &*progress(part)).map_err(|source| CheckError::Volume {
            start: place.range.start,
            source,
        })?;
        checked.push(Checked { part, faults });
    }
    Ok(checked)
}

/// Whether the volume is one of NTFS, damaged as it may be: it can be opened as far as its boot sector, or one of its two
/// boot sectors says so.
fn is_ntfs(place: &Place, volume: &dyn ReadAt) -> bool {
    if !matches!(place.volume, Err(OpenError::NotNtfs(_))) {
        return true;
    }
    let (offset, id) = OEM_ID;
    let says_so = |sector: u64| {
        let mut found = [0; 8];
        volume.read_at(&mut found, sector + offset).is_ok() && found == *id
    };
    let last_sectors = [512, 4096]
        .into_iter()
        .filter_map(|size| volume.len().checked_sub(size));
    says_so(0) || last_sectors.into_iter().any(says_so)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_disk::{MemoryDisk, Quiet, WriteAt};
    use cv_ntfs::write::{NoSource, PlanOptions, Tree, WriteOptions, plan, write};

    #[test]
    fn a_volume_is_found_by_either_boot_sector() {
        let plan = plan(Tree::new(), &PlanOptions::default()).unwrap();
        let disk = Arc::new(MemoryDisk::new(plan.volume_size()));
        write(&plan, &NoSource, &*disk, &WriteOptions::default(), &Quiet).unwrap();
        let dynamic: Arc<dyn ReadAt> = disk.clone();
        let run = || check(&dynamic, &mut |_| Box::new(Quiet)).unwrap();
        let sound = run();
        assert_eq!(sound.len(), 1);
        assert_eq!((sound[0].part, sound[0].faults.is_empty()), (Part::Volume(None), true));

        disk.write_at(&[0; 512], 0).unwrap();
        let damaged = run();
        let is_told = |checked: &Checked| checked.part == Part::Volume(None) && !checked.faults.is_empty();
        assert!(damaged.iter().any(is_told));
        disk.write_at(&[0; 512], plan.volume_size() - 512).unwrap();
        let empty = run();
        assert_eq!(empty.len(), 1);
        assert_eq!(empty[0].part, Part::PartitionTable);
    }
}
