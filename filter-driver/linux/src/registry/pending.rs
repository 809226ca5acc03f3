//! A registry file that programs write: the file as they see it, and as it was before, until the difference is kept.
//!
//! Both lie in the writable folder, so that a kill at any moment leaves what is needed to keep the changes at the next mount:
//! the file as it was is there before the other, and goes after it.

use super::file::{FileFault, RegistryTree};
use super::served::form_of_stem;
use crate::member::OWN_DIRECTORY;
use cv_disk::{DurableFile, RawFile, ReadAt, Resize, WriteAt};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of these files, below the project's own in a writable folder.
const FOLDER: &str = "registry";

const BEFORE: &str = "before";
const LIVE: &str = "live";

/// Bytes copied at a time.
const CHUNK: usize = 1 << 20;

/// The two files.
#[derive(Debug)]
pub struct Pending {
    writable: PathBuf,
    stem: String,
}

fn folder(writable: &Path) -> PathBuf {
    writable.join(OWN_DIRECTORY).join(FOLDER)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a durable copy of a file.
fn copy(from: &dyn ReadAt, to: &Path) -> io::Result<()> {
    let file = DurableFile::create(to)?;
    let disk = file.disk();
    let length = from.len();
    disk.set_len(length).map_err(io::Error::other)?;
    let mut buffer = vec![0; CHUNK.min(length as usize)];
    let mut offset = 0;
    while offset < length {
        let part = &mut buffer[..((length - offset).min(CHUNK as u64)) as usize];
        from.read_at(part, offset).map_err(io::Error::other)?;
        disk.write_at(part, offset).map_err(io::Error::other)?;
        offset += part.len() as u64;
    }
    file.commit()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let size = path.metadata()?.len();
    if size > cv_hive::read::MAX_HIVE_SIZE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is too large for a registry file",
        ));
    }
    fs::read(path)
}

impl Pending {
    fn path(&self, which: &str) -> PathBuf {
        folder(&self.writable).join(format!("{}.{which}", self.stem))
    }

    /// Begins with what programs see now.
    pub fn begin(writable: &Path, stem: &str, content: &dyn ReadAt) -> io::Result<Self> {
        let pending = Self::prepare(writable, stem, content)?;
        copy(content, &pending.path(LIVE))?;
        Ok(pending)
    }

    /// Begins with a file that a program wrote elsewhere and put in the place of what it had read.
    pub fn adopt(writable: &Path, stem: &str, read: &dyn ReadAt, written: &dyn ReadAt) -> io::Result<Self> {
        let pending = Self::prepare(writable, stem, read)?;
        copy(written, &pending.path(LIVE))?;
        Ok(pending)
    }

    fn prepare(writable: &Path, stem: &str, before: &dyn ReadAt) -> io::Result<Self> {
        let pending = Self {
            writable: writable.to_path_buf(),
            stem: stem.to_owned(),
        };
        fs::create_dir_all(folder(writable))?;
        copy(before, &pending.path(BEFORE))?;
        Ok(pending)
    }

    /// Those that a mount which was killed left behind.
    pub fn left_behind(writable: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(folder(writable)) else {
            return Vec::new();
        };
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let mut left = Vec::new();
        for name in names {
            let Some((stem, which)) = name.rsplit_once('.') else {
                continue;
            };
            let pending = Self {
                writable: writable.to_path_buf(),
                stem: stem.to_owned(),
            };
            match which {
                LIVE if form_of_stem(stem).is_some() => left.push(pending),
                BEFORE if !pending.path(LIVE).exists() => {
                    let _ = fs::remove_file(pending.path(BEFORE));
                }
                _ => {}
            }
        }
        left
    }

    /// The name of its own that the file has.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// The file as programs see it, to be read and written.
    pub fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path(LIVE))
    }

    /// As it was, and as it is; an error where it is not a whole registry file now.
    pub fn trees(&self) -> Result<(RegistryTree, RegistryTree), FileFault> {
        let form = form_of_stem(&self.stem).ok_or("it is no registry file")?;
        let before = RegistryTree::parse(read(&self.path(BEFORE))?, form, Vec::new())?;
        let live = RegistryTree::parse_whole(read(&self.path(LIVE))?, form)?;
        Ok((before, live))
    }

    /// What was changed so far is kept: from now on it counts as before.
    pub fn advance(&self) -> io::Result<()> {
        let live = RawFile::open(&self.path(LIVE))?;
        copy(&live, &self.path(BEFORE))
    }

    /// The file as it counts as read by programs.
    pub fn before(&self) -> io::Result<RawFile> {
        RawFile::open(&self.path(BEFORE))
    }

    /// Nothing is left to be kept.
    pub fn end(self) -> io::Result<()> {
        fs::remove_file(self.path(LIVE))?;
        sync(&folder(&self.writable))?;
        fs::remove_file(self.path(BEFORE))
    }

    /// It is no registry file: it is set aside, so that nothing that somebody wrote is lost.
    pub fn set_aside(self) -> io::Result<()> {
        let live = self.path(LIVE);
        let relative = live.strip_prefix(&self.writable).unwrap_or(&live).to_path_buf();
        crate::writable::set_aside(&self.writable, &relative, &live)?;
        fs::remove_file(self.path(BEFORE))
    }
}
