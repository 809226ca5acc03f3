//! Reading around: of a file of which programs read little pieces here and there, the kernel is given what is near as well, so
//! that it need not ask for each piece.
//!
//! Only where nothing can be written: what is given must not come after what somebody wrote. And never by those who answer
//! the kernel, as it would wait for what waits for their answers.

use crate::view::{OpenFile, lock};
use fuser::{INodeNo, Notifier};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};

/// Reads of more bytes are those of a kernel that reads ahead by itself.
const SMALL: u32 = 16 << 10;

/// Bytes that are given at a time.
const WINDOW: u64 = 64 << 10;

/// Small reads of a file before anything is given, at least; of a large file as many as it has windows, so that what is given
/// for nothing takes no longer than what was asked for.
const READS_BEFORE: u64 = 16;

/// What may wait to be given; for more than that there is another time.
const WAITING: usize = 16;

/// The small reads of an open file.
#[derive(Debug, Default)]
pub struct SmallReads {
    count: AtomicU64,
    /// Which windows were given, a bit each.
    given: Mutex<Vec<u64>>,
}

impl SmallReads {
    /// Notes a small read of a file of `length` bytes. If it is time for that and the window was not given before, `give` is
    /// asked to, by the window's number, and says whether it will.
    fn note(&self, offset: u64, length: u64, give: impl FnOnce(u64) -> bool) {
        if self.count.load(Ordering::Relaxed) < READS_BEFORE.max(length / WINDOW) {
            self.count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let number = offset / WINDOW;
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        let mut given = lock(&self.given);
        if given.len() <= word {
            given.resize(word + 1, 0);
        }
        if given[word] & bit == 0 && give(number) {
            given[word] |= bit;
        }
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
        let Some(sender) = self.0.get().filter(|_| size <= SMALL) else {
            return;
        };
        let Some(length) = file.stream_length() else { return };
        let give = |window| sender.try_send((file.clone(), window)).is_ok();
        file.small_reads.note(offset, length, give);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_given_once_and_not_at_first() {
        let reads = SmallReads::default();
        let note = |offset, takes: bool| {
            let mut asked = None;
            reads.note(offset, 1 << 20, |window| {
                asked = Some(window);
                takes
            });
            asked
        };
        for number in 0..READS_BEFORE {
            assert_eq!(note(number * 4096, true), None);
        }
        assert_eq!(note(70_000, false), Some(1));
        assert_eq!(note(66_000, true), Some(1));
        assert_eq!(note(66_000, true), None);
        assert_eq!(note(1 << 30, true), Some(1 << 14));
        assert_eq!(note(0, true), Some(0));

        let reads = SmallReads::default();
        let given = (0..5000).filter(|_| {
            let mut is_given = false;
            reads.note(0, 4096 * WINDOW, |_| {
                is_given = true;
                false
            });
            is_given
        });
        assert_eq!(given.count(), 5000 - 4096);
    }
}
