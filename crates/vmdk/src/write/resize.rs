//! Growing an image in place.
//!
//! A sparse extent gets its new directories and tables at the end of the file, where they disturb nothing; one write of
//! the header, a single sector, makes them count.

use super::builder::{SPLIT_SECTORS, VmdkBuilder, directory_sectors, table_sectors};
use super::sparse::SparseWriter;
use super::subformat::Subformat;
use super::{ExtentWriter, VmdkWriter};
use crate::descriptor::ExtentLine;
use crate::error::OpenError;
use crate::extent_files::ExtentFiles;
use crate::image::storage::Storage;
use crate::sparse::{Directory, Grain, SparseExtent, SparseKind};
use crate::structures::{FLAG_ZEROED_GRAINS, SECTOR, SparseExtentHeader, to_sector};
use cv_disk::{ReadAt, Resize, WriteAt, WriteError};
use std::sync::Arc;

impl VmdkWriter {
    /// Makes the disk `new_size` bytes large, a multiple of 512; what is new reads as zeros. Images that are split into
    /// files of 2 GiB get more of them, created by `files`. A VMDK cannot shrink, and a stream cannot change.
    ///
    /// A kill while this runs leaves the image with its old size or the new one.
    pub fn resize(&mut self, new_size: u64, files: &dyn ExtentFiles) -> Result<(), WriteError> {
        let refuse = |why: &str| Err(WriteError::Limit(why.into()));
        let old_size = self.len();
        if new_size < old_size {
            return refuse("a VMDK cannot shrink");
        }
        if !new_size.is_multiple_of(SECTOR) {
            return refuse("a VMDK's size is a multiple of 512 bytes");
        }
        if matches!(self.extents[..], [ExtentWriter::Stream(_)]) {
            return refuse("a streamOptimized image cannot change its size");
        }
        let parent_length = match (self.has_parent(), self.disk.parent()) {
            (true, None) => return refuse("the parent must be attached before a differencing image grows"),
            (_, parent) => parent.map_or(0, ReadAt::len),
        };
        if new_size == old_size {
            return Ok(());
        }
        self.begin_change()?;
        let create_type = self.descriptor.current().get("createType").unwrap_or_default();
        let subformat = Subformat::from_create_type(&create_type).unwrap_or_default();
        let most = if subformat.is_split() { SPLIT_SECTORS } else { u64::MAX };
        let mut more = (new_size - old_size) / SECTOR;
        let last = self.disk.extents.len() - 1;
        let last_sectors = self.disk.extents[last].length / SECTOR;
        let growth = more.min(most.saturating_sub(last_sectors));
        if growth > 0 {
            self.grow_last(last_sectors + growth)?;
            more -= growth;
        }
        while more > 0 {
            let sectors = more.min(most);
            self.add_extent(subformat, sectors, files)?;
            more -= sectors;
        }
        self.flush()?;
        let lines: Vec<ExtentLine> = self.disk.extents.iter().map(|extent| extent.line.clone()).collect();
        self.rewrite_descriptor(|descriptor| {
            descriptor.set_extents(&lines);
            let number = |key: &str| descriptor.get(key).and_then(|value| value.trim().parse::<u64>().ok());
            let per_cylinder = number("ddb.geometry.heads").zip(number("ddb.geometry.sectors"));
            if let Some((heads, sectors)) = per_cylinder.filter(|(heads, sectors)| *heads > 0 && *sectors > 0) {
                let cylinders = (new_size / SECTOR / heads.saturating_mul(sectors)).max(1);
                let cylinders = if heads == 16 { cylinders.min(16_383) } else { cylinders };
                descriptor.set("ddb.geometry.cylinders", &cylinders.to_string());
            }
        })?;
        self.disk.size = new_size;
        // A parent that reaches beyond the old end must not show through.
        let covered = new_size.min(parent_length);
        if covered > old_size {
            self.write_zeros_at(old_size..covered)?;
        }
        self.flush()
    }

    /// Makes the last extent `sectors` large.
    fn grow_last(&mut self, sectors: u64) -> Result<(), WriteError> {
        let last = self.disk.extents.len() - 1;
        let extent = &mut self.disk.extents[last];
        let length = sectors
            .checked_mul(SECTOR)
            .ok_or_else(|| WriteError::Limit("the extent would be larger than 2^64 bytes".into()))?;
        match &self.extents[last] {
            ExtentWriter::Flat { file, start } => {
                let (old_end, new_end) = (start + extent.length, start + length);
                let leftover = file.len().min(new_end);
                if leftover > old_end {
                    file.write_zeros_at(old_end..leftover)?;
                }
                if file.len() < new_end {
                    file.set_len(new_end)?;
                }
            }
            ExtentWriter::Sparse(sparse) => {
                let grown = sparse.grow(sectors)?;
                extent.storage = Storage::Sparse(grown.extent().clone());
                self.extents[last] = ExtentWriter::Sparse(grown);
            }
            ExtentWriter::Stream(_) => {}
            ExtentWriter::Refused(why) => return Err(WriteError::Limit((*why).into())),
        }
        extent.line.sectors = sectors;
        extent.length = length;
        Ok(())
    }

