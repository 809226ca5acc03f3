//! Moving the streams whose place is known: small ones many at a time, large ones piece by piece.

use super::core::{Core, SparseRun, StreamPlace};
use super::error::PopulateError;
use super::ordered::{Failed, FileCopy, Output, Turns};
use super::source::{Hashes, OpenStream, Sha256Sum, Source};
use super::tree::{ContentKind, Stream, StreamId};
use super::tree_hash::{self, ChainingValue, GROUP, TreeHash, TreeHasher};
use cv_disk::{RawFile, ReadAt};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are gathered and written at once.
pub(super) const PIECE: u64 = 1 << 20;
/// Streams from this size on are moved by themselves.
const LARGE: u64 = 256 << 10;

/// What moving streams needs to know.
pub(super) struct Mover<'a> {
    pub core: &'a Core,
    pub source: &'a dyn Source,
    pub hash: bool,
    pub tree_hash_from: Option<u64>,
    pub hashes: &'a Mutex<Hashes>,
}

/// A piece of work.
pub(super) enum Item<'a> {
    /// Streams that follow each other, from cluster `lcn` on.
    Small { streams: Vec<u32>, lcn: u64, clusters: u64 },
    /// A piece of a large one.
    Large { stream: Arc<LargeStream<'a>>, piece: u64 },
}

/// A stream that is moved piece by piece.
pub(super) struct LargeStream<'a> {
    pub number: u32,
    /// Where each piece begins in the stream, how long it is, and where it goes in the volume. There is one at least.
    pieces: Vec<PieceOfStream>,
    /// The piece whose turn it is.
    turn: AtomicU64,
    input: Mutex<Option<Input<'a>>>,
    hashing: Mutex<Hashing>,
}

/// The hashes of a stream's bytes before `position`.
#[derive(Default)]
struct Hashing {
    sum: Sha256,
    tree: TreeHasher,
    position: u64,
}

/// Which hashes of a stream are to be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    sum: bool,
    tree: bool,
}

impl Wanted {
    fn is_any(self) -> bool {
        self.sum || self.tree
    }
}

#[derive(Debug, Clone, Copy)]
struct PieceOfStream {
    start: u64,
    length: u64,
    offset: u64,
}

/// Hashes of a stream.
struct Made {
    stream: StreamId,
    sum: Option<Sha256Sum>,
    tree: Option<TreeHash>,
}

