//! Mounting a view, and changing it while it is mounted.

use crate::control::{HeldFile, MemberStatus, Reply, Request, Server, Status, Timeline};
use crate::facts::Owner;
use crate::fuse::LayerFs;
use crate::sources::{Allowed, Base, Opened, SourceError, open_folder, open_layer};
use crate::upper::Upper;
use crate::view::{AttachedLayer, Changed, MemberFacts, NewMember, Notice, View, ViewOptions};
use cv_overlay::{LayerId, NamePath, Names, Role};
use fuser::{Config, INodeNo, MountOption, Notifier, Session, SessionACL};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// What is to be mounted, and how.
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// A folder, or an image with an NTFS volume.
    pub base: PathBuf,
    /// Layers in their images, the lowest first.
    pub layers: Vec<PathBuf>,
    /// The folder that takes the writes.
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
    /// Whether the kernel may read and write files of the writable folder itself, where it can.
    pub passthrough: bool,
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
            passthrough: true,
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
    /// There are more layers than inodes can tell apart.
    #[error("no more than 65534 layers can be attached during a mount")]
    TooMany,
}

fn explain_upper(errno: Errno) -> String {
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
    _control: Server,
}

/// What serves a mount.
#[derive(Debug)]
pub struct Running {
    view: Arc<View>,
    names: Arc<Names>,
    mountpoint: PathBuf,
    notifier: Notifier,
}

