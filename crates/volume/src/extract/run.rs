//! An extraction under way: folders and files first, then further names and what folders keep.

use super::folder::{Left, Way, open_below};
use super::host::{self, Folder, host_name};
use super::selection::{Selection, selected};
use super::{ExtractOptions, ExtractOutcome, Failure, FailureReason, Links, Loss, link};
use cv_disk::Progress;
use cv_ntfs::structure::system_file::ROOT;
use cv_ntfs::structure::{FileAttributes, FileReference};
use cv_ntfs::{File, Listed, Listing, Volume};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

/// Batches that wait for a thread at most; each keeps its folder open.
const QUEUE: usize = 16;

/// Files and bytes of a batch at most. A host makes files one at a time in each folder, so that two threads in one folder
/// would wait for each other: a batch holds as much of one folder as is of use.
const BATCH_FILES: usize = 1024;
const BATCH_BYTES: u64 = 16 << 20;

/// Failures told in full at most.
const LISTED: usize = 1000;

/// Files of one folder for a thread to write.
struct Batch {
    folder: Arc<Folder>,
    bytes: u64,
    tasks: Vec<Task>,
}

/// A file to write.
struct Task {
    name: Vec<u8>,
    path: Vec<u8>,
    reference: FileReference,
}

impl Task {
    /// The names of its directory, from the root. None holds a `/`: folders of such names are not made.
    fn directory(&self) -> Vec<Vec<u16>> {
        let mut names: Vec<_> = self.path.split(|byte| *byte == b'/').collect();
        names.pop();
        names
            .into_iter()
            .filter_map(|name| cv_winname::wtf8::decode(name).ok())
            .collect()
    }
}

/// An extraction under way.
pub struct Run<'a> {
    pub volume: &'a Volume,
    #[cfg(unix)]
    pub naming: host::Naming,
    pub top: Arc<Folder>,
    pub options: &'a ExtractOptions,
    pub progress: &'a dyn Progress,
    pub stop: AtomicBool,
    pub files: AtomicU64,
    pub told: Mutex<ExtractOutcome>,
}

