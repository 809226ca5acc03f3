//! Mounting a view, and changing it while it is mounted.

use crate::areas::Areas;
use crate::around::ReadAround;
use crate::attach::{one_line, open_told, since};
use crate::control::{MemberStatus, Reply, Request, Server, Status};
use crate::events::What;
use crate::facts::Owner;
use crate::fuse::LayerFs;
use crate::integrity::Integrity;
use crate::member::Site;
use crate::scripts::{Runner, ScriptRun};
use crate::sources::{Allowed, Base, LayerOptions, SourceError, open_folder};
use crate::view::{Changed, MemberFacts, NewMember, Notice, View, ViewOptions};
use crate::writable::{PackError, WritableImage};
use cv_overlay::policy::RuleRef;
use cv_overlay::{LayerId, NamePath, Names, Role};
use fuser::{Config, INodeNo, MountOption, Notifier, Session, SessionACL};
use layerfmt::stack::LayerStack;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the kernel has to say what it has forgotten.
const FORGETTING: Duration = Duration::from_millis(2);

/// What is to be mounted, and how.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct MountOptions {
    /// A folder, or an image with an NTFS volume.
    pub base: PathBuf,
    /// Layers in their images, the lowest first.
    pub layers: Vec<PathBuf>,
    /// The folder that takes the writes, or a layer of the kind `writable`, which is unpacked beside itself and packed when the
    /// mount ends.
    pub writable: Option<PathBuf>,
    /// Where images may be found that others need.
    pub allowed: Allowed,
    /// Whether names that differ in case alone are different names.
    pub case_sensitive: bool,
    /// Whether other users may look.
    pub allow_other: bool,
    /// Whose the files of volumes are.
    pub owner: Owner,
    /// Threads that answer the kernel.
    pub threads: usize,
    /// Files and directories that the kernel may know before it is asked to forget the oldest; each takes some 200 bytes here.
    pub known_kept: usize,
    /// Whether the kernel may read and write files of the writable folder itself, where it can.
    pub passthrough: bool,
    /// What is asked of layers.
    pub integrity: Integrity,
    /// Whether scripts of layers run without being asked for.
    pub run_scripts: bool,
    /// How long a script may run.
    pub script_limit: Duration,
    /// The Wine prefix in which scripts of Windows see the view.
    pub wine_prefix: Option<PathBuf>,
    /// Whether what rules exclude from the layers is written in the base, which must be a folder.
    pub base_writable: bool,
}

impl MountOptions {
    /// A mount of `base` alone, for the user who asks.
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self {
            base: base.into(),
            layers: Vec::new(),
            writable: None,
            allowed: Allowed::default(),
            case_sensitive: false,
            allow_other: false,
            owner: Owner {
                uid: rustix::process::getuid().as_raw(),
                gid: rustix::process::getgid().as_raw(),
                umask: 0o022,
            },
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(4),
            known_kept: 200_000,
            passthrough: true,
            integrity: Integrity::default(),
            run_scripts: false,
            script_limit: Duration::from_secs(60),
            wine_prefix: None,
            base_writable: false,
        }
    }
}

/// Why nothing was mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// Something that is to be in the stack could not be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The same layer twice.
    #[error("{} is attached already", .0.display())]
    AttachedAlready(PathBuf),
    /// The writable folder cannot be used.
    #[error("cannot write in {}: {}", path.display(), explain_upper(*source))]
    Writable {
        /// The folder.
        path: PathBuf,
        /// What failed.
        source: Errno,
    },
    /// The mount point cannot be used.
    #[error("cannot mount at {}", path.display())]
    Mount {
        /// The place.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The base is to take writes, and cannot.
    #[error("{} is no folder, so it takes no writes", .0.display())]
    BaseReadOnly(PathBuf),
    /// The image that is to take the writes cannot be used.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// There are more layers than inodes can tell apart.
    #[error("no more than 65534 layers can be attached during a mount")]
    TooMany,
}

pub(crate) fn explain_upper(errno: Errno) -> String {
    match errno {
        Errno::WOULDBLOCK => "another mount has it".to_owned(),
        Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL => {
            "its file system has no whiteouts, exchange of names or extended attributes".to_owned()
        }
        errno => errno.to_string(),
    }
}

/// What ends a mount.
#[derive(Debug)]
enum Event {
    Stop,
    Ended(io::Result<()>),
}

/// Ends a mount from another thread.
#[derive(Debug, Clone)]
pub struct Stopper(Sender<Event>);

