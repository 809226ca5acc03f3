//! The volume's files against the index, both ways.

use super::finding::{Findings, Item, Problem};
use super::hashing::StreamHasher;
use super::{OWN_FILES, VerifyError};
use crate::content::{Metadata, Origin, entry_kind, index_attributes};
use crate::index::{Entry, EntryKind, Index, compare_paths};
use crate::read::Layer;
use crate::source::{VolumeOrigin, read_metadata};
use crate::{HIVES_DIRECTORY, Sha256Sum};
use cv_disk::Progress;
use cv_ntfs::structure::Namespace;
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::write::default_security;
use cv_ntfs::{File, Listing, Order};
use cv_winname::wtf8;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the volume has under a path.
struct Named {
    path: Vec<u8>,
    record: u64,
}

pub(super) fn verify(
    layer: &Layer,
    index: &Index,
    threads: usize,
    findings: &Findings,
    progress: &dyn Progress,
) -> Result<(), VerifyError> {
    let names = names(layer, threads);
    let mut work: Vec<(&Entry, u64)> = Vec::new();
    let mut listed = HashSet::new();
    for named in &names {
        match index
            .entry(&named.path)
            .filter(|entry| entry.kind != EntryKind::Whiteout)
        {
            Some(entry) => {
                listed.insert(&entry.path);
                if entry.path != named.path {
                    findings.differ(
                        Item::of(&named.path),
                        Problem::Kind,
                        show(&entry.path),
                        show(&named.path),
                    );
                }
                work.push((entry, named.record));
            }
            None if is_own(layer, &named.path) => own_file(layer, named, findings),
            None => findings.tell(Item::of(&named.path), Problem::Unlisted, "the index does not list it"),
        }
    }
    for entry in &index.entries {
        if entry.kind != EntryKind::Whiteout && !listed.contains(&entry.path) {
            findings.tell(Item::of(&entry.path), Problem::Missing, "it is not on the volume");
        }
    }
    links(&work, findings);
    let mut hashed = HashSet::new();
    let mut tasks: Vec<(&Entry, u64, bool)> = Vec::with_capacity(work.len());
    for (entry, record) in work {
        // A file with several names is hashed once; what else the index says of it is compared for each.
        tasks.push((entry, record, hashed.insert((record, sums(entry)))));
    }
    // Large ones first, so that no thread is left with one at the end.
    tasks.sort_by_key(|(entry, _, _)| std::cmp::Reverse(size_of(entry)));
    let whole = tasks.iter().filter(|(_, _, is_first)| *is_first);
    progress.begin(whole.map(|(entry, _, _)| size_of(entry)).sum());
    let origin: Arc<dyn Origin> = Arc::new(VolumeOrigin::new(layer.volume().clone()));
    let next = AtomicUsize::new(0);
    let worker = || -> Result<(), cv_disk::Cancelled> {
        let mut hasher = StreamHasher::new(findings, progress);
        loop {
            let Some((entry, record, is_first)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return hasher.finish();
            };
            let item = || Item::of(&entry.path);
            let file = match layer.volume().file(*record) {
                Ok(file) => file,
                Err(error) => {
                    findings.add(item(), Problem::Unreadable, &error);
                    continue;
                }
            };
            match read_metadata(&file, &origin) {
                Ok(metadata) => compare(index, entry, &file, &metadata, findings),
                Err(error) => findings.add(item(), Problem::Unreadable, &error.at(show(&entry.path))),
            }
            if *is_first {
                for stream in &entry.streams {
                    hasher.add(&file, entry, stream)?;
                }
            }
        }
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let own = worker();
        let joined = others
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err(cv_disk::Cancelled)));
        joined.chain([own]).collect()
    });
    outcomes.into_iter().collect::<Result<(), _>>()?;
    Ok(())
}

/// Every name on the volume, its own files left out, in the order of the index.
fn names(layer: &Layer, threads: usize) -> Vec<Named> {
    let volume = layer.volume();
    let mut names = Vec::new();
    Listing::of(volume, threads).walk(volume, Order::Records, |path, listed| {
        let record = listed.file.reference.record();
        if !cv_volume::is_system_record(record) && !path.starts_with(b"$Extend/") {
            names.push(Named {
                path: path.to_vec(),
                record,
            });
        }
    });
    names.sort_by(|left, right| compare_paths(&left.path, &right.path));
    names
}

fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn size_of(entry: &Entry) -> u64 {
    entry.streams.iter().map(|stream| stream.size).sum()
}

fn sums(entry: &Entry) -> Vec<Sha256Sum> {
    entry.streams.iter().map(|stream| stream.sha256).collect()
}

