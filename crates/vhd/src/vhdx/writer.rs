//! Writing the virtual disk, of a new file and of one in place.

use super::GuidSource;
use super::allocation::{DATA, FILE, Ledger, Pending, State};
use super::bat::BlockState;
use super::blocks::{Blocks, Part};
use super::error::OpenError;
use super::image::Structure;
use super::info::VhdxIdentity;
use super::journal::{Journal, write_home};
use super::overlay::Overlay;
use super::parent_locator::ParentReference;
use super::stability::Stability;
use super::structures::{FileParameters, Guid};
use cv_disk::{Differencing, Extent, PagedTable, ReadAt, ReadError, Resize, WriteAt, WriteError, is_zero};
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// A VHDX file that is written: a new one from a [`VhdxBuilder`](super::VhdxBuilder), or an existing one in place.
///
/// Data goes straight to the file, from any number of threads; only finding room for a new block and noting it takes a
/// lock. In a new file, what is noted reaches the file in [`finish`](Self::finish). In place it goes through the log, so
/// that the file can be opened and holds every completed write whenever the program ends, and every flushed write when
/// the power fails.
///
/// The GUIDs that change with the file and its content are changed before the first modification, not on opening.
pub struct VhdxWriter {
    pub(super) file: Arc<dyn Resize>,
    pub(super) blocks: Blocks,
    pub(super) overlay: Arc<Overlay>,
    pub(super) structure: Structure,
    pub(super) state: Mutex<State>,
    pub(super) stability: Stability,
    /// Held while a sector of a differencing file that is written in part is completed from the parent.
    edges: Mutex<()>,
    /// Which of the headers' GUIDs have been changed, [`FILE`] and [`DATA`].
    pub(super) begun: AtomicU8,
    /// What `DataWriteGuid` becomes with the first change of content.
    pub(super) next_data_write_guid: Uuid,
    pub(super) new_guid: GuidSource,
}

/// What is written.
#[derive(Clone, Copy)]
enum Source<'a> {
    Bytes(&'a [u8]),
    File { file: &'a File, offset: u64 },
    Zeros,
}

impl Source<'_> {
    fn part(self, start: u64, length: u64) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(&bytes[start as usize..(start + length) as usize]),
            Self::File { file, offset } => Self::File {
                file,
                offset: offset + start,
            },
            Self::Zeros => Self::Zeros,
        }
    }

    fn is_zero(self) -> bool {
        match self {
            Self::Bytes(bytes) => is_zero(bytes),
            Self::File { .. } => false,
            Self::Zeros => true,
        }
    }
}

