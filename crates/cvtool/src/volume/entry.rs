//! What is printed of a file.

use crate::print;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_volume::Entry;
use serde_json::{Value as Json, json};

/// The letters of `ls -l`, one place each, and the words of JSON.
const ATTRIBUTES: [(FileAttributes, char, &str); 14] = [
    (FileAttributes::READONLY, 'r', "readonly"),
    (FileAttributes::HIDDEN, 'h', "hidden"),
    (FileAttributes::SYSTEM, 's', "system"),
    (FileAttributes::ARCHIVE, 'a', "archive"),
    (FileAttributes::TEMPORARY, 't', "temporary"),
    (FileAttributes::SPARSE_FILE, 'p', "sparse"),
    (FileAttributes::COMPRESSED, 'c', "compressed"),
    (FileAttributes::ENCRYPTED, 'e', "encrypted"),
    (FileAttributes::OFFLINE, 'o', "offline"),
    (FileAttributes::NOT_CONTENT_INDEXED, 'i', "not-content-indexed"),
    (FileAttributes::INTEGRITY_STREAM, 'v', "integrity-stream"),
    (FileAttributes::NO_SCRUB_DATA, 'x', "no-scrub-data"),
    (FileAttributes::PINNED, 'P', "pinned"),
    (FileAttributes::UNPINNED, 'U', "unpinned"),
];

/// What kind of thing it is, in one word.
pub fn kind(entry: &Entry<'_>) -> &'static str {
    match entry.details.as_ref().and_then(|details| details.reparse.as_ref()) {
        Some(ReparsePoint::Symlink { .. } | ReparsePoint::LxSymlink { .. }) => "symlink",
        Some(ReparsePoint::MountPoint { .. }) => "junction",
        _ if entry.is_directory => "directory",
        _ => "file",
    }
}

/// The attributes as `ls -l` shows them.
pub fn letters(entry: &Entry<'_>) -> String {
    let attributes = entry.information.file_attributes;
    let first = match kind(entry) {
        "symlink" => 'l',
        "junction" => 'j',
        "directory" => 'd',
        _ => '-',
    };
    let shown = ATTRIBUTES
        .iter()
        .map(|(flag, letter, _)| if attributes.contains(*flag) { *letter } else { '-' });
    std::iter::once(first).chain(shown).collect()
}

/// Where a link leads, as people see it.
pub fn target(point: &ReparsePoint) -> Option<Vec<u8>> {
    match point {
        ReparsePoint::MountPoint {
            substitute_name,
            print_name,
        }
        | ReparsePoint::Symlink {
            substitute_name,
            print_name,
            ..
        } => {
            let name = if print_name.is_empty() {
                substitute_name
            } else {
                print_name
            };
            Some(cv_winname::wtf8::encode(name))
        }
        ReparsePoint::LxSymlink { target, .. } => Some(target.clone()),
        ReparsePoint::WofFile(_) | ReparsePoint::Other { .. } => None,
    }
}

/// A time in UTC with all the digits that NTFS has; beyond the year 9999 the number that NTFS has.
pub fn time(time: NtfsTime) -> String {
    let (seconds, nanoseconds) = time.to_unix();
    match jiff::Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0)) {
        Ok(timestamp) => format!("{timestamp:.7}"),
        Err(_) => format!("{}", time.0),
    }
}

/// A time to the second, for people.
pub fn short_time(time: NtfsTime) -> String {
    let text = self::time(time);
    match text.split_once('.') {
        Some((seconds, _)) => seconds.replace('T', " "),
        None => text,
    }
}

/// Everything about it.
pub fn json(entry: &Entry<'_>) -> Json {
    let information = &entry.information;
    let attributes = information.file_attributes;
    let details = entry.details.as_ref();
    let reparse = details.and_then(|details| details.reparse.as_ref());
    json!({
        "path": print::json_name(entry.path),
        "type": kind(entry),
        "size": entry.size,
        "allocated": entry.stored,
        "attributes": ATTRIBUTES.iter().filter(|(flag, ..)| attributes.contains(*flag)).map(|(.., word)| word).collect::<Vec<_>>(),
        "created": time(information.creation_time),
        "modified": time(information.last_modification_time),
        "changed": time(information.last_change_time),
        "accessed": time(information.last_access_time),
        "record": entry.reference.record(),
        "links": entry.links,
        "reparse": reparse.map(|point| json!({
            "tag": point.tag().to_string(),
            "target": target(point).map(|target| print::json_name(&target).into_owned()),
        })),
        "wof": details.and_then(|details| details.wof).map(|algorithm| format!("{algorithm:?}").to_lowercase()),
        "streams": details.map_or(&[][..], |details| &details.streams).iter().map(|stream| json!({
            "name": print::json_units(&stream.name),
            "size": stream.size,
        })).collect::<Vec<_>>(),
    })
}