fn taken(members: &[NewMember], facts: &MemberFacts) -> bool {
    members
        .iter()
        .any(|member| member.facts.source == facts.source || member.facts.uuid == facts.uuid)
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
        let names = Arc::new(base.names(options.case_sensitive));
        let mut members = Vec::new();
        let mut add = |opened: Opened| {
            if taken(&members, &opened.facts) {
                return Err(MountError::AttachedAlready(opened.facts.source));
            }
            let id = LayerId(members.len() as u64 + 1);
            members.push(NewMember {
                facts: MemberFacts { id, ..opened.facts },
                rules: opened.rules,
                member: opened.member,
            });
            Ok(())
        };
        add(base.into_member(&names)?)?;
        let mut upper = None;
        if let Some(folder) = &options.writable {
            let opened = open_folder(folder, &names, Role::Writable)?;
            let opened_upper = Upper::open(&opened.member, options.owner);
            upper = Some(opened_upper.map_err(|source| MountError::Writable {
                path: folder.clone(),
                source,
            })?);
            add(opened)?;
        }
        for layer in &options.layers {
            add(open_layer(layer, &options.allowed, &names)?)?;
        }
        if members.len() > usize::from(u16::MAX) - 1 {
            return Err(MountError::TooMany);
        }
        let is_writable = upper.is_some();
        let view_options = ViewOptions {
            owner: options.owner,
            passthrough: options.passthrough,
        };
        let view = Arc::new(View::new(names.clone(), members, upper, view_options));
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
        let passthrough = options.passthrough && is_writable;
        let mut session =
            Session::new(LayerFs::new(view.clone(), passthrough), mountpoint, &config).map_err(refused)?;
        let running = Arc::new(Running {
            view,
            names,
            mountpoint: mountpoint.clone(),
            notifier: session.notifier(),
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
        Ok(Self {
            running,
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

    /// Waits until the mount ends: unmounted by somebody, or stopped.
    pub fn wait(mut self) -> io::Result<()> {
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
                Notice::Crowded => loop {
                    let names = running.view.to_forget();
                    if names.is_empty() {
                        break;
                    }
                    for (parent, name) in names {
                        forget(parent, &name);
                    }
                },
            }
        }
    };
    std::thread::Builder::new().name("notices".to_owned()).spawn(work)?;
    Ok(())
}

/// Takes a mount from sight that is in use.
fn detach(mountpoint: &Path) -> io::Result<()> {
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
            Request::Attach { image, priority, allow } => {
                self.attach(&image, priority, allow)
                    .unwrap_or_else(|error| Reply::Failed {
                        message: one_line(&error),
                    })
            }
            Request::Detach { layer, force } => self.detach(&layer, force),
            Request::Status => Reply::Status(self.status()),
            Request::Explain { path } => {
                let units: Vec<u16> = path.replace('/', "\\").encode_utf16().collect();
                match self.view.explain(&NamePath::parse(&units)) {
                    Ok(members) => Reply::Explained {
                        path,
                        members: members.into_iter().map(Into::into).collect(),
                    },
                    Err(errno) => Reply::Failed {
                        message: format!("{path}: {errno}"),
                    },
                }
            }
        }
    }

    /// Attaches a layer.
    pub fn attach(&self, image: &Path, priority: i32, allow: Vec<PathBuf>) -> Result<Reply, MountError> {
        let begun = Instant::now();
        let since = || u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let opened = open_layer(image, &Allowed { folders: allow }, &self.names)?;
        let opened_us = since();
        {
            let state = self.view.read();
            if taken(&state.members, &opened.facts) {
                return Err(MountError::AttachedAlready(opened.facts.source));
            }
            if state.next_id >= u64::from(u16::MAX) {
                return Err(MountError::TooMany);
            }
        }
        let (id, changed) = self.view.attach(AttachedLayer {
            facts: MemberFacts {
                priority,
                ..opened.facts
            },
            rules: opened.rules,
            member: opened.member,
        });
        let merged_us = since();
        self.invalidate(&changed);
        let layer = self.status().members.into_iter().find(|member| member.number == id.0);
        let layer = layer.ok_or_else(|| MountError::AttachedAlready(image.to_path_buf()))?;
        Ok(Reply::Attached(Timeline {
            layer,
            opened_us,
            merged_us,
            visible_us: since(),
            names_changed: changed.names.len() as u64,
        }))
    }

    /// Detaches the layer of this image, name, id or number.
    pub fn detach(&self, layer: &str, force: bool) -> Reply {
        let path = Path::new(layer).canonicalize().ok();
        let found: Vec<(LayerId, PathBuf)> = {
            let state = self.view.read();
            let layers = state.members.iter().filter(|member| member.facts.role == Role::Layer);
            let wanted = layers.filter(|member| {
                let facts = &member.facts;
                path.as_deref() == Some(&*facts.source)
                    || facts.source.as_os_str() == layer
                    || facts.name.as_deref() == Some(layer)
                    || facts.id.0.to_string() == layer
                    || uuid::Uuid::from_bytes(facts.uuid).to_string() == layer
            });
            wanted
                .map(|member| (member.facts.id, member.facts.source.clone()))
                .collect()
        };
        let [(id, image)] = &*found else {
            return Reply::Failed {
                message: match found.len() {
                    0 => format!("no layer {layer} is attached"),
                    count => format!("{count} layers are called {layer}; say which by its number"),
                },
            };
        };
        match self.view.detach(*id, force) {
            Ok(Some(changed)) => {
                self.invalidate(&changed);
                Reply::Detached { image: image.clone() }
            }
            Ok(None) => Reply::Failed {
                message: format!("no layer {layer} is attached"),
            },
            Err(holders) => Reply::InUse {
                holders: holders
                    .into_iter()
                    .map(|holder| HeldFile {
                        path: holder.path,
                        pids: holder.pids,
                    })
                    .collect(),
            },
        }
    }

    /// Has the kernel forget what changed.
    fn invalidate(&self, changed: &Changed) {
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
        let members = state.stack.members().iter().filter_map(|attachment| {
            let facts = state
                .members
                .iter()
                .map(|member| &member.facts)
                .find(|facts| facts.id == attachment.id)?;
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
            })
        });
        Status {
            mountpoint: self.mountpoint.clone(),
            pid: std::process::id(),
            ignores_case: self.view.ignores_case(),
            members: members.collect(),
            open_files: self.view.files().count() as u64,
            known_inodes: self.view.known_inodes() as u64,
        }
    }
}

fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}
