//! The NTFS volumes of a disk.

use cv_disk::partition::{self, PartitionTable};
use cv_disk::{ReadAt, ReadError, Slice};
use cv_ntfs::{OpenError, Volume};
use std::ops::Range;
use std::sync::Arc;

/// A place of a disk where a volume may be: a partition, or the whole disk.
#[derive(Debug)]
pub struct Place {
    /// The partition's number; `None` for the whole disk.
    pub number: Option<u32>,
    /// Where it lies on the disk, in bytes.
    pub range: Range<u64>,
    /// What the partition table says it holds; empty for the whole disk.
    pub type_name: String,
    /// The partition's name in a GPT.
    pub name: String,
    /// The NTFS volume in it, or why there is none.
    pub volume: Result<Volume, OpenError>,
}

/// Why a volume could not be chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The disk's partition table cannot be read.
    #[error("cannot read the partition table")]
    Table(#[from] ReadError),
    /// There is none.
    #[error("the disk holds no NTFS volume: {found}")]
    NoVolume {
        /// What it holds instead, for people.
        found: String,
    },
    /// There is no partition of that number.
    #[error("there is no volume {number}: {found}")]
    NoPartition {
        /// The number asked for.
        number: u32,
        /// What there is, for people.
        found: String,
    },
    /// The volume cannot be opened.
    #[error("cannot open the volume at byte {start}")]
    Open {
        /// Where it begins on the disk.
        start: u64,
        /// What failed.
        source: OpenError,
    },
}

/// Looks for an NTFS volume in every partition of `disk`; on a disk without a partition table, or with none in its
/// partitions, the volume that is the whole disk.
pub fn open_volumes(disk: &Arc<dyn ReadAt>) -> Result<Vec<Place>, ReadError> {
    let table = partition::read(&**disk, None)?;
    let mut places: Vec<Place> = table
        .partitions()
        .into_iter()
        .map(|partition| Place {
            number: Some(partition.number),
            volume: open_slice(disk, partition.range.clone()),
            range: partition.range,
            type_name: partition.type_name,
            name: partition.name,
        })
        .collect();
    if !places.iter().any(|place| place.volume.is_ok()) {
        let volume = Volume::open(disk.clone());
        // A damaged boot sector may look like a partition table of sorts.
        if volume.is_ok() || table == PartitionTable::None {
            places.push(Place {
                number: None,
                range: 0..disk.len(),
                type_name: String::new(),
                name: String::new(),
                volume,
            });
        }
    }
    Ok(places)
}

/// Opens partition `number`, or without a number the first NTFS volume of `disk`.
pub fn open_volume(disk: &Arc<dyn ReadAt>, number: Option<u32>) -> Result<Volume, FindError> {
    let mut places = open_volumes(disk)?;
    let found = describe(&places);
    let index = match number {
        Some(number) => places
            .iter()
            .position(|place| place.number == Some(number))
            .ok_or(FindError::NoPartition { number, found })?,
        None => places
            .iter()
            .position(|place| place.volume.is_ok())
            // One that is damaged says more than that there is none.
            .or_else(|| {
                places
                    .iter()
                    .position(|place| matches!(place.volume, Err(OpenError::Mft(_))))
            })
            .ok_or(FindError::NoVolume { found })?,
    };
    let Place { volume, range, .. } = places.swap_remove(index);
    volume.map_err(|source| FindError::Open {
        start: range.start,
        source,
    })
}

fn open_slice(disk: &Arc<dyn ReadAt>, range: Range<u64>) -> Result<Volume, OpenError> {
    let slice = Slice::new(disk.clone(), range).map_err(OpenError::NotNtfs)?;
    Volume::open(Arc::new(slice))
}

fn describe(places: &[Place]) -> String {
    let partitions: Vec<String> = places
        .iter()
        .filter_map(|place| {
            let kind = if place.volume.is_ok() {
                "NTFS"
            } else {
                place.type_name.as_str()
            };
            place.number.map(|number| format!("partition {number} ({kind})"))
        })
        .collect();
    match partitions.len() {
        0 => "it has no partitions".to_owned(),
        _ => format!("it has {}", partitions.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_disk::MemoryDisk;
    use cv_disk::partition::{Gpt, GptPartition, PartitionName, SectorSize, gpt_type};

    #[test]
    fn disks_without_ntfs_say_what_they_hold() {
        let disk = MemoryDisk::new(16 << 20);
        let empty: Arc<dyn ReadAt> = Arc::new(MemoryDisk::new(1 << 20));
        let error = open_volume(&empty, None).unwrap_err();
        assert_eq!(error.to_string(), "the disk holds no NTFS volume: it has no partitions");

        let partition = GptPartition {
            number: 3,
            range: 1 << 20..15 << 20,
            type_id: gpt_type::BASIC_DATA,
            id: uuid::Uuid::from_u128(1),
            attributes: 0,
            name: PartitionName::new("data").unwrap(),
        };
        let gpt = Gpt::new(
            disk.len(),
            SectorSize::Bytes512,
            uuid::Uuid::from_u128(2),
            vec![partition],
        )
        .unwrap();
        gpt.write(&disk).unwrap();
        let disk: Arc<dyn ReadAt> = Arc::new(disk);
        let error = open_volume(&disk, None).unwrap_err().to_string();
        assert!(
            error.starts_with("the disk holds no NTFS volume: it has partition 3 ("),
            "{error}"
        );
        assert!(matches!(
            open_volume(&disk, Some(1)),
            Err(FindError::NoPartition { number: 1, .. })
        ));
        assert!(matches!(open_volume(&disk, Some(3)), Err(FindError::Open { start, .. }) if start == 1 << 20));
    }
}
