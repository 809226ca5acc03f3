//! Writing what was captured, without what can no longer be read.

use super::report::Report;
use crate::snapshot::Problem;
use cv_disk::Progress;
use cv_ntfs::write::PopulateError;
use layerfmt::content::Content;
use layerfmt::{WriteError, WriteOptions, Written};
use std::path::Path;

/// Files left out at most. Where more cannot be read, it is the machine that cannot.
const MOST_LEFT_OUT: usize = 256;

/// The directory of a layer's volume that stands for drive C:.
const FILES: &str = r"\Files";

/// Writes content as [`layerfmt::write()`] does. A file that cannot be read, went away or changes meanwhile is taken out of the
/// content and told to `left_out`, and all is written anew.
pub fn write_readable(
    content: &mut Content,
    target: &Path,
    options: &WriteOptions,
    progress: &dyn Progress,
    left_out: &mut dyn FnMut(&mut Content, Problem),
) -> Result<Written, WriteError> {
    for _ in 0..MOST_LEFT_OUT {
        let error = match layerfmt::write(content, target, options, progress) {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        let Some(problem) = unreadable(&error) else {
            return Err(error);
        };
        // A stream goes with its file.
        let units: Vec<u16> = problem
            .path
            .split(':')
            .next()
            .unwrap_or_default()
            .encode_utf16()
            .collect();
        let Some(node) = content.files.find(&units) else {
            return Err(error);
        };
        content.files.remove(node);
        left_out(content, problem);
    }
    layerfmt::write(content, target, options, progress)
}

/// Writes the layer of a capture; what cannot be read is noted in its report and its manifest.
pub fn write_captured(
    content: &mut Content,
    report: &mut Report,
    target: &Path,
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<Written, WriteError> {
    write_readable(content, target, options, progress, &mut |content, problem| {
        report.leave_out(problem);
        if let Some(old) = content.manifest.provenance.take() {
            content.manifest.provenance = Some(report.provenance(&old.method, old.sources));
        }
    })
}

/// Which file of drive C: an error is about, where it is the source of its content that fails.
fn unreadable(error: &WriteError) -> Option<Problem> {
    let WriteError::Populate(error) = error else {
        return None;
    };
    let (path, reason) = match error {
        PopulateError::Source { path, source } => (path, source.to_string()),
        PopulateError::Length { path, expected, found } => {
            let reason = format!("it changes while it is read: it has {found} bytes, and had {expected}");
            (path, reason)
        }
        _ => return None,
    };
    let path = path.strip_prefix(FILES)?;
    Some(Problem {
        path: path.to_owned(),
        reason,
    })
}
