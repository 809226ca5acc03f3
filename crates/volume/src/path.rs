//! Paths that users give: files, and streams of files.

use cv_ntfs::structure::system_file::ROOT;
use cv_ntfs::structure::{AttributeType, Namespace};
use cv_ntfs::{File, FileError, Volume};

const COLON: u16 = b':' as u16;

/// A file, and how its path is really written.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file.
    pub file: File,
    /// The names on the way from the root, as the volume writes them; a long name where an 8.3 name was given.
    pub names: Vec<Vec<u16>>,
}

impl Found {
    /// The path in WTF-8: names separated by `/`, none before the first; empty for the root.
    pub fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        for name in &self.names {
            if !path.is_empty() {
                path.push(b'/');
            }
            cv_winname::wtf8::encode_into(name, &mut path);
        }
        path
    }
}

/// A file and one of its streams.
#[derive(Debug, Clone)]
pub struct FoundStream {
    /// The file.
    pub found: Found,
    /// The stream's name, empty for the content proper.
    pub stream: Vec<u16>,
}

/// The file at `path`, whose names are separated by `\` or `/` and compared as the volume compares them. Links are not
/// followed.
pub fn find(volume: &Volume, path: &[u16]) -> Result<Found, FileError> {
    let mut file = volume.root()?;
    let mut names: Vec<Vec<u16>> = Vec::new();
    for name in cv_winname::components(path) {
        let shown = |names: &[Vec<u16>]| {
            let joined: Vec<String> = names.iter().map(|name| cv_winname::wtf8::display(name)).collect();
            joined.join("/")
        };
        if !file.is_directory() {
            return Err(FileError::NotADirectory { name: shown(&names) });
        }
        let Some(entry) = file.directory()?.find(name)? else {
            names.push(name.to_vec());
            return Err(FileError::NotFound { name: shown(&names) });
        };
        let parent = file.reference();
        file = volume.file_by_reference(entry.reference)?;
        let long = entry.is_short_name().then(|| {
            let is_twin =
                |twin: &cv_ntfs::structure::FileName| twin.parent() == parent && twin.namespace() == Namespace::WIN32;
            file.names().find(is_twin).map(|twin| twin.name)
        });
        names.push(long.flatten().unwrap_or(entry.file_name.name));
    }
    Ok(Found { file, names })
}

/// The file or stream at `path`: as [`find`], or with `:` and a stream's name behind the last name. As Windows writes it,
/// `:$DATA` may follow.
pub fn find_stream(volume: &Volume, path: &[u16]) -> Result<FoundStream, FileError> {
    let whole = find(volume, path);
    let not_found = match whole {
        Ok(found) => {
            return Ok(FoundStream {
                found,
                stream: Vec::new(),
            });
        }
        Err(error) => error,
    };
    let last = path
        .iter()
        .rposition(|unit| [b'/', b'\\'].map(u16::from).contains(unit))
        .map_or(0, |slash| slash + 1);
    let Some(colon) = path[last..].iter().position(|unit| *unit == COLON) else {
        return Err(not_found);
    };
    let (file, stream) = (&path[..last + colon], &path[last + colon + 1..]);
    let (stream, type_name) = match stream.iter().position(|unit| *unit == COLON) {
        Some(colon) => (&stream[..colon], Some(&stream[colon + 1..])),
        None => (stream, None),
    };
    let is_data = |name: &[u16]| String::from_utf16_lossy(name).eq_ignore_ascii_case("$DATA");
    if type_name.is_some_and(|name| !is_data(name)) {
        return Err(not_found);
    }
    let found = find(volume, file)?;
    Ok(FoundStream {
        found,
        stream: stream.to_vec(),
    })
}

/// Whether the record is that of one of the volume's own files, such as `$MFT`: users neither see nor want those. The root is
/// none of them, nor are the reserved records from 16 on, in which Windows puts files of users.
pub fn is_system_record(record: u64) -> bool {
    const OWN_RECORDS: u64 = 16;
    record < OWN_RECORDS && record != ROOT.record
}

/// Whether `file` has an unnamed stream: directories have none.
pub fn has_content(file: &File) -> bool {
    file.attribute(AttributeType::DATA, &[]).is_some()
}