impl Stopper {
    /// Asks for the mount's end.
    pub fn stop(&self) {
        let _ = self.0.send(Event::Stop);
    }
}

/// A mount that is there.
#[derive(Debug)]
pub struct Mounted {
    running: Arc<Running>,
    events: Receiver<Event>,
    stop: Sender<Event>,
    unmounter: fuser::SessionUnmounter,
    scripts: Vec<(PathBuf, ScriptRun)>,
    image: Option<WritableImage>,
    _control: Server,
}

/// What serves a mount.
#[derive(Debug)]
pub struct Running {
    pub(crate) view: Arc<View>,
    pub(crate) names: Arc<Names>,
    pub(crate) site: Site,
    pub(crate) mountpoint: PathBuf,
    pub(crate) notifier: Notifier,
    pub(crate) areas: Areas,
    pub(crate) integrity: Integrity,
    pub(crate) runner: Runner,
    pub(crate) runs_scripts: bool,
    /// The base, where it takes writes.
    pub(crate) written_base: Option<PathBuf>,
    /// Held while the stack changes.
    pub(crate) changes: Mutex<()>,
}

pub(crate) fn taken(members: &[NewMember], facts: &MemberFacts) -> bool {
    members
        .iter()
        .any(|member| member.facts.source == facts.source || member.facts.uuid == facts.uuid)
}

/// The members of a stack, before anybody sees them.
struct Gathered {
    members: Vec<NewMember>,
    areas: Areas,
    written_base: Option<PathBuf>,
}

/// Opens everything that the options name: the base, the writable folder, the layers and the areas of their rules.
fn gather(base: Base, names: &Arc<Names>, options: &MountOptions) -> Result<Gathered, MountError> {
    let mut members: Vec<NewMember> = Vec::new();
    let add = |member: NewMember, members: &mut Vec<NewMember>| {
        if taken(members, &member.facts) {
            return Err(MountError::AttachedAlready(member.facts.source));
        }
        let id = LayerId(members.len() as u64 + 1);
        members.push(member);
        if let Some(member) = members.last_mut() {
            member.facts.id = id;
        }
        Ok(id)
    };
    let site = base.site();
    let base = base.into_member(names, options.base_writable)?;
    let written_base = options.base_writable.then(|| base.facts.source.clone());
    let base = match &written_base {
        None => base.into(),
        Some(path) if base.member.folder().is_none() => return Err(MountError::BaseReadOnly(path.clone())),
        Some(_) => NewMember::writable(base, options.owner)?,
    };
    add(base, &mut members)?;
    let mut writable = None;
    if let Some(folder) = &options.writable {
        let opened = open_folder(folder, names, Role::Writable, true, site)?;
        writable = Some(opened.facts.source.clone());
        add(NewMember::writable(opened, options.owner)?, &mut members)?;
    }
    let areas = Areas::new(writable, names.clone(), options.owner, site);
    let layer_options = LayerOptions {
        allowed: options.allowed.clone(),
        integrity: options.integrity.clone(),
        scripts: options.run_scripts,
        site,
    };
    let events = options.integrity.events.clone();
    for layer in &options.layers {
        let begun = Instant::now();
        let opened = open_told(layer, &layer_options, names, begun)?;
        let path = opened.facts.source.clone();
        let has_session = members.iter().any(|member| member.facts.role == Role::Session);
        let id = LayerId(members.len() as u64 + 1);
        let uppers = areas.beside(&opened, id, has_session)?;
        add(opened.into(), &mut members)?;
        for upper in uppers {
            add(upper, &mut members)?;
        }
        events.tell(What::Merged {
            layer: path,
            took_us: since(begun),
        });
    }
    if members.len() > usize::from(u16::MAX) - 1 {
        return Err(MountError::TooMany);
    }
    Ok(Gathered {
        members,
        areas,
        written_base,
    })
}

/// How the kernel mounts it.
fn configuration(options: &MountOptions, is_writable: bool) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("cvtool".to_owned()),
        MountOption::Subtype("layerfs".to_owned()),
        MountOption::DefaultPermissions,
        MountOption::NoDev,
        MountOption::NoSuid,
        if is_writable { MountOption::RW } else { MountOption::RO },
    ];
    config.acl = if options.allow_other {
        SessionACL::All
    } else {
        SessionACL::Owner
    };
    config.n_threads = Some(options.threads.max(1));
    config.clone_fd = options.threads > 1;
    config
}

