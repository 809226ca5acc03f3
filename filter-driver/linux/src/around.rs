//! Reading around: of a file of which programs read little pieces here and there, the kernel is given what is near as well, so
//! that it need not ask for each piece.
//!
//! Only where nothing can be written: what is given must not come after what somebody wrote. And never by those who answer
//! the kernel, as it would wait for what waits for their answers.

use crate::view::{OpenFile, lock};
use fuser::{INodeNo, Notifier};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};

/// Reads of more bytes are those of a kernel that reads ahead by itself.
const SMALL: u32 = 16 << 10;

/// Bytes that are given at a time.
const WINDOW: u64 = 64 << 10;

/// Small reads of a file before anything is given.
const READS_BEFORE: u32 = 16;

/// What may wait to be given; more than that is left out.
const WAITING: usize = 16;

/// The small reads of an open file.
#[derive(Debug, Default)]
pub struct SmallReads {
    count: AtomicU32,
    /// Which windows were given, a bit each.
    given: Mutex<Vec<u64>>,
}

impl SmallReads {
    /// Notes a small read; gives the window to give, by its number, if it is time for that and it was not given before.
    fn note(&self, offset: u64) -> Option<u64> {
        if self.count.load(Ordering::Relaxed) < READS_BEFORE {
            self.count.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let number = offset / WINDOW;
        let (word, bit) = (usize::try_from(number / 64).ok()?, 1 << (number % 64));
        let mut given = lock(&self.given);
        if given.len() <= word {
            given.resize(word + 1, 0);
        }
        let is_new = given[word] & bit == 0;
        given[word] |= bit;
        is_new.then_some(number)
    }
}

/// The way to the thread that gives.
#[derive(Debug, Default)]
pub struct ReadAround(OnceLock<SyncSender<(Arc<OpenFile>, u64)>>);

impl ReadAround {
    /// Starts the thread.
    pub(crate) fn start(&self, notifier: Notifier) -> io::Result<()> {
        let (sender, receiver) = sync_channel::<(Arc<OpenFile>, u64)>(WAITING);
        let give = move || {
            let mut buffer = Vec::new();
            while let Ok((file, window)) = receiver.recv() {
                let offset = window * WINDOW;
                // What cannot be read, or is not wanted any more, the kernel asks for if it needs it.
                if let Ok(bytes) = file.read(offset, WINDOW as usize, &mut buffer) {
                    let _ = notifier.store(INodeNo(file.number), offset, bytes);
                }
            }
        };
        std::thread::Builder::new().name("read around".to_owned()).spawn(give)?;
        let _ = self.0.set(sender);
        Ok(())
    }

    /// A program read `size` bytes of a file from `offset` on.
    pub(crate) fn after_read(&self, file: &Arc<OpenFile>, offset: u64, size: u32) {
        let Some(sender) = self.0.get().filter(|_| size <= SMALL && file.is_stream()) else {
            return;
        };
        if let Some(window) = file.small_reads.note(offset) {
            let _ = sender.try_send((file.clone(), window));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_given_once_and_not_at_first() {
        let reads = SmallReads::default();
        for number in 0..u64::from(READS_BEFORE) {
            assert_eq!(reads.note(number * 4096), None);
        }
        assert_eq!(reads.note(70_000), Some(1));
        assert_eq!(reads.note(66_000), None);
        assert_eq!(reads.note(1 << 30), Some(1 << 14));
        assert_eq!(reads.note(0), Some(0));
    }
}
