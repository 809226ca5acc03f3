//! Extended attributes: named streams, and what NTFS has and Linux does not, by the names of ntfs-3g.
//!
//! | name | value |
//! |---|---|
//! | `user.NAME` | the stream `NAME` |
//! | `user.DOSATTRIB` | the file attributes as Samba and Wine write them, `0x20` |
//! | `system.ntfs_attrib` | the file attributes, 4 bytes |
//! | `system.ntfs_times`, `system.ntfs_crtime` | the four times, the creation time |
//! | `system.ntfs_acl` | the security descriptor |
//! | `system.ntfs_reparse_data`, `system.ntfs_object_id`, `system.ntfs_ea`, `system.ntfs_dos_name` | as named |
//!
//! The writable folder keeps those of `system.` under the same names in `user.`, where a folder is packed from.

use super::{State, View};
use crate::member::{Entry, FolderMember, Member, NtfsEntry, OPAQUE};
use crate::nodes::MARKER;
use crate::upper::OWN_ATTRIBUTES;
use cv_disk::ReadAt;
use cv_ntfs::File;
use cv_ntfs::structure::{AttributeType, FileAttributes, Namespace, NtfsTime};
use cv_overlay::Kind;
use cv_overlay::plan::Data;
use cv_volume::kept::{
    DOS_ATTRIBUTES, IMPLIED, Kept, NAMES, STREAM_PREFIX, attributes_of_wine, dos_attributes, stream_attribute,
    usual_attributes,
};
use cv_winname::wtf8;
use rustix::fs::{OFlags, XattrFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;

const CREATION_TIME: &[u8] = b"system.ntfs_crtime";
const SYSTEM: &[u8] = b"system.";

/// The longest value Linux knows.
const LONGEST: u64 = 64 << 10;

/// What an attribute's name means.
enum Name<'a> {
    Dos,
    CreationTime,
    Kept(Kept),
    Stream(&'a [u8]),
    Other,
}

fn meaning(name: &[u8]) -> Name<'_> {
    if name == DOS_ATTRIBUTES.as_bytes() {
        return Name::Dos;
    }
    if name == CREATION_TIME {
        return Name::CreationTime;
    }
    if let Some(own) = name.strip_prefix(SYSTEM) {
        let kept = NAMES.iter().find(|(known, _)| known.as_bytes() == own);
        return kept.map_or(Name::Other, |(_, kept)| Name::Kept(*kept));
    }
    match name.strip_prefix(STREAM_PREFIX) {
        Some(stream) if !is_own(name) => Name::Stream(stream),
        _ => Name::Other,
    }
}

/// Whether an attribute of the writable folder is the project's own.
fn is_own(name: &[u8]) -> bool {
    name.starts_with(OWN_ATTRIBUTES.as_bytes())
        || name.starts_with(b"user.overlay.")
        || name == OPAQUE.as_bytes()
        || NAMES
            .iter()
            .any(|(known, _)| name.strip_prefix(STREAM_PREFIX) == Some(known.as_bytes()))
}

fn dos_text(attributes: u32) -> Vec<u8> {
    format!("{attributes:#x}").into_bytes()
}

/// Where an inode's attributes are.
enum Place {
    Volume {
        file: Box<File>,
        entry: Arc<NtfsEntry>,
        member: Arc<Member>,
    },
    Host {
        file: OwnedFd,
        is_directory: bool,
    },
}

impl View {
    fn attributes_of(&self, state: &State, number: u64) -> Result<Place, Errno> {
        if number == MARKER {
            return Err(Errno::NODATA);
        }
        let place = self.place(state, number)?;
        let winner = place.winner();
        let member = state.member(winner.position)?;
        match (&**member, &winner.entry) {
            (Member::Ntfs(ntfs), Entry::Ntfs(entry)) => Ok(Place::Volume {
                file: Box::new(ntfs.file(entry.reference).map_err(|_| Errno::IO)?),
                entry: entry.clone(),
                member: member.clone(),
            }),
            (Member::Folder(_), _) if winner.kind == Kind::Symlink => Err(Errno::NODATA),
            (Member::Folder(folder), Entry::Folder(entry)) => Ok(Place::Host {
                file: open_quietly(folder, &entry.path)?,
                is_directory: winner.kind.is_directory(),
            }),
            _ => Err(Errno::STALE),
        }
    }

