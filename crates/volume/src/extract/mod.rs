//! Files from a volume to a folder of the host.
//!
//! The volume is taken for an attacker's. Every file is made through the handle of its folder, folders are entered without
//! following links, and nothing that was there before is opened for writing: so nothing outside of the target is touched,
//! whatever names and links the volume holds, and whatever links lie in the target already.
//!
//! | on the volume | on the host |
//! |---|---|
//! | file, directory | file, folder; sparse ones stay sparse, compressed ones are unpacked |
//! | hard link | hard link |
//! | symbolic link, junction, WSL link | relative symbolic link where it stays inside, see [`Links`]; else kept as reparse data |
//! | named stream | extended attribute `user.NAME` or a file `name:stream`, see [`StreamPlace`] |
//! | times | modification and access time; all four in `ntfs_times` |
//! | security, attributes, and so on | extended attributes, see [`kept`](crate::kept) |

mod file;
mod folder;
mod link;
mod metadata;

use crate::list::SystemFiles;
use crate::path::find;
use cv_disk::{Cancelled, Progress, ReadError};
use cv_ntfs::structure::system_file::ROOT;
use cv_ntfs::structure::{FileAttributes, FileReference};
use cv_ntfs::{File, FileError, Listed, Listing, Order, Volume};
use folder::{Left, Way, host_name, open_below};
pub use metadata::Loss;
use metadata::Naming;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
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

/// What becomes of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Links {
    /// Symbolic links where they stay inside the volume and the host can say the same; reparse data otherwise.
    #[default]
    Inside,
    /// Reparse data on an empty file or folder, which packing turns into the same link again.
    Data,
    /// They are left out.
    Skip,
}

/// Where named streams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StreamPlace {
    /// Into extended attributes `user.NAME`; those that the host has no room for into files, as [`Files`](Self::Files).
    #[default]
    Attributes,
    /// Into files `name:stream` beside their file.
    Files,
    /// They are left out.
    Nowhere,
}

/// What to extract, and how.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// The paths of files and directories to extract, with all that is below them; none means all. Folders above them are
    /// made as well.
    pub paths: Vec<Vec<u16>>,
    /// Whether what is already there is replaced; folders are shared in any case.
    pub overwrite: bool,
    /// What becomes of links.
    pub links: Links,
    /// Where named streams go.
    pub streams: StreamPlace,
    /// Whether security descriptors are kept.
    pub security: bool,
    /// Whether the volume's own files, such as `$MFT`, are extracted as well.
    pub system_files: bool,
    /// Threads that read and write, at least one.
    pub threads: usize,
}

impl Default for ExtractOptions {
    /// Everything but the volume's own files, and nothing replaced; as many threads as the machine has, up to four.
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            overwrite: false,
            links: Links::default(),
            streams: StreamPlace::default(),
            security: true,
            system_files: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(4),
        }
    }
}

/// What was extracted, and what was not.
#[derive(Debug, Default)]
pub struct ExtractOutcome {
    /// Files made, hard links not counted.
    pub files: u64,
    /// Directories made or found.
    pub directories: u64,
    /// Hard links made.
    pub hard_links: u64,
    /// Links made as symbolic links.
    pub links: u64,
    /// Links kept as reparse data because they lead out of the volume, and the first of them.
    pub links_kept: (u64, Option<Vec<u8>>),
    /// Files whose content lies elsewhere (offline, deduplicated), and the first of them.
    pub elsewhere: (u64, Option<Vec<u8>>),
    /// What the host could not keep besides content, and of how many files.
    pub lost: BTreeMap<Loss, u64>,
    /// What is missing, the first thousand in full.
    pub failures: Vec<Failure>,
    /// How much more is missing.
    pub omitted_failures: u64,
    /// Damage of file records, whose files may be missing.
    pub damage: Vec<String>,
    /// Names whose directory is gone; they were not extracted.
    pub orphans: u64,
}

impl ExtractOutcome {
    /// Whether everything that was asked for is there now, but for metadata that the host has no place for.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.damage.is_empty() && self.orphans == 0
    }
}