    /// Adds an extent in a file of its own, like the last one.
    fn add_extent(&mut self, subformat: Subformat, sectors: u64, files: &dyn ExtentFiles) -> Result<(), WriteError> {
        let last = self.disk.extents.len() - 1;
        let extent = &self.disk.extents[last];
        let mut builder = VmdkBuilder::new(sectors * SECTOR).subformat(subformat);
        if let Storage::Sparse(sparse) = &extent.storage
            && let SparseKind::Hosted(header) = sparse.kind()
        {
            builder = builder
                .grain_size(header.grain_bytes())
                .zeroed_grains(header.has(FLAG_ZEROED_GRAINS));
        }
        let line = ExtentLine {
            sectors,
            name: Some(next_name(extent.line.name.as_deref().unwrap_or_default())),
            ..extent.line.clone()
        };
        let (extent, writer) = builder.create_extent(line, extent.end(), files, false)?;
        self.disk.extents.push(extent);
        self.extents.push(writer);
        Ok(())
    }
}

/// The name after `name` in a row of split files: `disk-s002.vmdk` after `disk-s001.vmdk`.
fn next_name(name: &str) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "vmdk"));
    let digits = stem.len() - stem.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
    let (before, number) = stem.split_at(stem.len() - digits);
    match number.parse::<u64>() {
        Ok(value) if value < u64::MAX => format!("{before}{:0digits$}.{extension}", value + 1),
        _ => format!("{stem}-2.{extension}"),
    }
}

impl SparseWriter {
    /// The extent made `sectors` large.
    fn grow(&self, sectors: u64) -> Result<Self, WriteError> {
        let extent = self.extent();
        let SparseKind::Hosted(header) = extent.kind() else {
            return Err(WriteError::Limit("only a hosted sparse extent can grow".into()));
        };
        let mut grown = SparseExtentHeader {
            capacity: sectors,
            unclean_shutdown: 1,
            ..header.clone()
        };
        if grown.overhead.saturating_add(sectors) > u64::from(u32::MAX) {
            return Err(WriteError::Limit(
                "a sparse extent reaches 2 TiB with its tables, and the new size is more".into(),
            ));
        }
        self.write_back()?;
        self.clear_last_grain()?;
        if grown.table_count() > header.table_count() {
            self.append_directories(header, &mut grown)?;
        }
        self.flush()?;
        self.file().write_at(&to_sector(&grown), 0)?;
        self.file().flush()?;
        let extent = SparseExtent::open(self.file().clone()).map_err(|error| match error {
            OpenError::Damaged(damage) => WriteError::from(damage),
            OpenError::Read(error) => WriteError::from(error),
            other => WriteError::Limit(other.to_string()),
        })?;
        Ok(self.continued(Arc::new(extent), &grown)?)
    }

    /// Zeros what the last grain holds behind the end of the disk, which is about to become visible.
    fn clear_last_grain(&self) -> Result<(), WriteError> {
        let extent = self.extent();
        let (last, within) = (extent.len() / extent.grain_size(), extent.len() % extent.grain_size());
        if within == 0 {
            return Ok(());
        }
        let mut grain = [Grain::Unallocated];
        extent.tables().lookup(last, &mut grain)?;
        let Grain::At(place) = grain[0] else { return Ok(()) };
        let end = place + extent.grain_size();
        if self.file().len() < end {
            self.file().set_len(end)?;
        }
        self.file().write_zeros_at(place + within..end)
    }

    /// Appends directories with room for the tables of `grown`, and the tables that are new; the old ones stay.
    fn append_directories(
        &self,
        header: &SparseExtentHeader,
        grown: &mut SparseExtentHeader,
    ) -> Result<(), WriteError> {
        let tables = self.extent().tables();
        let directories: Vec<&Directory> = [Some(tables.directory()), tables.redundant()]
            .into_iter()
            .flatten()
            .collect();
        let directory = directory_sectors(grown) * SECTOR;
        let table = table_sectors(grown) * SECTOR;
        let old_count = header.table_count();
        let copy = directory + (grown.table_count() - old_count) * table;
        let mut start = self.append(copy * directories.len() as u64)?;
        for (index, old) in directories.into_iter().enumerate() {
            let mut entries = Vec::with_capacity(grown.table_count() as usize * 4);
            for number in 0..old_count {
                let place = old.place(number)?.unwrap_or(0);
                entries.extend_from_slice(&((place / SECTOR) as u32).to_le_bytes());
            }
            for number in old_count..grown.table_count() {
                let place = start + directory + (number - old_count) * table;
                let sector = u32::try_from(place / SECTOR)
                    .map_err(|_| WriteError::Limit("a grain table would lie beyond the first 2 TiB".into()))?;
                entries.extend_from_slice(&sector.to_le_bytes());
            }
            self.file().write_at(&entries, start)?;
            if index == 0 {
                grown.gd_offset = start / SECTOR;
            } else {
                grown.rgd_offset = start / SECTOR;
            }
            start += copy;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::next_name;

    #[test]
    fn split_files_are_numbered_on() {
        assert_eq!(next_name("disk-s001.vmdk"), "disk-s002.vmdk");
        assert_eq!(next_name("disk-f999.vmdk"), "disk-f1000.vmdk");
        assert_eq!(next_name("disk.vmdk"), "disk-2.vmdk");
        assert_eq!(next_name("disk"), "disk-2.vmdk");
    }
}