    /// The value of an attribute.
    pub fn get_attribute(&self, state: &State, number: u64, name: &[u8]) -> Result<Vec<u8>, Errno> {
        match self.attributes_of(state, number)? {
            Place::Volume { file, entry, member } => of_volume(&member, &entry, &file, name),
            Place::Host { file, is_directory } => of_host(&file, is_directory, name),
        }
    }

    /// The names of all attributes, each ended by a zero.
    pub fn list_attributes(&self, state: &State, number: u64) -> Result<Vec<u8>, Errno> {
        let mut names = Vec::new();
        let mut add = |name: &[u8]| {
            names.extend_from_slice(name);
            names.push(0);
        };
        let place = match self.attributes_of(state, number) {
            Err(Errno::NODATA) => return Ok(Vec::new()),
            place => place?,
        };
        match place {
            Place::Volume { file, .. } => {
                add(DOS_ATTRIBUTES.as_bytes());
                for stream in file.streams() {
                    if let Some(name) = stream_attribute(&stream.name).filter(|_| !stream.name.is_empty()) {
                        add(&name);
                    }
                }
                add(b"system.ntfs_acl");
                add(b"system.ntfs_attrib");
                add(b"system.ntfs_times");
                add(CREATION_TIME);
                let values = [
                    (AttributeType::REPARSE_POINT, "system.ntfs_reparse_data"),
                    (AttributeType::OBJECT_ID, "system.ntfs_object_id"),
                    (AttributeType::EA, "system.ntfs_ea"),
                ];
                for (type_code, name) in values {
                    if file.attribute(type_code, &[]).is_some() {
                        add(name.as_bytes());
                    }
                }
                if file.names().any(|name| name.namespace() == Namespace::DOS) {
                    add(b"system.ntfs_dos_name");
                }
            }
            Place::Host { file, .. } => {
                let mut host = vec![0_u8; LONGEST as usize];
                let length = rustix::fs::flistxattr(&file, &mut host[..])?;
                add(DOS_ATTRIBUTES.as_bytes());
                add(b"system.ntfs_attrib");
                add(b"system.ntfs_times");
                for name in host[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
                    let kept = name.strip_prefix(STREAM_PREFIX).filter(|own| {
                        let is_listed = matches!(*own, b"ntfs_attrib" | b"ntfs_times");
                        !is_listed && NAMES.iter().any(|(known, _)| known.as_bytes() == *own)
                    });
                    match kept {
                        Some(own) => add(&[SYSTEM, own].concat()),
                        None if is_own(name) || name == DOS_ATTRIBUTES.as_bytes() => {}
                        None => add(name),
                    }
                }
            }
        }
        Ok(names)
    }

