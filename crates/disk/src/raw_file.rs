//! A file of the host as a disk.

use crate::access::{ReadAt, Resize, Stored, WriteAt};
use crate::error::{ReadError, WriteError};
use crate::extent::{Extent, ExtentKind};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A host file (or block device) read and written at offsets.
///
/// Holes are seen through `SEEK_DATA` and `SEEK_HOLE`, and [`write_zeros_at`](WriteAt::write_zeros_at) makes holes, where
/// the host's file system has them.
#[derive(Debug)]
pub struct RawFile {
    file: File,
    length: AtomicU64,
    /// For a file that will be synced as a whole: bytes written so far.
    written_early: Option<AtomicU64>,
}

/// A file that is written early goes to the device in steps of this many bytes.
const EARLY_STEP: u64 = 8 << 20;

impl RawFile {
    /// Opens the file at `path` for reading.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::from_file(File::open(path)?)
    }

    /// Opens the existing file at `path` for reading and writing.
    pub fn open_writable(path: &Path) -> io::Result<Self> {
        Self::from_file(OpenOptions::new().read(true).write(true).open(path)?)
    }

    /// Takes an open file as it is; a folder is refused.
    pub fn from_file(mut file: File) -> io::Result<Self> {
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // A block device has no length in its metadata; its end is found by seeking.
        let length = io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
        Ok(Self {
            file,
            length: AtomicU64::new(length),
            written_early: None,
        })
    }

    /// Makes the host send what is written to the device while more is written, instead of all at once when the file is
    /// synced, and not keep it in its cache.
    #[must_use]
    pub(crate) fn written_early(self) -> Self {
        Self {
            written_early: Some(AtomicU64::new(0)),
            ..self
        }
    }

    fn note_written(&self, length: u64) {
        if let Some(written) = &self.written_early {
            let before = written.fetch_add(length, Ordering::Relaxed);
            if before / EARLY_STEP != (before + length) / EARLY_STEP {
                host::start_writing_back(&self.file);
            }
        }
    }

    /// The host file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Bytes that the host has allocated for the file, fewer than its size where there are holes; `None` where the host
    /// does not tell, as for a block device.
    pub fn allocated(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let metadata = self.file.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some(metadata.blocks() * 512)
        }
        #[cfg(not(unix))]
        None
    }
}

impl ReadAt for RawFile {
    fn len(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.len())?;
        let length = buf.len() as u64;
        host::read_exact_at(&self.file, buf, offset).map_err(|source| ReadError::Io { offset, length, source })
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        let size = self.len();
        ReadError::check_range(offset, 1, size)?;
        let (kind, end) = host::extent_at(&self.file, offset, size).map_err(|source| ReadError::Io {
            offset,
            length: size - offset,
            source,
        })?;
        Ok(Extent {
            start: offset,
            length: end.clamp(offset + 1, size) - offset,
            kind,
        })
    }

    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        let size = self.len();
        ReadError::check_range(offset, 1, size)?;
        Ok(Some(Stored {
            file: &self.file,
            offset,
            length: size - offset,
        }))
    }
}

impl WriteAt for RawFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
        WriteError::check_range(offset, buf.len() as u64, self.len())?;
        let length = buf.len() as u64;
        host::write_all_at(&self.file, buf, offset).map_err(|source| WriteError::Io { offset, length, source })?;
        self.note_written(length);
        Ok(())
    }

    fn write_zeros_at(&self, range: Range<u64>) -> Result<(), WriteError> {
        let length = range.end.saturating_sub(range.start);
        WriteError::check_range(range.start, length, self.len())?;
        if length == 0 || host::punch_hole(&self.file, range.start, length) {
            return Ok(());
        }
        let zeros = vec![0; length.min(1 << 20) as usize];
        let mut offset = range.start;
        while offset < range.end {
            let step = (range.end - offset).min(zeros.len() as u64);
            self.write_at(&zeros[..step as usize], offset)?;
            offset += step;
        }
        Ok(())
    }

    fn copy_from_file(&self, source: &File, source_offset: u64, offset: u64, length: u64) -> Result<(), WriteError> {
        WriteError::check_range(offset, length, self.len())?;
        let copied = host::copy_file_range(source, source_offset, &self.file, offset, length);
        self.note_written(copied);
        copy_through_memory(source, source_offset + copied, self, offset + copied, length - copied)
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.file.sync_data().map_err(WriteError::Flush)
    }
}

