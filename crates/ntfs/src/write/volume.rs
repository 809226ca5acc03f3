//! Writing a planned volume.

use super::b_tree::{BLOCK_SIZE, EntrySizes, Shape};
use super::compressed;
use super::core::{Core, Place, StreamPlace};
use super::directory_index::{DirectoryEntries, DirectorySizes};
use super::error::PopulateError;
use super::layout::{IndexPlace, Layout, Outside, Size};
use super::mft::{self, MftWriter};
use super::options::WriteOptions;
use super::ordered::{self, Failed, Output};
use super::parts;
use super::plan::Plan;
use super::source::{Hashes, Source};
use super::streams::{Mover, PIECE};
use super::system_files;
use super::tree::{ContentKind, StreamId};
use super::tree_hash;
use super::view_indexes::{View, ViewEntries};
use crate::structure::{Structure, attribute_definition, log_file};
use cv_disk::{Progress, WriteAt, data_runs};
use cv_winname::UpcaseTable;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// What writing a volume showed.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The hashes of every stream, where they were wanted.
    pub hashes: Hashes,
    /// Bytes of the clusters in use.
    pub used_size: u64,
}

/// Writes the planned volume to the beginning of `target`, which must read as zeros there.
///
/// Every stream is read once. Data goes first, to ascending offsets except for large streams that are hashed together; what
/// describes it goes after; the boot sector, without which there is no volume, comes last. The target's bytes are the same for any number of threads, and nothing is written that is
/// all zeros.
pub fn write(
    plan: &Plan,
    source: &dyn Source,
    target: &dyn WriteAt,
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<Outcome, PopulateError> {
    if target.len() < plan.volume_size {
        return Err(PopulateError::TargetTooSmall {
            needed: plan.volume_size,
            available: target.len(),
        });
    }
    let core = &plan.core;
    progress.begin(plan.source_size() + plan.layout.records * u64::from(core.record_size));
    let hashes = Mutex::new(first_hashes(core, source, options.hash));
    let mover = Mover {
        core,
        source,
        hash: options.hash,
        tree_hash_from: options.tree_hash_from.map(|size| size.max(tree_hash::GROUP + 1)),
        hashes: &hashes,
    };
    let threads = options.threads.max(1);
    ordered::run(target, threads, progress, mover.items(), |item, output, turns| {
        mover.work(item, output, turns)
    })?;
    let mut layout = if plan.compressed.is_empty() {
        plan.layout.clone()
    } else {
        let (outcomes, end) = compressed::write(plan, &mover, target, threads, progress)?;
        Layout::of(core, outcomes, end, Size::Clusters(plan.layout.total_clusters))?
    };

    let deferred = deferred_files(plan);
    let mft = MftWriter {
        mover: &mover,
        layout: &layout,
        deferred: &deferred,
    };
    ordered::run(
        target,
        threads,
        progress,
        mft::items(core, &layout),
        |range, output, _| mft.work(range, output),
    )?;
    write_late_streams(plan, source, target, &mut layout, &hashes)?;
    let mft = MftWriter {
        mover: &mover,
        layout: &layout,
        deferred: &HashSet::new(),
    };
    let first = deferred.iter().map(|file| core.record(*file));
    let further = (0..layout.records).filter(|record| {
        let extension = layout.extension_at(core, *record);
        extension.is_some_and(|extension| deferred.contains(&extension.file))
    });
    let mut records: Vec<u64> = first.chain(further).collect();
    records.sort_unstable();
    for record in records {
        match mft.record(record) {
            Ok((offset, bytes)) => put(target, offset, &bytes)?,
            Err(Failed::Here(failure)) => return Err(failure),
            Err(Failed::Elsewhere) => {}
        }
    }
    write_directories(core, &layout, target, threads, progress)?;
    write_the_rest(plan, &layout, target)?;
    let unused: u64 = unused(plan, &layout).iter().map(|place| place.clusters).sum();
    Ok(Outcome {
        hashes: hashes.into_inner().unwrap_or_else(PoisonError::into_inner),
        used_size: core.offset(layout.end - unused),
    })
}

/// Hashes of the streams that hold nothing, that the tree holds in file records, or that the source knows.
fn first_hashes(core: &Core, source: &dyn Source, wanted: bool) -> Hashes {
    let mut hashes = Hashes::new(core.tree.streams.len(), wanted);
    if !wanted {
        return hashes;
    }
    let mut whole: Vec<(StreamId, &[u8])> = Vec::new();
    for (number, stream) in core.tree.streams.iter().enumerate() {
        let number = number as u32;
        if stream.kind == ContentKind::Source
            && let Some(known) = source.known_hash(StreamId(number), stream.value)
        {
            hashes.set(StreamId(number), known);
            continue;
        }
        if core.place(number) != StreamPlace::Resident {
            continue;
        }
        match stream.kind {
            ContentKind::Bytes => whole.push((StreamId(number), core.tree.bytes_of(stream))),
            _ if stream.size == 0 => whole.push((StreamId(number), &[])),
            _ => {}
        }
    }
    let (streams, contents): (Vec<StreamId>, Vec<&[u8]>) = whole.into_iter().unzip();
    for (stream, sum) in streams.into_iter().zip(cv_sha256::digest_all(&contents)) {
        hashes.set(stream, sum);
    }
    hashes
}

/// Files whose records depend on late streams: their owners, and the directories that hold those.
fn deferred_files(plan: &Plan) -> HashSet<u32> {
    let tree = &plan.core.tree;
    let owners = plan.late.iter().map(|stream| tree.streams[*stream as usize].file);
    owners
        .flat_map(|file| {
            let parents = tree.names_of(file).map(|name| tree.names[name as usize].parent);
            std::iter::once(file).chain(parents)
        })
        .collect()
}

fn write_late_streams(
    plan: &Plan,
    source: &dyn Source,
    target: &dyn WriteAt,
    layout: &mut Layout,
    hashes: &Mutex<Hashes>,
) -> Result<(), PopulateError> {
    let core = &plan.core;
    for number in &plan.late {
        let stream = &core.tree.streams[*number as usize];
        let mut hashes = hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let content = source
            .late(StreamId(*number), stream.value, &hashes)
            .map_err(|source| PopulateError::Source {
                path: core.tree.shown_stream(StreamId(*number)),
                source,
            })?;
        if content.len() as u64 > stream.size {
            return Err(PopulateError::Length {
                path: core.tree.shown_stream(StreamId(*number)),
                expected: stream.size,
                found: content.len() as u64,
            });
        }
        hashes.set(StreamId(*number), cv_sha256::digest(&content));
        if let StreamPlace::Clusters(lcn) = core.place(*number) {
            put(target, core.offset(lcn), &content)?;
        }
        layout.set_late_size(*number, content.len() as u64);
    }
    Ok(())
}

/// Writes `bytes`, all but their zeros, to `offset`.
pub(super) fn put(target: &dyn WriteAt, offset: u64, bytes: &[u8]) -> Result<(), PopulateError> {
    for run in data_runs(bytes, 4096) {
        let start = offset + run.start as u64;
        target.reserve(start..offset + run.end as u64)?;
        target.write_at(&bytes[run], start)?;
    }
    Ok(())
}

/// Blocks of a directory's index that are made at once, or small directories whose blocks follow each other.
enum IndexItem {
    Part(IndexPlace, Arc<Shape>, Range<u64>),
    Whole(Vec<IndexPlace>),
}

fn write_directories(
    core: &Core,
    layout: &Layout,
    target: &dyn WriteAt,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(), PopulateError> {
    const BLOCKS: u64 = PIECE / BLOCK_SIZE as u64;
    let mut indexes = layout.indexes.iter().peekable();
    let mut large: Option<(IndexPlace, Arc<Shape>, u64)> = None;
    let items = std::iter::from_fn(|| {
        if let Some((place, shape, start)) = large.take() {
            let end = (start + BLOCKS).min(place.blocks);
            if end < place.blocks {
                large = Some((place, shape.clone(), end));
            }
            return Some(IndexItem::Part(place, shape, start..end));
        }
        let first = *indexes.next()?;
        if first.blocks > BLOCKS {
            let shape = Arc::new(Shape::of(&DirectorySizes::new(core, first.directory)));
            large = Some((first, shape.clone(), BLOCKS));
            return Some(IndexItem::Part(first, shape, 0..BLOCKS));
        }
        let mut list = vec![first];
        let most = (PIECE / u64::from(core.cluster_size)).max(first.place.clusters);
        while let Some(next) = indexes
            .next_if(|next| next.blocks <= BLOCKS && next.place.lcn + next.place.clusters - first.place.lcn <= most)
        {
            list.push(*next);
        }
        Some(IndexItem::Whole(list))
    });
    let unit = core.vcns_per_block();
    ordered::run(target, threads, progress, items, |item, output: &mut Output, _| {
        match item {
            IndexItem::Part(index, shape, blocks) => {
                let offset = core.offset(index.place.lcn) + blocks.start * u64::from(BLOCK_SIZE);
                let bytes = output.begin(offset, (blocks.end - blocks.start) as usize * BLOCK_SIZE as usize);
                let entries = DirectoryEntries::new(core, layout, index.directory);
                for (number, block) in blocks.zip(bytes.chunks_exact_mut(BLOCK_SIZE as usize)) {
                    shape.encode(&entries, number, unit, block);
                }
            }
            IndexItem::Whole(list) => {
                let start = list[0].place.lcn;
                let end = list.last().map_or(start, |last| last.place.lcn + last.place.clusters);
                let bytes = output.begin(core.offset(start), core.offset(end - start) as usize);
                for index in list {
                    let shape = Shape::of(&DirectorySizes::new(core, index.directory));
                    let entries = DirectoryEntries::new(core, layout, index.directory);
                    let offset = core.offset(index.place.lcn - start) as usize;
                    let blocks = bytes[offset..].chunks_exact_mut(BLOCK_SIZE as usize);
                    for (number, block) in (0..index.blocks).zip(blocks) {
                        shape.encode(&entries, number, unit, block);
                    }
                }
            }
        }
        Ok(())
    })
}

/// Writes what few volumes have much of, then what makes it a volume.
fn write_the_rest(plan: &Plan, layout: &Layout, target: &dyn WriteAt) -> Result<(), PopulateError> {
    let core = &plan.core;
    for (file, kind, place) in layout.all_outside() {
        let extras = core.tree.extras(file);
        let bytes: Vec<u8> = match kind {
            Outside::IndexBitmap => parts::index_bitmap(layout.index(file).map_or(0, |index| index.blocks)),
            Outside::Security => core.root_security().to_vec(),
            Outside::Reparse => extras
                .and_then(|extras| extras.reparse.as_deref())
                .unwrap_or_default()
                .to_vec(),
            Outside::ExtendedAttributes => {
                let list = extras.and_then(|extras| extras.extended_attributes.as_ref());
                list.map_or_else(Vec::new, |(bytes, _)| bytes.to_vec())
            }
            Outside::AttributeList => mft::attribute_list_of(core, layout, file),
        };
        put(target, core.offset(place.lcn), &bytes)?;
    }
    for view in View::ALL {
        let place = layout.view_indexes.place(view);
        if place.blocks == 0 {
            continue;
        }
        let entries = ViewEntries::new(core, &layout.view_indexes, view);
        debug_assert!(entries.count() > 0);
        let shape = Shape::of(&entries);
        for number in 0..place.blocks {
            let offset = core.offset(place.place.lcn) + number * u64::from(BLOCK_SIZE);
            put(target, offset, &entries.block(&shape, number))?;
        }
        if let Some(bitmap) = place.bitmap {
            put(target, core.offset(bitmap.lcn), &parts::index_bitmap(place.blocks))?;
        }
    }
    put(target, core.offset(layout.mft_bitmap.lcn), &mft_bitmap(core, layout))?;
    write_pieces(
        target,
        core.offset(layout.log.lcn),
        layout.log_size(core),
        |_, bytes| {
            bytes.fill(log_file::FRESH);
        },
    )?;
    write_bitmap(plan, layout, target)?;

    put(target, core.offset(core.front.security.lcn), core.security.content())?;
    put(
        target,
        core.offset(core.front.upcase.lcn),
        &UpcaseTable::windows().to_bytes(),
    )?;
    let definitions = core.front.attribute_definitions;
    put(
        target,
        core.offset(definitions.lcn),
        &attribute_definition::file_content(),
    )?;
    let mut mirrored = vec![0; core.mirror_size() as usize];
    target
        .read_at(&mut mirrored, core.offset(layout.mft.lcn))
        .map_err(cv_disk::WriteError::from)?;
    put(target, core.offset(core.front.mirror.lcn), &mirrored)?;
    let sectors = plan.total_sectors();
    let boot = system_files::boot_sector(core, layout, sectors).to_bytes();
    put(target, sectors * u64::from(core.sector_size), &boot)?;
    put(target, 0, &boot)
}

fn mft_bitmap(core: &Core, layout: &Layout) -> Vec<u8> {
    let mut bitmap = vec![0; (layout.records.div_ceil(64) * 8) as usize];
    for record in 0..layout.records {
        let is_used = system_files::is_system(record)
            || core.file_at(record).is_some()
            || layout.extension_at(core, record).is_some();
        if is_used {
            bitmap[(record / 8) as usize] |= 1 << (record % 8);
        }
    }
    bitmap
}

/// Clusters before the last used one that are free.
fn unused(plan: &Plan, layout: &Layout) -> Vec<Place> {
    let core = &plan.core;
    let mut places = core.gaps.clone();
    for stream in &plan.late {
        let StreamPlace::Clusters(lcn) = core.place(*stream) else {
            continue;
        };
        let used = core.clusters_for(layout.late_size(*stream).unwrap_or(0));
        let kept = core.clusters_for(core.tree.streams[*stream as usize].size);
        places.push(Place {
            lcn: lcn + used,
            clusters: kept - used,
        });
    }
    places.sort_unstable_by_key(|place| place.lcn);
    places
}

/// Writes the volume's bitmap: what is used stands at the beginning, and bits beyond the last cluster are set.
fn write_bitmap(plan: &Plan, layout: &Layout, target: &dyn WriteAt) -> Result<(), PopulateError> {
    let core = &plan.core;
    let unused = unused(plan, layout);
    let start = core.offset(layout.bitmap.lcn);
    let size = layout.bitmap_size();
    let end = layout.end.div_ceil(8).min(size);
    write_pieces(target, start, end, |position, bytes| {
        let first = position * 8;
        set_bits(bytes, first, 0..layout.end, true);
        for place in &unused {
            set_bits(bytes, first, place.lcn..place.lcn + place.clusters, false);
        }
        set_bits(bytes, first, layout.total_clusters..size * 8, true);
    })?;
    // The last eight bytes, where those are not written yet.
    let last = size - 8;
    if last >= end {
        let mut bytes = [0; 8];
        set_bits(&mut bytes, last * 8, layout.total_clusters..size * 8, true);
        put(target, start + last, &bytes)?;
    } else {
        let mut bytes = vec![0; (size - end) as usize];
        set_bits(&mut bytes, end * 8, layout.total_clusters..size * 8, true);
        put(target, start + end, &bytes)?;
    }
    Ok(())
}

/// Sets or clears those of `range` among the bits of `bytes`, the first of which has number `first`.
fn set_bits(bytes: &mut [u8], first: u64, range: Range<u64>, value: bool) {
    let end = first + bytes.len() as u64 * 8;
    let range = range.start.clamp(first, end) - first..range.end.clamp(first, end) - first;
    let mut bit = range.start;
    while bit < range.end {
        if bit % 8 == 0 && range.end - bit >= 8 {
            let whole = (range.end - bit) / 8;
            bytes[(bit / 8) as usize..][..whole as usize].fill(if value { 0xFF } else { 0 });
            bit += whole * 8;
            continue;
        }
        let mask = 1 << (bit % 8);
        let byte = &mut bytes[(bit / 8) as usize];
        *byte = if value { *byte | mask } else { *byte & !mask };
        bit += 1;
    }
}

/// Writes `length` bytes to `offset` that `fill` makes piece by piece from zeros.
fn write_pieces(
    target: &dyn WriteAt,
    offset: u64,
    length: u64,
    mut fill: impl FnMut(u64, &mut [u8]),
) -> Result<(), PopulateError> {
    let mut position = 0;
    while position < length {
        let step = PIECE.min(length - position);
        let mut bytes = vec![0; step as usize];
        fill(position, &mut bytes);
        put(target, offset + position, &bytes)?;
        position += step;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_and_cleared_as_said() {
        for (first, range) in [
            (0, 0..80),
            (16, 3..97),
            (8, 20..21),
            (64, 0..64),
            (0, 7..9),
            (80, 200..300),
        ] {
            let mut bytes = [0; 10];
            set_bits(&mut bytes, first, range.clone(), true);
            for bit in 0..80 {
                let is_set = bytes[(bit / 8) as usize] >> (bit % 8) & 1 == 1;
                assert_eq!(is_set, range.contains(&(first + bit)), "{first}, {range:?}, bit {bit}");
            }
            set_bits(&mut bytes, first, range, false);
            assert_eq!(bytes, [0; 10]);
        }
    }
}