    /// Sets an attribute, in the writable folder.
    pub fn set_attribute(&self, number: u64, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<(), Errno> {
        if !matches!(meaning(name), Name::Other) || !name.starts_with(STREAM_PREFIX) {
            self.copy_up(number, Data::Whole)?;
        }
        let state = self.read();
        if matches!(meaning(name), Name::Other) {
            return Err(if name.starts_with(STREAM_PREFIX) {
                Errno::PERM
            } else {
                Errno::OPNOTSUPP
            });
        }
        let Place::Host { file, .. } = self.attributes_of(&state, number).map_err(not_supported)? else {
            return Err(Errno::ROFS);
        };
        match meaning(name) {
            Name::Dos => {
                let attributes = dos_attributes(value).ok_or(Errno::INVAL)?;
                set_kept(&file, Kept::Attributes, &attributes.bits().to_le_bytes())
            }
            Name::CreationTime => {
                let mut times = exact_times(&file)?;
                times[..8].copy_from_slice(value.get(..8).ok_or(Errno::INVAL)?);
                set_kept(&file, Kept::Times, &times)
            }
            Name::Kept(kept) => set_kept(&file, kept, value),
            Name::Stream(_) => rustix::fs::fsetxattr(&file, name, value, flags),
            Name::Other => Err(Errno::OPNOTSUPP),
        }
    }

    /// Removes an attribute, in the writable folder.
    pub fn remove_attribute(&self, number: u64, name: &[u8]) -> Result<(), Errno> {
        {
            let state = self.read();
            self.get_attribute(&state, number, name)?;
        }
        self.copy_up(number, Data::Whole)?;
        let state = self.read();
        let Place::Host { file, .. } = self.attributes_of(&state, number).map_err(not_supported)? else {
            return Err(Errno::ROFS);
        };
        match meaning(name) {
            Name::Dos | Name::Kept(Kept::Attributes) => {
                // Either may say what they are.
                let own = rustix::fs::fremovexattr(&file, own_name(Kept::Attributes));
                rustix::fs::fremovexattr(&file, DOS_ATTRIBUTES).or(own)
            }
            Name::Kept(kept) => rustix::fs::fremovexattr(&file, own_name(kept)),
            Name::Stream(_) => rustix::fs::fremovexattr(&file, name),
            Name::CreationTime | Name::Other => Err(Errno::OPNOTSUPP),
        }
    }
}

fn not_supported(errno: Errno) -> Errno {
    if errno == Errno::NODATA {
        Errno::OPNOTSUPP
    } else {
        errno
    }
}

/// Opens something of a folder for its attributes alone; a pipe would wait for its other end.
fn open_quietly(folder: &FolderMember, path: &[u8]) -> Result<OwnedFd, Errno> {
    match folder.open(path, OFlags::RDONLY | OFlags::NONBLOCK) {
        Err(Errno::NXIO | Errno::NODEV) => Err(Errno::NODATA),
        opened => opened,
    }
}

fn own_name(kept: Kept) -> String {
    format!("user.{}", kept.name())
}

fn set_kept(file: &OwnedFd, kept: Kept, value: &[u8]) -> Result<(), Errno> {
    rustix::fs::fsetxattr(file, own_name(kept), value, XattrFlags::empty())
}

fn host_value(file: &OwnedFd, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0_u8; LONGEST as usize];
    let length = rustix::fs::fgetxattr(file, name, &mut value[..]).map_err(|errno| {
        if errno == Errno::OPNOTSUPP {
            Errno::NODATA
        } else {
            errno
        }
    })?;
    value.truncate(length);
    Ok(value)
}

/// Creation, modification, access and change. What the host keeps of them itself is the host's, as writes move it.
fn exact_times(file: &OwnedFd) -> Result<[u8; 32], Errno> {
    let stat = rustix::fs::fstat(file)?;
    let time = |seconds: i64, nanoseconds: u64| {
        NtfsTime::from_unix(seconds, u32::try_from(nanoseconds).unwrap_or(0))
            .unwrap_or_default()
            .0
    };
    let modified = time(stat.st_mtime, stat.st_mtime_nsec as u64);
    let mut times = [
        modified,
        modified,
        time(stat.st_atime, stat.st_atime_nsec as u64),
        time(stat.st_ctime, stat.st_ctime_nsec as u64),
    ];
    if let Ok(kept) = host_value(file, own_name(Kept::Times).as_bytes())
        && let Some(created) = kept.get(..8).and_then(|bytes| bytes.try_into().ok())
    {
        times[0] = u64::from_le_bytes(created);
    }
    let mut bytes = [0; 32];
    for (place, time) in bytes.chunks_exact_mut(8).zip(times) {
        place.copy_from_slice(&time.to_le_bytes());
    }
    Ok(bytes)
}

