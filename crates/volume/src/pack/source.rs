//! The host's files as the source of a volume's streams.

use super::host::Opener;
use crate::extract::Folder;
use cv_ntfs::write::{OpenStream, Source, SourceError, StreamId};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Folders kept open for the files to come.
const OPEN_AT_ONCE: usize = 64;

/// A folder of the host with what is below it, each file and folder known by a number: 6 bytes and its name each.
#[derive(Debug)]
pub struct HostFolder {
    top: Arc<Folder>,
    /// Where each folder's entry begins; the top has none.
    folders: Vec<usize>,
    /// Entries: the number of the folder above in four bytes, the name's length in two, the name.
    entries: Vec<u8>,
    open: Mutex<HashMap<u32, Arc<Folder>>>,
    opener: Opener,
}

/// The number of the top folder.
pub const TOP: u32 = 0;

impl HostFolder {
    /// The folder `top` with nothing known below it.
    pub fn new(top: Folder) -> Self {
        Self {
            top: Arc::new(top),
            folders: vec![0],
            entries: Vec::new(),
            open: Mutex::new(HashMap::new()),
            opener: Opener::default(),
        }
    }

    /// Takes note of a file in `folder`; gives its token.
    pub fn add_file(&mut self, folder: u32, name: &[u8]) -> u64 {
        let token = self.entries.len();
        self.entries.extend_from_slice(&folder.to_le_bytes());
        // No host has names of more than a few hundred bytes, the name of a stream behind it included.
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        let name = &name[..usize::from(length)];
        self.entries.extend_from_slice(&length.to_le_bytes());
        self.entries.extend_from_slice(name);
        token as u64
    }

    /// Takes note of a folder in `folder`; gives its number.
    pub fn add_folder(&mut self, folder: u32, name: &[u8]) -> u32 {
        let entry = self.add_file(folder, name) as usize;
        self.folders.push(entry);
        (self.folders.len() - 1) as u32
    }

    /// The folder above, and the name.
    fn entry(&self, token: usize) -> Option<(u32, &[u8])> {
        let rest = self.entries.get(token..)?;
        let (folder, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length));
        Some((u32::from_le_bytes(*folder), rest.get(..length)?))
    }

    /// The path below the top, for people.
    pub fn path(&self, folder: u32, name: &[u8]) -> Vec<u8> {
        let mut names = vec![name];
        let mut folder = folder;
        while let Some((above, name)) = self.entry_of_folder(folder) {
            names.push(name);
            folder = above;
        }
        names.reverse();
        names.join(&b'/')
    }

    fn entry_of_folder(&self, folder: u32) -> Option<(u32, &[u8])> {
        if folder == TOP {
            None
        } else {
            self.entry(*self.folders.get(folder as usize)?)
        }
    }

    /// Opens a folder by its number, entering each on the way without following links.
    pub fn open_folder(&self, folder: u32) -> io::Result<Arc<Folder>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = Vec::new();
        let mut current = folder;
        let mut handle = loop {
            if let Some(handle) = open.get(&current) {
                break handle.clone();
            }
            match self.entry_of_folder(current) {
                Some((above, name)) => {
                    names.push((current, name));
                    current = above;
                }
                None => break self.top.clone(),
            }
        };
        for (number, name) in names.into_iter().rev() {
            handle = Arc::new(self.opener.folder(&handle, name)?);
            if number == folder {
                if open.len() >= OPEN_AT_ONCE {
                    open.clear();
                }
                open.insert(number, handle.clone());
            }
        }
        Ok(handle)
    }

    /// Opens a file for reading; a link is an error.
    pub fn open_file(&self, folder: u32, name: &[u8]) -> io::Result<File> {
        let folder = self.open_folder(folder)?;
        self.opener.file(&folder, name)
    }
}

impl HostFolder {
    /// Opens the content that the tree knows by `token`.
    pub fn open_content(&self, token: u64) -> Result<OpenStream<'static>, SourceError> {
        let (folder, name) = self.entry(token as usize).ok_or("no such file was listed")?;
        let file = self.open_file(folder, name)?;
        Ok(OpenStream::File { file, offset: 0 })
    }
}

impl Source for HostFolder {
    fn open(&self, _stream: StreamId, token: u64) -> Result<OpenStream<'_>, SourceError> {
        self.open_content(token)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn files_are_opened_by_their_tokens() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/c"), b"content").unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a/link")).unwrap();
        let mut host = HostFolder::new(File::open(folder.path()).unwrap().into());
        let a = host.add_folder(TOP, b"a");
        let b = host.add_folder(a, b"b");
        let link = host.add_folder(a, b"link");
        let token = host.add_file(b, b"c");
        assert_eq!(host.path(b, b"c"), b"a/b/c");
        let (above, name) = host.entry(token as usize).unwrap();
        let mut text = String::new();
        host.open_file(above, name).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert!(host.open_file(link, b"c").is_err());
        assert!(host.open_file(a, b"link").is_err());
        assert_eq!(host.open.lock().unwrap().len(), 2);
    }
}
