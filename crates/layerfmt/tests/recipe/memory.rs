//! A host whose files are in memory.

use cv_disk::{Progress, Quiet};
use cv_hive::Key;
use cv_ntfs::structure::NtfsTime;
use layerfmt::Content;
use layerfmt::content::{FileTree, HiveName, Metadata, NodeKind, Stream};
use layerfmt::recipe::{BuildOptions, Host, HostError, Mistake, Recipe, RecipeError, SourceKind, Variables, build};
use std::collections::BTreeMap;
use std::path::Path;

/// Files by their paths.
#[derive(Debug, Default)]
pub struct Memory(pub BTreeMap<&'static str, Vec<u8>>);

impl Host for Memory {
    fn read(&self, path: &str, _limit: u64) -> Result<Vec<u8>, HostError> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".into())
    }

    fn files(&self, kind: SourceKind, path: &str, _from: &str, _: &dyn Progress) -> Result<FileTree, HostError> {
        let mut tree = FileTree::new();
        let mut add = |name: &str, bytes: &[u8]| {
            let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
            let (folder, name) = name.rsplit_once('/').unwrap_or(("", name));
            let folder = tree.directories(&units(folder)).unwrap();
            let metadata = Metadata {
                streams: vec![Stream::of(bytes)],
                ..Metadata::default()
            };
            tree.add(folder, name, NodeKind::File, metadata).unwrap();
        };
        if kind == SourceKind::File {
            add(path, &self.read(path, u64::MAX)?);
        }
        let prefix = format!("{path}/");
        for (name, bytes) in &self.0 {
            if let Some(name) = name.strip_prefix(&prefix) {
                add(name, bytes);
            }
        }
        Ok(tree)
    }

    fn hives(&self, _path: &str) -> Result<BTreeMap<HiveName, Key>, HostError> {
        Ok(BTreeMap::new())
    }
}

/// What the recipe says, with an empty environment.
pub fn parse(text: &str) -> Result<Recipe, Vec<Mistake>> {
    Recipe::parse(text, Variables::new(BTreeMap::new(), &|_| None))
}

/// What the recipe builds.
pub fn build_in(memory: &Memory, text: &str) -> Result<Content, Vec<String>> {
    let told = |mistakes: Vec<Mistake>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let recipe = parse(text).map_err(told)?;
    let options = BuildOptions {
        time: NtfsTime::from_unix(1_700_000_000, 0).unwrap(),
        latest: None,
    };
    build(&recipe, Path::new("RECIPE.toml"), memory, &options, &Quiet).map_err(|error| match error {
        RecipeError::Mistakes { mistakes, .. } => told(mistakes),
        error => vec![error.to_string()],
    })
}
