//! The snapshot of an NTFS volume.

use super::files::{Entry, EntryId, EntryKind, FilesBuilder, NamedStream};
use super::machine::{Problem, Snapshot};
use super::registry::{self, HiveFiles};
use crate::rules::Platform;
use cv_disk::ReadAt;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::structure::system_file::{ROOT, WOF_COMPRESSED_DATA};
use cv_ntfs::structure::{AttributeType, FileAttributes, FileReference};
use cv_ntfs::{Listing, Order, Volume};
use cv_winname::wtf8;
use std::collections::HashMap;

/// Problems kept in full.
const LISTED: usize = 1000;

pub fn snapshot(volume: &Volume, threads: usize) -> Snapshot {
    let listing = Listing::of(volume, threads);
    let mut problems: Vec<Problem> = listing
        .damage()
        .iter()
        .map(|damage| Problem {
            path: String::new(),
            reason: damage.to_string(),
        })
        .collect();
    let orphans = listing.orphans(volume).len();
    if orphans > 0 {
        problems.push(Problem {
            path: String::new(),
            reason: format!("{orphans} names are in no directory"),
        });
    }
    let mut streams: HashMap<u64, Vec<NamedStream>> = HashMap::new();
    for stream in listing.streams() {
        streams.entry(stream.file.record()).or_default().push(NamedStream {
            name: stream.name.clone(),
            size: stream.size,
        });
    }
    let root = Entry::new(Vec::new(), EntryKind::Directory, EntryId(ROOT.record));
    let mut builder = FilesBuilder::new(volume.serial_number(), root);
    let mut securities = Securities::default();
    // The directories on the way and their numbers.
    let mut way: Vec<(FileReference, u32)> = vec![(FileReference::new(ROOT.record, 0), 0)];
    listing.walk(volume, Order::Records, |path, listed| {
        let parent = way
            .iter()
            .rposition(|(directory, _)| directory.record() == listed.parent.record());
        // What is left out has no place on the way.
        let Some(parent) = parent else { return };
        way.truncate(parent + 1);
        let record = listed.file.reference.record();
        if parent == 0 && cv_volume::is_system_record(record) {
            return;
        }
        if let Err(fault) = cv_winname::check_stored_component(listed.name) {
            push(&mut problems, path, &fault.to_string());
            return;
        }
        let kind = if listed.file.is_directory {
            EntryKind::Directory
        } else {
            EntryKind::File
        };
        let mut entry = Entry::new(wtf8::encode(listed.name), kind, id_of(listed.file.reference));
        let information = &listed.file.information;
        entry.size = listed.file.size;
        entry.created = information.base.creation_time.0;
        entry.modified = information.base.last_modification_time.0;
        entry.changed = information.base.last_change_time.0;
        entry.usn = information.extension.map_or(0, |extension| extension.usn);
        entry.attributes = information.base.file_attributes.bits();
        if let Some(own) = streams.get(&record) {
            entry.streams.clone_from(own);
            entry.streams.sort_by(|left, right| left.name.cmp(&right.name));
        }
        if listed.file.attributes().contains(FileAttributes::REPARSE_POINT) {
            match reparse(volume, record) {
                Ok(Some((data, is_link))) => {
                    entry.reparse = Some(data);
                    if is_link {
                        entry.kind = EntryKind::Link;
                    }
                }
                // WOF compressed it, which is how it is stored and not what it is.
                Ok(None) => entry.streams.retain(|stream| stream.name != WOF_COMPRESSED_DATA),
                Err(reason) => push(&mut problems, path, &reason),
            }
        }
        entry.security = match information.security_id() {
            Some(id) => securities.number(volume, id, &mut builder),
            None => 0,
        };
        let is_directory = entry.kind == EntryKind::Directory;
        match builder.add(way[parent].1, entry) {
            Some(number) if is_directory => way.push((listed.file.reference, number)),
            Some(_) => {}
            None => push(&mut problems, path, "more names than a snapshot can have"),
        }
    });
    let (files, twins) = builder.finish();
    for path in twins {
        push(&mut problems, &path, "another name there differs from it in case alone");
    }
    let mut snapshot = Snapshot {
        platform: Platform::Windows,
        files,
        registry: registry::Registry::default(),
        problems,
    };
    let hives = VolumeHives { volume };
    snapshot.registry = registry::of_hives(&snapshot.files, &hives, threads, &mut snapshot.problems);
    snapshot
}

fn push(problems: &mut Vec<Problem>, path: &[u8], reason: &str) {
    if problems.len() < LISTED {
        problems.push(Problem {
            path: String::from_utf8_lossy(path).into_owned(),
            reason: reason.to_owned(),
        });
    }
}

/// Record and sequence number in one.
fn id_of(reference: FileReference) -> EntryId {
    EntryId(u64::from(reference.sequence()) << 48 | reference.record())
}

/// The record of a file by its id.
pub fn record_of(id: EntryId) -> u64 {
    id.0 & ((1 << 48) - 1)
}

/// The reparse data of a file, and whether they make it a link; `None` for one that WOF compressed.
fn reparse(volume: &Volume, record: u64) -> Result<Option<(Vec<u8>, bool)>, String> {
    let file = volume.file(record).map_err(|error| error.to_string())?;
    let value = file
        .value(AttributeType::REPARSE_POINT)
        .map_err(|error| error.to_string())?;
    match (file.reparse_point(), value) {
        (Ok(Some(ReparsePoint::WofFile(_))), _) | (_, None) => Ok(None),
        (Ok(Some(point)), Some(value)) => Ok(Some((value, point.tag().is_name_surrogate()))),
        (_, Some(value)) => Ok(Some((value, false))),
    }
}

/// The numbers of descriptors by their ids on the volume.
#[derive(Default)]
struct Securities(HashMap<u32, u32>);

impl Securities {
    fn number(&mut self, volume: &Volume, id: u32, builder: &mut FilesBuilder) -> u32 {
        *self
            .0
            .entry(id)
            .or_insert_with(|| match volume.security_descriptor(id) {
                Ok(Some(descriptor)) => builder.add_security(&descriptor),
                _ => 0,
            })
    }
}

struct VolumeHives<'a> {
    volume: &'a Volume,
}

impl HiveFiles for VolumeHives<'_> {
    fn read(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, String> {
        let file = self
            .volume
            .file(record_of(entry.id))
            .map_err(|error| error.to_string())?;
        let stream = file.content().map_err(|error| error.to_string())?;
        if stream.len() > limit {
            return Err(format!("a hive of {} bytes, at most {limit} are read", stream.len()));
        }
        let mut bytes = vec![0; stream.len() as usize];
        stream.read_at(&mut bytes, 0).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}
