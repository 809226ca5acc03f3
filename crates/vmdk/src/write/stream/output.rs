//! The stream as it is laid out: grains, each table behind its grains, the directory, the footer, the end.

use crate::structures::{
    FLAG_COMPRESSED, FLAG_MARKERS, FLAG_NEWLINE_TEST, Marker, MarkerKind, SECTOR, SparseExtentHeader, to_sector,
};
use cv_disk::{ReadAt, ReadError, Resize, WriteError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The flags of a stream.
pub(in crate::write) const STREAM_FLAGS: u32 = FLAG_NEWLINE_TEST | FLAG_COMPRESSED | FLAG_MARKERS;

/// Bytes written to the file at once.
const TAIL: usize = 1 << 20;
/// Bytes by which the file grows; it is cut to its size at the end.
const GROWTH: u64 = 64 << 20;
/// Tables held open at most while grains come in no order.
const OPEN_TABLES: usize = 1024;

/// Appends to the stream's file.
pub(super) struct StreamOutput {
    file: Arc<dyn Resize>,
    header: SparseExtentHeader,
    /// The grain directory: the sector of each table that was appended.
    directory: Vec<u32>,
    /// The tables that still change.
    open: BTreeMap<u64, Vec<u32>>,
    /// The table of the last grain.
    current: Option<u64>,
    /// Whether every grain so far lay in the last one's table or a later one: then a table is appended as soon as the
    /// next one begins, which is the layout that ESX writes.
    ascending: bool,
    /// Bytes that are not in the file yet, and where they belong.
    tail: Vec<u8>,
    tail_start: u64,
}

impl StreamOutput {
    /// Appends to `file`, in which what `header` says stands before the first grain.
    pub fn new(file: Arc<dyn Resize>, header: SparseExtentHeader) -> Self {
        Self {
            directory: vec![0; header.table_count() as usize],
            open: BTreeMap::new(),
            current: None,
            ascending: true,
            tail: Vec::new(),
            tail_start: header.overhead * SECTOR,
            file,
            header,
        }
    }

    /// Grains that a table covers.
    pub fn entries_per_table(&self) -> u64 {
        self.header.num_gtes_per_gt.into()
    }

    /// Whether a grain of `table` was ever appended.
    pub fn has_table(&self, table: u64) -> bool {
        self.open.contains_key(&table) || self.directory[table as usize] != 0
    }

    /// Where `grain` was appended, in bytes.
    pub fn place(&mut self, grain: u64) -> Result<Option<u64>, ReadError> {
        let (table, within) = self.split(grain);
        if !self.has_table(table) {
            return Ok(None);
        }
        let sector = match self.open.get(&table) {
            Some(entries) => entries[within],
            None => self.read_table(table)?[within],
        };
        Ok((sector != 0).then(|| u64::from(sector) * SECTOR))
    }

    /// Appends a compressed grain; an empty one becomes zeros.
    pub fn append(&mut self, grain: u64, stored: &[u8]) -> Result<(), WriteError> {
        let (table, within) = self.split(grain);
        if stored.is_empty() && !self.has_table(table) {
            return Ok(());
        }
        match self.current {
            Some(current) if table > current && self.ascending => self.append_tables()?,
            Some(current) if table < current => self.ascending = false,
            _ => {}
        }
        self.current = Some(table);
        if !self.open.contains_key(&table) {
            let entries = if self.directory[table as usize] == 0 {
                vec![0; self.header.num_gtes_per_gt as usize]
            } else {
                self.read_table(table)?
            };
            if self.open.len() >= OPEN_TABLES {
                self.append_tables()?;
            }
            self.open.insert(table, entries);
        }
        let sector = if stored.is_empty() { 0 } else { self.put(stored)? };
        if let Some(entries) = self.open.get_mut(&table) {
            entries[within] = sector;
        }
        Ok(())
    }

    /// Appends the last tables, the directory, the footer and the end-of-stream marker, and cuts the file to its size.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        self.append_tables()?;
        let mut directory: Vec<u8> = self.directory.iter().flat_map(|sector| sector.to_le_bytes()).collect();
        directory.resize(directory.len().next_multiple_of(SECTOR as usize), 0);
        self.put_marker(MarkerKind::GrainDirectory, directory.len() as u64 / SECTOR)?;
        let gd_offset = self.put(&directory)?;
        self.put_marker(MarkerKind::Footer, 1)?;
        let footer = SparseExtentHeader {
            gd_offset: gd_offset.into(),
            ..self.header.clone()
        };
        self.put(&to_sector(&footer))?;
        self.put_marker(MarkerKind::EndOfStream, 0)?;
        self.write_tail()?;
        self.file.set_len(self.tail_start)
    }

    /// Returns when everything appended is on stable storage.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.write_tail()?;
        self.file.flush()
    }

    /// The file with everything appended in it.
    pub fn readable(&mut self) -> Result<&dyn ReadAt, ReadError> {
        self.write_tail().map_err(|error| ReadError::Io {
            offset: self.tail_start,
            length: self.tail.len() as u64,
            source: std::io::Error::other(error),
        })?;
        Ok(&*self.file)
    }

    fn split(&self, grain: u64) -> (u64, usize) {
        let per_table = self.entries_per_table();
        (grain / per_table, (grain % per_table) as usize)
    }

    fn read_table(&mut self, table: u64) -> Result<Vec<u32>, ReadError> {
        let mut bytes = vec![0; self.header.num_gtes_per_gt as usize * 4];
        let place = u64::from(self.directory[table as usize]) * SECTOR;
        self.readable()?.read_at(&mut bytes, place)?;
        let entries = bytes.chunks_exact(4);
        Ok(entries
            .map(|entry| u32::from_le_bytes(std::array::from_fn(|i| entry[i])))
            .collect())
    }

    /// Appends the open tables, each behind its marker.
    fn append_tables(&mut self) -> Result<(), WriteError> {
        let open = std::mem::take(&mut self.open);
        for (table, entries) in open {
            let mut bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
            self.put_marker(MarkerKind::GrainTable, bytes.len() as u64 / SECTOR)?;
            self.directory[table as usize] = self.put(&bytes)?;
        }
        Ok(())
    }

    fn put_marker(&mut self, kind: MarkerKind, sectors: u64) -> Result<(), WriteError> {
        self.put(&to_sector(&Marker::new(kind, sectors)))?;
        Ok(())
    }

    /// Appends whole sectors; returns the first one's number.
    fn put(&mut self, bytes: &[u8]) -> Result<u32, WriteError> {
        let sector = (self.tail_start + self.tail.len() as u64) / SECTOR;
        let sector =
            u32::try_from(sector).map_err(|_| WriteError::Limit("a stream cannot grow beyond 2 TiB".into()))?;
        self.tail.extend_from_slice(bytes);
        if self.tail.len() >= TAIL {
            self.write_tail()?;
        }
        Ok(sector)
    }

    fn write_tail(&mut self) -> Result<(), WriteError> {
        if self.tail.is_empty() {
            return Ok(());
        }
        let end = self.tail_start + self.tail.len() as u64;
        if self.file.len() < end {
            self.file.set_len(end.next_multiple_of(GROWTH))?;
        }
        self.file.write_at(&self.tail, self.tail_start)?;
        self.tail_start = end;
        self.tail.clear();
        Ok(())
    }
}
