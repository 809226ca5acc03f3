//! The registry that a command reads: a file's, or that of a layer.

use crate::image::source::Opening;
use crate::print;
use anyhow::Context;
use cv_disk::{Faults, ReadAt, Severity};
use cv_hive::Name;
use cv_hive::file::{HiveState, RegistryFile, may_be_registry};
use layerfmt::{Layer, OpenError};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Reads a file for looking at it, and says on standard error what is not as it stands there.
pub fn open(path: &Path) -> anyhow::Result<RegistryFile> {
    let name = path.display();
    if let Some(registry) = of_layer(path).with_context(|| name.to_string())? {
        return Ok(registry);
    }
    let file = RegistryFile::open(path).with_context(|| name.to_string())?;
    match &file.state {
        HiveState::Clean => {}
        HiveState::Recovered(recovered) => {
            let logs: Vec<_> = recovered
                .logs
                .iter()
                .filter_map(|place| file.logs.get(*place))
                .collect();
            let logs: Vec<_> = logs.iter().map(|log| log.path.display().to_string()).collect();
            print::warn(&format!(
                "{name}: it is dirty; recovered in memory from {}",
                logs.join(" and ")
            ));
        }
        HiveState::Dirty(error) => {
            let reason = std::error::Error::source(error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            print::warn(&format!(
                "{name}: it is dirty, and what follows may be out of date: {error}{}",
                print::printable(&reason)
            ));
        }
    }
    if let Some(fault) = file.state.stopped() {
        print::warn(&format!(
            "{name}: not all of the logs: {}",
            print::printable(&fault.to_string())
        ));
    }
    Ok(file)
}

/// The hives of a layer as one registry; `None` where the file is none.
fn of_layer(path: &Path) -> anyhow::Result<Option<RegistryFile>> {
    let mut start = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut start)?;
    if may_be_registry(&start) {
        return Ok(None);
    }
    let Ok(image) = Opening::default().open(path) else {
        return Ok(None);
    };
    let disk: Arc<dyn ReadAt> = Arc::new(image);
    let layer = match Layer::open(&disk) {
        Ok(layer) => layer,
        Err(OpenError::Volume(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(RegistryFile::of_delta(layer.registry()?)))
}

/// The names of a key, from the file's root on; without a text those of the root.
pub fn names(file: &RegistryFile, path: &Path, key: Option<&str>) -> anyhow::Result<Vec<Name>> {
    key.map_or(Ok(Vec::new()), |key| file.resolve(key))
        .with_context(|| path.display().to_string())
}

/// Says what damage cost; whether that is nothing.
pub fn tell(path: &Path, faults: &Faults) -> bool {
    for fault in faults.listed() {
        print::warn(&format!("{}: {}", path.display(), print::printable(&fault.to_string())));
    }
    if faults.omitted() > 0 {
        print::warn(&format!("{}: and {} more", path.display(), faults.omitted()));
    }
    faults.listed().iter().all(|fault| fault.severity == Severity::Note)
}
