//! What the fuzz target and the mutation tests do with recipes that may say anything.

use cv_disk::{Progress, Quiet};
use cv_hive::Key;
use layerfmt::content::{FileTree, HiveName, Metadata, NodeKind, Stream};
use layerfmt::recipe::{BuildOptions, Host, HostError, Recipe, RecipeError, SourceKind, Variables, build};
use std::collections::BTreeMap;
use std::path::Path;

/// A host of one small file, whatever it is asked for.
struct OneFile;

impl Host for OneFile {
    fn read(&self, _path: &str, _limit: u64) -> Result<Vec<u8>, HostError> {
        Ok(b"REGEDIT4\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\a]\n\"b\"=-\n".to_vec())
    }

    fn files(&self, _: SourceKind, _path: &str, _from: &str, _: &dyn Progress) -> Result<FileTree, HostError> {
        let mut tree = FileTree::new();
        let folder = tree.directory(FileTree::ROOT, "folder")?;
        let metadata = Metadata {
            streams: vec![Stream::of(&b"MZ"[..])],
            ..Metadata::default()
        };
        tree.add(folder, "a.exe", NodeKind::File, metadata)?;
        Ok(tree)
    }

    fn hives(&self, _path: &str) -> Result<BTreeMap<HiveName, Key>, HostError> {
        Ok(BTreeMap::from([(HiveName::User, Key::new(""))]))
    }
}

/// Understands `bytes` as a recipe and builds what it says. Every mistake has a place in the text.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let environment = |name: &str| (name == "HOME").then(|| "home".to_owned());
    let variables = Variables::new(BTreeMap::from([("SET".to_owned(), "set".to_owned())]), &environment);
    let lines = text.split('\n').count();
    let recipe = match Recipe::parse(text, variables) {
        Ok(recipe) => recipe,
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            assert!(
                mistakes
                    .iter()
                    .all(|mistake| (1..=lines).contains(&mistake.position.line))
            );
            return;
        }
    };
    match build(&recipe, Path::new("recipe"), &OneFile, &BuildOptions::default(), &Quiet) {
        Ok(content) => assert_eq!(content.manifest.name, recipe.name),
        Err(RecipeError::Mistakes { mistakes, .. }) => assert!(!mistakes.is_empty()),
        Err(error) => panic!("{error}"),
    }
}
