//! Large streams, moved piece by piece.

use super::core::{Core, SparseRun};
use super::error::PopulateError;
use super::ordered::{Failed, FileCopy, Output, Turns};
use super::source::OpenStream;
use super::streams::{Made, Mover, PIECE, Wanted};
use super::tree::{ContentKind, StreamId};
use super::tree_hash::{self, GROUP, TreeHasher};
use cv_disk::{RawFile, ReadAt};
use cv_sha256::Sha256;
use std::io::Read;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

/// A stream that is moved piece by piece.
pub(super) struct LargeStream<'a> {
    pub number: u32,
    /// There is one at least.
    pieces: Vec<Piece>,
    /// The piece whose turn it is, of what must be done in order.
    turn: AtomicU64,
    input: Mutex<Option<Input<'a>>>,
    tree: Mutex<TreeHasher>,
    pub sum: Mutex<Sha256>,
}

/// Bytes that follow each other in the stream and on the volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Where it begins in the stream.
    start: u64,
    pub length: u64,
    /// Where it goes in the volume.
    pub offset: u64,
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// An open stream, as far as it can be shared.
enum Input<'a> {
    Shared(Shared<'a>),
    /// A reader, and the position it has.
    Reader(Box<dyn Read + Send + 'a>, u64),
}

/// What several threads can read at once.
#[derive(Clone)]
enum Shared<'a> {
    File(Arc<RawFile>, u64),
    Disk(Arc<dyn ReadAt + 'a>),
}

impl LargeStream<'_> {
    /// A stream whose data begin at cluster `lcn`, its holes left out.
    pub fn new(core: &Core, number: u32, lcn: u64, sparse: Option<&[SparseRun]>) -> Self {
        let size = core.tree.streams[number as usize].size;
        let whole = [SparseRun {
            vcn: 0,
            clusters: core.clusters_for(size),
            is_data: true,
        }];
        let mut pieces = Vec::new();
        let mut next = lcn;
        for run in sparse.unwrap_or(&whole).iter().filter(|run| run.is_data) {
            let start = core.offset(run.vcn);
            let end = core.offset(run.vcn + run.clusters).min(size);
            cut(&mut pieces, start..end, core.offset(next), |_| PIECE);
            next += run.clusters;
        }
        Self::of_pieces(number, pieces, size, core.offset(lcn))
    }

    /// A stream without holes, cut where the volume's offset is a multiple of `piece`: pieces of several streams come in turns,
    /// and two of them are not to share a block or grain of the container.
    pub fn aligned(core: &Core, number: u32, lcn: u64, piece: u64) -> Self {
        let size = core.tree.streams[number as usize].size;
        let mut pieces = Vec::new();
        cut(&mut pieces, 0..size, core.offset(lcn), |offset| piece - offset % piece);
        Self::of_pieces(number, pieces, size, core.offset(lcn))
    }

    fn of_pieces(number: u32, mut pieces: Vec<Piece>, size: u64, offset: u64) -> Self {
        if pieces.is_empty() {
            pieces.push(Piece {
                start: size,
                length: 0,
                offset,
            });
        }
        Self {
            number,
            pieces,
            turn: AtomicU64::new(0),
            input: Mutex::new(None),
            tree: Mutex::default(),
            sum: Mutex::default(),
        }
    }

    /// Number of pieces.
    pub fn pieces(&self) -> u64 {
        self.pieces.len() as u64
    }

    pub fn piece(&self, number: u64) -> Piece {
        self.pieces[number as usize]
    }

    pub fn is_last(&self, number: u64) -> bool {
        number + 1 == self.pieces()
    }

    /// Zeros that are not moved, before a piece.
    fn zeros_before(&self, number: u64) -> u64 {
        let before = number.checked_sub(1).map_or(0, |before| self.piece(before).end());
        self.piece(number).start - before
    }
}