impl Run<'_> {
    fn told(&self) -> MutexGuard<'_, ExtractOutcome> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn fail(&self, path: Vec<u8>, reason: FailureReason) {
        if matches!(reason, FailureReason::Cancelled(_)) {
            self.stop.store(true, Ordering::Relaxed);
            return;
        }
        let mut told = self.told();
        if told.failures.len() < LISTED {
            told.failures.push(Failure { path, reason });
        } else {
            told.omitted_failures += 1;
        }
    }

    pub fn lose(&self, loss: Loss) {
        *self.told().lost.entry(loss).or_insert(0) += 1;
    }

    pub fn note_elsewhere(&self, path: &[u8]) {
        note(&mut self.told().elsewhere, path);
    }

    /// Makes all folders, and all files and links in them but for further names of one file. Gives the path of each file that
    /// may have further names.
    pub fn write_all(&self, listing: &Listing, selection: &Selection) -> HashMap<u64, Vec<u8>> {
        let (sender, receiver) = mpsc::sync_channel::<Batch>(QUEUE);
        let receiver = Mutex::new(receiver);
        let mut first_names = HashMap::new();
        std::thread::scope(|scope| {
            for _ in 0..self.options.threads.max(1) {
                scope.spawn(|| {
                    let mut buffer = Vec::new();
                    loop {
                        let batch = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(batch) = batch else { break };
                        for task in batch.tasks {
                            if !self.is_stopped() {
                                self.write(&batch.folder, task, &mut buffer);
                            }
                        }
                    }
                });
            }
            let mut way = Way::new(self.top.clone());
            let mut batch: Option<Batch> = None;
            // The threads listen until the sender is gone.
            let send = |batch: Option<Batch>| batch.map_or(Ok(()), |batch| sender.send(batch)).unwrap_or_default();
            selected(
                self.volume,
                listing,
                selection,
                self.options.system_files,
                &mut |chosen| {
                    if self.is_stopped() {
                        return;
                    }
                    let listed = &chosen.listed;
                    let record = listed.file.reference.record();
                    let is_directory = listed.file.is_directory;
                    way.go_up_to(listed.parent.record());
                    // Where the folder could not be made, that was told.
                    let Some(folder) = way.lowest() else { return };
                    let name = match host_name(listed.name) {
                        Ok(name) => name,
                        Err(reason) => {
                            self.fail(chosen.path.to_vec(), FailureReason::Name(reason));
                            if is_directory {
                                way.enter(record, Vec::new(), None);
                            }
                            return;
                        }
                    };
                    if is_directory && !self.is_directory_link(listed) {
                        let made = match host::make(&folder, &name) {
                            Ok(made) => {
                                self.told().directories += 1;
                                Some(made)
                            }
                            Err(error) => {
                                self.fail(chosen.path.to_vec(), error.into());
                                None
                            }
                        };
                        way.enter(record, name, made);
                        return;
                    }
                    if is_directory {
                        way.enter(record, name.clone(), None);
                    } else if listed.file.link_count > 1 {
                        match first_names.entry(record) {
                            Entry::Occupied(_) => return,
                            Entry::Vacant(entry) => entry.insert(chosen.path.to_vec()),
                        };
                    }
                    let is_full = |batch: &Batch| {
                        !Arc::ptr_eq(&batch.folder, &folder)
                            || batch.tasks.len() >= BATCH_FILES
                            || batch.bytes >= BATCH_BYTES
                    };
                    if batch.as_ref().is_some_and(is_full) {
                        send(batch.take());
                    }
                    let batch = batch.get_or_insert_with(|| Batch {
                        folder,
                        bytes: 0,
                        tasks: Vec::new(),
                    });
                    batch.bytes += listed.file.size;
                    batch.tasks.push(Task {
                        name,
                        path: chosen.path.to_vec(),
                        reference: listed.file.reference,
                    });
                },
            );
            send(batch);
            drop(sender);
        });
        first_names
    }

    /// Whether the directory stands for another: what it holds itself, if anything, is not entered.
    fn is_directory_link(&self, listed: &Listed<'_>) -> bool {
        listed.file.attributes().contains(FileAttributes::REPARSE_POINT)
            && matches!(
                self.volume.file_by_reference(listed.file.reference).map(|file| file.reparse_point()),
                Ok(Ok(Some(point))) if point.tag().is_name_surrogate()
            )
    }

    fn write(&self, folder: &Folder, task: Task, buffer: &mut Vec<u8>) {
        let written = self
            .volume
            .file_by_reference(task.reference)
            .map_err(FailureReason::from)
            .and_then(|file| self.write_one(&file, folder, &task, buffer));
        if let Err(reason) = written {
            self.fail(task.path, reason);
        }
    }

    fn write_one(&self, file: &File, folder: &Folder, task: &Task, buffer: &mut Vec<u8>) -> Result<(), FailureReason> {
        let name = &task.name;
        let link = match file.reparse_point()? {
            Some(point) if point.tag().is_name_surrogate() => point,
            _ => {
                host::write_file(self, file, folder, name, &task.path, buffer)?;
                self.files.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        };
        match self.options.links {
            Links::Skip => return Ok(()),
            Links::Data => {}
            Links::Inside => {
                // A symbolic link has no room for streams.
                let is_bare = file.streams().iter().all(|stream| stream.name.is_empty());
                let target = link::host_target(self.volume, &task.directory(), &link).filter(|_| is_bare);
                if let Some(target) = target {
                    host::make_link(self, file, &target, folder, name)?;
                    self.told().links += 1;
                    return Ok(());
                }
            }
        }
        host::keep_link(self, file, folder, name, &task.path)?;
        note(&mut self.told().links_kept, &task.path);
        Ok(())
    }

    /// Makes the further names of files, and gives folders their times and metadata when nothing more comes into them.
    pub fn finish_folders(&self, listing: &Listing, selection: &Selection, first_names: &HashMap<u64, Vec<u8>>) {
        let mut way = Way::new(self.top.clone());
        // Paths of the directories that are asked for, by record, those on the way alone.
        let mut wanted: HashMap<u64, Vec<u8>> = HashMap::new();
        selected(
            self.volume,
            listing,
            selection,
            self.options.system_files,
            &mut |chosen| {
                let listed = &chosen.listed;
                let record = listed.file.reference.record();
                for left in way.go_up_to(listed.parent.record()) {
                    self.finish_folder(&left, &wanted);
                    wanted.remove(&left.record);
                }
                let Some(folder) = way.lowest() else { return };
                let Ok(name) = host_name(listed.name) else {
                    if listed.file.is_directory {
                        way.enter(record, Vec::new(), None);
                    }
                    return;
                };
                if listed.file.is_directory {
                    let is_link = self.is_directory_link(listed);
                    let opened = if is_link { None } else { host::open(&folder, &name).ok() };
                    way.enter(record, name, opened);
                    if chosen.is_wanted {
                        wanted.insert(record, chosen.path.to_vec());
                    }
                } else if let Some(first) = first_names.get(&record).filter(|first| first.as_slice() != chosen.path) {
                    match self.add_name(first, &folder, &name) {
                        Ok(()) => self.told().hard_links += 1,
                        Err(reason) => self.fail(chosen.path.to_vec(), reason),
                    }
                }
            },
        );
        for left in way.go_up_to(ROOT.record) {
            self.finish_folder(&left, &wanted);
        }
        if selection.wants(b"") {
            // A stream of the root that becomes a file has nothing before the colon.
            let top = Left {
                record: ROOT.record,
                folder: self.top.clone(),
                above: self.top.clone(),
                name: Vec::new(),
            };
            self.finish_folder(&top, &HashMap::from([(ROOT.record, Vec::new())]));
        }
    }

    fn add_name(&self, first: &[u8], folder: &Folder, name: &[u8]) -> Result<(), FailureReason> {
        let mut names: Vec<&[u8]> = first.split(|byte| *byte == b'/').collect();
        let last = names.pop().unwrap_or_default();
        let first_folder = open_below(&self.top, names.into_iter())?;
        host::add_name((&*first_folder, last), folder, name, self.options.overwrite)
    }

    fn finish_folder(&self, left: &Left, wanted: &HashMap<u64, Vec<u8>>) {
        let Some(path) = wanted.get(&left.record) else { return };
        let Ok(file) = self.volume.file(left.record) else {
            return;
        };
        host::finish_folder(self, &file, left, path);
    }
}

fn note(place: &mut (u64, Option<Vec<u8>>), path: &[u8]) {
    place.0 += 1;
    place.1.get_or_insert_with(|| path.to_vec());
}
