//! What directories hold.

use crate::path::{Found, is_system_record};
use cv_disk::Damage;
use cv_ntfs::structure::reparse::{ReparsePoint, WofAlgorithm};
use cv_ntfs::structure::standard_information::StandardInformationBase;
use cv_ntfs::structure::system_file::ROOT;
use cv_ntfs::structure::{AttributeType, FileAttributes, FileReference, Namespace};
use cv_ntfs::{File, FileError, Listing, Order, StreamInfo, Volume};
use std::collections::{HashMap, HashSet};

/// A name of a directory and its file, as a listing shows it.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The path from the root in WTF-8: names separated by `/`, none before the first.
    pub path: &'a [u8],
    /// The name.
    pub name: &'a [u16],
    /// How many names its path has.
    pub depth: usize,
    /// The file.
    pub reference: FileReference,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Bytes of its content.
    pub size: u64,
    /// Bytes that its content takes on the volume.
    pub stored: u64,
    /// Times and attributes.
    pub information: StandardInformationBase,
    /// Number of its names, 8.3 names not counted; 0 where they were not asked for.
    pub links: u32,
    /// What only the file itself says; `None` where it was not asked for, or has nothing to say.
    pub details: Option<Details>,
}

/// What a file says of itself beyond sizes and times.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Its reparse data.
    pub reparse: Option<ReparsePoint>,
    /// Its named streams.
    pub streams: Vec<StreamInfo>,
    /// How WOF compressed its content.
    pub wof: Option<WofAlgorithm>,
}

/// What could not be read while listing.
#[derive(Debug, Default)]
pub struct Skipped {
    /// The damage, the first thousand in full.
    pub damage: Vec<String>,
    /// How much more there is.
    pub omitted: u64,
    /// Names whose directory is gone, or leads to itself; only known of a whole volume.
    pub orphans: u64,
}

impl Skipped {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.damage.is_empty() && self.omitted == 0 && self.orphans == 0
    }

    fn push(&mut self, error: &FileError) {
        const LISTED: usize = 1000;
        if self.damage.len() < LISTED {
            self.damage.push(one_line(error));
        } else {
            self.omitted += 1;
        }
    }
}

pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

/// What `file` says of itself; what is damaged is left out.
pub fn details(file: &File) -> Details {
    let mut streams = file.streams();
    streams.retain(|stream| !stream.name.is_empty());
    streams.sort_by(|left, right| file.volume().upcase().collate(&left.name, &right.name));
    Details {
        reparse: file.reparse_point().ok().flatten(),
        streams,
        wof: file.wof(),
    }
}

/// Shows what `found` holds in the order of the names, with details, or itself where it is no directory. The volume's own
/// files are shown where `all` says so.
pub fn list(
    volume: &Volume,
    found: &Found,
    all: bool,
    visit: &mut dyn FnMut(&Entry<'_>),
) -> Result<Skipped, FileError> {
    let mut skipped = Skipped::default();
    let mut path = found.path();
    let is_link = matches!(found.file.reparse_point(), Ok(Some(point)) if point.tag().is_name_surrogate());
    if !found.file.is_directory() || is_link {
        let name = found.names.last().map_or(&[][..], Vec::as_slice);
        visit(&entry_of(&found.file, &path, name, found.names.len()));
        return Ok(skipped);
    }
    let length = path.len();
    let depth = found.names.len() + 1;
    for entry in found.file.directory()?.entries() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                skipped.push(&error);
                continue;
            }
        };
        let is_in_root = found.file.reference().record() == ROOT.record;
        if is_in_root && !all && is_system_record(entry.reference.record()) {
            continue;
        }
        path.truncate(length);
        if length > 0 {
            path.push(b'/');
        }
        cv_winname::wtf8::encode_into(entry.name(), &mut path);
        match volume.file_by_reference(entry.reference) {
            Ok(file) => visit(&entry_of(&file, &path, entry.name(), depth)),
            Err(error) => {
                skipped.push(&error);
                // What the directory itself knows of it.
                let header = &entry.file_name.header;
                visit(&Entry {
                    path: &path,
                    name: entry.name(),
                    depth,
                    reference: entry.reference,
                    is_directory: entry.file_name.is_directory(),
                    size: header.file_size,
                    stored: header.allocated_length,
                    information: StandardInformationBase {
                        creation_time: header.creation_time,
                        last_modification_time: header.last_modification_time,
                        last_change_time: header.last_change_time,
                        last_access_time: header.last_access_time,
                        file_attributes: header.file_attributes,
                        ..StandardInformationBase::default()
                    },
                    links: 0,
                    details: None,
                });
            }
        }
    }
    Ok(skipped)
}