fn of_host(file: &OwnedFd, is_directory: bool, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let attributes = || {
        let own = host_value(file, own_name(Kept::Attributes).as_bytes());
        if let Ok([a, b, c, d]) = own.as_deref() {
            return u32::from_le_bytes([*a, *b, *c, *d]);
        }
        let of_wine = host_value(file, DOS_ATTRIBUTES.as_bytes());
        let of_wine = of_wine.map_or_else(|_| FileAttributes::empty(), |value| attributes_of_wine(&value));
        (usual_attributes(is_directory) | of_wine).bits()
    };
    let directory = if is_directory {
        FileAttributes::DIRECTORY.bits()
    } else {
        0
    };
    match meaning(name) {
        Name::Dos => Ok(dos_text(attributes() | directory)),
        Name::CreationTime => Ok(exact_times(file)?[..8].to_vec()),
        Name::Kept(Kept::Attributes) => Ok((attributes() | directory).to_le_bytes().to_vec()),
        Name::Kept(Kept::Times) => Ok(exact_times(file)?.to_vec()),
        Name::Kept(kept) => host_value(file, own_name(kept).as_bytes()),
        Name::Stream(_) => host_value(file, name),
        Name::Other => Err(Errno::NODATA),
    }
}

fn of_volume(member: &Member, entry: &NtfsEntry, file: &File, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let failed = |_| Errno::IO;
    let information = || Ok(file.standard_information().map_err(failed)?.unwrap_or_default().base);
    // What NTFS keeps in memory alone does not count, that a thing is a directory does.
    let shown = |attributes: FileAttributes| {
        let directory = if file.is_directory() {
            FileAttributes::DIRECTORY
        } else {
            FileAttributes::empty()
        };
        let links = attributes & (FileAttributes::SPARSE_FILE | FileAttributes::REPARSE_POINT);
        ((attributes - IMPLIED) | directory | links).bits()
    };
    let value = |type_code| file.value(type_code).map_err(failed)?.ok_or(Errno::NODATA);
    match meaning(name) {
        Name::Dos => Ok(dos_text(shown(information()?.file_attributes))),
        Name::CreationTime => Ok(information()?.creation_time.0.to_le_bytes().to_vec()),
        Name::Kept(Kept::Attributes) => Ok(shown(information()?.file_attributes).to_le_bytes().to_vec()),
        Name::Kept(Kept::Times) => {
            let information = information()?;
            let times = [
                information.creation_time,
                information.last_modification_time,
                information.last_access_time,
                information.last_change_time,
            ];
            Ok(times.iter().flat_map(|time| time.0.to_le_bytes()).collect())
        }
        Name::Kept(Kept::Security) => {
            let descriptor = file.security_descriptor().map_err(failed)?.ok_or(Errno::NODATA)?;
            Ok(descriptor.to_vec())
        }
        Name::Kept(Kept::ReparseData) => value(AttributeType::REPARSE_POINT),
        Name::Kept(Kept::ObjectId) => value(AttributeType::OBJECT_ID),
        Name::Kept(Kept::ExtendedAttributes) => value(AttributeType::EA),
        Name::Kept(Kept::ShortName) => {
            let short = file
                .names()
                .find(|name| name.namespace() == Namespace::DOS)
                .ok_or(Errno::NODATA)?;
            Ok(wtf8::encode(&short.name))
        }
        Name::Stream(stream) => {
            let units = wtf8::decode(stream).map_err(|_| Errno::NODATA)?;
            let table = file.volume().upcase();
            let streams = file.streams();
            let mut stored = streams.iter().filter(|info| !info.name.is_empty());
            let stored = stored.find(|info| table.equal(&info.name, &units));
            let stored = stored.ok_or(Errno::NODATA)?;
            let stream = member.ntfs().ok_or(Errno::STALE)?.stream(entry, file, &stored.name)?;
            if stream.len() > LONGEST {
                return Err(Errno::TOOBIG);
            }
            let mut value = vec![0; stream.len() as usize];
            stream.read_at(&mut value, 0).map_err(|_| Errno::IO)?;
            Ok(value)
        }
        Name::Other => Err(Errno::NODATA),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_written_as_wine_does() {
        assert_eq!(dos_text(0x21), b"0x21");
    }

    #[test]
    fn own_attributes_are_nobody_elses() {
        for name in [
            "user.overlay.opaque",
            "user.cvlayer.origin",
            "user.ntfs_acl",
            "trusted.overlay.opaque",
            "security.x",
        ] {
            assert!(matches!(meaning(name.as_bytes()), Name::Other), "{name}");
        }
        assert!(matches!(
            meaning(b"user.Zone.Identifier"),
            Name::Stream(b"Zone.Identifier")
        ));
    }
}
