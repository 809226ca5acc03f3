//! The icon that Windows shows for a program.

use super::resources::Which;
use super::structure::GroupIconEntry;
use super::{Program, next_structure};
use crate::bytes::Rest;
use cv_disk::{ReadAt, ReadError};

/// `RT_ICON`.
const ICON: u32 = 3;
/// `RT_GROUP_ICON`.
const GROUP_ICON: u32 = 14;

/// Sizes of an icon that are looked at.
const MAX_IMAGES: usize = 64;
/// Bytes of an icon at most.
const MAX_SIZE: usize = 4 << 20;

impl<D: ReadAt> Program<D> {
    /// The program's icon, the first it has, as an `.ico` file.
    pub fn icon(&self) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(group) = self.resource(GROUP_ICON, Which::First)? else {
            return Ok(None);
        };
        let mut rest = Rest::new(&group, 0);
        rest.take(4, "GRPICONDIR")?;
        let count = usize::from(rest.u16("GRPICONDIR")?).min(MAX_IMAGES);
        let mut images = Vec::new();
        let mut size = 0;
        for _ in 0..count {
            let entry: GroupIconEntry = next_structure(&mut rest, GroupIconEntry::SIZE, "GRPICONDIRENTRY")?;
            let Some(image) = self.resource(ICON, Which::Number(entry.id.into()))? else {
                continue;
            };
            size += image.len();
            if size > MAX_SIZE {
                break;
            }
            images.push((entry, image));
        }
        Ok((!images.is_empty()).then(|| ico_file(&images)))
    }
}

fn ico_file(images: &[(GroupIconEntry, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for number in [0, 1, images.len() as u16] {
        file.extend(number.to_le_bytes());
    }
    let mut offset = 6 + 16 * images.len();
    for (entry, image) in images {
        file.extend([entry.width, entry.height, entry.color_count, 0]);
        file.extend(entry.planes.to_le_bytes());
        file.extend(entry.bit_count.to_le_bytes());
        file.extend((image.len() as u32).to_le_bytes());
        file.extend((offset as u32).to_le_bytes());
        offset += image.len();
    }
    for (_, image) in images {
        file.extend(image);
    }
    file
}
