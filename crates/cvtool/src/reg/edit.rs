//! `cvtool reg set`, `delete` and `import`: hives changed. The new hive takes the old one's place when it is complete.

use super::get::value_name;
use crate::Outcome;
use crate::clock::now;
use anyhow::{Context, anyhow, bail};
use clap::Args;
use cv_disk::DurableFile;
use cv_hive::edit::Editor;
use cv_hive::file::{Content, HiveState, RegistryFile, Standing};
use cv_hive::reg::{KeyAction, Patch};
use cv_hive::{Data, Key, KeyPath, KeyState, Name, Value, ValueState, ValueType};
use std::path::{Path, PathBuf};

/// What is said of `--type`.
const TYPE_HELP: &str = "The type: sz, expand_sz, multi_sz, dword, qword, binary, none, link, or a number";

/// What to set.
#[derive(Debug, Args)]
pub struct Set {
    /// The hive
    file: PathBuf,

    /// The key, which is added where it is missing
    key: String,

    /// The name of the value, or @ for the default value; without it, only the key is added
    value: Option<String>,

    /// The data: a text, a number in decimal or with 0x in hexadecimal, or bytes in hexadecimal; several texts where the type
    /// takes several
    #[arg(allow_negative_numbers = true)]
    data: Vec<String>,

    /// The type, by its name or number
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "sz", help = TYPE_HELP)]
    value_type: ValueType,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The hive
    file: PathBuf,

    /// The key
    key: String,

    /// The name of the value, or @ for the default value; without it, the key is deleted with everything below it
    value: Option<String>,

    /// In a delta hive: hide the key or value below, which need not be in this hive
    #[arg(long)]
    tombstone: bool,
}

/// What to import.
#[derive(Debug, Args)]
pub struct Import {
    /// The hive
    file: PathBuf,

    /// The .reg file
    patch: PathBuf,

    /// In a delta hive: have deletions hide what is below
    #[arg(long)]
    tombstone: bool,

    /// Pass over, without a word, keys that are not in this hive
    #[arg(long)]
    skip_elsewhere: bool,

    /// Make the hive, which must not be there yet
    #[arg(long)]
    new: bool,
}

/// A hive that is being changed.
struct Edited {
    editor: Editor,
    standing: Standing,
}

impl Edited {
    fn open(path: &Path) -> anyhow::Result<Self> {
        Self::of(RegistryFile::open(path)?)
    }

    /// A hive without keys for a file that is not there yet.
    fn new(path: &Path) -> anyhow::Result<Self> {
        if path.symlink_metadata().is_ok() {
            bail!("there already; without --new it is changed");
        }
        let options = cv_hive::WriteOptions {
            last_written: now()?.0,
            ..cv_hive::WriteOptions::default()
        };
        let bytes = cv_hive::write_to_vec(&Key::new("ROOT"), &options)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::of(RegistryFile::from_bytes(bytes, &name, Vec::new())?)
    }

    fn of(file: RegistryFile) -> anyhow::Result<Self> {
        if file.state.is_dirty() {
            let how = match &file.state {
                HiveState::Recovered(_) => "recover it first, with cvtool reg recover",
                _ => "and no log holds what is missing; cvtool reg check --repair makes it clean",
            };
            bail!("the hive is dirty: {how}");
        }
        let standing = file.standing().clone();
        let Content::Hive(bytes) = file.content else {
            bail!("it is no hive; only hives are edited");
        };
        let editor = Editor::open(bytes, now()?.0)?;
        Ok(Self { editor, standing })
    }

    /// The names of a key.
    fn names(&self, key: &str) -> anyhow::Result<Vec<Name>> {
        Ok(self.standing.resolve_text(key)?)
    }

    fn delete_key(&mut self, names: &[Name], tombstone: bool) -> anyhow::Result<bool> {
        if names.is_empty() {
            bail!("the root of a hive cannot be deleted");
        }
        let was_there = self.editor.delete_key(names)?;
        if tombstone {
            self.editor.add_key(names)?;
            self.editor.set_state(names, KeyState::Tombstone, false)?;
        }
        Ok(was_there || tombstone)
    }

