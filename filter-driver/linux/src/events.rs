//! What happens to a mount, as JSON lines: when layers were asked for, opened, verified, merged, which scripts ran, and what
//! was found damaged. The last of them are kept for who asks; all of them go to a file where one is named, and to `tracing`,
//! where a subscriber may hand them on as OpenTelemetry does.

use crate::integrity::Signature;
use crate::scripts::ScriptRun;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Events that are kept in memory.
const KEPT: usize = 1000;

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Counts from 1 for each mount.
    pub sequence: u64,
    /// When, in the form of RFC 3339.
    pub time: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen. Times are in microseconds since the attach was requested.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum What {
    /// Programs see the view.
    Mounted {
        /// Where.
        mountpoint: PathBuf,
    },
    /// The view is gone.
    Unmounted {
        /// Where it was.
        mountpoint: PathBuf,
    },
    /// Somebody wants a layer attached.
    Requested {
        /// The image.
        layer: PathBuf,
    },
    /// The image is open, and what its layer hides and rules is known.
    Opened {
        /// The image.
        layer: PathBuf,
        /// The layer's id.
        id: String,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// When.
        took_us: u64,
    },
    /// The signature was judged.
    Verified {
        /// The image.
        layer: PathBuf,
        /// What was found.
        signature: Signature,
        /// When.
        took_us: u64,
    },
    /// A rule of the layer cannot be read and is of no effect.
    RuleIgnored {
        /// The image.
        layer: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The layer is in the stack.
    Merged {
        /// The image.
        layer: PathBuf,
        /// When.
        took_us: u64,
    },
    /// Programs see the layer.
    Visible {
        /// The image.
        layer: PathBuf,
        /// When.
        took_us: u64,
        /// Names that the kernel was told to forget.
        names_changed: u64,
    },
    /// A script of the layer ran, or could not.
    Script {
        /// The image.
        layer: PathBuf,
        /// How it went.
        #[serde(flatten)]
        run: ScriptRun,
    },
    /// A layer was not attached.
    Refused {
        /// The image.
        layer: PathBuf,
        /// Why.
        message: String,
    },
    /// A layer stands elsewhere in the stack.
    Reordered {
        /// The image.
        layer: PathBuf,
        /// Its priority now.
        priority: i32,
    },
    /// A layer left the stack.
    Detached {
        /// The image.
        layer: PathBuf,
        /// Whether files of it were open.
        forced: bool,
    },
    /// What a program changed in a registry file is kept as delta hives.
    RegistryKept {
        /// The file, by its name in the writable folder.
        path: String,
        /// The folders and hives.
        hives: Vec<PathBuf>,
        /// Whether changes of keys that a rule leaves to the base were not kept.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        excluded: bool,
    },
    /// A registry file cannot be merged, or what was written in it cannot be kept.
    RegistryRefused {
        /// The file.
        path: String,
        /// Why.
        message: String,
    },
    /// What was read is not what the layer's index says; the program got an error. Told once for each file.
    Damaged {
        /// The image.
        layer: PathBuf,
        /// The file, from the volume's root.
        path: String,
        /// What is wrong.
        message: String,
    },
}

/// Takes down what happens.
pub struct EventLog {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    kept: VecDeque<Event>,
    output: Option<Box<dyn Write + Send>>,
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog").finish_non_exhaustive()
    }
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new(None)
    }
}

impl EventLog {
    /// A log that writes its lines to `output` as well. What cannot be written there is lost.
    pub fn new(output: Option<Box<dyn Write + Send>>) -> Self {
        Self {
            state: Mutex::new(State {
                output,
                ..State::default()
            }),
        }
    }

    /// Takes something down.
    pub fn tell(&self, what: What) {
        let mut state = crate::view::lock(&self.state);
        state.last += 1;
        let event = Event {
            sequence: state.last,
            time: jiff::Timestamp::now().to_string(),
            what,
        };
        if let Ok(mut line) = serde_json::to_vec(&event) {
            line.push(b'\n');
            if let Some(output) = &mut state.output {
                // One write, so that lines of several mounts in one file stay whole.
                let _ = output.write_all(&line).and_then(|()| output.flush());
            }
        }
        if state.kept.len() >= KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(event.clone());
        drop(state);
        trace(&event.what);
    }

    /// The last events after the one of that number, the oldest first.
    pub fn since(&self, sequence: u64) -> Vec<Event> {
        let state = crate::view::lock(&self.state);
        let after = state.kept.iter().filter(|event| event.sequence > sequence);
        after.cloned().collect()
    }
}

/// Hands an event on by the names that OpenTelemetry has for such things.
fn trace(what: &What) {
    let shown = |path: &Path| path.display().to_string();
    match what {
        What::Mounted { mountpoint } => tracing::info!(event.name = "mounted", mountpoint = shown(mountpoint)),
        What::Unmounted { mountpoint } => tracing::info!(event.name = "unmounted", mountpoint = shown(mountpoint)),
        What::Requested { layer } => tracing::info!(event.name = "requested", layer.path = shown(layer)),
        What::Opened { layer, id, took_us, .. } => {
            tracing::info!(
                event.name = "opened",
                layer.path = shown(layer),
                layer.id = id.as_str(),
                took_us
            );
        }
        What::Verified {
            layer,
            signature,
            took_us,
        } => {
            tracing::info!(
                event.name = "verified",
                layer.path = shown(layer),
                layer.signature = signature.state(),
                took_us
            );
        }
        What::RuleIgnored { layer, message } => {
            tracing::warn!(event.name = "rule-ignored", layer.path = shown(layer), message);
        }
        What::Merged { layer, took_us } => {
            tracing::info!(event.name = "merged", layer.path = shown(layer), took_us);
        }
        What::Visible {
            layer,
            took_us,
            names_changed,
        } => {
            tracing::info!(
                event.name = "visible",
                layer.path = shown(layer),
                took_us,
                names_changed
            );
        }
        What::Script { layer, run } => {
            tracing::info!(
                event.name = "script",
                layer.path = shown(layer),
                script.name = run.name.as_str(),
                process.exit_code = run.exit_code,
                took_us = run.took_us
            );
        }
        What::Refused { layer, message } => {
            tracing::warn!(event.name = "refused", layer.path = shown(layer), message);
        }
        What::Reordered { layer, priority } => {
            tracing::info!(event.name = "reordered", layer.path = shown(layer), priority);
        }
        What::Detached { layer, forced } => {
            tracing::info!(event.name = "detached", layer.path = shown(layer), forced);
        }
        What::RegistryKept { path, excluded, .. } => {
            tracing::info!(event.name = "registry-kept", file.path = path.as_str(), excluded);
        }
        What::RegistryRefused { path, message } => {
            tracing::warn!(event.name = "registry-refused", file.path = path.as_str(), message);
        }
        What::Damaged { layer, path, message } => {
            tracing::error!(
                event.name = "damaged",
                layer.path = shown(layer),
                file.path = path.as_str(),
                message
            );
        }
    }
}
