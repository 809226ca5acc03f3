//! Snapshots kept in files.
//!
//! A file begins with [`SIGNATURE`], whose last byte is the version; a zstd frame follows with its checksum. It holds sections,
//! each behind its length in eight bytes, little-endian: first the files and what is known besides, in the postcard form of
//! serde; then the hives in the order in which the first section names them, in regf form.

use super::files::Files;
use super::machine::{Problem, Snapshot};
use super::registry::{Registry, UserHive};
use crate::rules::Platform;
use cv_disk::{DurableFile, Resize, WriteAt};
use cv_hive::{Hive, Key, WriteOptions, write_to_vec};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::path::Path;

/// What a file begins with.
const SIGNATURE: [u8; 8] = *b"CVSTATE\x01";

/// How hard zstd tries; more hardly makes it smaller.
const LEVEL: i32 = 3;

/// Bytes that a file may hold for each of its own, and at least: more is no state that was saved here.
const MOST_PER_BYTE: u64 = 1000;
const MOST_AT_LEAST: u64 = 64 << 20;

/// The first section.
#[derive(Debug, Serialize, Deserialize)]
struct Head<'a> {
    platform: Platform,
    files: std::borrow::Cow<'a, Files>,
    problems: Vec<Problem>,
    has_software: bool,
    has_system: bool,
    /// Of each hive whether its keys have security descriptors: those of text have none, and a hive must.
    has_security: Vec<bool>,
    /// Profile and SID of each user.
    users: Vec<(String, Option<String>)>,
}

