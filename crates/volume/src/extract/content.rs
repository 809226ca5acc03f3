//! The content of files, whatever the host.

use super::FailureReason;
use cv_disk::{ExtentKind, Extents, Progress, ReadAt};
use cv_ntfs::structure::reparse::{ReparsePoint, ReparseTag};
use cv_ntfs::structure::{AttributeType, FileAttributes};
use cv_ntfs::{File, Stream};
use std::io;

/// Bytes moved at once.
const PIECE: usize = 1 << 20;

/// The content of a file. One without is against the rules, yet it has a name and may have streams.
pub fn content_of(file: &File) -> Result<Option<Stream>, FailureReason> {
    match file.attribute(AttributeType::DATA, &[]) {
        Some(_) => Ok(Some(file.content()?)),
        None if file.damage().is_empty() => Ok(None),
        None => Err(file
            .content()
            .map_or_else(FailureReason::from, |_| FailureReason::Unknown)),
    }
}

/// Writes a stream into an empty file, leaving holes where nothing is stored.
pub fn write_content(
    content: &Stream,
    target: &std::fs::File,
    progress: &dyn Progress,
    buffer: &mut Vec<u8>,
) -> Result<(), FailureReason> {
    if let Some(bytes) = content.resident() {
        write_all(target, bytes, 0)?;
        progress.advance(bytes.len() as u64)?;
        return Ok(());
    }
    let mut end = 0;
    for extent in Extents::all(content) {
        let extent = extent.map_err(FailureReason::Content)?;
        if extent.kind != ExtentKind::Data {
            progress.advance(extent.length)?;
            continue;
        }
        let mut offset = extent.start;
        while offset < extent.end() {
            let length = (extent.end() - offset).min(PIECE as u64) as usize;
            if buffer.len() < length {
                buffer.resize(length, 0);
            }
            content
                .read_at(&mut buffer[..length], offset)
                .map_err(FailureReason::Content)?;
            write_all(target, &buffer[..length], offset)?;
            offset += length as u64;
            progress.advance(length as u64)?;
        }
        end = extent.end();
    }
    if end < content.len() {
        target.set_len(content.len())?;
    }
    Ok(())
}

#[cfg(unix)]
fn write_all(target: &std::fs::File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(target, bytes, offset)
}

#[cfg(windows)]
fn write_all(target: &std::fs::File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_write(target, bytes, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
        offset += count as u64;
    }
    Ok(())
}

/// Whether the content that Windows would show lies somewhere else than in the file.
pub fn lies_elsewhere(file: &File) -> bool {
    const ELSEWHERE: [ReparseTag; 6] = [
        ReparseTag::DEDUP,
        ReparseTag::WIM,
        ReparseTag::SIS,
        ReparseTag::HSM,
        ReparseTag::HSM2,
        ReparseTag::WOF,
    ];
    let is_elsewhere = match file.reparse_point() {
        Ok(Some(ReparsePoint::Other { tag, .. })) => ELSEWHERE.contains(&tag),
        _ => false,
    };
    let recalled = FileAttributes::OFFLINE | FileAttributes::RECALL_ON_DATA_ACCESS;
    let attributes = file
        .standard_information()
        .ok()
        .flatten()
        .unwrap_or_default()
        .base
        .file_attributes;
    is_elsewhere || attributes.intersects(recalled)
}
