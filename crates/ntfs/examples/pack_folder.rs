//! Writes a host folder into a raw image of one NTFS volume: `pack_folder FOLDER IMAGE [hash] [lznt1|wof] [threads=N]`.

use cv_disk::{Quiet, RawFile, Resize};
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::{
    Compression, FileId, Metadata, OpenStream, PlanOptions, Source, SourceError, StreamContent, StreamId, Times, Tree,
    WriteOptions, plan, write,
};
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Instant, UNIX_EPOCH};

/// The folder's directories, and each file as a directory's number and a name.
struct Folder {
    directories: Vec<PathBuf>,
    files: Vec<(u32, OsString)>,
}

impl Source for Folder {
    fn open(&self, _stream: StreamId, token: u64) -> Result<OpenStream<'_>, SourceError> {
        let (directory, name) = &self.files[usize::try_from(token)?];
        let file = File::open(self.directories[*directory as usize].join(name))?;
        Ok(OpenStream::File { file, offset: 0 })
    }
}

fn metadata(of: &fs::Metadata) -> Metadata {
    let time = |time: std::io::Result<std::time::SystemTime>| {
        let since = time.ok()?.duration_since(UNIX_EPOCH).ok()?;
        NtfsTime::from_unix(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())
    };
    let modified = time(of.modified()).unwrap_or_default();
    Metadata {
        times: Times {
            creation: time(of.created()).unwrap_or(modified),
            ..Times::all(modified)
        },
        attributes: if of.is_dir() {
            FileAttributes::empty()
        } else {
            FileAttributes::ARCHIVE
        },
        security: None,
    }
}

fn add(
    tree: &mut Tree,
    source: &mut Folder,
    parent: FileId,
    path: &Path,
    compression: Compression,
) -> Result<(), Box<dyn Error>> {
    let number = u32::try_from(source.directories.len())?;
    source.directories.push(path.to_path_buf());
    let mut folders = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let of = entry.metadata()?;
        let name = cv_winname::wtf8::decode(entry.file_name().as_encoded_bytes())?;
        if of.is_dir() {
            folders.push((tree.add_directory(parent, &name, &metadata(&of))?, entry.path()));
        } else if of.is_file() {
            let file = tree.add_file(parent, &name, &metadata(&of))?;
            let content = StreamContent::Source {
                size: of.len(),
                token: source.files.len() as u64,
            };
            tree.add_compressed_stream(file, &[], content, compression)?;
            source.files.push((number, entry.file_name()));
        }
    }
    for (folder, path) in folders {
        add(tree, source, folder, &path, compression)?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, image, words @ ..] = arguments.as_slice() else {
        return Err("usage: pack_folder FOLDER IMAGE [hash] [lznt1|wof] [threads=N]".into());
    };
    let mut options = WriteOptions::default();
    let mut compression = Compression::None;
    for word in words {
        match word.as_str() {
            "hash" => options.hash = true,
            "lznt1" => compression = Compression::Lznt1,
            "wof" => compression = Compression::WofXpress4k,
            word => options.threads = word.strip_prefix("threads=").ok_or("unknown word")?.parse()?,
        }
    }
    let mut clock = Instant::now();
    let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed();
    let mut tree = Tree::new();
    tree.set_metadata(Tree::ROOT, &metadata(&fs::metadata(folder)?));
    let mut source = Folder {
        directories: Vec::new(),
        files: Vec::new(),
    };
    add(&mut tree, &mut source, Tree::ROOT, Path::new(folder), compression)?;
    let listed = lap();
    let plan = plan(tree, &PlanOptions::default())?;
    let planned = lap();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(image)?;
    let disk = RawFile::from_file(file)?;
    disk.set_len(plan.volume_size())?;
    let outcome = write(&plan, &source, &disk, &options, &Quiet)?;
    println!(
        "{} files, {} bytes used of {}: listed in {listed:.2?}, planned in {planned:.2?}, written in {:.2?}",
        plan.tree().file_count(),
        outcome.used_size,
        plan.volume_size(),
        lap(),
    );
    Ok(())
}
