//! The transaction logs beside a hive.

use super::FileError;
use std::path::{Path, PathBuf};

/// A transaction log in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Largest log that is read: logs are smaller than the hives that they belong to.
const LARGEST: u64 = 1 << 31;

/// The logs of the hive at `path`: files in its folder of its name with `.LOG1`, `.LOG2` or `.LOG` behind, in any case. Empty
/// ones, which Windows leaves, are left out.
pub fn logs_beside(path: &Path) -> Result<Vec<LogFile>, FileError> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(Vec::new());
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let Ok(file) = entry.file_name().into_string() else {
            continue;
        };
        let is_log = file.len() > name.len()
            && file.is_char_boundary(name.len())
            && file[..name.len()].eq_ignore_ascii_case(name)
            && [".log", ".log1", ".log2"].contains(&file[name.len()..].to_ascii_lowercase().as_str());
        if is_log {
            found.push(folder.join(file));
        }
    }
    found.sort();
    let mut logs = Vec::new();
    for path in found {
        let read = || {
            let length = path.metadata()?.len();
            if length == 0 || length > LARGEST {
                return Ok(Vec::new());
            }
            std::fs::read(&path)
        };
        match read() {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => logs.push(LogFile { path, bytes }),
            Err(source) => return Err(FileError::Log { file: path, source }),
        }
    }
    Ok(logs)
}
