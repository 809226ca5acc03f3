//! Attaching, detaching and reordering layers of a mount that is in use.

use crate::control::{AttachRequest, HeldFile, Order, Reply, Timeline};
use crate::events::What;
use crate::mount::{MountError, Running, taken};
use crate::scripts::{Moment, ScriptRun, ScriptSet};
use crate::sources::{Allowed, LayerOptions, Opened, open_layer};
use crate::view::{MemberFacts, Neighbour, NewMember, lock};
use cv_overlay::{LayerId, Names, Role};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Microseconds since then.
pub(crate) fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Opens a layer and takes down how that went.
pub(crate) fn open_told(
    image: &Path,
    options: &LayerOptions,
    names: &Arc<Names>,
    begun: Instant,
) -> Result<Opened, MountError> {
    let events = &options.integrity.events;
    events.tell(What::Requested {
        layer: image.to_path_buf(),
    });
    let opened = open_layer(image, options, names).map_err(MountError::from);
    let opened = opened.inspect_err(|error| {
        events.tell(What::Refused {
            layer: image.to_path_buf(),
            message: one_line(error),
        });
    })?;
    let facts = &opened.facts;
    let verified_us = since(begun);
    events.tell(What::Opened {
        layer: facts.source.clone(),
        id: uuid::Uuid::from_bytes(facts.uuid).to_string(),
        name: facts.name.clone(),
        took_us: verified_us.saturating_sub(opened.verify_us),
    });
    events.tell(What::Verified {
        layer: facts.source.clone(),
        signature: facts.signature.clone(),
        took_us: verified_us,
    });
    for message in &opened.faulty_rules {
        events.tell(What::RuleIgnored {
            layer: facts.source.clone(),
            message: message.clone(),
        });
    }
    Ok(opened)
}

impl Running {
    /// Attaches a layer.
    pub fn attach(&self, request: &AttachRequest) -> Result<Reply, MountError> {
        let span = tracing::info_span!("attach", layer.path = %request.image.display(), otel.kind = "internal");
        let _entered = span.entered();
        let _alone = lock(&self.changes);
        let begun = Instant::now();
        let events = &self.integrity.events;
        let options = LayerOptions {
            allowed: Allowed {
                folders: request.allow.clone(),
            },
            integrity: self.integrity.clone(),
            scripts: request.run_scripts || self.runs_scripts,
            site: self.site,
        };
        let opened = open_told(&request.image, &options, &self.names, begun)?;
        let verified_us = since(begun);
        let opened_us = verified_us.saturating_sub(opened.verify_us);
        let path = opened.facts.source.clone();
        let refused = |error: MountError| {
            events.tell(What::Refused {
                layer: path.clone(),
                message: one_line(&error),
            });
            error
        };
        let has_session = {
            let state = self.view.read();
            if taken(&state.members, &opened.facts) {
                return Err(refused(MountError::AttachedAlready(path.clone())));
            }
            if state.next_id >= u64::from(u16::MAX) - 2 {
                return Err(refused(MountError::TooMany));
            }
            state.members.iter().any(|member| member.facts.role == Role::Session)
        };
        let uppers = self.areas.beside(&opened, LayerId(0), has_session).map_err(refused)?;
        let scripts = opened.scripts.clone();
        let mut layer = NewMember::from(opened);
        layer.facts.priority = request.priority;
        let facts = layer.facts.clone();
        let (id, changed) = {
            let _span = tracing::debug_span!("merge").entered();
            self.view.attach(layer, uppers)
        };
        let merged_us = since(begun);
        events.tell(What::Merged {
            layer: path.clone(),
            took_us: merged_us,
        });
        self.invalidate(&changed);
        let visible_us = since(begun);
        events.tell(What::Visible {
            layer: path.clone(),
            took_us: visible_us,
            names_changed: changed.names.len() as u64,
        });
        let runs = self.run_scripts(scripts.as_deref(), &[Moment::OnAttach, Moment::OnEnable], &facts);
        let layer = self.status().members.into_iter().find(|member| member.number == id.0);
        Ok(Reply::Attached(Timeline {
            layer: layer.ok_or(MountError::AttachedAlready(path))?,
            opened_us,
            verified_us,
            merged_us,
            visible_us,
            scripts_us: since(begun),
            names_changed: changed.names.len() as u64,
            scripts: runs,
        }))
    }

    /// Runs the scripts of a layer for these moments, one after the other.
    fn run_scripts(&self, scripts: Option<&ScriptSet>, moments: &[Moment], facts: &MemberFacts) -> Vec<ScriptRun> {
        let Some(scripts) = scripts else {
            return Vec::new();
        };
        let runs = moments.iter().filter_map(|moment| {
            let _span = tracing::info_span!("script", script.moment = moment.name()).entered();
            let run = self.runner.run(scripts, *moment, facts)?;
            self.integrity.events.tell(What::Script {
                layer: facts.source.clone(),
                run: run.clone(),
            });
            Some(run)
        });
        runs.collect()
    }

    /// Runs the scripts of the layers that the mount began with, the lowest first.
    pub(crate) fn run_first_scripts(&self) -> Vec<(PathBuf, ScriptRun)> {
        let _alone = lock(&self.changes);
        let layers: Vec<(Option<Arc<ScriptSet>>, MemberFacts)> = {
            let state = self.view.read();
            let members = state.members.iter();
            members
                .map(|member| (member.scripts.clone(), member.facts.clone()))
                .collect()
        };
        let mut all = Vec::new();
        for (scripts, facts) in layers {
            let runs = self.run_scripts(scripts.as_deref(), &[Moment::OnAttach, Moment::OnEnable], &facts);
            all.extend(runs.into_iter().map(|run| (facts.source.clone(), run)));
        }
        all
    }