impl Resize for RawFile {
    fn set_len(&self, len: u64) -> Result<(), WriteError> {
        self.file
            .set_len(len)
            .map_err(|source| WriteError::SetLen { size: len, source })?;
        self.length.store(len, Ordering::Release);
        Ok(())
    }
}

/// Copies a range of a host file by reading and writing it.
pub(crate) fn copy_through_memory(
    source: &File,
    source_offset: u64,
    target: &(impl WriteAt + ?Sized),
    offset: u64,
    length: u64,
) -> Result<(), WriteError> {
    let mut buffer = vec![0; length.min(256 << 10) as usize];
    let mut done = 0;
    while done < length {
        let step = (length - done).min(buffer.len() as u64);
        let piece = &mut buffer[..step as usize];
        let from = source_offset + done;
        host::read_exact_at(source, piece, from).map_err(|source| ReadError::Io {
            offset: from,
            length: step,
            source,
        })?;
        target.write_at(piece, offset + done)?;
        done += step;
    }
    Ok(())
}

#[cfg(unix)]
mod host {
    use super::{ExtentKind, File, io};
    use rustix::fs::{FallocateFlags, SeekFrom};
    use rustix::io::Errno;
    use std::os::unix::fs::FileExt;

    pub fn read_exact_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(buf, offset)
    }

    pub fn write_all_at(file: &File, buf: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(buf, offset)
    }

    /// The kind of the byte at `offset` and where that kind ends.
    pub fn extent_at(file: &File, offset: u64, size: u64) -> io::Result<(ExtentKind, u64)> {
        match rustix::fs::seek(file, SeekFrom::Data(offset)) {
            Ok(data) if data > offset => Ok((ExtentKind::Hole, data)),
            Ok(_) => match rustix::fs::seek(file, SeekFrom::Hole(offset)) {
                Ok(hole) => Ok((ExtentKind::Data, hole)),
                Err(error) => Err(error.into()),
            },
            // No data up to the end of the file.
            Err(Errno::NXIO) => Ok((ExtentKind::Hole, size)),
            // The file system or the device knows no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok((ExtentKind::Data, size)),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins to write dirty pages back, without waiting; those that are clean leave the cache.
    pub fn start_writing_back(file: &File) {
        // A file system that does not know the advice writes back when it likes.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    }

    /// Whether the range was turned into a hole.
    pub fn punch_hole(file: &File, offset: u64, length: u64) -> bool {
        rustix::fs::fallocate(
            file,
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            offset,
            length,
        )
        .is_ok()
    }

    /// How many bytes the kernel copied by itself; the caller moves the rest.
    pub fn copy_file_range(source: &File, source_offset: u64, target: &File, offset: u64, length: u64) -> u64 {
        let (mut from, mut to, mut done) = (source_offset, offset, 0);
        while done < length {
            let step = usize::try_from(length - done).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), step) {
                Ok(copied) if copied > 0 => done += copied as u64,
                Err(Errno::INTR) => {}
                _ => break,
            }
        }
        done
    }
}

#[cfg(windows)]
mod host {
    use super::{ExtentKind, File, io};
    use std::os::windows::fs::FileExt;

    pub fn read_exact_at(file: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match file.seek_read(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buf = &mut buf[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub fn write_all_at(file: &File, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match file.seek_write(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    buf = &buf[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "hosts that tell of holes may fail at it")]
    pub fn extent_at(_file: &File, _offset: u64, size: u64) -> io::Result<(ExtentKind, u64)> {
        Ok((ExtentKind::Data, size))
    }

    pub fn start_writing_back(_file: &File) {}

    pub fn punch_hole(_file: &File, _offset: u64, _length: u64) -> bool {
        false
    }

    pub fn copy_file_range(_source: &File, _source_offset: u64, _target: &File, _offset: u64, _length: u64) -> u64 {
        0
    }
}
