//! Directories that are open: each is read as it was when it was opened.

use crate::view::Snapshot;
use fuser::FileHandle;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// What open directories list, by their handles.
#[derive(Debug, Default)]
pub(super) struct Listings {
    open: RwLock<HashMap<u64, Arc<Snapshot>>>,
    last: AtomicU64,
}

impl Listings {
    /// Keeps a listing, and gives its handle.
    pub(super) fn open(&self, snapshot: Snapshot) -> FileHandle {
        let handle = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(handle, Arc::new(snapshot));
        FileHandle(handle)
    }

    /// The listing of a handle.
    pub(super) fn of(&self, handle: FileHandle) -> Option<Arc<Snapshot>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&handle.0).cloned()
    }

    /// Forgets it.
    pub(super) fn close(&self, handle: FileHandle) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.remove(&handle.0);
    }
}
