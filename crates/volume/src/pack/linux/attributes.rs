//! What a file of the host brings along in extended attributes: streams, and what an ntfs-3g mount or an extraction keeps
//! there by the names in [`kept`](crate::kept).

use crate::kept::{DOS_ATTRIBUTES, Kept, NAMES, STREAM_PREFIX, attributes_of_wine};
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::structure::object_id::ObjectId;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::Times;
use rustix::io::Errno;

/// The longest value that Linux keeps.
const LONGEST: usize = 64 << 10;

/// What a file brings along.
#[derive(Debug, Default)]
pub struct Brought {
    /// File attributes.
    pub attributes: Option<FileAttributes>,
    /// Attributes that Wine keeps.
    pub of_wine: FileAttributes,
    /// All four times.
    pub times: Option<Times>,
    /// A security descriptor.
    pub security: Option<Vec<u8>>,
    /// Reparse data.
    pub reparse: Option<Vec<u8>>,
    /// An object id.
    pub object_id: Option<ObjectId>,
    /// Extended attributes of NTFS.
    pub extended: Option<Vec<ExtendedAttribute>>,
    /// The 8.3 name, in WTF-8.
    pub short_name: Option<Vec<u8>>,
    /// Named streams in the order of their names, in WTF-8.
    pub streams: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads extended attributes by path, links not followed.
#[derive(Debug)]
pub struct Reader {
    /// Whether the folder is on an ntfs-3g mount, which does not list what it keeps.
    is_ntfs_3g: bool,
    buffer: Vec<u8>,
}

impl Reader {
    /// For files on the file system of `top`.
    pub fn new(top: &[u8]) -> Self {
        let is_ntfs_3g = rustix::fs::lgetxattr(top, "system.ntfs_attrib", &mut [0_u8; 4][..]).is_ok();
        Self {
            is_ntfs_3g,
            buffer: vec![0; LONGEST],
        }
    }

    /// What the file at `path` brings along; damaged values of known names are an error that says which.
    pub fn read(&mut self, path: &[u8]) -> Result<Brought, String> {
        let mut brought = Brought::default();
        let names = match rustix::fs::llistxattr(path, &mut self.buffer[..]) {
            Ok(length) => self.buffer[..length].to_vec(),
            // A file system without them.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Vec::new(),
            Err(error) => return Err(format!("cannot list its extended attributes: {error}")),
        };
        for name in names.split(|byte| *byte == 0) {
            let Some(rest) = name.strip_prefix(STREAM_PREFIX) else {
                continue;
            };
            let Some(value) = self.value(path, name)? else { continue };
            if name == DOS_ATTRIBUTES.as_bytes() {
                brought.of_wine = attributes_of_wine(&value);
                continue;
            }
            match NAMES.iter().find(|(known, _)| known.as_bytes() == rest) {
                Some((known, kept)) => brought.take(*kept, known, value)?,
                None => brought.streams.push((rest.to_vec(), value)),
            }
        }
        if self.is_ntfs_3g {
            for (known, kept) in NAMES {
                if let Some(value) = self.value(path, format!("system.{known}").as_bytes())? {
                    brought.take(kept, known, value)?;
                }
            }
        }
        brought.streams.sort();
        Ok(brought)
    }

    fn value(&mut self, path: &[u8], name: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match rustix::fs::lgetxattr(path, name, &mut self.buffer[..]) {
            Ok(length) => Ok(Some(self.buffer[..length].to_vec())),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(format!(
                "cannot read its extended attribute {}: {error}",
                String::from_utf8_lossy(name)
            )),
        }
    }
}

impl Brought {
    fn take(&mut self, kept: Kept, name: &str, value: Vec<u8>) -> Result<(), String> {
        let damaged = || format!("its extended attribute {name} of {} bytes is damaged", value.len());
        match kept {
            Kept::Attributes => {
                let bits = value
                    .first_chunk::<4>()
                    .filter(|_| value.len() == 4)
                    .ok_or_else(damaged)?;
                self.attributes = Some(FileAttributes::from_bits_retain(u32::from_le_bytes(*bits)));
            }
            Kept::Times => {
                let mut times = value.chunks_exact(8).map(|time| {
                    let mut bytes = [0; 8];
                    bytes.copy_from_slice(time);
                    NtfsTime(u64::from_le_bytes(bytes))
                });
                let mut next = || times.next().ok_or_else(damaged);
                self.times = Some(Times {
                    creation: next()?,
                    modification: next()?,
                    access: next()?,
                    change: next()?,
                });
            }
            Kept::Security => self.security = Some(value),
            Kept::ReparseData => self.reparse = Some(value),
            Kept::ObjectId => self.object_id = Some(ObjectId::parse(&value).map_err(|_| damaged())?),
            Kept::ExtendedAttributes => {
                let list = ExtendedAttribute::parse_all(&value).collect::<Result<Vec<_>, _>>();
                self.extended = Some(list.map_err(|_| damaged())?);
            }
            Kept::ShortName => self.short_name = Some(value),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wine_keeps_is_no_stream() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let set = |name: &str, value: &[u8]| {
            rustix::fs::setxattr(&path, name, value, rustix::fs::XattrFlags::empty()).is_ok()
        };
        if !set(DOS_ATTRIBUTES, b"0x16") {
            // A file system without them.
            return;
        }
        assert!(set("user.stream", b"bytes"));
        let path = path.as_os_str().as_encoded_bytes();
        let brought = Reader::new(path).read(path).unwrap();
        assert_eq!(brought.of_wine, FileAttributes::HIDDEN | FileAttributes::SYSTEM);
        assert_eq!(brought.streams, [(b"stream".to_vec(), b"bytes".to_vec())]);
    }
}