    fn delete_value(&mut self, names: &[Name], name: &Name, tombstone: bool) -> anyhow::Result<bool> {
        if tombstone {
            self.add_key(names)?;
            let mut value = Value::new(name.clone(), ValueType::NONE, Vec::new());
            value.state = ValueState::Tombstone;
            self.editor.set_value(names, &value)?;
            return Ok(true);
        }
        Ok(self.editor.delete_value(names, name)?)
    }

    /// Adds a key; one that was a tombstone hides what is below it from then on.
    fn add_key(&mut self, names: &[Name]) -> anyhow::Result<()> {
        self.editor.add_key(names)?;
        for end in 1..=names.len() {
            let names = &names[..end];
            let mut key = self.editor.hive()?.root()?;
            for name in names {
                let missing = || anyhow!("the key {} is missing", KeyPath::from(names.to_vec()));
                key = key.find_subkey(name.units())?.ok_or_else(missing)?;
            }
            if key.state() == KeyState::Tombstone {
                self.editor.set_state(names, KeyState::SupersedeTree, false)?;
            }
        }
        Ok(())
    }

    fn save(mut self, path: &Path) -> anyhow::Result<()> {
        Ok(self.editor.save(DurableFile::create(path)?)?)
    }
}

impl Set {
    /// Sets the value, or adds the key.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        self.set().with_context(|| self.file.display().to_string())?;
        Ok(Outcome::Done)
    }

    fn set(&self) -> anyhow::Result<()> {
        let data = Data::encode(self.value_type, &self.data)?;
        let mut hive = Edited::open(&self.file)?;
        let names = hive.names(&self.key)?;
        hive.add_key(&names)?;
        if self.value.is_some() {
            let value = Value::new(value_name(self.value.as_deref()), self.value_type, data);
            hive.editor.set_value(&names, &value)?;
        }
        hive.save(&self.file)
    }
}

impl Delete {
    /// Deletes the value or key, which must be there.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        self.delete().with_context(|| self.file.display().to_string())?;
        Ok(Outcome::Done)
    }

    fn delete(&self) -> anyhow::Result<()> {
        let mut hive = Edited::open(&self.file)?;
        let names = hive.names(&self.key)?;
        let path = hive.standing.full_path(&names);
        if self.value.is_some() {
            let name = value_name(self.value.as_deref());
            if !hive.delete_value(&names, &name, self.tombstone)? {
                bail!("{path} has no value {:?}", name.to_string());
            }
        } else if !hive.delete_key(&names, self.tombstone)? {
            bail!("there is no key {path}");
        }
        hive.save(&self.file)
    }
}

impl Import {
    /// Makes all changes, or none.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let in_patch = || self.patch.display().to_string();
        let bytes = std::fs::read(&self.patch).with_context(in_patch)?;
        let patch = Patch::parse(&bytes).with_context(in_patch)?;
        let hive = if self.new {
            Edited::new(&self.file)
        } else {
            Edited::open(&self.file)
        };
        let mut hive = hive.with_context(|| self.file.display().to_string())?;
        for change in &patch.changes {
            let names = match hive.standing.resolve(&change.path) {
                Ok(names) => names,
                Err(_) if self.skip_elsewhere => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("{}: {}", self.file.display(), in_patch()));
                }
            };
            self.make(&mut hive, &names, &change.action)
                .with_context(|| format!("{}: {}", self.file.display(), change.path))?;
        }
        hive.save(&self.file).with_context(|| self.file.display().to_string())?;
        Ok(Outcome::Done)
    }

    fn make(&self, hive: &mut Edited, names: &[Name], action: &KeyAction) -> anyhow::Result<()> {
        match action {
            KeyAction::Delete => {
                hive.delete_key(names, self.tombstone)?;
            }
            KeyAction::Set(values) => {
                hive.add_key(names)?;
                for value in values {
                    if value.state == ValueState::Tombstone {
                        hive.delete_value(names, &value.name, self.tombstone)?;
                    } else {
                        hive.editor.set_value(names, value)?;
                    }
                }
            }
        }
        Ok(())
    }
}