    /// The layer of this image, name, id or number.
    fn find_layer(&self, layer: &str) -> Result<MemberFacts, String> {
        let path = Path::new(layer).canonicalize().ok();
        let state = self.view.read();
        let layers = state.members.iter().map(|member| &member.facts);
        let layers = layers.filter(|facts| facts.role == Role::Layer);
        let wanted = layers.filter(|facts| {
            path.as_deref() == Some(&*facts.source)
                || facts.source.as_os_str() == layer
                || facts.name.as_deref() == Some(layer)
                || facts.id.0.to_string() == layer
                || uuid::Uuid::from_bytes(facts.uuid).to_string() == layer
        });
        let found: Vec<&MemberFacts> = wanted.collect();
        match &*found {
            [] => Err(format!("no layer {layer} is attached")),
            [facts] => Ok((*facts).clone()),
            several => Err(format!(
                "{} layers are called {layer}; say which by its number",
                several.len()
            )),
        }
    }

    /// Detaches the layer of this image, name, id or number.
    pub fn detach(&self, layer: &str, force: bool, run_scripts: bool) -> Result<Reply, String> {
        let span = tracing::info_span!("detach", layer.path = layer, otel.kind = "internal");
        let _entered = span.entered();
        let _alone = lock(&self.changes);
        let facts = self.find_layer(layer)?;
        let in_use = |holders: Vec<crate::view::Holder>| Reply::InUse {
            holders: holders
                .into_iter()
                .map(|holder| HeldFile {
                    path: holder.path,
                    pids: holder.pids,
                })
                .collect(),
        };
        let holders = self.view.holders(facts.id);
        let forced = !holders.is_empty();
        if forced && !force {
            return Ok(in_use(holders));
        }
        let mut runs = Vec::new();
        if run_scripts || self.runs_scripts {
            let scripts = self.scripts_of(&facts)?;
            runs = self.run_scripts(scripts.as_deref(), &[Moment::OnDisable, Moment::OnDetach], &facts);
        }
        match self.view.detach(facts.id, force) {
            Ok(Some(changed)) => {
                self.invalidate(&changed);
                self.integrity.events.tell(What::Detached {
                    layer: facts.source.clone(),
                    forced,
                });
                Ok(Reply::Detached {
                    image: facts.source,
                    scripts: runs,
                })
            }
            Ok(None) => Err(format!("no layer {layer} is attached")),
            Err(holders) => Ok(in_use(holders)),
        }
    }

    /// The scripts of a layer that is attached, which may have been attached without them.
    fn scripts_of(&self, facts: &MemberFacts) -> Result<Option<Arc<ScriptSet>>, String> {
        let known = {
            let state = self.view.read();
            let member = state.members.iter().find(|member| member.facts.id == facts.id);
            member.and_then(|member| member.scripts.clone())
        };
        if known.is_some() || facts.scripts.is_empty() {
            return Ok(known);
        }
        let options = LayerOptions {
            integrity: self.integrity.clone(),
            scripts: true,
            site: self.site,
            ..LayerOptions::default()
        };
        let opened = open_layer(&facts.source, &options, &self.names).map_err(|error| one_line(&error))?;
        if opened.facts.uuid != facts.uuid {
            return Err(format!(
                "{} is another layer than the one attached",
                facts.source.display()
            ));
        }
        Ok(opened.scripts)
    }

    /// Gives a layer another place.
    pub fn order(&self, layer: &str, to: &Order) -> Result<Reply, String> {
        let _alone = lock(&self.changes);
        let facts = self.find_layer(layer)?;
        let others: Vec<(LayerId, i32)> = {
            let state = self.view.read();
            let members = state.stack.members().iter();
            let layers = members.filter(|member| member.role == Role::Layer && member.id != facts.id);
            layers.map(|member| (member.id, member.priority)).collect()
        };
        let other = |name: &str| match self.find_layer(name)? {
            other if other.id == facts.id => Err(format!("{layer} cannot stand above or below itself")),
            other => Ok(other),
        };
        let (priority, beside) = match to {
            Order::Priority(priority) => (*priority, None),
            Order::Above(name) => {
                let other = other(name)?;
                (other.priority, Some(Neighbour::Above(other.id)))
            }
            Order::Below(name) => {
                let other = other(name)?;
                (other.priority, Some(Neighbour::Below(other.id)))
            }
            Order::Top => match others.first() {
                Some((id, priority)) => (*priority, Some(Neighbour::Above(*id))),
                None => (facts.priority, None),
            },
            Order::Bottom => match others.last() {
                Some((id, priority)) => (*priority, Some(Neighbour::Below(*id))),
                None => (facts.priority, None),
            },
        };
        let changed = self.view.reorder(facts.id, priority, beside);
        let changed = changed.ok_or_else(|| format!("no layer {layer} is attached"))?;
        self.invalidate(&changed);
        self.integrity.events.tell(What::Reordered {
            layer: facts.source,
            priority,
        });
        Ok(Reply::Ordered(self.status()))
    }

    /// Cleans up after the mount.
    pub(crate) fn leave(&self) -> io::Result<()> {
        self.integrity.events.tell(What::Unmounted {
            mountpoint: self.mountpoint.clone(),
        });
        if let Some(base) = &self.written_base {
            let own = base.join(crate::member::OWN_DIRECTORY);
            // Nobody wants the workplace in a base; where something else is in it, it stays.
            let _ = std::fs::remove_dir(own.join("work")).and_then(|()| std::fs::remove_dir(&own));
        }
        self.areas.discard()
    }
}

/// An error and its causes on one line.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
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
