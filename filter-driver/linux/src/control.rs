//! The control socket of a mount: one request a connection, one line of JSON each way.

use crate::events::Event;
use crate::integrity::Signature;
use crate::mount::Running;
use crate::scripts::ScriptRun;
use cv_overlay::{Hiding, Kind, Standing};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a request at most.
const LONGEST_REQUEST: u64 = 1 << 20;

/// What a mount is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Request {
    /// Attach a layer.
    Attach(AttachRequest),
    /// Give a layer another place in the stack.
    Order {
        /// Its image, name, id or number.
        layer: String,
        /// Where it is to stand.
        to: Order,
    },
    /// Detach a layer.
    Detach {
        /// Its image, name, id or number.
        layer: String,
        /// Even while files of it are open.
        #[serde(default)]
        force: bool,
        /// Whether its scripts run before.
        #[serde(default)]
        run_scripts: bool,
    },
    /// Tell what happened.
    Events {
        /// After the event of this number.
        #[serde(default)]
        after: u64,
    },
    /// Tell what is mounted.
    Status,
    /// Say why a path shows what it shows.
    Explain {
        /// The path in the view, or a key such as `HKLM\SOFTWARE\App`.
        path: String,
        /// Of a key the name of a value; empty for the default value.
        #[serde(default)]
        value: Option<String>,
    },
}

/// Which layer to attach, and how.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AttachRequest {
    /// The image, as an absolute path.
    pub image: PathBuf,
    /// The priority: higher stands above.
    #[serde(default)]
    pub priority: i32,
    /// Folders in which parents and extents may be opened as well.
    #[serde(default)]
    pub allow: Vec<PathBuf>,
    /// Whether its scripts run.
    #[serde(default)]
    pub run_scripts: bool,
}

impl AttachRequest {
    /// Attaches a layer as it is.
    pub fn of(image: impl Into<PathBuf>) -> Self {
        Self {
            image: image.into(),
            ..Self::default()
        }
    }
}

/// Where a layer is to stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Among those of this priority, later attached above earlier.
    Priority(i32),
    /// Right above this layer.
    Above(String),
    /// Right below this layer.
    Below(String),
    /// Above all layers.
    Top,
    /// Below all layers.
    Bottom,
}

/// What a mount answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Attached.
    Attached(Timeline),
    /// Detached.
    Detached {
        /// The image.
        image: PathBuf,
        /// The scripts that ran before.
        scripts: Vec<ScriptRun>,
    },
    /// The layer has its place.
    Ordered(Status),
    /// What happened.
    Events {
        /// The oldest first.
        events: Vec<Event>,
    },
    /// Files of the layer are open.
    InUse {
        /// By whom.
        holders: Vec<HeldFile>,
    },
    /// What is mounted.
    Status(Status),
    /// What every member has at a path, the highest first.
    Explained {
        /// The path.
        path: String,
        /// The members that have something there.
        members: Vec<ExplainedMember>,
        /// The folder that takes the writes there; `null` where nothing does.
        writes_to: Option<PathBuf>,
        /// The rule by which it does.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rule: Option<ExplainedRule>,
    },
    /// It did not work.
    Failed {
        /// Why, on one line.
        message: String,
    },
}

/// How an attach went, in microseconds since it was requested.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timeline {
    /// The layer.
    pub layer: MemberStatus,
    /// The image was open.
    pub opened_us: u64,
    /// Its signature was judged.
    pub verified_us: u64,
    /// The layer was in the stack.
    pub merged_us: u64,
    /// The kernel had forgotten what it knew of what changed.
    pub visible_us: u64,
    /// The scripts had run.
    pub scripts_us: u64,
    /// Names that the kernel was told to forget.
    pub names_changed: u64,
    /// The scripts that ran.
    pub scripts: Vec<ScriptRun>,
}

/// A file that is open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeldFile {
    /// The path in the view.
    pub path: String,
    /// The processes that opened it.
    pub pids: Vec<u32>,
}

/// A mount.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Where.
    pub mountpoint: PathBuf,
    /// The process that serves it.
    pub pid: u32,
    /// Whether names are the same in any case.
    pub ignores_case: bool,
    /// The stack, the highest first.
    pub members: Vec<MemberStatus>,
    /// Files that are open.
    pub open_files: u64,
    /// Inodes that the kernel knows.
    pub known_inodes: u64,
    /// Whether scripts of layers run without being asked for.
    pub runs_scripts: bool,
}

/// A member of a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its number in this mount.
    pub number: u64,
    /// `writable`, `layer` or `base`.
    pub role: String,
    /// The folder or image.
    pub source: PathBuf,
    /// The name in its manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The id in its manifest, or made of its volume.
    pub id: String,
    /// Its priority.
    pub priority: i32,
    /// Its files that are open.
    pub open_files: u64,
    /// Whose signature it has, of a layer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signature: Option<Signature>,
    /// The rules of its manifest.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rules: Vec<ExplainedRule>,
    /// Its lifecycle scripts, whether they may run or not.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub scripts: Vec<String>,
    /// Whether what is read from it is verified.
    #[serde(default)]
    pub verifies_reads: bool,
}

/// What a member has at a path.
#[derive(Debug)]
pub struct Explained {
    /// The member.
    pub member: PathBuf,
    /// What it has.
    pub kind: Kind,
    /// What becomes of it.
    pub standing: Standing,
    /// The member that hides it.
    pub hidden_by: Option<PathBuf>,
    /// The rule that hides it.
    pub rule: Option<ExplainedRule>,
}

