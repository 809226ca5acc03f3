//! A layer as a plain folder: `layer.json`, `Files`, `Hives` and `Scripts` as in the layer, whiteouts as in tars. What the host
//! does not know stands in extended attributes ([`cv_volume`]).

#[cfg(any(target_os = "linux", windows))]
use super::tar_read::{finished, hive_of, hive_tree};
use super::{OPAQUE, WHITEOUT};
use crate::index::EntryKind;
use crate::read::{Layer, LayerError};
use crate::{FILES_DIRECTORY, HIVES_DIRECTORY, MANIFEST_NAME, SCRIPTS_DIRECTORY};
use cv_disk::Progress;
use cv_volume::{ExtractOptions, Links, extract};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Why a layer could not be exported to a folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// What of it.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The layer cannot be read.
    #[error(transparent)]
    Layer(Box<LayerError>),
    /// The files cannot be extracted.
    #[error(transparent)]
    Extract(#[from] cv_volume::ExtractError),
    /// Some of the files cannot be extracted.
    #[error("{count} of the layer's files could not be exported, the first is {first}")]
    Incomplete {
        /// How many.
        count: u64,
        /// The first one, and why.
        first: String,
    },
    /// The whiteout of the index lies outside of the layer, or is no name.
    #[error("the index has a whiteout {0:?}, which is no path")]
    Whiteout(String),
    /// The folder is there already.
    #[error("it is there already")]
    Exists,
}

/// Writes `layer` to `folder`, which must not be there yet and appears complete.
pub fn write_folder(layer: &Layer, folder: &Path, progress: &dyn Progress) -> Result<(), FolderError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| FolderError::Write { path, source }
    };
    if folder.symlink_metadata().is_ok() {
        return Err(FolderError::Exists);
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let made = tempfile::Builder::new()
        .prefix(".cvtool-")
        .tempdir_in(parent)
        .map_err(failed(folder))?;
    let parts = [FILES_DIRECTORY, HIVES_DIRECTORY, SCRIPTS_DIRECTORY, MANIFEST_NAME];
    let there = parts.iter().filter(|part| layer.volume().open_str(part).is_ok());
    let options = ExtractOptions {
        paths: there.map(|part| part.encode_utf16().collect()).collect(),
        // Links are kept to the byte, and nothing in the folder leads anywhere.
        links: Links::Data,
        ..ExtractOptions::default()
    };
    let target = cv_volume::open_top(made.path()).map_err(failed(folder))?;
    let outcome = extract(layer.volume(), target, &options, progress)?;
    if let Some(first) = outcome.failures.first() {
        return Err(FolderError::Incomplete {
            count: outcome.failures.len() as u64 + outcome.omitted_failures,
            first: format!("{}: {}", String::from_utf8_lossy(&first.path), first.reason),
        });
    }
    let index = layer.index().map_err(|error| FolderError::Layer(Box::new(error)))?;
    for entry in index.below(FILES_DIRECTORY.as_bytes()) {
        let shown = || String::from_utf8_lossy(&entry.path).into_owned();
        let name = match entry.kind {
            EntryKind::OpaqueDirectory => OPAQUE,
            EntryKind::Whiteout => "",
            _ => continue,
        };
        let names = crate::source::names::components(&shown()).map_err(|_| FolderError::Whiteout(shown()))?;
        let mut path = made.path().to_path_buf();
        let mut names: Vec<String> = names.iter().map(|name| String::from_utf16_lossy(name)).collect();
        if name.is_empty() {
            let hidden = names.pop().unwrap_or_default();
            names.push(format!("{WHITEOUT}{hidden}"));
        } else {
            names.push(name.to_owned());
        }
        path.extend(&names);
        std::fs::create_dir_all(path.parent().unwrap_or(made.path())).map_err(failed(&path))?;
        File::create_new(&path).map_err(failed(&path))?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(made.path(), permissions).map_err(failed(folder))?;
    }
    std::fs::rename(made.path(), folder).map_err(failed(folder))?;
    // It has another name now.
    let _ = made.keep();
    Ok(())
}

/// What the folder holds, as [`write_folder`] or a person made it. Without a manifest it becomes a layer of this name, else of
/// that of the folder.
#[cfg(any(target_os = "linux", windows))]
pub fn read_folder(
    folder: &Path,
    name: Option<&str>,
    progress: &dyn Progress,
) -> Result<crate::Content, crate::source::SourceError> {
    use crate::content::{FileTree, Metadata, NodeKind};
    use crate::manifest::{self, Manifest};
    use crate::source::{self, SourceError};
    use cv_winname::wtf8;

    let file_name = folder
        .canonicalize()
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = name.map(str::to_owned).or(file_name).unwrap_or_default();
    let mut content = crate::Content::new(Manifest::new(&name, "", crate::Kind::App));
    let refused = |path: &Path, reason: String| SourceError::Refused {
        path: path.display().to_string(),
        reason,
    };
    let read = |path: &Path, limit: u64| -> Result<Vec<u8>, SourceError> {
        let failed = |source| SourceError::HostFile {
            file: path.to_path_buf(),
            source,
        };
        let size = path.metadata().map_err(failed)?.len();
        if size > limit {
            return Err(refused(
                path,
                format!("{size} bytes, more than the {limit} that are allowed"),
            ));
        }
        std::fs::read(path).map_err(failed)
    };
    let listed = |part: &str| -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(folder.join(part)).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        entries
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
            .collect()
    };

    let files = folder.join(FILES_DIRECTORY);
    if files.is_dir() {
        source::add_folder(&mut content.files, FileTree::ROOT, &files, progress)?;
    }
    let tree = &mut content.files;
    let marks: Vec<_> = tree
        .walk(FileTree::ROOT)
        .filter(|node| tree.kind(*node) == NodeKind::File)
        .filter(|node| wtf8::encode(tree.name(*node).units()).starts_with(WHITEOUT.as_bytes()))
        .collect();
    for mark in marks {
        let (directory, mark_name) = (tree.parent(mark), wtf8::encode(tree.name(mark).units()));
        tree.remove(mark);
        if mark_name == OPAQUE.as_bytes() {
            tree.set_opaque(directory, true);
            continue;
        }
        let hidden = wtf8::decode(&mark_name[WHITEOUT.len()..]).unwrap_or_default();
        match tree.child(directory, &hidden) {
            Some(there) => tree.set_opaque(there, true),
            None => {
                tree.add(directory, hidden, NodeKind::Whiteout, Metadata::default())?;
            }
        }
    }
    for (name, path) in listed(HIVES_DIRECTORY) {
        if let Some(hive) = hive_of(&name) {
            let root = hive_tree(&read(&path, crate::read::MAX_HIVE)?).map_err(|reason| refused(&path, reason))?;
            content.hives.insert(hive, root);
        }
    }
    for (name, path) in listed(SCRIPTS_DIRECTORY) {
        content.scripts.insert(name, read(&path, 16 << 20)?);
    }
    let path = folder.join(MANIFEST_NAME);
    let has_manifest = path.is_file();
    if has_manifest {
        let parsed = Manifest::parse(&read(&path, manifest::MAX_SIZE)?);
        content.manifest = parsed.map_err(|error| refused(&path, error.to_string()))?;
    }
    Ok(finished(content, has_manifest))
}