/// Cuts a range of a stream, which begins at `offset` of the volume; `most` says how long a piece may be that begins there.
fn cut(pieces: &mut Vec<Piece>, range: std::ops::Range<u64>, mut offset: u64, most: impl Fn(u64) -> u64) {
    let mut start = range.start;
    while start < range.end {
        let length = most(offset).min(range.end - start);
        pieces.push(Piece { start, length, offset });
        start += length;
        offset += length;
    }
}

impl<'a> Mover<'a> {
    /// Reads one piece of a large stream; `may_copy` where the target may do so itself if nothing is to be hashed.
    pub fn large(
        &self,
        stream: &LargeStream<'a>,
        number: u64,
        may_copy: bool,
        output: &mut Output,
        turns: &Turns,
    ) -> Result<(), Failed> {
        let piece = stream.piece(number);
        let wanted = self.wanted(stream.number);
        output.begin_empty();
        if !(may_copy && !wanted.is_any() && self.copy(stream, piece, output)?) {
            let bytes = output.begin_filled(piece.offset, piece.length as usize);
            self.piece(stream, number, wanted, bytes, turns)?;
        }
        output.done = self.done(stream, piece);
        Ok(())
    }

    /// What moving a piece counts for as progress.
    pub fn done(&self, stream: &LargeStream<'_>, piece: Piece) -> u64 {
        match self.core.tree.streams[stream.number as usize].kind {
            ContentKind::Bytes => 0,
            _ => piece.length,
        }
    }

    /// Has the target copy a piece, where it comes from a file.
    fn copy(&self, stream: &LargeStream<'a>, piece: Piece, output: &mut Output) -> Result<bool, Failed> {
        if self.core.tree.streams[stream.number as usize].kind == ContentKind::Bytes {
            return Ok(false);
        }
        let (file, begin) = match self.input(stream)? {
            Some(Shared::File(file, begin)) => (file, begin),
            Some(Shared::Disk(disk)) => return self.copy_stored(stream, piece, &*disk, output),
            None => return Ok(false),
        };
        self.check_length(stream, begin + piece.end(), file.len(), begin)?;
        output.copy = (piece.length > 0).then_some(FileCopy {
            file,
            source_offset: begin + piece.start,
            offset: piece.offset,
            length: piece.length,
        });
        Ok(true)
    }

