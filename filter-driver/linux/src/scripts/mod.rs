//! Lifecycle scripts of layers. A script is a program of whoever made the layer, run as who mounted: nothing runs unless it
//! was asked for.

mod run;
mod set;

pub use run::{Runner, ScriptRun};
pub use set::{ScriptError, ScriptSet};

use serde::{Deserialize, Serialize};

/// When a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Once the layer is attached.
    OnAttach,
    /// Once programs see the layer.
    OnEnable,
    /// Before the layer leaves.
    OnDisable,
    /// Before the layer is detached.
    OnDetach,
}

impl Moment {
    /// The name of its script, without extension.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnAttach => "on-attach",
            Self::OnEnable => "on-enable",
            Self::OnDisable => "on-disable",
            Self::OnDetach => "on-detach",
        }
    }
}