/// Whether it is one of the files that answer for the others, or a hive that the manifest names.
fn is_own(layer: &Layer, path: &[u8]) -> bool {
    let same = |left: &str, right: &[u8]| compare_paths(left.as_bytes(), right).is_eq();
    let hives = layer.manifest().hives.iter();
    OWN_FILES.iter().any(|name| same(name, path))
        || same(HIVES_DIRECTORY, path)
        || hives
            .map(|hive| format!("{HIVES_DIRECTORY}/{}", hive.name))
            .any(|hive| same(&hive, path))
}

/// The layer's own files are plain ones.
fn own_file(layer: &Layer, named: &Named, findings: &Findings) {
    let item = || Item::of(&named.path);
    match layer.volume().file(named.record) {
        Ok(file) => {
            if !matches!(file.reparse_point(), Ok(None)) {
                findings.tell(item(), Problem::Reparse, "it has reparse data");
            }
            if file.streams().iter().any(|stream| !stream.name.is_empty()) {
                findings.tell(item(), Problem::Unlisted, "it has streams with names");
            }
            let names = file.names().filter(|name| name.namespace() != Namespace::DOS).count();
            if names != 1 {
                findings.tell(item(), Problem::Link, "it has several names");
            }
        }
        Err(error) => findings.add(item(), Problem::Unreadable, &error),
    }
}

/// Names of one file in the index are names of one file on the volume, and the other way round.
fn links(work: &[(&Entry, u64)], findings: &Findings) {
    let mut records: HashMap<u32, u64> = HashMap::new();
    let mut owners: HashMap<u64, Option<u32>> = HashMap::new();
    for (entry, record) in work {
        let is_same_file = entry
            .link
            .is_none_or(|link| *records.entry(link).or_insert(*record) == *record);
        let is_same_link = match owners.get(record) {
            Some(known) => entry.link.is_some() && *known == entry.link,
            None => true,
        };
        owners.insert(*record, entry.link);
        if !is_same_file || !is_same_link {
            findings.tell(Item::of(&entry.path), Problem::Link, "it is a name of another file");
        }
    }
}

fn compare(index: &Index, entry: &Entry, file: &File, metadata: &Metadata, findings: &Findings) {
    let item = || Item::of(&entry.path);
    let kind = entry_kind(metadata.reparse.as_deref(), file.is_directory());
    let expected_kind = match entry.kind {
        EntryKind::OpaqueDirectory => EntryKind::Directory,
        kind => kind,
    };
    if kind != expected_kind {
        findings.differ(item(), Problem::Kind, format!("{expected_kind:?}"), format!("{kind:?}"));
    }
    let attributes = index_attributes(metadata.attributes, file.is_directory(), kind);
    if attributes != entry.attributes {
        let (expected, found) = (format!("{:#x}", entry.attributes), format!("{attributes:#x}"));
        findings.differ(item(), Problem::Attributes, expected, found);
    }
    let times = &metadata.times;
    let times = [times.creation, times.modification, times.change, times.access].map(|time| time.0);
    if times != entry.times {
        findings.differ(
            item(),
            Problem::Times,
            format!("{:?}", entry.times),
            format!("{times:?}"),
        );
    }
    let default;
    let security = if let Some(number) = entry.security {
        index.securities.get(number as usize).map(|bytes| &**bytes)
    } else {
        default = default_security();
        Some(&default[..])
    };
    if security != metadata.security.as_deref() {
        findings.tell(item(), Problem::Security, "its security descriptor is another");
    }
    if entry.reparse != metadata.reparse {
        findings.tell(item(), Problem::Reparse, "its reparse data are others");
    }
    let extended = ExtendedAttribute::encode_all(&metadata.extended_attributes).map(|(bytes, _)| bytes);
    if entry.extended_attributes.as_deref().unwrap_or_default() != extended.unwrap_or_default() {
        findings.tell(
            item(),
            Problem::ExtendedAttributes,
            "its extended attributes are others",
        );
    }
    if entry.object_id != metadata.object_id {
        findings.tell(item(), Problem::ObjectId, "its object id is another");
    }
    short_name(entry, file, findings);
    let names = |name: &[u8]| entry.streams.iter().any(|stream| stream.name == name);
    for stream in &metadata.streams {
        let name = wtf8::encode(stream.name.units());
        if !names(&name) {
            let text = format!("the index does not list its stream {:?}", show(&name));
            findings.tell(item(), Problem::Unlisted, &text);
        }
    }
}

fn short_name(entry: &Entry, file: &File, findings: &Findings) {
    let mut names = 0;
    let mut short = Vec::new();
    for name in file.names() {
        if name.namespace() == Namespace::DOS {
            short.push(wtf8::display(&name.name));
        } else {
            names += 1;
        }
    }
    let is_right = match &entry.short_name {
        Some(name) => short.contains(name),
        None => names > 1 || short.is_empty(),
    };
    if !is_right {
        let expected = entry.short_name.as_deref().unwrap_or("none");
        findings.differ(Item::of(&entry.path), Problem::ShortName, expected, short.join(", "));
    }
}
