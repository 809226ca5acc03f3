//! Writes a layer of many small files, for benchmarks: `write_many OUT.vhdx FILES SEED`. A hundredth of the files depends on
//! the seed.

use cv_disk::Quiet;
use layerfmt::content::{Content, FileTree, Metadata, NodeKind, Stream};
use layerfmt::{Kind, Manifest, WriteOptions};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, output, files, seed] = &arguments[..] else {
        return Err("usage: write_many OUT FILES SEED".into());
    };
    let files: u32 = files.parse()?;
    let mut content = Content::new(Manifest::new("Many", seed, Kind::Data));
    for number in 0..files {
        let folder = format!("Program Files/Many/folder {:03}", number / 1000);
        let folder = content.files.directories(&folder.encode_utf16().collect::<Vec<_>>())?;
        let seed = if number % 100 == 0 { seed.as_str() } else { "" };
        let text = format!("{number} {seed}\n").repeat(16);
        let metadata = Metadata {
            streams: vec![Stream::of(text.into_bytes())],
            ..Metadata::default()
        };
        let name = format!("file number {number:06}.txt");
        content.files.add(folder, name.as_str(), NodeKind::File, metadata)?;
    }
    assert!(content.files.walk(FileTree::ROOT).count() > files as usize);
    let format = cv_image::Format::of_name(Path::new(output)).ok_or("the extension names no container")?;
    layerfmt::write(&content, Path::new(output), &WriteOptions::new(format), &Quiet)?;
    Ok(())
}