impl Mounted {
    /// Mounts. When this returns, programs see the view.
    pub fn start(mountpoint: &Path, options: &MountOptions) -> Result<Self, MountError> {
        let refused = |source: io::Error| MountError::Mount {
            path: mountpoint.to_path_buf(),
            source,
        };
        let mountpoint = &mountpoint.canonicalize().map_err(refused)?;
        let refused = |source: io::Error| MountError::Mount {
            path: mountpoint.clone(),
            source,
        };
        let base = Base::open(&options.base, &options.allowed)?;
        let image = options.writable.as_deref().filter(|writable| writable.is_file());
        let image = image
            .map(|image| WritableImage::open(image, &options.allowed))
            .transpose()?;
        let mut options = options.clone();
        if let Some(image) = &image {
            options.writable = Some(image.folder().to_path_buf());
        }
        let options = &options;
        let names = Arc::new(base.names(options.case_sensitive));
        let site = base.site();
        let Gathered {
            members,
            areas,
            written_base,
        } = gather(base, &names, options)?;
        let view_options = ViewOptions {
            owner: options.owner,
            passthrough: options.passthrough,
            site,
            known_kept: options.known_kept,
        };
        let events = options.integrity.events.clone();
        let view = Arc::new(View::new(names.clone(), members, view_options, events));
        view.recover_hives();
        let is_writable = view.is_writable();
        let config = configuration(options, is_writable);
        let passthrough = options.passthrough && is_writable;
        let around = Arc::new(ReadAround::default());
        let served = LayerFs::new(view.clone(), passthrough, around.clone());
        let mut session = Session::new(served, mountpoint, &config).map_err(refused)?;
        if !is_writable {
            around.start(session.notifier()).map_err(refused)?;
        }
        let running = Arc::new(Running {
            view,
            names,
            site,
            mountpoint: mountpoint.clone(),
            notifier: session.notifier(),
            areas,
            integrity: options.integrity.clone(),
            runner: Runner {
                mountpoint: mountpoint.clone(),
                limit: options.script_limit,
                wine_prefix: options.wine_prefix.clone(),
            },
            runs_scripts: options.run_scripts,
            written_base,
            changes: Mutex::default(),
        });
        tell_kernel(&running).map_err(refused)?;
        let unmounter = session.unmount_callable();
        let (stop, events) = channel();
        let ended = stop.clone();
        std::thread::Builder::new()
            .name("session".to_owned())
            .spawn(move || {
                let result = session.run();
                let _ = ended.send(Event::Ended(result));
            })
            .map_err(refused)?;
        let control = Server::start(&running).map_err(refused)?;
        options.integrity.events.tell(What::Mounted {
            mountpoint: mountpoint.clone(),
        });
        let scripts = running.run_first_scripts();
        Ok(Self {
            scripts,
            running,
            image,
            events,
            stop,
            unmounter,
            _control: control,
        })
    }

    /// What ends the mount, for another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// What serves the mount.
    pub fn running(&self) -> &Arc<Running> {
        &self.running
    }

    /// The scripts that ran when the layers were attached, with their layers.
    pub fn scripts(&self) -> &[(PathBuf, ScriptRun)] {
        &self.scripts
    }

    /// Waits until the mount ends: unmounted by somebody, or stopped. What was written to be forgotten is gone then.
    pub fn wait(mut self) -> io::Result<()> {
        let ended = self.wait_for_end();
        let left = self.running.leave();
        if let Some(image) = &self.image {
            image.pack().map_err(io::Error::other)?;
        }
        left.and(ended)
    }

    fn wait_for_end(&mut self) -> io::Result<()> {
        loop {
            match self.events.recv() {
                Ok(Event::Ended(result)) => return result,
                Ok(Event::Stop) => {
                    if self.unmounter.unmount().is_err() {
                        // Somebody works in it: it goes from sight, and ends when they are done.
                        detach(&self.running.mountpoint)?;
                        return Ok(());
                    }
                }
                Err(_) => return Ok(()),
            }
        }
    }
}

/// Tells the kernel what it should forget, in a thread of its own.
fn tell_kernel(running: &Arc<Running>) -> io::Result<()> {
    let notices = running.view.notices();
    let running = Arc::downgrade(running);
    let work = move || {
        while let Ok(notice) = notices.recv() {
            let Some(running) = running.upgrade() else { return };
            // What it has forgotten by itself is no error.
            let forget = |parent: u64, name: &[u8]| {
                let _ = running.notifier.inval_entry(INodeNo(parent), OsStr::from_bytes(name));
            };
            match notice {
                Notice::Stale(parent, name) => forget(parent, &name),
                Notice::Crowded => {
                    while let Some(names) = running.view.to_forget() {
                        for (parent, name) in names {
                            forget(parent, &name);
                        }
                        // What it forgets it says a moment later; without a pause it would be asked for more than has to go.
                        std::thread::sleep(FORGETTING);
                    }
                }
            }
        }
    };
    std::thread::Builder::new().name("notices".to_owned()).spawn(work)?;
    Ok(())
}