impl fmt::Debug for VhdxWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VhdxWriter")
            .field("blocks", &self.blocks)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl VhdxWriter {
    /// Opens `file` in place, without its parent. A log that was left behind is replayed to the file.
    ///
    /// `new_guid` gives the GUIDs for the headers and the log. It must never give one that this file has had before,
    /// since a log's GUID tells its entries from what is left of older logs. A file whose structures overlap is
    /// refused, since writing to one would change the other.
    pub fn open(file: Arc<dyn Resize>, new_guid: impl Fn() -> Uuid + Send + Sync + 'static) -> Result<Self, OpenError> {
        let new_guid: GuidSource = Arc::new(new_guid);
        let readable: Arc<dyn ReadAt> = file.clone();
        let mut structure = Structure::read(&readable)?;
        let current = (structure.header, structure.headers.current()?);
        let log = structure.log.clone().unwrap_or(0..0);
        let replayed = structure.replayed.take();
        let is_dirty = replayed.is_some();
        let overlay = replayed.unwrap_or_else(|| Arc::new(Overlay::new(readable)));
        let mut journal = Journal::new(file.clone(), overlay.clone(), new_guid.clone(), current, log);
        if is_dirty {
            let guid = Guid(new_guid());
            journal
                .update_headers(|header| header.file_write_guid = guid)
                .and_then(|()| journal.checkpoint())
                .map_err(OpenError::Replay)?;
        }
        let mut writer = Self::new(file, overlay, structure, Ledger::InPlace(journal), new_guid)?;
        *writer.begun.get_mut() = if is_dirty { FILE } else { 0 };
        let space = writer.survey()?;
        writer.state().space = space;
        Ok(writer)
    }

    pub(super) fn new(
        file: Arc<dyn Resize>,
        overlay: Arc<Overlay>,
        structure: Structure,
        ledger: Ledger,
        new_guid: GuidSource,
    ) -> Result<Self, ReadError> {
        let geometry = structure.geometry();
        let blocks = Blocks {
            data: file.clone(),
            metadata: overlay.clone(),
            bat: PagedTable::new(overlay.clone(), structure.regions.bat.start, geometry.entry_count())?,
            geometry,
            parent: None,
        };
        Ok(Self {
            next_data_write_guid: new_guid(),
            file,
            blocks,
            overlay,
            structure,
            state: Mutex::new(State::new(ledger)),
            stability: Stability::default(),
            edges: Mutex::default(),
            begun: AtomicU8::new(0),
            new_guid,
        })
    }

    /// Attaches the parent's whole view.
    pub fn set_parent(&mut self, parent: Arc<dyn ReadAt>) {
        self.blocks.parent = Some(parent);
    }

    /// The same image with its parent attached.
    #[must_use]
    pub fn with_parent(mut self, parent: Arc<dyn ReadAt>) -> Self {
        self.set_parent(parent);
        self
    }

    /// What a differencing file says of its parent; `None` for other files.
    pub fn parent_reference(&self) -> Option<&ParentReference> {
        self.structure.metadata.parent.as_ref()
    }

    /// The GUIDs that identify the file and its content as they are now.
    pub fn identity(&self) -> VhdxIdentity {
        let header = match &self.state().ledger {
            Ledger::New => self.structure.header,
            Ledger::InPlace(journal) => *journal.header(),
        };
        VhdxIdentity {
            virtual_disk_id: self.structure.metadata.virtual_disk_id,
            data_write_guid: header.data_write_guid.0,
            file_write_guid: header.file_write_guid.0,
        }
    }

    /// What [`VhdxIdentity::data_write_guid`] becomes with the first change of content of a file in place. A child that
    /// is to outlive the change stores it as [`ParentReference::parent_linkage2`] before (section 2.6.2.6.3).
    pub fn next_data_write_guid(&self) -> Uuid {
        self.next_data_write_guid
    }

    /// Completes the file. A file in place is on stable storage on return; a new one is not yet flushed.
    pub fn finish(self) -> Result<(), WriteError> {
        let trim = !self.leaves_blocks_allocated();
        self.close(trim)
    }

    /// As [`finish`](Self::finish); a file in place loses what is unused at its end if `trim` says so.
    pub(super) fn close(self, trim: bool) -> Result<(), WriteError> {
        let in_place = matches!(self.state().ledger, Ledger::InPlace(_));
        if !in_place {
            write_home(&*self.file, &self.overlay)?;
            self.overlay.clear();
            return super::builder::write_structure(&*self.file, &self.structure);
        }
        if self.begun.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        if trim {
            self.trim()?;
        }
        let mut state = self.state();
        match &mut state.ledger {
            Ledger::InPlace(journal) => journal.checkpoint().and_then(|()| journal.flush()),
            Ledger::New => Ok(()),
        }
    }

    /// Cuts off what is unused at the end of a file in place.
    pub(super) fn trim(&self) -> Result<(), WriteError> {
        let mut guard = self.state();
        let state = &mut *guard;
        let length = self.file.len();
        let end = state.space.used_end(length);
        if let Ledger::InPlace(journal) = &mut state.ledger
            && end < length
        {
            journal.checkpoint()?;
            journal.cut_file(end)?;
            state.space.cut(end);
        }
        Ok(())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether blocks keep their room whatever they hold: in a fixed file.
    pub(super) fn leaves_blocks_allocated(&self) -> bool {
        let flags = self.structure.metadata.file_parameters.flags;
        flags & FileParameters::LEAVE_BLOCK_ALLOCATED != 0 && !self.blocks.geometry.has_parent
    }

    fn write(&self, source: Source<'_>, range: Range<u64>) -> Result<(), WriteError> {
        let length = range.end.saturating_sub(range.start);
        WriteError::check_range(range.start, length, self.len())?;
        self.begin(FILE | DATA)?;
        let mut pending = Pending::default();
        for part in self.blocks.parts(range.clone()) {
            let start = part.block * self.blocks.geometry.block_size + part.within - range.start;
            self.write_part(source.part(start, part.length), part, &mut pending)?;
        }
        self.commit(&pending)
    }

    fn write_part(&self, source: Source<'_>, part: Part, pending: &mut Pending) -> Result<(), WriteError> {
        let (entry, state) = self.blocks.entry(part.block)?;
        let has_parent = self.blocks.geometry.has_parent;
        match state {
            BlockState::FullyPresent => self.put(source, self.blocks.place(entry, part)?, part.length),
            BlockState::NotPresent | BlockState::PartiallyPresent if has_parent => {
                self.write_over_parent(source, part, pending)
            }
            _ if source.is_zero() => {
                // Others may read anything from these.
                if matches!(state, BlockState::Undefined | BlockState::Unmapped) {
                    pending.zero(part.block);
                }
                Ok(())
            }
            _ => {
                let place = self.room(part.block, false)?;
                self.put(source, place + part.within, part.length)?;
                pending.present(part.block, place, false);
                Ok(())
            }
        }
    }

    /// Writes where what is not written stays the parent's.
    fn write_over_parent(&self, source: Source<'_>, part: Part, pending: &mut Pending) -> Result<(), WriteError> {
        let is_whole = self.is_whole(part);
        let place = self.room(part.block, !is_whole)?;
        if is_whole {
            self.put(source, place, part.length)?;
            pending.present(part.block, place, true);
            return Ok(());
        }
        let sector = self.blocks.geometry.logical_sector_size;
        let end = part.within + part.length;
        let sectors = part.within / sector..end.div_ceil(sector);
        if part.within.is_multiple_of(sector) && end.is_multiple_of(sector) {
            self.put(source, place + part.within, part.length)?;
            pending.partial(part.block, place, sectors);
            return Ok(());
        }
        let _edges = self.edges.lock().unwrap_or_else(PoisonError::into_inner);
        for edge in [sectors.start, sectors.end - 1] {
            let within = edge * sector;
            if within < part.within || within + sector > end {
                self.complete_sector(part.block, within, place)?;
            }
        }
        self.put(source, place + part.within, part.length)?;
        let mut now = Pending::default();
        now.partial(part.block, place, sectors);
        self.commit(&now)
    }

    /// Copies a sector that the parent holds to its place, before a part of it is overwritten.
    fn complete_sector(&self, block: u64, within: u64, place: u64) -> Result<(), WriteError> {
        let is_stored = match self.blocks.entry(block)?.1 {
            BlockState::NotPresent => false,
            BlockState::PartiallyPresent => self.blocks.stores_sector(block, within)?,
            _ => true,
        };
        if !is_stored {
            let geometry = &self.blocks.geometry;
            let mut sector = vec![0; geometry.logical_sector_size as usize];
            self.blocks
                .read_parent(&mut sector, block * geometry.block_size + within)?;
            self.file.write_at(&sector, place + within)?;
        }
        Ok(())
    }

    fn put(&self, source: Source<'_>, place: u64, length: u64) -> Result<(), WriteError> {
        match source {
            Source::Bytes(bytes) => self.file.write_at(bytes, place),
            Source::File { file, offset } => self.file.copy_from_file(file, offset, place, length),
            Source::Zeros => self.file.write_zeros_at(place..place + length),
        }
    }

    fn zero_part(&self, part: Part, pending: &mut Pending) -> Result<(), WriteError> {
        let (entry, state) = self.blocks.entry(part.block)?;
        let has_parent = self.blocks.geometry.has_parent;
        match state {
            BlockState::Zero => {}
            BlockState::NotPresent if !has_parent => {}
            BlockState::Undefined | BlockState::Unmapped => pending.zero(part.block),
            BlockState::FullyPresent if !self.is_whole(part) || self.leaves_blocks_allocated() => {
                let place = self.blocks.place(entry, part)?;
                self.file.write_zeros_at(place..place + part.length)?;
            }
            _ if self.is_whole(part) => pending.zero(part.block),
            _ => self.write_over_parent(Source::Zeros, part, pending)?,
        }
        Ok(())
    }

    /// Whether a part is all of its block that belongs to the virtual disk.
    fn is_whole(&self, part: Part) -> bool {
        part.within == 0 && part.length == self.blocks.geometry.length_of(part.block)
    }
}

impl ReadAt for VhdxWriter {
    fn len(&self) -> u64 {
        self.blocks.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.blocks.read_at(buf, offset)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.blocks.extent_at(offset)
    }
}

impl Differencing for VhdxWriter {
    fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.blocks.own_extent_at(offset)
    }
}

