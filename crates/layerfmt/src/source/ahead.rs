//! Small files of a folder, read and hashed by a thread of their own while the layer they go into is put together and laid
//! out. Opening them takes longest of all, and until data moves only one core is busy.

use crate::Sha256Sum;
use crate::content::ReadAhead;
use cv_ntfs::write::{FileFrom, OpenStream, SMALL_STREAM};
use cv_volume::HostFolder;
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Bytes that are kept at most.
const MOST: u64 = 32 << 20;
/// Files that are hashed together.
const TOGETHER: usize = 2 * cv_sha256::LANES;

/// Files by their tokens.
type Files = HashMap<u64, ReadAhead>;

/// A thread that reads until it has read enough or what it read is asked for.
#[derive(Debug)]
pub(super) struct Reading {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Files>>,
    /// What is left of what was read.
    files: Files,
}

impl Reading {
    /// Reads those of `files`, each given by its token and size, that are small.
    pub fn begin(folder: Arc<HostFolder>, mut files: Vec<(u64, u64)>) -> Self {
        files.retain(|(_, size)| (1..SMALL_STREAM).contains(size));
        // As they were listed, and those with several names once.
        files.sort_unstable();
        files.dedup();
        let is_over = Arc::new(AtomicBool::new(false));
        let mut thread = None;
        if !files.is_empty() && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
            let is_over = is_over.clone();
            let builder = std::thread::Builder::new().name("read ahead".to_owned());
            // Without a thread, everything is read when its turn comes.
            thread = builder.spawn(move || read(&folder, &files, &is_over)).ok();
        }
        Self {
            is_over,
            thread,
            files: Files::new(),
        }
    }

    /// Gives away a file that was read. Reading ends.
    pub fn take(&mut self, token: u64) -> Option<ReadAhead> {
        if let Some(thread) = self.thread.take() {
            self.is_over.store(true, Ordering::Relaxed);
            self.files = thread.join().unwrap_or_default();
        }
        self.files.remove(&token)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn read(folder: &HostFolder, files: &[(u64, u64)], is_over: &AtomicBool) -> Files {
    let mut all = Files::new();
    let mut size = 0;
    for group in files.chunks(TOGETHER) {
        size += group.iter().map(|(_, size)| size).sum::<u64>();
        if size > MOST || is_over.load(Ordering::Relaxed) {
            break;
        }
        // What fails here fails again, and is told, when its turn comes.
        let read = group
            .iter()
            .filter_map(|(token, size)| Some((*token, content(folder, *token, *size)?)));
        let (tokens, contents): (Vec<u64>, Vec<Vec<u8>>) = read.unzip();
        let sums = cv_sha256::digest_all(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let read = contents.into_iter().zip(sums).map(|(bytes, sum)| ReadAhead {
            bytes,
            sha256: Sha256Sum(sum),
        });
        all.extend(tokens.into_iter().zip(read));
    }
    all
}

fn content(folder: &HostFolder, token: u64, size: u64) -> Option<Vec<u8>> {
    let OpenStream::File { file, offset } = folder.open_content(token).ok()? else {
        return None;
    };
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    FileFrom::new(file, offset).read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use cv_disk::Quiet;
    use cv_ntfs::write::StreamContent;
    use cv_volume::{FolderOptions, read_folder};
    use std::path::Path;

    fn listed(folder: &Path) -> (Arc<HostFolder>, Vec<(u64, u64)>) {
        let top = cv_volume::open_top(folder).unwrap();
        let host = read_folder(top, None, &FolderOptions::default(), &Quiet).unwrap();
        let streams = host.tree.names().flat_map(|name| host.tree.streams_of_file(name.file));
        let files = streams.filter_map(|stream| match host.tree.content(stream) {
            StreamContent::Source { size, token } => Some((token, size)),
            _ => None,
        });
        let files = files.collect();
        (Arc::new(host.source), files)
    }

    #[test]
    fn small_files_that_are_as_they_were_listed_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let sizes = [0, 1, 700, 5000, SMALL_STREAM - 1, SMALL_STREAM, 100_000];
        for (number, size) in sizes.into_iter().enumerate() {
            std::fs::write(
                folder.path().join(format!("{number}")),
                vec![number as u8; size as usize],
            )
            .unwrap();
        }
        let (source, files) = listed(folder.path());
        // One is shorter by now, one is gone.
        std::fs::write(folder.path().join("2"), b"short").unwrap();
        std::fs::remove_file(folder.path().join("3")).unwrap();
        let read = read(&source, &files, &AtomicBool::new(false));
        let mut sizes: Vec<usize> = read.values().map(|read| read.bytes.len()).collect();
        sizes.sort_unstable();
        // The limit on size is not its own.
        assert_eq!(sizes, [1, SMALL_STREAM as usize - 1, SMALL_STREAM as usize, 100_000]);
        for read in read.values() {
            assert_eq!(read.sha256.0, cv_sha256::digest(&read.bytes));
        }
        let mut reading = Reading::begin(source, files.clone());
        for (token, size) in &files {
            let read = reading.take(*token);
            assert!(read.is_none_or(|read| read.bytes.len() as u64 == *size && (1..SMALL_STREAM).contains(size)));
            assert!(reading.take(*token).is_none());
        }
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let size = 60_000;
        std::fs::write(folder.path().join("0"), vec![7; size]).unwrap();
        let (source, files) = listed(folder.path());
        let many = vec![files[0]; 2000];
        // All have one token: what matters is when it ended.
        assert_eq!(read(&source, &many, &AtomicBool::new(false)).len(), 1);
        let too_many = vec![(files[0].0, MOST); TOGETHER];
        assert!(read(&source, &too_many, &AtomicBool::new(false)).is_empty());
        assert!(read(&source, &files, &AtomicBool::new(true)).is_empty());
    }
}
