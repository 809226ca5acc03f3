//! Moving the streams whose place is known: small ones many at a time, large ones piece by piece.

use super::core::{Core, StreamPlace};
use super::error::PopulateError;
use super::large::LargeStream;
use super::ordered::{Failed, Output, Turns};
use super::side_by_side::{self, Step};
use super::source::{FileFrom, Hashes, OpenStream, Sha256Sum, Source};
use super::tree::{ContentKind, Stream, StreamId};
use super::tree_hash::{TreeHash, TreeHasher};
use cv_disk::ReadAt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are gathered and written at once.
pub(super) const PIECE: u64 = 1 << 20;
/// Streams from this size on are moved by themselves.
const LARGE: u64 = 256 << 10;
/// Streams of fewer bytes are moved in the order of their places, whether their hashes are known or not. Others are hashed side
/// by side, wherever they are: too few of them are next to each other to fill the lanes.
pub const SMALL_STREAM: u64 = 64 << 10;

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
    /// Pieces of several.
    SideBySide(Step<'a>),
}

/// Which hashes of a stream are to be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub sum: bool,
    pub tree: bool,
}

impl Wanted {
    pub fn is_any(self) -> bool {
        self.sum || self.tree
    }
}

/// Hashes of a stream.
pub(super) struct Made {
    pub stream: StreamId,
    pub sum: Option<Sha256Sum>,
    pub tree: Option<TreeHash>,
}

/// The streams whose place is known, each with its first cluster, in the order of their clusters.
fn placed_streams(core: &Core) -> impl Iterator<Item = (u32, u64)> {
    std::iter::once(0)
        .chain(core.order.iter().copied())
        .flat_map(|file| core.tree.streams_of(file))
        .filter_map(|number| match core.place(number) {
            StreamPlace::Clusters(lcn) if core.tree.streams[number as usize].kind != ContentKind::Late => {
                Some((number, lcn))
            }
            _ => None,
        })
}