    /// Has the target copy a piece of a stream of another volume, where a file of the host has all of it in one place.
    fn copy_stored(
        &self,
        stream: &LargeStream<'a>,
        piece: Piece,
        disk: &(dyn ReadAt + 'a),
        output: &mut Output,
    ) -> Result<bool, Failed> {
        if piece.length == 0 || piece.end() > disk.len() {
            return Ok(false);
        }
        let failure = |error| self.failure(stream.number, error);
        let Some(stored) = disk.stored_at(piece.start).map_err(failure)? else {
            return Ok(false);
        };
        if stored.length < piece.length {
            return Ok(false);
        }
        let file = stored.file.try_clone().and_then(RawFile::from_file);
        output.copy = Some(FileCopy {
            file: Arc::new(file.map_err(|error| self.failure(stream.number, error))?),
            source_offset: stored.offset,
            offset: piece.offset,
            length: piece.length,
        });
        Ok(true)
    }

    fn check_length(&self, stream: &LargeStream<'_>, end: u64, length: u64, begin: u64) -> Result<(), PopulateError> {
        if end > length {
            return Err(self.too_short(stream.number, length.saturating_sub(begin)));
        }
        Ok(())
    }

    /// Fills `bytes` with a piece, and adds them to the hashes that are wanted.
    pub fn piece(
        &self,
        stream: &LargeStream<'a>,
        number: u64,
        wanted: Wanted,
        bytes: &mut [u8],
        turns: &Turns,
    ) -> Result<(), Failed> {
        let piece = stream.piece(number);
        let described = &self.core.tree.streams[stream.number as usize];
        let is_read = if described.kind == ContentKind::Bytes {
            let content = self.core.tree.bytes_of(described);
            bytes.copy_from_slice(&content[piece.start as usize..piece.end() as usize]);
            true
        } else {
            match self.input(stream)? {
                Some(Shared::File(file, begin)) => {
                    self.check_length(stream, begin + piece.end(), file.len(), begin)?;
                    file.read_at(bytes, begin + piece.start)
                        .map_err(|error| self.failure(stream.number, error))?;
                    true
                }
                Some(Shared::Disk(disk)) => {
                    self.fill_from_disk(stream.number, piece.start, bytes, &*disk)?;
                    true
                }
                // What is read in order is read in turn.
                None => false,
            }
        };
        if is_read && !wanted.is_any() {
            return Ok(());
        }
        // Groups are hashed by themselves, so that little has to wait for what is before.
        let is_whole =
            piece.start.is_multiple_of(GROUP) && (piece.length.is_multiple_of(GROUP) || piece.end() == described.size);
        let groups = (wanted.tree && is_read && is_whole)
            .then(|| tree_hash::chaining_values(bytes, piece.start).collect::<Vec<_>>());
        turns.wait_for(&stream.turn, number)?;
        if !is_read {
            self.read_in_turn(stream, piece.start, bytes)?;
        }
        let behind = if stream.is_last(number) {
            described.size - piece.end()
        } else {
            0
        };
        let mut made = Made {
            stream: StreamId(stream.number),
            sum: None,
            tree: None,
        };
        if wanted.tree {
            let mut tree = stream.tree.lock().unwrap_or_else(PoisonError::into_inner);
            tree.update_zeros(stream.zeros_before(number));
            match groups {
                Some(groups) if tree.is_at_group() => tree.append(piece.length, groups.into_iter()),
                _ => tree.update(bytes),
            }
            tree.update_zeros(behind);
            if stream.is_last(number) {
                made.tree = std::mem::take(&mut *tree).finish();
            }
        }
        if wanted.sum {
            let mut sum = stream.sum.lock().unwrap_or_else(PoisonError::into_inner);
            zeros(&mut sum, stream.zeros_before(number));
            sum.update(bytes);
            zeros(&mut sum, behind);
            if stream.is_last(number) {
                made.sum = Some(std::mem::take(&mut *sum).finish());
            }
        }
        self.keep([made]);
        turns.step(&stream.turn);
        Ok(())
    }

    /// What a stream is read from, once opened; `None` where it is read in order.
    fn input(&self, stream: &LargeStream<'a>) -> Result<Option<Shared<'a>>, PopulateError> {
        let mut input = stream.input.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match input.take() {
            Some(opened) => opened,
            None => self.open_large(stream.number)?,
        };
        let shared = match &opened {
            Input::Shared(shared) => Some(shared.clone()),
            Input::Reader(..) => None,
        };
        *input = Some(opened);
        Ok(shared)
    }

    fn open_large(&self, number: u32) -> Result<Input<'a>, PopulateError> {
        let stream = &self.core.tree.streams[number as usize];
        Ok(match self.open(number, stream)? {
            OpenStream::File { file, offset } => {
                let file = RawFile::from_file(file).map_err(|error| self.failure(number, error))?;
                Input::Shared(Shared::File(Arc::new(file), offset))
            }
            OpenStream::Disk(disk) => Input::Shared(Shared::Disk(Arc::from(disk))),
            OpenStream::Reader(reader) => Input::Reader(reader, 0),
        })
    }

    /// Reads the next piece from a reader, over what lies before it.
    fn read_in_turn(&self, stream: &LargeStream<'a>, start: u64, bytes: &mut [u8]) -> Result<(), PopulateError> {
        let mut input = stream.input.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Input::Reader(reader, position)) = &mut *input else {
            return Ok(());
        };
        while *position < start {
            let step = (start - *position).min(64 << 10);
            let mut skipped = vec![0; step as usize];
            self.fill(stream.number, *position, &mut skipped, reader)?;
            *position += step;
        }
        self.fill(stream.number, start, bytes, reader)?;
        *position = start + bytes.len() as u64;
        Ok(())
    }
}

fn zeros(sum: &mut Sha256, mut count: u64) {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let step = count.min(ZEROS.len() as u64);
        sum.update(&ZEROS[..step as usize]);
        count -= step;
    }
}
