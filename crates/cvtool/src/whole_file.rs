//! Files that appear complete or not at all.

use crate::interrupt;
use cv_disk::{Cancelled, DurableFile, RawFile, Resize, WriteAt, WriteError};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Bytes that are written at once.
const PIECE: usize = 1 << 20;

/// Writes a small file; one that is there is replaced.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    stream(path, |out| out.write_all(bytes))
}

/// Writes a file that appears complete or not at all; `-` is standard output, and devices and pipes are written as they are.
pub fn stream<T, E: From<io::Error>>(out: &Path, content: impl FnOnce(&mut dyn Write) -> Result<T, E>) -> Result<T, E> {
    if out == Path::new("-") {
        let mut stdout = BufWriter::with_capacity(PIECE, io::stdout().lock());
        let result = content(&mut stdout)?;
        stdout.flush()?;
        return Ok(result);
    }
    if out.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let file = File::options().write(true).open(out)?;
        let mut writer = BufWriter::with_capacity(PIECE, file);
        let result = content(&mut writer)?;
        writer.flush()?;
        return Ok(result);
    }
    let file = DurableFile::create(out)?;
    let mut writer = BufWriter::with_capacity(
        PIECE,
        Ascending {
            disk: file.disk().clone(),
            length: 0,
        },
    );
    let result = content(&mut writer)?;
    writer.flush()?;
    drop(writer);
    file.commit()?;
    Ok(result)
}

/// A disk that is written from its start on and grows.
struct Ascending {
    disk: Arc<RawFile>,
    length: u64,
}

impl Write for Ascending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if interrupt::asked() {
            return Err(io::Error::other(Cancelled));
        }
        let end = self.length + bytes.len() as u64;
        let failed = |error: WriteError| match error {
            WriteError::Io { source, .. } | WriteError::SetLen { source, .. } => source,
            error => io::Error::other(error),
        };
        self.disk.set_len(end).map_err(failed)?;
        self.disk.write_at(bytes, self.length).map_err(failed)?;
        self.length = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