/// Something that was not extracted.
#[derive(Debug)]
pub struct Failure {
    /// Its path on the volume in WTF-8, with `:` and the stream where only that is missing.
    pub path: Vec<u8>,
    /// Why.
    pub reason: FailureReason,
}

/// Why something was not extracted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureReason {
    /// The volume is damaged there.
    #[error("cannot read it")]
    Volume(#[from] FileError),
    /// Its content cannot be read.
    #[error("cannot read its content")]
    Content(#[source] ReadError),
    /// The host refused.
    #[error("cannot write it")]
    Host(#[source] io::Error),
    /// The host cannot have such a name.
    #[error("{0}")]
    Name(&'static str),
    /// Nothing says why.
    #[error("its content is missing")]
    Unknown,
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Why nothing could be extracted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// A path that was asked for is not there.
    #[error("cannot find what to extract")]
    Find(#[from] FileError),
    /// The target cannot be used.
    #[error("cannot use the target folder")]
    Target(#[source] io::Error),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Extracts files of `volume` into the folder `target`.
///
/// What fails alone is told in the outcome, and the rest is extracted.
pub fn extract(
    volume: &Volume,
    target: OwnedFd,
    options: &ExtractOptions,
    progress: &dyn Progress,
) -> Result<ExtractOutcome, ExtractError> {
    let wanted = options
        .paths
        .iter()
        .map(|path| find(volume, path).map(|found| found.path()))
        .collect::<Result<Vec<_>, _>>()?;
    let selection = Selection { wanted };
    let listing = Listing::of(volume, options.threads);
    let mut total = 0;
    selected(volume, &listing, &selection, options.system_files, &mut |chosen| {
        if chosen.is_wanted && !chosen.listed.file.is_directory {
            total += chosen.listed.file.size;
        }
    });
    progress.begin(total);
    let run = Run {
        volume,
        naming: Naming::of(&target),
        top: Arc::new(target),
        options,
        progress,
        stop: AtomicBool::new(false),
        files: AtomicU64::new(0),
        told: Mutex::new(ExtractOutcome::default()),
    };
    let first_names = run.write_all(&listing, &selection);
    if !run.is_stopped() {
        run.finish_folders(&listing, &selection, &first_names);
    }
    if run.is_stopped() {
        return Err(Cancelled.into());
    }
    let mut outcome = run.told.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.files = run.files.into_inner();
    if selection.wanted.is_empty() {
        outcome.damage = listing.damage().iter().map(ToString::to_string).collect();
        outcome.orphans = listing.orphans(volume).len() as u64;
    }
    Ok(outcome)
}

/// Which paths are asked for.
struct Selection {
    /// Paths in WTF-8; none means all.
    wanted: Vec<Vec<u8>>,
}

impl Selection {
    /// Whether `path` is asked for, or lies below what is.
    fn wants(&self, path: &[u8]) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| is_at_or_below(path, wanted))
    }

    /// Whether something asked for lies below `path`.
    fn is_above(&self, path: &[u8]) -> bool {
        self.wanted.iter().any(|wanted| is_at_or_below(wanted, path))
    }
}

fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    above.is_empty()
        || path
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// A name that takes part in an extraction.
struct Chosen<'a> {
    path: &'a [u8],
    listed: Listed<'a>,
    /// Asked for itself, not only on the way to what is.
    is_wanted: bool,
}

/// Shows the names that take part, a directory before what is in it.
fn selected(
    volume: &Volume,
    listing: &Listing,
    selection: &Selection,
    system_files: bool,
    visit: &mut dyn FnMut(Chosen<'_>),
) {
    let mut skip = SystemFiles::new(system_files);
    listing.walk(volume, Order::Records, |path, listed| {
        if skip.skips(path, listed.parent, listed.file.reference) {
            return;
        }
        let is_wanted = selection.wants(path);
        if is_wanted || listed.file.is_directory && selection.is_above(path) {
            visit(Chosen {
                path,
                listed,
                is_wanted,
            });
        }
    });
}

/// Files of one folder for a thread to write.
struct Batch {
    folder: Arc<OwnedFd>,
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
struct Run<'a> {
    volume: &'a Volume,
    naming: Naming,
    top: Arc<OwnedFd>,
    options: &'a ExtractOptions,
    progress: &'a dyn Progress,
    stop: AtomicBool,
    files: AtomicU64,
    told: Mutex<ExtractOutcome>,
}

impl Run<'_> {
    fn told(&self) -> MutexGuard<'_, ExtractOutcome> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn fail(&self, path: Vec<u8>, reason: FailureReason) {
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

    fn lose(&self, loss: Loss) {
        *self.told().lost.entry(loss).or_insert(0) += 1;
    }

    fn note_elsewhere(&self, path: &[u8]) {
        note(&mut self.told().elsewhere, path);
    }

    /// Makes all folders, and all files and links in them but for further names of one file. Gives the path of each file that
    /// may have further names.
    fn write_all(&self, listing: &Listing, selection: &Selection) -> HashMap<u64, Vec<u8>> {
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
                        let made = folder::make(&folder, &name);
                        match &made {
                            Ok(_) => self.told().directories += 1,
                            Err(error) => self.fail(chosen.path.to_vec(), (*error).into()),
                        }
                        way.enter(record, name, made.ok());
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

    fn write(&self, folder: &OwnedFd, task: Task, buffer: &mut Vec<u8>) {
        let written = self
            .volume
            .file_by_reference(task.reference)
            .map_err(FailureReason::from)
            .and_then(|file| self.write_one(&file, folder, &task, buffer));
        if let Err(reason) = written {
            self.fail(task.path, reason);
        }
    }

    fn write_one(&self, file: &File, folder: &OwnedFd, task: &Task, buffer: &mut Vec<u8>) -> Result<(), FailureReason> {
        let name = &task.name;
        let link = match file.reparse_point()? {
            Some(point) if point.tag().is_name_surrogate() => point,
            _ => {
                file::write_file(self, file, folder, name, &task.path, buffer)?;
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
                    file::make_link(self, file, &target, folder, name)?;
                    self.told().links += 1;
                    return Ok(());
                }
            }
        }
        file::keep_link(self, file, folder, name, &task.path)?;
        note(&mut self.told().links_kept, &task.path);
        Ok(())
    }

    /// Makes the further names of files, and gives folders their times and metadata when nothing more comes into them.
    fn finish_folders(&self, listing: &Listing, selection: &Selection, first_names: &HashMap<u64, Vec<u8>>) {
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
                    let opened = if is_link {
                        None
                    } else {
                        folder::open(&folder, &name).ok()
                    };
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

    fn add_name(&self, first: &[u8], folder: &OwnedFd, name: &[u8]) -> Result<(), FailureReason> {
        let mut names: Vec<&[u8]> = first.split(|byte| *byte == b'/').collect();
        let last = names.pop().unwrap_or_default();
        let first_folder = open_below(&self.top, names.into_iter())?;
        let link = || rustix::fs::linkat(&first_folder, last, folder, name, AtFlags::empty());
        match link() {
            Err(Errno::EXIST) if self.options.overwrite => {
                folder::remove(folder, name)?;
                Ok(link()?)
            }
            made => Ok(made?),
        }
    }

    fn finish_folder(&self, left: &Left, wanted: &HashMap<u64, Vec<u8>>) {
        let Some(path) = wanted.get(&left.record) else { return };
        let Ok(file) = self.volume.file(left.record) else {
            return;
        };
        let target = left.folder.as_fd();
        file::keep_reparse_data(self, &file, target);
        file::write_streams(self, &file, target, &left.above, &left.name, path, &mut Vec::new());
        metadata::keep(&file, target, self.naming, self.options.security, |loss| {
            self.lose(loss);
        });
    }
}

fn note(place: &mut (u64, Option<Vec<u8>>), path: &[u8]) {
    place.0 += 1;
    place.1.get_or_insert_with(|| path.to_vec());
}