impl WriteAt for VhdxWriter {
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
        self.write(Source::Bytes(buf), offset..offset.saturating_add(buf.len() as u64))
    }

    fn write_zeros_at(&self, range: Range<u64>) -> Result<(), WriteError> {
        WriteError::check_range(range.start, range.end.saturating_sub(range.start), self.len())?;
        self.begin(FILE | DATA)?;
        let mut pending = Pending::default();
        for part in self.blocks.parts(range) {
            self.zero_part(part, &mut pending)?;
            if pending.is_long() {
                self.commit(&std::mem::take(&mut pending))?;
            }
        }
        self.commit(&pending)
    }

    fn reserve(&self, range: Range<u64>) -> Result<(), WriteError> {
        WriteError::check_range(range.start, range.end.saturating_sub(range.start), self.len())?;
        self.begin(FILE | DATA)?;
        for part in self.blocks.parts(range) {
            if !self.blocks.entry(part.block)?.1.is_stored() {
                self.room(part.block, !self.is_whole(part))?;
            }
        }
        Ok(())
    }

    fn copy_from_file(&self, source: &File, source_offset: u64, offset: u64, length: u64) -> Result<(), WriteError> {
        let source = Source::File {
            file: source,
            offset: source_offset,
        };
        self.write(source, offset..offset.saturating_add(length))
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.stability.reach(&*self.file)
    }
}
