//! The contents of files on their way into the tree.

use super::walk::{Entry, Pending, Walk, file_type, stat};
use crate::pack::FolderError;
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::write::{Compression, FileId, Metadata, StreamContent, TreeError};
use cv_winname::wtf8;
use rustix::fs::{FileType, SeekFrom};
use rustix::io::Errno;
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Files smaller than this are not looked at for holes.
const LEAST_SPARSE: u64 = 64 << 10;

impl Walk<'_> {
    pub(super) fn content(
        &mut self,
        entry: &Entry<'_>,
        kind: FileType,
        file: FileId,
        metadata: &Metadata,
        has_reparse_data: bool,
    ) -> Result<(), TreeError> {
        let size = if kind == FileType::RegularFile {
            entry.stat.stx_size
        } else {
            0
        };
        if size == 0 {
            self.tree.add_stream(file, &[], StreamContent::Bytes(&[]))?;
            return Ok(());
        }
        let token = self.source.add_file(entry.directory.number, entry.name);
        if let Some(data) = self.data_ranges(entry, size) {
            self.tree.add_stream(
                file,
                &[],
                StreamContent::Sparse {
                    size,
                    token,
                    data: &data,
                },
            )?;
            return Ok(());
        }
        let compression = match self.options.compression {
            Compression::WofXpress4k if has_reparse_data => Compression::None,
            Compression::None
                if metadata.attributes.contains(FileAttributes::COMPRESSED) && self.options.small_clusters =>
            {
                Compression::Lznt1
            }
            wanted => wanted,
        };
        self.tree
            .add_compressed_stream(file, &[], StreamContent::Source { size, token }, compression)?;
        Ok(())
    }

    /// Where a file with holes has data; `None` for one without.
    fn data_ranges(&self, entry: &Entry<'_>, size: u64) -> Option<Vec<Range<u64>>> {
        if size < LEAST_SPARSE || entry.stat.stx_blocks.saturating_mul(512) >= size {
            return None;
        }
        let file = self.source.open_file(entry.directory.number, entry.name).ok()?;
        let ranges = seek_data(&file, size).or_else(|| {
            // A mount of NTFS does not tell where its holes are, only that there are some.
            let attributes = entry.brought.attributes.unwrap_or_default();
            let is_sparse = attributes.contains(FileAttributes::SPARSE_FILE);
            is_sparse.then(|| find_data(&file, size)).flatten()
        })?;
        (ranges.len() != 1 || ranges[0] != (0..size)).then_some(ranges)
    }

    /// Streams and the like that are brought along.
    pub(super) fn extras(&mut self, entry: &Entry<'_>, file: FileId) -> Result<(), TreeError> {
        let brought = &entry.brought;
        for (name, value) in &brought.streams {
            match wtf8::decode(name) {
                Ok(units) => {
                    self.tree.add_stream(file, &units, StreamContent::Bytes(value))?;
                }
                Err(error) => {
                    let reason = format!("a stream's name: {error}");
                    self.problem(entry.directory.number, entry.name, reason);
                }
            }
        }
        if let Some(object_id) = brought.object_id {
            // Copies of a file have its id as well; a volume can have it once.
            if self.object_ids.insert(object_id.object_id) {
                self.tree.set_object_id(file, object_id);
            } else {
                self.left_out
                    .object_ids
                    .note(self.source.path(entry.directory.number, entry.name));
            }
        }
        if let Some(list) = &brought.extended {
            self.tree.set_extended_attributes(file, list)?;
        }
        if let Some(short) = brought.short_name.as_deref().and_then(|name| wtf8::decode(name).ok()) {
            self.tree.set_short_name(file, &short)?;
        }
        Ok(())
    }

    /// Adds a file `name:stream` as a stream of `file`.
    pub(super) fn stream_file(
        &mut self,
        directory: &Pending,
        folder: &Arc<OwnedFd>,
        name: &[u8],
        file: FileId,
        stream: &[u8],
    ) -> Result<(), FolderError> {
        let (Ok(units), Ok(stat)) = (wtf8::decode(stream), stat(folder, name)) else {
            self.problem(directory.number, name, "it cannot be read as a stream");
            return Ok(());
        };
        if file_type(&stat) != FileType::RegularFile {
            self.problem(directory.number, name, "it is named as a stream and is no file");
            return Ok(());
        }
        let size = stat.stx_size;
        let added = if size == 0 {
            self.tree.add_stream(file, &units, StreamContent::Bytes(&[]))
        } else {
            let token = self.source.add_file(directory.number, name);
            self.tree
                .add_stream(file, &units, StreamContent::Source { size, token })
        };
        match added {
            Ok(_) => Ok(()),
            Err(error) => self.refused(directory.number, name, &error),
        }
    }
}

/// Where a file has data, as the host tells; `None` where it tells nothing of holes.
fn seek_data(file: &File, size: u64) -> Option<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut position = 0;
    while position < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(position)) {
            Ok(start) => start,
            // Nothing but a hole follows.
            Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start)).ok()?.min(size);
        if start >= end {
            break;
        }
        ranges.push(start..end);
        position = end;
    }
    (ranges.len() != 1 || ranges[0] != (0..size)).then_some(ranges)
}

/// Where a file has anything but zeros, by reading it.
fn find_data(file: &File, size: u64) -> Option<Vec<Range<u64>>> {
    const PIECE: u64 = 1 << 20;
    const GRANULE: usize = 64 << 10;
    let mut buffer = vec![0; PIECE as usize];
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut position = 0;
    while position < size {
        let piece = &mut buffer[..(size - position).min(PIECE) as usize];
        file.read_exact_at(piece, position).ok()?;
        for run in cv_disk::data_runs(piece, GRANULE) {
            let run = position + run.start as u64..position + run.end as u64;
            match ranges.last_mut() {
                Some(last) if last.end == run.start => last.end = run.end,
                _ => ranges.push(run),
            }
        }
        position += piece.len() as u64;
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_found_by_asking_and_by_reading() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("sparse")).unwrap();
        let size = (9 << 20) + 5;
        file.set_len(size).unwrap();
        file.write_all_at(&[1; 100], 3 << 20).unwrap();
        file.write_all_at(&vec![1; 200_000], (4 << 20) - 100_000).unwrap();
        file.write_all_at(&[1], size - 1).unwrap();
        let file = File::open(folder.path().join("sparse")).unwrap();
        let found = find_data(&file, size).unwrap();
        let granule = 64 << 10;
        let second = (4 << 20) - 2 * granule..(4 << 20) + 2 * granule;
        assert_eq!(found, [3 << 20..(3 << 20) + granule, second, 9 << 20..size]);
        if let Some(told) = seek_data(&file, size) {
            let covers = |range: &Range<u64>| {
                found
                    .iter()
                    .any(|part| part.start <= range.start && range.end <= part.end)
            };
            assert!(told.iter().all(covers), "{told:?}");
        }
    }
}
