//! A file of the host as a source.

use super::{SourceError, make_way};
use crate::content::{FileTree, Metadata, NodeId, NodeKind, Origin, Stream, StreamContent};
use cv_hive::Name;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::{OpenStream, SourceError as StreamError, Times};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

#[derive(Debug)]
struct HostFile(PathBuf);

impl Origin for HostFile {
    fn open(&self, _item: u64) -> Result<OpenStream<'_>, StreamError> {
        Ok(OpenStream::File {
            file: File::open(&self.0)?,
            offset: 0,
        })
    }
}

/// Adds the file at `path` to `directory`, with its size and modification time; what has the name there is replaced. It is read
/// when the layer is written.
pub fn add_file(
    tree: &mut FileTree,
    directory: NodeId,
    name: impl Into<Name>,
    path: &Path,
) -> Result<NodeId, SourceError> {
    let failed = |source: io::Error| SourceError::HostFile {
        file: path.to_path_buf(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is no file")));
    }
    let modified = metadata.modified().map_err(failed)?;
    let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = NtfsTime::from_unix(modified.as_secs().cast_signed(), modified.subsec_nanos()).unwrap_or_default();
    let stream = Stream {
        name: Name::default(),
        size: metadata.len(),
        content: StreamContent::Origin {
            origin: Arc::new(HostFile(path.to_path_buf())),
            item: 0,
        },
        data: None,
        known: None,
    };
    let metadata = Metadata {
        attributes: FileAttributes::ARCHIVE,
        times: Times::all(time),
        streams: vec![stream],
        ..Metadata::default()
    };
    let name = name.into();
    make_way(tree, directory, &name);
    Ok(tree.add(directory, name, NodeKind::File, metadata)?)
}
