//! Small files that appear complete or not at all.

use anyhow::Context;
use cv_disk::{DurableFile, Resize, WriteAt};
use std::path::Path;

/// Writes a file; one that is there is replaced.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let file = DurableFile::create(path).with_context(name)?;
    file.disk().set_len(bytes.len() as u64).with_context(name)?;
    file.disk().write_at(bytes, 0).with_context(name)?;
    file.commit().with_context(name)
}
