//! The layers of a stack.

use crate::image::source::Opening;
use crate::print;
use anyhow::Context;
use cv_disk::ReadAt;
use layerfmt::Layer;
use layerfmt::stack::{LayerStack, Member};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens the layers, several at a time, the lowest first.
pub fn open(paths: &[PathBuf], opening: &Opening) -> anyhow::Result<Vec<Member>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = paths
            .iter()
            .map(|path| scope.spawn(|| open_one(path, opening).with_context(|| path.display().to_string())))
            .collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect()
    })
}

fn open_one(path: &Path, opening: &Opening) -> anyhow::Result<Member> {
    let image: Arc<dyn ReadAt> = Arc::new(opening.open(path)?);
    let layer = Layer::open(&image)?;
    let hives = layer.hives().map(|name| Ok((name, layer.hive_tree(name)?)));
    Ok(Member {
        name: path.display().to_string(),
        manifest: layer.manifest().clone(),
        index: layer.index()?.clone(),
        hives: hives.collect::<anyhow::Result<_>>()?,
    })
}

/// Says which rules of the manifests are left out.
pub fn warn_of_rules(stack: &LayerStack<'_>) {
    for (member, error) in stack.rule_errors() {
        print::warn(&format!("{member}: {}", print::printable(&error.to_string())));
    }
}