/// Takes a mount from sight that is in use.
pub(crate) fn detach(mountpoint: &Path) -> io::Result<()> {
    if rustix::mount::unmount(mountpoint, rustix::mount::UnmountFlags::DETACH).is_ok() {
        return Ok(());
    }
    let status = std::process::Command::new("fusermount3")
        .arg("-uz")
        .arg(mountpoint)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("fusermount3 could not unmount"))
    }
}

impl Running {
    /// Where it is mounted.
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// The view that is shown.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Answers a request.
    pub fn answer(&self, request: Request) -> Reply {
        match request {
            Request::Attach(request) => self.attach(&request).unwrap_or_else(|error| Reply::Failed {
                message: one_line(&error),
            }),
            Request::Detach {
                layer,
                force,
                run_scripts,
            } => self
                .detach(&layer, force, run_scripts)
                .unwrap_or_else(|message| Reply::Failed { message }),
            Request::Order { layer, to } => self
                .order(&layer, &to)
                .unwrap_or_else(|message| Reply::Failed { message }),
            Request::Events { after } => Reply::Events {
                events: self.integrity.events.since(after),
            },
            Request::Status => Reply::Status(self.status()),
            Request::Explain { path, value } if value.is_some() || LayerStack::is_key(&path) => {
                match self.view.explain_key(&path, value.as_deref()) {
                    Ok(explained) => Reply::Explained {
                        path: explained.key,
                        members: explained.members,
                        writes_to: explained.writes_to,
                        rule: explained.rule,
                    },
                    Err(error) => Reply::Failed {
                        message: format!("{path}: {}", one_line(&error)),
                    },
                }
            }
            Request::Explain { path, .. } => {
                let units: Vec<u16> = path.replace('/', "\\").encode_utf16().collect();
                match self.view.explain(&NamePath::parse(&units)) {
                    Ok(explained) => Reply::Explained {
                        path,
                        members: explained.members.into_iter().map(Into::into).collect(),
                        writes_to: explained.writes_to,
                        rule: explained.rule,
                    },
                    Err(errno) => Reply::Failed {
                        message: format!("{path}: {errno}"),
                    },
                }
            }
        }
    }

    /// Has the kernel forget what changed.
    pub(crate) fn invalidate(&self, changed: &Changed) {
        for (parent, name) in &changed.names {
            // What the kernel does not know any more needs no forgetting.
            let _ = self.notifier.inval_entry(INodeNo(*parent), OsStr::from_bytes(name));
        }
        for directory in &changed.directories {
            let _ = self.notifier.inval_inode(INodeNo(*directory), 0, 0);
        }
    }

    /// What is mounted.
    pub fn status(&self) -> Status {
        let state = self.view.read();
        let members = state.stack.members().iter().enumerate();
        let members = members.filter_map(|(position, attachment)| {
            let facts = state.facts(position)?;
            let is_layer = facts.role == Role::Layer;
            Some(MemberStatus {
                number: facts.id.0,
                role: match facts.role {
                    Role::Base => "base",
                    Role::Layer => "layer",
                    Role::Writable => "writable",
                    Role::Area(_) => "area",
                    Role::Session => "session",
                }
                .to_owned(),
                source: facts.source.clone(),
                name: facts.name.clone(),
                id: uuid::Uuid::from_bytes(facts.uuid).to_string(),
                priority: facts.priority,
                open_files: self.view.files().held(facts.id).len() as u64,
                signature: is_layer.then(|| facts.signature.clone()),
                rules: (0..attachment.rules.len())
                    .filter_map(|index| {
                        state.rule(RuleRef {
                            member: position,
                            index,
                        })
                    })
                    .chain(state.key_rules(position))
                    .collect(),
                scripts: facts.scripts.clone(),
                verifies_reads: facts.verifies_reads,
            })
        });
        Status {
            mountpoint: self.mountpoint.clone(),
            pid: std::process::id(),
            ignores_case: self.view.ignores_case(),
            members: members.collect(),
            open_files: self.view.files().count() as u64,
            known_inodes: self.view.known_inodes() as u64,
            runs_scripts: self.runs_scripts,
        }
    }
}