/// A rule of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedRule {
    /// The image of the layer whose rule it is.
    pub layer: PathBuf,
    /// The path, as in the manifest.
    pub path: String,
    /// What it does.
    pub action: String,
}

/// What a member has at a path, in words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExplainedMember {
    /// The member's folder or image.
    pub member: PathBuf,
    /// What it has there: `file`, `directory`, `whiteout` and so on; of a key its state, of a value `value` or `tombstone`.
    pub kind: String,
    /// The type and data of a value.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content: Option<String>,
    /// `wins`, `merges`, `cuts` or `hidden`.
    pub standing: String,
    /// By what it is hidden.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub because: Option<String>,
    /// The member that hides it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hidden_by: Option<PathBuf>,
    /// The rule that hides it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<ExplainedRule>,
}

impl From<Explained> for ExplainedMember {
    fn from(explained: Explained) -> Self {
        Self {
            member: explained.member,
            kind: match explained.kind {
                Kind::File => "file",
                Kind::Directory => "directory",
                Kind::OpaqueDirectory => "opaque-directory",
                Kind::Symlink => "symlink",
                Kind::Junction => "junction",
                Kind::Whiteout => "whiteout",
            }
            .to_owned(),
            content: None,
            standing: standing_text(explained.standing).to_owned(),
            because: because(explained.standing),
            hidden_by: explained.hidden_by,
            rule: explained.rule,
        }
    }
}

/// What becomes of what a member has.
pub(crate) fn standing_text(standing: Standing) -> &'static str {
    match standing {
        Standing::Wins => "wins",
        Standing::Merges => "merges",
        Standing::Cuts => "cuts",
        Standing::Hidden(_) => "hidden",
    }
}

/// By what it is hidden.
pub(crate) fn because(standing: Standing) -> Option<String> {
    let why = match standing.hidden()?.why {
        Hiding::HigherLayer => "higher-layer",
        Hiding::TypeChange => "type-change",
        Hiding::Whiteout => "whiteout",
        Hiding::OpaqueDirectory => "opaque-directory",
        Hiding::Rule(_) => "rule",
        Hiding::OtherUpper => "other-upper",
        Hiding::KeyTombstone => "key-tombstone",
        Hiding::SupersedeTree => "supersede-tree",
        Hiding::SupersedeLocal => "supersede-local",
        Hiding::ValueTombstone => "value-tombstone",
    };
    Some(why.to_owned())
}

/// Why a mount could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nothing is mounted there by cvtool, or by another user.
    #[error("no mount of cvtool answers for {}", mountpoint.display())]
    NotMounted {
        /// The place.
        mountpoint: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the mount did not answer")]
    Broken(#[from] io::Error),
    /// The answer makes no sense.
    #[error("the mount's answer cannot be read")]
    Answer(#[from] serde_json::Error),
}

/// The folder of the sockets, which only its owner can enter.
fn folder() -> io::Result<PathBuf> {
    let user = rustix::process::geteuid();
    let folder = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(run) if !user.is_root() => PathBuf::from(run).join("cvtool"),
        _ if user.is_root() => PathBuf::from("/run/cvtool"),
        _ => std::env::temp_dir().join(format!("cvtool-{}", user.as_raw())),
    };
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let facts = std::fs::symlink_metadata(&folder)?;
    // Somebody else may have made it first.
    if !facts.is_dir() || facts.uid() != user.as_raw() || facts.mode() & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not a folder of this user alone", folder.display()),
        ));
    }
    Ok(folder)
}

/// Where the socket of a mount is.
pub fn socket_path(mountpoint: &Path) -> io::Result<PathBuf> {
    let name = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, mountpoint.as_os_str().as_bytes());
    Ok(folder()?.join(format!("{}.sock", name.simple())))
}

/// Asks the mount at `mountpoint`.
pub fn ask(mountpoint: &Path, request: &Request) -> Result<Reply, ControlError> {
    // A path below the mount would be asked of the mount itself; the place alone is looked at.
    let place = std::path::absolute(mountpoint)?;
    let parent = place.parent().and_then(|parent| parent.canonicalize().ok());
    let place = match (parent, place.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => place,
    };
    let connect = || UnixStream::connect(socket_path(&place)?);
    let mut stream = connect().map_err(|source| ControlError::NotMounted {
        mountpoint: place.clone(),
        source,
    })?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// The listening end, whose socket goes with it.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Server {
    /// Begins to answer for a mount.
    pub fn start(running: &Arc<Running>) -> io::Result<Self> {
        let path = socket_path(running.mountpoint())?;
        // What a killed mount left behind.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let running = running.clone();
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // Each by itself, so that a script that runs may ask; changes of the stack wait for each other.
                let running = running.clone();
                let answering = move || answer(&running, &stream);
                let _ = std::thread::Builder::new().name("answer".to_owned()).spawn(answering);
            }
        })?;
        Ok(Self { path })
    }
}

fn answer(running: &Running, mut stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_REQUEST)).read_line(&mut line)?;
    let reply = match serde_json::from_str::<Request>(&line) {
        Ok(request) => running.answer(request),
        Err(error) => Reply::Failed {
            message: format!("the request cannot be read: {error}"),
        },
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    stream.write_all(&bytes)
}
