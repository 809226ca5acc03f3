//! Writes a stream of a file on an NTFS volume to standard output: `cat IMAGE PATH [STREAM]`.

use cv_disk::{RawFile, ReadAt};
use cv_ntfs::Volume;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().ok_or("no image")?;
    let path = arguments.next().ok_or("no path")?;
    let name: Vec<u16> = arguments.next().unwrap_or_default().encode_utf16().collect();
    let volume = Volume::open(Arc::new(RawFile::open(Path::new(&image))?))?;
    let stream = volume.open_str(&path)?.stream(&name)?;
    let mut output = std::io::stdout().lock();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < stream.len() {
        let length = usize::try_from(stream.len() - offset)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        stream.read_at(&mut buffer[..length], offset)?;
        output.write_all(&buffer[..length])?;
        offset += length as u64;
    }
    Ok(())
}
