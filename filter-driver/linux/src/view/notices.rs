//! What the kernel should forget, besides what attaching and detaching change.
//!
//! Whoever answers the kernel must not tell it to forget: it would wait for what waits for the answer. So this goes to a
//! thread of its own.

use super::{View, lock};
use cv_winname::wtf8;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How many it is asked to forget at a time.
const FORGOTTEN_AT_ONCE: usize = 4096;

/// Something that the kernel should be told.
#[derive(Debug)]
pub enum Notice {
    /// It knows too many inodes: [`View::to_forget`] says which to forget.
    Crowded,
    /// A name of a directory leads nowhere any more, though it was another spelling that was renamed or removed.
    Stale(u64, Box<[u8]>),
}

/// The way to the thread that tells the kernel.
#[derive(Debug, Default)]
pub(super) struct Notices {
    sender: OnceLock<Sender<Notice>>,
    is_crowded: AtomicBool,
}

impl Notices {
    pub(super) fn crowded(&self) {
        if !self.is_crowded.swap(true, Ordering::Relaxed) {
            self.send(Notice::Crowded);
        }
    }

    pub(super) fn stale(&self, directory: u64, name: &[u16]) {
        self.send(Notice::Stale(directory, wtf8::encode(name).into()));
    }

    fn send(&self, notice: Notice) {
        if let Some(sender) = self.sender.get() {
            let _ = sender.send(notice);
        }
    }
}

impl View {
    /// What the kernel should be told. Asked for once.
    pub fn notices(&self) -> Receiver<Notice> {
        let (sender, receiver) = channel();
        let _ = self.notices.sender.set(sender);
        receiver
    }

    /// Names that the kernel should forget, so that their inodes go from memory: the directory and the name. What is open
    /// stays, and directories, in which somebody may work. `None` once few enough are known.
    pub fn to_forget(&self) -> Option<Vec<(u64, Box<[u8]>)>> {
        let mut nodes = self.nodes();
        let excess = nodes
            .count()
            .saturating_sub(self.options.known_kept)
            .min(FORGOTTEN_AT_ONCE);
        let oldest = nodes.take_oldest(excess);
        drop(nodes);
        if oldest.is_empty() {
            self.notices.is_crowded.store(false, Ordering::Relaxed);
            return None;
        }
        let places = lock(&self.places);
        let may_go = |number: &u64| !places.contains_key(number) && self.files.of(*number).is_none();
        let names = oldest.into_iter().filter(|(number, ..)| may_go(number));
        let names = names.map(|(_, parent, name)| (parent, wtf8::encode(&name).into()));
        Some(names.collect())
    }
}