/// The pieces of work for streams in the order of their clusters.
fn in_order<'a>(core: &'a Core, streams: Vec<(u32, u64)>) -> impl Iterator<Item = Item<'a>> + Send + use<'a> {
    let mut streams = streams.into_iter().peekable();
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
            // What lies between them is not to be written over.
            *start == end && stream.size < LARGE && core.sparse_runs(stream).is_none() && start + clusters - lcn <= most
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

type Items<'a> = Box<dyn Iterator<Item = Item<'a>> + Send + 'a>;

/// One of each by turns: while one thread hashes what must be hashed in order, the others have something else to do.
fn by_turns(mut kinds: [Items<'_>; 3]) -> impl Iterator<Item = Item<'_>> + Send {
    let mut turn = 0;
    std::iter::from_fn(move || {
        (0..kinds.len()).find_map(|_| {
            turn = (turn + 1) % kinds.len();
            kinds[turn].next()
        })
    })
}

impl<'a> Mover<'a> {
    /// The pieces of work for all streams whose place is known. Streams follow in the order of their clusters, except that
    /// those which are hashed side by side come in between.
    pub fn items(&self) -> impl Iterator<Item = Item<'a>> + Send + use<'a> {
        let core = self.core;
        let is_side_by_side = |number: u32| {
            let stream = &core.tree.streams[number as usize];
            stream.size >= SMALL_STREAM && core.sparse_runs(stream).is_none() && self.wanted(number).sum
        };
        let (mut large, others): (Vec<_>, Vec<_>) =
            placed_streams(core).partition(|(number, _)| is_side_by_side(*number));
        let alone = side_by_side::take_alone(core, &mut large)
            .into_iter()
            .flat_map(|stream| {
                (0..stream.pieces()).map(move |piece| Item::Large {
                    stream: stream.clone(),
                    piece,
                })
            });
        let steps = side_by_side::steps(core, large).map(Item::SideBySide);
        by_turns([Box::new(steps), Box::new(alone), Box::new(in_order(core, others))])
    }

    /// Does one piece of work.
    pub fn work(&self, item: Item<'a>, output: &mut Output, turns: &Turns) -> Result<(), Failed> {
        match item {
            Item::Small { streams, lcn, clusters } => Ok(self.small(&streams, lcn, clusters, output)?),
            Item::Large { stream, piece } => self.large(&stream, piece, true, output, turns),
            Item::SideBySide(step) => self.side_by_side(&step, output, turns),
        }
    }

    /// Which hashes of a stream are still unknown.
    pub fn wanted(&self, number: u32) -> Wanted {
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
        let mut places = Vec::with_capacity(streams.len());
        for number in streams {
            let StreamPlace::Clusters(start) = core.place(*number) else {
                continue;
            };
            let stream = &core.tree.streams[*number as usize];
            let offset = core.offset(start - lcn) as usize;
            let place = offset..offset + stream.size as usize;
            self.read_whole(*number, &mut bytes[place.clone()])?;
            places.push((*number, place));
            if stream.kind == ContentKind::Source {
                done += stream.size;
            }
        }
        self.hash_whole(bytes, places);
        output.done = done;
        Ok(())
    }

    /// Notes the hashes that are wanted of streams, each of which is in a range of `bytes`.
    pub fn hash_whole(&self, bytes: &[u8], places: Vec<(u32, Range<usize>)>) {
        let streams = places.into_iter().map(|(number, place)| (number, &bytes[place]));
        let streams: Vec<(u32, &[u8])> = streams.collect();
        let summed = streams.iter().filter(|(number, _)| self.wanted(*number).sum);
        let (summed, contents): (Vec<u32>, Vec<&[u8]>) = summed.copied().unzip();
        let sums = cv_sha256::digest_all(&contents).into_iter().zip(summed);
        self.keep(sums.map(|(sum, number)| Made {
            stream: StreamId(number),
            sum: Some(sum),
            tree: None,
        }));
        let trees = streams.iter().filter(|(number, _)| self.wanted(*number).tree);
        self.keep(trees.map(|(number, content)| {
            let mut tree = TreeHasher::default();
            tree.update(content);
            Made {
                stream: StreamId(*number),
                sum: None,
                tree: tree.finish(),
            }
        }));
    }

    /// Notes hashes.
    pub fn keep(&self, made: impl IntoIterator<Item = Made>) {
        // Hashing what the iterator gives is not to be waited for.
        let made: Vec<Made> = made.into_iter().collect();
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

    /// Fills `content`, which is as long as the stream.
    pub fn read_whole(&self, number: u32, content: &mut [u8]) -> Result<(), PopulateError> {
        let stream = &self.core.tree.streams[number as usize];
        if stream.kind == ContentKind::Bytes {
            content.copy_from_slice(self.core.tree.bytes_of(stream));
            return Ok(());
        }
        match self.open(number, stream)? {
            OpenStream::File { file, offset } => self.fill(number, 0, content, &mut FileFrom::new(file, offset)),
            OpenStream::Disk(disk) => self.fill_from_disk(number, 0, content, &*disk),
            OpenStream::Reader(mut reader) => self.fill(number, 0, content, &mut reader),
        }
    }

    pub fn open(&self, number: u32, stream: &Stream) -> Result<OpenStream<'a>, PopulateError> {
        self.source
            .open(StreamId(number), stream.value)
            .map_err(|source| PopulateError::Source {
                path: self.core.tree.shown_stream(StreamId(number)),
                source,
            })
    }

    pub fn failure(&self, number: u32, error: impl std::error::Error + Send + Sync + 'static) -> PopulateError {
        PopulateError::Source {
            path: self.core.tree.shown_stream(StreamId(number)),
            source: Box::new(error),
        }
    }

    pub fn too_short(&self, number: u32, found: u64) -> PopulateError {
        PopulateError::Length {
            path: self.core.tree.shown_stream(StreamId(number)),
            expected: self.core.tree.streams[number as usize].size,
            found,
        }
    }

    /// Fills `content` from a reader that stands at `position`.
    pub fn fill(
        &self,
        number: u32,
        position: u64,
        content: &mut [u8],
        reader: &mut dyn Read,
    ) -> Result<(), PopulateError> {
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

    pub fn fill_from_disk(
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
}