/// Why a snapshot could not be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The host refused.
    #[error("cannot write the file")]
    Io(#[from] io::Error),
    /// The bytes could not be written.
    #[error("cannot write the file")]
    Write(#[from] cv_disk::WriteError),
    /// A part of the registry is nothing that a hive can hold.
    #[error("cannot store the registry")]
    Hive(#[from] cv_hive::WriteError),
    /// The files cannot be stored.
    #[error("cannot store the list of files: {0}")]
    Files(#[from] postcard::Error),
}

/// Why a saved snapshot could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The host refused, or the data is damaged.
    #[error("cannot read the snapshot")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("not a saved snapshot: it begins with {0:02x?}")]
    NotAState(Vec<u8>),
    /// It is of another version.
    #[error("a snapshot of version {0}, expected 1")]
    Version(u8),
    /// The list of files is damaged.
    #[error("the list of files is damaged: {0}")]
    Files(String),
    /// A hive is damaged.
    #[error("a hive is damaged: {0}")]
    Hive(String),
    /// It holds more than it can.
    #[error("it holds more than {limit} bytes")]
    TooLarge {
        /// What it may hold.
        limit: u64,
    },
}

/// The bytes of a saved snapshot.
pub fn to_bytes(snapshot: &Snapshot) -> Result<Vec<u8>, SaveError> {
    let registry = &snapshot.registry;
    let users = registry.users.iter().map(|user| &user.root);
    let roots: Vec<&Key> = registry.software.iter().chain(&registry.system).chain(users).collect();
    let head = Head {
        platform: snapshot.platform,
        files: std::borrow::Cow::Borrowed(&snapshot.files),
        problems: snapshot.problems.clone(),
        has_software: registry.software.is_some(),
        has_system: registry.system.is_some(),
        has_security: roots.iter().map(|root| has_security(root)).collect(),
        users: registry
            .users
            .iter()
            .map(|user| (user.profile.clone(), user.sid.clone()))
            .collect(),
    };
    let mut encoder = zstd::Encoder::new(SIGNATURE.to_vec(), LEVEL)?;
    encoder.include_checksum(true)?;
    section(&mut encoder, &postcard::to_stdvec(&head)?)?;
    for root in roots {
        section(&mut encoder, &hive_bytes(root)?)?;
    }
    Ok(encoder.finish()?)
}

/// A part of the registry as a hive.
fn hive_bytes(root: &Key) -> Result<Vec<u8>, cv_hive::WriteError> {
    write_to_vec(root, &WriteOptions::default())
}

fn has_security(key: &Key) -> bool {
    key.security.is_some() || key.subkeys.iter().any(has_security)
}

fn remove_security(key: &mut Key) {
    key.security = None;
    key.subkeys.iter_mut().for_each(remove_security);
}

fn section(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

/// Saves a snapshot; the file appears complete or not at all.
pub fn save(snapshot: &Snapshot, path: &Path) -> Result<(), SaveError> {
    let bytes = to_bytes(snapshot)?;
    let file = DurableFile::create(path)?;
    file.disk().set_len(bytes.len() as u64)?;
    file.disk().write_at(&bytes, 0)?;
    file.commit()?;
    Ok(())
}

/// Reads a saved snapshot.
pub fn load(path: &Path) -> Result<Snapshot, LoadError> {
    from_bytes(&std::fs::read(path)?)
}

/// Reads a saved snapshot from its bytes.
pub fn from_bytes(bytes: &[u8]) -> Result<Snapshot, LoadError> {
    let (version, start) = match bytes.split_at_checked(SIGNATURE.len()) {
        Some((start, _)) if start[..7] == SIGNATURE[..7] => (start[7], SIGNATURE.len()),
        _ => return Err(LoadError::NotAState(bytes[..bytes.len().min(8)].to_vec())),
    };
    if version != SIGNATURE[7] {
        return Err(LoadError::Version(version));
    }
    let frame = &bytes[start..];
    let limit = (frame.len() as u64).saturating_mul(MOST_PER_BYTE).max(MOST_AT_LEAST);
    let mut sections = Sections {
        has_security: Vec::new().into_iter(),
        reader: zstd::Decoder::with_buffer(frame)?.single_frame().take(limit),
        limit,
    };
    let first = sections.next()?;
    let head: Head<'_> = postcard::from_bytes(&first).map_err(|error| LoadError::Files(error.to_string()))?;
    let files = head.files.into_owned();
    sections.has_security = head.has_security.into_iter();
    if !files.is_sound() {
        return Err(LoadError::Files("its numbers lead nowhere".to_owned()));
    }
    let mut hive = |is_there: bool| if is_there { sections.hive().map(Some) } else { Ok(None) };
    let mut registry = Registry {
        software: hive(head.has_software)?,
        system: hive(head.has_system)?,
        users: Vec::new(),
    };
    for (profile, sid) in head.users {
        registry.users.push(UserHive {
            profile,
            sid,
            root: sections.hive()?,
        });
    }
    sections.end()?;
    Ok(Snapshot {
        platform: head.platform,
        files,
        registry,
        problems: head.problems,
    })
}

struct Sections<R> {
    reader: io::Take<R>,
    limit: u64,
    /// That of the hives to come.
    has_security: std::vec::IntoIter<bool>,
}

impl<R: Read> Sections<R> {
    fn next(&mut self) -> Result<Vec<u8>, LoadError> {
        let mut length = [0; 8];
        self.reader.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > self.reader.limit() {
            return Err(LoadError::TooLarge { limit: self.limit });
        }
        // Memory follows what is really there, not what the length says.
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(length).read_to_end(&mut bytes)?;
        if (read as u64) < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(bytes)
    }

    fn hive(&mut self) -> Result<Key, LoadError> {
        let bytes = self.next()?;
        let hive = Hive::open(&bytes).map_err(|error| LoadError::Hive(error.to_string()))?;
        let mut root = hive.to_tree().map_err(|damage| LoadError::Hive(damage.to_string()))?;
        if self.has_security.next() == Some(false) {
            remove_security(&mut root);
        }
        Ok(root)
    }

    /// Reads to the end, so that the checksum is checked.
    fn end(&mut self) -> Result<(), LoadError> {
        let rest = io::copy(&mut self.reader, &mut io::sink())?;
        if rest == 0 {
            Ok(())
        } else {
            Err(LoadError::Files(format!("{rest} bytes follow the last hive")))
        }
    }
}