/// An open stream, as far as it can be shared.
enum Input<'a> {
    File(Arc<RawFile>, u64),
    Disk(Arc<dyn ReadAt + 'a>),
    /// A reader, and the position it has.
    Reader(Box<dyn Read + Send + 'a>, u64),
}

/// The pieces of work for all streams whose place is known, in the order of their clusters.
pub(super) fn items<'a>(core: &'a Core) -> impl Iterator<Item = Item<'a>> + Send + 'a {
    let mut streams = std::iter::once(0)
        .chain(core.order.iter().copied())
        .flat_map(|file| core.tree.streams_of(file))
        .filter_map(|number| match core.place(number) {
            StreamPlace::Clusters(lcn) if core.tree.streams[number as usize].kind != ContentKind::Late => {
                Some((number, lcn))
            }
            _ => None,
        })
        .peekable();
    let most = (PIECE / u64::from(core.cluster_size)).max(1);
    let mut large: Option<(Arc<LargeStream<'a>>, u64)> = None;
    std::iter::from_fn(move || {
        if let Some((stream, piece)) = large.take().filter(|(stream, piece)| *piece < stream.pieces()) {
            large = Some((stream.clone(), piece + 1));
            return Some(Item::Large { stream, piece });
        }
        let (number, lcn) = streams.next()?;
        let stream = &core.tree.streams[number as usize];
        let sparse = core.sparse_runs(stream);
        if stream.size >= LARGE || sparse.is_some() {
            let stream = Arc::new(LargeStream::new(core, number, lcn, sparse.as_deref()));
            large = Some((stream.clone(), 1));
            return Some(Item::Large { stream, piece: 0 });
        }
        let mut list = vec![number];
        let mut end = lcn + core.clusters_for(stream.size);
        while let Some((number, start)) = streams.next_if(|(number, start)| {
            let stream = &core.tree.streams[*number as usize];
            let clusters = core.clusters_for(stream.size);
            stream.size < LARGE && core.sparse_runs(stream).is_none() && start + clusters - lcn <= most
        }) {
            end = start + core.clusters_for(core.tree.streams[number as usize].size);
            list.push(number);
        }
        Some(Item::Small {
            streams: list,
            lcn,
            clusters: end - lcn,
        })
    })
}

impl LargeStream<'_> {
    /// Number of pieces.
    pub fn pieces(&self) -> u64 {
        self.pieces.len() as u64
    }

    pub fn new(core: &Core, number: u32, lcn: u64, sparse: Option<&[SparseRun]>) -> Self {
        let stream = &core.tree.streams[number as usize];
        let whole = [SparseRun {
            vcn: 0,
            clusters: core.clusters_for(stream.size),
            is_data: true,
        }];
        let mut pieces = Vec::new();
        let mut next = lcn;
        for run in sparse.unwrap_or(&whole).iter().filter(|run| run.is_data) {
            let start = core.offset(run.vcn);
            let end = core.offset(run.vcn + run.clusters).min(stream.size);
            let mut position = start;
            while position < end {
                let length = PIECE.min(end - position);
                pieces.push(PieceOfStream {
                    start: position,
                    length,
                    offset: core.offset(next) + position - start,
                });
                position += length;
            }
            next += run.clusters;
        }
        if pieces.is_empty() {
            pieces.push(PieceOfStream {
                start: stream.size,
                length: 0,
                offset: core.offset(lcn),
            });
        }
        Self {
            number,
            pieces,
            turn: AtomicU64::new(0),
            input: Mutex::new(None),
            hashing: Mutex::default(),
        }
    }
}

impl<'a> Mover<'a> {
    /// Does one piece of work.
    pub fn work(&self, item: Item<'a>, output: &mut Output, turns: &Turns) -> Result<(), Failed> {
        match item {
            Item::Small { streams, lcn, clusters } => Ok(self.small(&streams, lcn, clusters, output)?),
            Item::Large { stream, piece } => self.large(&stream, piece, true, output, turns),
        }
    }

    /// Which hashes of a stream are still unknown.
    fn wanted(&self, number: u32) -> Wanted {
        let stream = &self.core.tree.streams[number as usize];
        let is_known =
            stream.kind == ContentKind::Source && self.source.known_hash(StreamId(number), stream.value).is_some();
        Wanted {
            sum: self.hash && !is_known,
            tree: !is_known && self.tree_hash_from.is_some_and(|least| stream.size >= least),
        }
    }

    fn small(&self, streams: &[u32], lcn: u64, clusters: u64, output: &mut Output) -> Result<(), PopulateError> {
        let core = self.core;
        let bytes = output.begin(core.offset(lcn), core.offset(clusters) as usize);
        let mut done = 0;
        let mut made = Vec::new();
        for number in streams {
            let StreamPlace::Clusters(start) = core.place(*number) else {
                continue;
            };
            let stream = &core.tree.streams[*number as usize];
            let content = &mut bytes[core.offset(start - lcn) as usize..][..stream.size as usize];
            self.read_whole(*number, content)?;
            made.push(self.hash_whole(*number, content));
            if stream.kind == ContentKind::Source {
                done += stream.size;
            }
        }
        output.done = done;
        self.keep(made);
        Ok(())
    }

    fn hash_whole(&self, number: u32, content: &[u8]) -> Made {
        let wanted = self.wanted(number);
        let mut tree = TreeHasher::default();
        if wanted.tree {
            tree.update(content);
        }
        Made {
            stream: StreamId(number),
            sum: wanted.sum.then(|| Sha256::digest(content).into()),
            tree: tree.finish(),
        }
    }

    fn keep(&self, made: Vec<Made>) {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        for Made { stream, sum, tree } in made {
            if let Some(sum) = sum {
                hashes.set(stream, sum);
            }
            if let Some(tree) = tree {
                hashes.set_tree(stream, tree);
            }
        }
    }

