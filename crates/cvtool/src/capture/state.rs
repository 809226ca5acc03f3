//! The state folder of a capture.

use crate::progress;
use crate::whole_file;
use anyhow::Context;
use cv_capture::build::{Gathered, Installer, Items, Variable, write_readable};
use cv_capture::paths::Template;
use cv_capture::rules::Platform;
use cv_capture::snapshot::{Problem, Readiness, Snapshot, readiness};
use cv_disk::ReadAt;
use cv_image::{Format, Gate, Image, OpenOptions};
use layerfmt::content::Content;
use layerfmt::{Kind, Layer, Manifest, WriteOptions};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The snapshot before the install.
const BEFORE: &str = "before.cvstate";
/// Everything that changed, as a layer without rules.
const CHANGES: &str = "changes.vhdx";
/// What of that is a change.
const ITEMS: &str = "items.json";
/// What is known besides.
const NOTES: &str = "capture.json";
/// The machine that is captured.
const MACHINE: &str = "machine.json";

/// A state folder.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Notes {
    platform: Platform,
    readiness: Readiness,
    template: Template,
    #[serde(default)]
    environment: Vec<Variable>,
    touched: u64,
    problems: Vec<Problem>,
}

/// The machine that is captured.
#[derive(Debug, Serialize, Deserialize)]
pub struct MachineNote {
    /// Where it is; `None` for the Windows that this runs on.
    pub path: Option<PathBuf>,
    /// What spoke against capturing it, besides what its registry says.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Where the change journal of its drive stood: which journal, and the number of the next change.
    #[serde(default)]
    pub journal: Option<(u64, u64)>,
    /// How an installer ran that wanted a restart.
    #[serde(default)]
    pub installer: Option<Installer>,
}

impl MachineNote {
    /// What the machine was like before the install.
    pub fn readiness(&self, before: &Snapshot) -> Readiness {
        let mut readiness = readiness(before);
        readiness.warnings.extend(self.warnings.iter().cloned());
        readiness
    }
}

/// What was kept of a capture.
#[derive(Debug)]
pub struct Kept {
    pub gathered: Gathered,
    pub readiness: Readiness,
    pub platform: Platform,
}

impl State {
    /// The state in `folder`, which is made where there is none.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(Self {
            folder: folder.to_path_buf(),
        })
    }

    /// Where the snapshot before the install is.
    pub fn before(&self) -> PathBuf {
        self.folder.join(BEFORE)
    }

    /// Notes which machine is captured.
    pub fn note_machine(&self, note: &MachineNote) -> anyhow::Result<()> {
        self.write(MACHINE, &serde_json::to_vec_pretty(note)?)
    }

    /// Which machine is captured.
    pub fn machine(&self) -> anyhow::Result<MachineNote> {
        self.read(MACHINE)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        whole_file::write(&path, bytes).with_context(|| path.display().to_string())
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, name: &str) -> anyhow::Result<T> {
        let path = self.folder.join(name);
        let shown = || path.display().to_string();
        let bytes = std::fs::read(&path).with_context(shown)?;
        serde_json::from_slice(&bytes).with_context(shown)
    }

    /// Keeps everything that changed. What says that there is something comes last.
    pub fn keep(&self, gathered: &Gathered, readiness: &Readiness, platform: Platform) -> anyhow::Result<()> {
        let notes = self.folder.join(NOTES);
        if notes.exists() {
            std::fs::remove_file(&notes).with_context(|| notes.display().to_string())?;
        }
        let mut content = Content::new(Manifest::new("changes", "", Kind::Data));
        content.files = gathered.files.clone();
        content.hives = gathered.hives.clone();
        let path = self.folder.join(CHANGES);
        let options = WriteOptions::new(Format::Vhdx);
        let bar = progress::Bar::new("Keeping");
        let mut problems = gathered.problems.clone();
        write_readable(&mut content, &path, &options, &bar, &mut |_, problem| {
            problems.push(problem);
        })
        .with_context(|| path.display().to_string())?;
        drop(bar);
        self.write(ITEMS, &gathered.items.to_json())?;
        let kept = Notes {
            platform,
            readiness: readiness.clone(),
            template: gathered.template.clone(),
            environment: gathered.environment.clone(),
            touched: gathered.touched,
            problems,
        };
        self.write(NOTES, &serde_json::to_vec_pretty(&kept)?)
    }

    /// What was kept.
    pub fn kept(&self) -> anyhow::Result<Kept> {
        let notes: Notes = self.read(NOTES)?;
        let path = self.folder.join(ITEMS);
        let name = || path.display().to_string();
        let items = Items::from_json(&std::fs::read(&path).with_context(name)?).with_context(name)?;
        let path = self.folder.join(CHANGES);
        let name = || path.display().to_string();
        let gate = Gate::beside(&path).with_context(name)?;
        let image = Image::open(&path, &OpenOptions::new(gate)).with_context(name)?;
        let disk: Arc<dyn ReadAt> = Arc::new(image);
        let content = Layer::open(&disk).with_context(name)?.content().with_context(name)?;
        Ok(Kept {
            gathered: Gathered {
                files: content.files,
                hives: content.hives,
                items,
                problems: notes.problems,
                touched: notes.touched,
                template: notes.template,
                environment: notes.environment,
            },
            readiness: notes.readiness,
            platform: notes.platform,
        })
    }
}
