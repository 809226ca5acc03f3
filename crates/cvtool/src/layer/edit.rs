//! `cvtool edit`.

use super::output::{LayerOutput, open};
use crate::clock::now;
use crate::image::source::Opening;
use crate::reg::get::value_name;
use crate::{Outcome, print, progress};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use cv_hive::reg::Patch;
use cv_hive::{Data, ValueType};
use cv_image::{Image, Value};
use layerfmt::edit::{EditError, Editor};
use layerfmt::manifest::{FileAction, LayerReference};
use std::path::PathBuf;

/// Bytes of a script at most.
const MAX_SCRIPT: u64 = 16 << 20;

/// The kinds of VMDK that consist of more than one file.
const SEVERAL_FILES: [&str; 5] = [
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "vmfs",
    "vmfsSparse",
];

/// What to change. What is removed goes first, then what is hidden, then everything is added and set.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The layer
    layer: PathBuf,

    /// The new layer; a file there is replaced
    #[arg(short, long, value_name = "LAYER", required_unless_present = "in_place")]
    output: Option<PathBuf>,

    /// Let the new layer take the old one's place, when it is complete
    #[arg(long, conflicts_with = "output")]
    in_place: bool,

    /// Add a file, or what is in a folder, at a path of the layer; files there are replaced
    #[arg(long, num_args = 2, value_names = ["HOST", "PATH"], help_heading = "Files")]
    add: Vec<PathBuf>,

    /// Take a file or directory out of the layer: what is below the layer is seen again
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    remove: Vec<String>,

    /// Hide what is below the layer at a path; what the layer has there goes
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    hide: Vec<String>,

    /// Let a directory hide everything below the layer there
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    opaque: Vec<String>,

    /// Let a directory merge with what is below the layer again
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    merge: Vec<String>,

    /// Do what a .reg file says; what it deletes is deleted below the layer too
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    import: Vec<PathBuf>,

    /// Set a value; types are those of `cvtool reg set`
    #[arg(long, num_args = 4, value_names = ["KEY", "NAME", "TYPE", "DATA"], allow_hyphen_values = true, help_heading = "Registry")]
    set_value: Vec<String>,

    /// Take a key out of the layer, with all that is in it
    #[arg(long, value_name = "KEY", help_heading = "Registry")]
    remove_key: Vec<String>,

    /// Take a value out of the layer
    #[arg(long, num_args = 2, value_names = ["KEY", "NAME"], help_heading = "Registry")]
    remove_value: Vec<String>,

    /// Hide a key below the layer, with all that is in it
    #[arg(long, value_name = "KEY", help_heading = "Registry")]
    hide_key: Vec<String>,

    /// Hide a value below the layer
    #[arg(long, num_args = 2, value_names = ["KEY", "NAME"], help_heading = "Registry")]
    hide_value: Vec<String>,

    /// Add a script by its name in the layer, such as on-attach.ps1
    #[arg(long, num_args = 2, value_names = ["NAME", "FILE"], help_heading = "Behaviour")]
    script: Vec<PathBuf>,

    /// Remove a script
    #[arg(long, value_name = "NAME", help_heading = "Behaviour")]
    remove_script: Vec<String>,

    /// Have a rule for a path, or a key such as HKLM\SOFTWARE\App: merge, override, hide, isolate, exclude or
    /// discard-at-logoff
    #[arg(long, num_args = 2, value_names = ["PATH|KEY", "ACTION"], help_heading = "Behaviour")]
    policy: Vec<String>,

    /// Remove the rule for a path or key
    #[arg(long, value_name = "PATH|KEY", help_heading = "Behaviour")]
    remove_policy: Vec<String>,

    /// Need another layer, by its name and, behind a space, its versions: `"Runtime >=2, <3"`
    #[arg(long, value_name = "LAYER", help_heading = "Manifest")]
    requires: Vec<String>,

    /// Do not go with another layer, written as with --requires
    #[arg(long, value_name = "LAYER", help_heading = "Manifest")]
    conflicts: Vec<String>,

    /// The layer's name
    #[arg(long, help_heading = "Manifest")]
    name: Option<String>,

    /// The version of what is in it
    #[arg(long, value_name = "VERSION", help_heading = "Manifest")]
    app_version: Option<String>,

    /// Who made what is in it
    #[arg(long, help_heading = "Manifest")]
    publisher: Option<String>,

    /// A text for people
    #[arg(long, value_name = "TEXT", help_heading = "Manifest")]
    description: Option<String>,

    #[command(flatten)]
    written: LayerOutput,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Writes the changed layer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.layer.display().to_string();
        let (layer, format) = open(&self.layer, &self.opening)?;
        let is_signed = layer.signature_bytes().with_context(name)?.is_some();
        let content = layer.content().with_context(name)?;
        let mut editor = Editor::new(content, now()?);
        self.edit_files(&mut editor)?;
        self.edit_registry(&mut editor)?;
        self.edit_behaviour(&mut editor)?;
        self.edit_manifest(&mut editor);
        let content = editor.finish();

        let target = self.output.as_ref().unwrap_or(&self.layer);
        // In its own place it stays what it was, in every respect.
        let subformat = if self.in_place { self.subformat()? } else { None };
        self.written.write(&content, target, Some((format, subformat)))?;
        if is_signed && !self.written.signs() {
            let text = format!("{}: not signed any more; --key signs it anew", target.display());
            print::warn(&text);
        }
        Ok(Outcome::Done)
    }

    fn edit_files(&self, editor: &mut Editor) -> anyhow::Result<()> {
        for path in &self.remove {
            editor.remove(path)?;
        }
        for path in &self.hide {
            editor.hide(path)?;
        }
        for (paths, is_opaque) in [(&self.opaque, true), (&self.merge, false)] {
            for path in paths {
                editor.set_opaque(path, is_opaque)?;
            }
        }
        let bar = progress::Bar::new("Gathering");
        for pair in self.add.chunks_exact(2) {
            let (host, path) = (&pair[0], pair[1].to_string_lossy());
            if host.is_dir() {
                editor.add_folder(&path, host, &bar)?;
            } else {
                editor.add_file(&path, host)?;
            }
        }
        Ok(())
    }

    fn edit_registry(&self, editor: &mut Editor) -> anyhow::Result<()> {
        for pair in self.remove_value.chunks_exact(2) {
            editor.remove_value(&pair[0], &value_name(Some(&pair[1])).to_string())?;
        }
        for key in &self.remove_key {
            editor.remove_key(key)?;
        }
        for key in &self.hide_key {
            editor.hide_key(key)?;
        }
        for pair in self.hide_value.chunks_exact(2) {
            editor.hide_value(&pair[0], &value_name(Some(&pair[1])).to_string())?;
        }
        for path in &self.import {
            let shown = || path.display().to_string();
            let patch = Patch::parse(&std::fs::read(path).with_context(shown)?).with_context(shown)?;
            editor.import(patch).with_context(shown)?;
        }
        for four in self.set_value.chunks_exact(4) {
            let value_type: ValueType = four[2].parse().map_err(|error| anyhow!("{:?}: {error}", four[2]))?;
            let data = Data::encode(value_type, &four[3..4]).with_context(|| four[..2].join("!"))?;
            editor.set_value(
                &four[0],
                cv_hive::Value::new(value_name(Some(&four[1])), value_type, data),
            )?;
        }
        Ok(())
    }

    fn edit_behaviour(&self, editor: &mut Editor) -> anyhow::Result<()> {
        for name in &self.remove_script {
            editor.remove_script(name)?;
        }
        for pair in self.script.chunks_exact(2) {
            let shown = || pair[1].display().to_string();
            let size = pair[1].metadata().with_context(shown)?.len();
            if size > MAX_SCRIPT {
                return Err(anyhow!(
                    "{}: {size} bytes, more than the {MAX_SCRIPT} of a script",
                    shown()
                ));
            }
            editor.set_script(&pair[0].to_string_lossy(), std::fs::read(&pair[1]).with_context(shown)?);
        }
        for place in &self.remove_policy {
            editor.remove_rule(place)?;
        }
        for pair in self.policy.chunks_exact(2) {
            let action: FileAction = serde_json::from_value(pair[1].as_str().into()).map_err(|_| {
                anyhow!(
                    "{:?}: expected merge, override, hide, isolate, exclude or discard-at-logoff",
                    pair[1]
                )
            })?;
            set_rule(editor, &pair[0], action)?;
        }
        Ok(())
    }

    fn edit_manifest(&self, editor: &mut Editor) {
        let manifest = editor.manifest_mut();
        let members = [
            (&mut manifest.name, &self.name),
            (&mut manifest.version, &self.app_version),
            (&mut manifest.publisher, &self.publisher),
            (&mut manifest.description, &self.description),
        ];
        for (member, text) in members {
            if let Some(text) = text {
                member.clone_from(text);
            }
        }
        let lists = [
            (&mut manifest.requires, &self.requires),
            (&mut manifest.conflicts, &self.conflicts),
        ];
        for (list, texts) in lists {
            for text in texts {
                let reference = reference(text);
                list.retain(|there| there.name != reference.name);
                list.push(reference);
            }
        }
    }

    /// The kind of container that the layer is in.
    fn subformat(&self) -> anyhow::Result<Option<String>> {
        let facts = Image::describe(&self.layer, &self.opening.options(&self.layer)?)?;
        let subformat = match facts.links.first().and_then(|facts| facts.get("subformat")) {
            Some(Value::Text(word)) => Some(word.clone()),
            _ => None,
        };
        // Several files do not take the place of others in one moment.
        let is_one_file = |word: &String| !SEVERAL_FILES.iter().any(|known| known.eq_ignore_ascii_case(word));
        if let Some(word) = subformat.as_ref().filter(|word| !is_one_file(word)) {
            bail!(
                "{}: a {word} has several files; --output writes the new layer beside it",
                self.layer.display()
            );
        }
        Ok(subformat.filter(|word| word != "differencing"))
    }
}

/// Keys begin with a root of the registry; everything else is a path.
fn set_rule(editor: &mut Editor, place: &str, action: FileAction) -> Result<(), EditError> {
    let root = place.split(['\\', '/']).next().unwrap_or_default().to_ascii_uppercase();
    if root.starts_with("HK") {
        editor.set_registry_rule(place, action, "")
    } else {
        editor.set_file_rule(place, action, "")
    }
}

/// A layer's name and, behind the last space before a comparison, its versions.
fn reference(text: &str) -> LayerReference {
    let version = text.find(['<', '>', '=']).map(|at| text.split_at(at));
    let (name, version) = version.unwrap_or((text, ""));
    LayerReference {
        name: name.trim().to_owned(),
        version: Some(version.trim().to_owned()).filter(|version| !version.is_empty()),
        ..LayerReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn a_layer_is_named_with_its_versions() {
        let both = reference("Visual C++ runtime >=14.40, <15");
        assert_eq!(both.name, "Visual C++ runtime");
        assert_eq!(both.version.as_deref(), Some(">=14.40, <15"));
        assert_eq!(reference("Runtime").version, None);
    }
}