    /// Fills `content`, which is as long as the stream, and notes its hash where that is wanted.
    pub fn read_and_hash(&self, number: u32, content: &mut [u8]) -> Result<(), PopulateError> {
        self.read_whole(number, content)?;
        let mut made = self.hash_whole(number, content);
        made.tree = None;
        self.keep(vec![made]);
        Ok(())
    }

    fn read_whole(&self, number: u32, content: &mut [u8]) -> Result<(), PopulateError> {
        let stream = &self.core.tree.streams[number as usize];
        if stream.kind == ContentKind::Bytes {
            content.copy_from_slice(self.core.tree.bytes_of(stream));
            return Ok(());
        }
        match self.open(number, stream)? {
            OpenStream::File { mut file, offset } => {
                if offset > 0 {
                    file.seek(SeekFrom::Start(offset))
                        .map_err(|error| self.failure(number, error))?;
                }
                self.fill(number, 0, content, &mut file)
            }
            OpenStream::Disk(disk) => self.fill_from_disk(number, 0, content, &*disk),
            OpenStream::Reader(mut reader) => self.fill(number, 0, content, &mut reader),
        }
    }

    fn open(&self, number: u32, stream: &Stream) -> Result<OpenStream<'a>, PopulateError> {
        self.source
            .open(StreamId(number), stream.value)
            .map_err(|source| PopulateError::Source {
                path: self.core.tree.shown_stream(StreamId(number)),
                source,
            })
    }

    fn failure(&self, number: u32, error: impl std::error::Error + Send + Sync + 'static) -> PopulateError {
        PopulateError::Source {
            path: self.core.tree.shown_stream(StreamId(number)),
            source: Box::new(error),
        }
    }

    fn too_short(&self, number: u32, found: u64) -> PopulateError {
        PopulateError::Length {
            path: self.core.tree.shown_stream(StreamId(number)),
            expected: self.core.tree.streams[number as usize].size,
            found,
        }
    }

    /// Fills `content` from a reader that stands at `position`.
    fn fill(&self, number: u32, position: u64, content: &mut [u8], reader: &mut dyn Read) -> Result<(), PopulateError> {
        let mut filled = 0;
        while filled < content.len() {
            match reader.read(&mut content[filled..]) {
                Ok(0) => return Err(self.too_short(number, position + filled as u64)),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(number, error)),
            }
        }
        Ok(())
    }

    fn fill_from_disk(
        &self,
        number: u32,
        position: u64,
        content: &mut [u8],
        disk: &(dyn ReadAt + '_),
    ) -> Result<(), PopulateError> {
        if position.saturating_add(content.len() as u64) > disk.len() {
            return Err(self.too_short(number, disk.len()));
        }
        disk.read_at(content, position)
            .map_err(|error| self.failure(number, error))
    }

    /// Reads one piece of a large stream; `may_copy` where the target may do so itself if nothing is to be hashed.
    pub fn large(
        &self,
        stream: &LargeStream<'a>,
        piece: u64,
        may_copy: bool,
        output: &mut Output,
        turns: &Turns,
    ) -> Result<(), Failed> {
        let PieceOfStream { start, length, offset } = stream.pieces[piece as usize];
        let is_last = piece + 1 == stream.pieces.len() as u64;
        let wanted = self.wanted(stream.number);
        output.begin(offset, 0);
        let input = if self.core.tree.streams[stream.number as usize].kind == ContentKind::Bytes {
            let bytes = self.core.tree.bytes_of(&self.core.tree.streams[stream.number as usize]);
            output
                .bytes
                .extend_from_slice(&bytes[start as usize..(start + length) as usize]);
            None
        } else {
            output.done = length;
            let mut input = stream.input.lock().unwrap_or_else(PoisonError::into_inner);
            if input.is_none() {
                *input = Some(self.open_large(stream.number)?);
            }
            match &*input {
                Some(Input::File(file, offset)) => Some(Input::File(file.clone(), *offset)),
                Some(Input::Disk(disk)) => Some(Input::Disk(disk.clone())),
                // What is read in order is read in turn, below.
                _ => None,
            }
        };
        let is_read = match input {
            Some(Input::File(file, begin)) if may_copy && !wanted.is_any() => {
                if begin + start + length > file.len() {
                    return Err(self.too_short(stream.number, file.len().saturating_sub(begin)).into());
                }
                output.copy = (length > 0).then_some(FileCopy {
                    file,
                    source_offset: begin + start,
                    offset,
                    length,
                });
                return Ok(());
            }
            Some(Input::File(file, begin)) => {
                output.bytes.resize(length as usize, 0);
                if begin + start + length > file.len() {
                    return Err(self.too_short(stream.number, file.len().saturating_sub(begin)).into());
                }
                file.read_at(&mut output.bytes, begin + start)
                    .map_err(|error| self.failure(stream.number, error))?;
                true
            }
            Some(Input::Disk(disk)) => {
                output.bytes.resize(length as usize, 0);
                self.fill_from_disk(stream.number, start, &mut output.bytes, &*disk)?;
                true
            }
            _ => output.bytes.len() as u64 == length,
        };
        if is_read && !wanted.is_any() {
            return Ok(());
        }
        // Groups are hashed by themselves, so that only SHA-256 has to wait for what is before.
        let size = self.core.tree.streams[stream.number as usize].size;
        let is_whole = start.is_multiple_of(GROUP) && (length.is_multiple_of(GROUP) || start + length == size);
        let groups = (wanted.tree && is_read && is_whole)
            .then(|| tree_hash::chaining_values(&output.bytes, start).collect::<Vec<_>>());
        turns.wait_for(&stream.turn, piece)?;
        if !is_read {
            self.read_in_turn(stream, start, length, output)?;
        }
        let mut hashing = stream.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = start - hashing.position;
        hashing.zeros(wanted, before);
        hashing.bytes(wanted, &output.bytes, groups);
        if is_last {
            let behind = size - hashing.position;
            hashing.zeros(wanted, behind);
            let Hashing { sum, tree, .. } = std::mem::take(&mut *hashing);
            self.keep(vec![Made {
                stream: StreamId(stream.number),
                sum: wanted.sum.then(|| sum.finalize().into()),
                tree: wanted.tree.then(|| tree.finish()).flatten(),
            }]);
        }
        drop(hashing);
        turns.step(&stream.turn);
        Ok(())
    }

    fn open_large(&self, number: u32) -> Result<Input<'a>, PopulateError> {
        let stream = &self.core.tree.streams[number as usize];
        Ok(match self.open(number, stream)? {
            OpenStream::File { file, offset } => {
                let file = RawFile::from_file(file).map_err(|error| self.failure(number, error))?;
                Input::File(Arc::new(file), offset)
            }
            OpenStream::Disk(disk) => Input::Disk(Arc::from(disk)),
            OpenStream::Reader(reader) => Input::Reader(reader, 0),
        })
    }

    /// Reads the next piece from a reader, over what lies before it.
    fn read_in_turn(
        &self,
        stream: &LargeStream<'a>,
        start: u64,
        length: u64,
        output: &mut Output,
    ) -> Result<(), PopulateError> {
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
        output.bytes.resize(length as usize, 0);
        self.fill(stream.number, start, &mut output.bytes, reader)?;
        *position = start + length;
        Ok(())
    }
}

impl Hashing {
    /// Takes the next bytes, whose groups' chaining values may be known.
    fn bytes(&mut self, wanted: Wanted, bytes: &[u8], groups: Option<Vec<ChainingValue>>) {
        if wanted.sum {
            self.sum.update(bytes);
        }
        if wanted.tree {
            match groups {
                Some(groups) if self.tree.is_at_group() => self.tree.append(bytes.len() as u64, groups.into_iter()),
                _ => self.tree.update(bytes),
            }
        }
        self.position += bytes.len() as u64;
    }

    fn zeros(&mut self, wanted: Wanted, count: u64) {
        const ZEROS: [u8; 4096] = [0; 4096];
        if wanted.tree {
            self.tree.update_zeros(count);
        }
        let mut rest = if wanted.sum { count } else { 0 };
        while rest > 0 {
            let step = rest.min(ZEROS.len() as u64);
            self.sum.update(&ZEROS[..step as usize]);
            rest -= step;
        }
        self.position += count;
    }
}
