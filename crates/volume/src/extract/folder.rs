//! Folders of the host, entered name by name through handles, so that no link leads anywhere else.

use super::host::{self, Folder};
use std::io;
use std::sync::Arc;

/// Handles kept open on the way down; further up they are opened again when needed.
const OPEN_AT_ONCE: usize = 100;

/// The folders from the top down to where a walk is.
#[derive(Debug)]
pub struct Way {
    top: Arc<Folder>,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    /// The directory's record on the volume.
    record: u64,
    name: Vec<u8>,
    /// `None` where it was closed to keep few open, or could not be made.
    folder: Option<Arc<Folder>>,
    is_there: bool,
}

/// A folder that a walk has left.
#[derive(Debug)]
pub struct Left {
    /// The directory's record on the volume.
    pub record: u64,
    /// The folder.
    pub folder: Arc<Folder>,
    /// The folder above.
    pub above: Arc<Folder>,
    /// Its name there.
    pub name: Vec<u8>,
}

impl Way {
    /// At the top.
    pub fn new(top: Arc<Folder>) -> Self {
        Self { top, steps: Vec::new() }
    }

    /// Goes up until the directory with that record is the lowest one; `0` levels for the top itself. Gives the folders left
    /// on the way, the lowest first.
    pub fn go_up_to(&mut self, record: u64) -> Vec<Left> {
        let depth = self
            .steps
            .iter()
            .rposition(|step| step.record == record)
            .map_or(0, |index| index + 1);
        let mut left = Vec::new();
        while self.steps.len() > depth {
            let folder = self.lowest();
            let Some(step) = self.steps.pop() else { break };
            if let (Some(folder), Some(above)) = (folder, self.lowest()) {
                left.push(Left {
                    record: step.record,
                    folder,
                    above,
                    name: step.name,
                });
            }
        }
        left
    }

    /// The lowest folder; `None` where it could not be made.
    pub fn lowest(&mut self) -> Option<Arc<Folder>> {
        let Some(last) = self.steps.last() else {
            return Some(self.top.clone());
        };
        if !last.is_there {
            return None;
        }
        if let Some(folder) = &last.folder {
            return Some(folder.clone());
        }
        let names = self.steps.iter().map(|step| step.name.as_slice());
        let folder = open_below(&self.top, names).ok()?;
        if let Some(last) = self.steps.last_mut() {
            last.folder = Some(folder.clone());
        }
        Some(folder)
    }

    /// Enters a folder; `None` stands for one that is not there, with all below it.
    pub fn enter(&mut self, record: u64, name: Vec<u8>, folder: Option<Folder>) {
        let is_there = folder.is_some();
        self.steps.push(Step {
            record,
            name,
            folder: folder.map(Arc::new),
            is_there,
        });
        if let Some(high) = self.steps.len().checked_sub(OPEN_AT_ONCE) {
            self.steps[high].folder = None;
        }
    }
}

/// Opens the folder that `names` lead to, none of which may be a link.
pub fn open_below<'a>(top: &Arc<Folder>, names: impl Iterator<Item = &'a [u8]>) -> io::Result<Arc<Folder>> {
    let mut folder = top.clone();
    for name in names {
        folder = Arc::new(host::open(&folder, name)?);
    }
    Ok(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::host::{host_name, make, open};
    use super::*;
    use rustix::fs::AtFlags;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "/etc", "../x", "a/b", "a\0b"] {
            assert!(host_name(&units(name)).is_err(), "{name:?}");
        }
        for name in ["...", "con", r"a\b", "a:b", " ", "\u{1b}[2J"] {
            assert_eq!(host_name(&units(name)), Ok(name.as_bytes().to_vec()));
        }
        assert!(host_name(&[0x65E5; 86]).is_err());
        assert_eq!(host_name(&[0xD800]), Ok(vec![0xED, 0xA0, 0x80]));
    }

    #[test]
    fn deep_ways_keep_few_handles() {
        let folder = tempfile::tempdir().unwrap();
        let top = Arc::new(Folder::from(std::fs::File::open(folder.path()).unwrap()));
        let mut way = Way::new(top.clone());
        for record in 0..500 {
            let made = make(&way.lowest().unwrap(), b"d").unwrap();
            way.enter(record, b"d".to_vec(), Some(made));
        }
        assert!(way.steps.iter().filter(|step| step.folder.is_some()).count() <= OPEN_AT_ONCE);
        let left = way.go_up_to(1);
        assert_eq!(left.len(), 498);
        assert_eq!((left[0].record, left[497].record), (499, 2));
        assert_eq!(way.steps.len(), 2);
        way.enter(7, b"gone".to_vec(), None);
        assert!(way.lowest().is_none());
        assert!(way.go_up_to(5000).len() == 2 && way.lowest().is_some());

        std::os::unix::fs::symlink("d", folder.path().join("link")).unwrap();
        assert!(make(&top, b"link").is_err());
        std::fs::remove_file(folder.path().join("link")).unwrap();
        // Deeper than most programs can name.
        let mut level = open(&top, b".").unwrap();
        let mut levels = Vec::new();
        while let Ok(below) = open(&level, b"d") {
            levels.push(std::mem::replace(&mut level, below));
        }
        for level in levels.iter().rev() {
            rustix::fs::unlinkat(level, "d", AtFlags::REMOVEDIR).unwrap();
        }
    }
}
