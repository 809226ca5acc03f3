//! The scripts of a layer, taken out of its image when it is attached.

use super::Moment;
use cv_disk::ReadAt;
use cv_ntfs::FileError;
use cv_winname::wtf8;
use layerfmt::index::Index;
use layerfmt::read::Layer;
use layerfmt::{SCRIPTS_DIRECTORY, Sha256Sum};
use sha2::{Digest, Sha256};

/// Bytes of all files in `\Scripts` at most.
const LARGEST: u64 = 64 << 20;

/// Files in `\Scripts` at most.
const MOST: usize = 1000;

/// Why the scripts of a layer are not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// There is too much.
    #[error("\\Scripts has more than {MOST} files or {LARGEST} bytes")]
    TooMuch,
    /// A script cannot be read.
    #[error("cannot read \\{0}: {1}")]
    Read(String, String),
    /// A script is not the one that the index lists.
    #[error("\\{0} is not the one that layer.idx lists")]
    Changed(String),
}

/// The files of `\Scripts`.
#[derive(Debug, Default)]
pub struct ScriptSet {
    /// By name.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl ScriptSet {
    /// The scripts that `index` lists, each held against its SHA-256 there.
    pub fn read(layer: &Layer, index: &Index) -> Result<Self, ScriptError> {
        let mut files = Vec::new();
        let mut total = 0_u64;
        for entry in index.below(SCRIPTS_DIRECTORY.as_bytes()) {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            let Some(listed) = entry.stream(b"") else { continue };
            // One directory; a path further down is no script and no file of one.
            let Some((_, name)) = path.split_once('/').filter(|(_, name)| !name.contains(['/', '\\'])) else {
                continue;
            };
            total = total.saturating_add(listed.size);
            if total > LARGEST || files.len() >= MOST {
                return Err(ScriptError::TooMuch);
            }
            let failed = |error: &dyn std::error::Error| ScriptError::Read(path.clone(), error.to_string());
            let units = wtf8::decode(&entry.path).map_err(|error| failed(&error))?;
            let file = layer.file(&units).map_err(|error| failed(&error))?;
            let stream = file.content().map_err(|error| failed(&error))?;
            if stream.len() != listed.size {
                return Err(ScriptError::Changed(path));
            }
            let mut bytes = vec![0; stream.len() as usize];
            stream.read_at(&mut bytes, 0).map_err(|error| failed(&error))?;
            if Sha256Sum(Sha256::digest(&bytes).into()) != listed.sha256 {
                return Err(ScriptError::Changed(path));
            }
            files.push((name.to_owned(), bytes));
        }
        Ok(Self { files })
    }

    /// The names of the scripts that a layer's volume has.
    pub fn names(layer: &Layer) -> Result<Vec<String>, FileError> {
        let directory = match layer.volume().open_str(SCRIPTS_DIRECTORY) {
            Ok(directory) => directory.directory()?,
            Err(FileError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in directory.entries().take(MOST) {
            let entry = entry?;
            let name = wtf8::display(entry.name());
            if !entry.is_short_name() && moment_of(&name).is_some() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The script for a moment: the first by name, of which there should be one.
    pub(super) fn script(&self, moment: Moment) -> Option<&str> {
        let mut names = self.files.iter().map(|(name, _)| name.as_str());
        names.find(|name| moment_of(name) == Some(moment))
    }
}

fn moment_of(name: &str) -> Option<Moment> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    [Moment::OnAttach, Moment::OnEnable, Moment::OnDisable, Moment::OnDetach]
        .into_iter()
        .find(|moment| stem.eq_ignore_ascii_case(moment.name()))
}