fn entry_of<'a>(file: &File, path: &'a [u8], name: &'a [u16], depth: usize) -> Entry<'a> {
    let content = file.attribute(AttributeType::DATA, &[]);
    let stored = match content.map(|content| &content.content) {
        Some(cv_ntfs::read::attribute::Content::NonResident(clusters)) => clusters.stored(file.volume().geometry()),
        _ => 0,
    };
    Entry {
        path,
        name,
        depth,
        reference: file.reference(),
        is_directory: file.is_directory(),
        size: content.map_or(0, cv_ntfs::read::attribute::FileAttribute::size),
        stored,
        information: file.standard_information().ok().flatten().unwrap_or_default().base,
        links: file.names().filter(|name| name.namespace() != Namespace::DOS).count() as u32,
        details: Some(details(file)),
    }
}

/// Shows everything below the directory `found`, from one pass over all file records of the volume with `threads` threads:
/// a directory before what is in it, in the order of the names. Links are not entered. `with_details` also counts links
/// and opens the few files that have more to say than their first record.
pub fn list_below(
    volume: &Volume,
    found: &Found,
    all: bool,
    with_details: bool,
    threads: usize,
    visit: &mut dyn FnMut(&Entry<'_>),
) -> Skipped {
    let listing = Listing::of(volume, threads);
    let is_whole = found.names.is_empty();
    let prefix = found.path();
    let links = if with_details {
        count_links(volume, &listing)
    } else {
        HashMap::new()
    };
    let with_streams: HashSet<u64> = listing.streams().iter().map(|stream| stream.file.record()).collect();
    let mut skip = SystemFiles::new(all);
    // The directories on the way, by record: a name may hold a `/`, so that the path does not tell.
    let mut way: Vec<u64> = Vec::new();
    listing.walk(volume, Order::Names, |path, listed| {
        let parent = way.iter().rposition(|record| *record == listed.parent.record());
        way.truncate(parent.map_or(0, |index| index + 1));
        way.push(listed.file.reference.record());
        let is_below = is_whole || path.len() > prefix.len() && path.starts_with(&prefix) && path[prefix.len()] == b'/';
        if skip.skips(path, listed.parent, listed.file.reference) || !is_below {
            return;
        }
        let file = listed.file;
        let record = file.reference.record();
        let has_more = file.attributes().contains(FileAttributes::REPARSE_POINT) || with_streams.contains(&record);
        let opened = (with_details && has_more).then(|| volume.file(record).ok()).flatten();
        visit(&Entry {
            path,
            name: listed.name,
            depth: way.len(),
            reference: file.reference,
            is_directory: file.is_directory,
            size: file.size,
            stored: file.stored,
            information: file.information.base,
            links: if with_details {
                links.get(&record).copied().unwrap_or(1)
            } else {
                0
            },
            details: opened.as_ref().map(details),
        });
    });
    Skipped {
        damage: listing.damage().iter().map(Damage::to_string).collect(),
        omitted: listing.omitted_damage(),
        orphans: if is_whole {
            listing.orphans(volume).len() as u64
        } else {
            0
        },
    }
}

/// The names of each file with more than one.
fn count_links(volume: &Volume, listing: &Listing) -> HashMap<u64, u32> {
    let mut links = HashMap::new();
    if listing
        .files()
        .iter()
        .any(|file| file.link_count > 1 && !file.is_directory)
    {
        listing.walk(volume, Order::Records, |_, listed| {
            if listed.file.link_count > 1 {
                *links.entry(listed.file.reference.record()).or_insert(0) += 1;
            }
        });
    }
    links
}

/// Leaves the volume's own files out of a walk, and what is in `$Extend`.
pub(crate) struct SystemFiles {
    all: bool,
    /// The directory that is left out with all it holds.
    below: Vec<u8>,
}

impl SystemFiles {
    pub fn new(all: bool) -> Self {
        Self { all, below: Vec::new() }
    }

    /// Whether to leave out the name at `path`; asked for every name in the order of the walk.
    pub fn skips(&mut self, path: &[u8], parent: FileReference, file: FileReference) -> bool {
        if self.all {
            return false;
        }
        if parent.record() == ROOT.record && is_system_record(file.record()) {
            self.below = path.to_vec();
            return true;
        }
        let length = self.below.len();
        length > 0 && path.len() > length && path[length] == b'/' && path.starts_with(&self.below)
    }
}
