//! A real layer, of which one byte is changed at a time: verification finds it and names what it belongs to.

use super::programs::{CMAKE, shelf};
use super::run::{done, ends, missing, text, tool};
use cv_disk::{Quiet, ReadAt};
use cv_image::{Gate, Image, OpenOptions};
use cv_ntfs::{Stream, Volume};
use layerfmt::sign::TrustFile;
use layerfmt::verify::{VerifyOptions, verify};
use layerfmt::{FILES_DIRECTORY, Layer};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Some of the programs, so that a run takes milliseconds: one of more than 1 MiB, and texts of all sizes.
const RECIPE: &str = r#"
[layer]
name = "Part of CMake"
version = "3.31.6"

[[source]]
wheel = "${WHEELS}/cmake-3.31.6-py3-none-win_amd64.whl"
include = ["cmake/data/bin/cmcldeps.exe", "cmake/data/share/cmake-3.31/Modules/{FindP,Platform/A}*.cmake"]
into = 'C:\Program Files\CMake'

[[application]]
key = "CMake"

[[service]]
name = "CMakeWatch"
image = 'C:\Program Files\CMake\watch.exe'

[[shortcut]]
name = "CMake"
target = 'C:\Program Files\CMake\cmake\data\bin\cmcldeps.exe'

[sign]
key = "layer.key"
"#;

/// Builds the recipe's layer, signed; whether that could be done.
fn build(folder: &Path, layer: &str) -> bool {
    if CMAKE.fetched().is_none() {
        return false;
    }
    if !folder.join("layer.key").exists() {
        done(folder, &["keygen", "--no-password", "layer.key"]);
    }
    fs::write(folder.join("part.toml"), RECIPE).unwrap();
    let wheels = shelf();
    let wheels = wheels.to_str().unwrap();
    let set = format!("WHEELS={wheels}");
    done(
        folder,
        &["build", "part.toml", "-o", layer, "--allow", wheels, "--set", &set],
    );
    true
}

fn open(path: &Path) -> Layer {
    let image = Image::open(path, &OpenOptions::new(Gate::beside(path).unwrap())).unwrap();
    let disk: Arc<dyn ReadAt> = Arc::new(image);
    Layer::open(&disk).unwrap()
}

/// Where the volume begins.
const FIRST: u64 = 1 << 20;

/// Where a stream's bytes are on the disk.
fn places(volume: &Volume, record: u64, stream: &Stream) -> Vec<Range<u64>> {
    let geometry = volume.geometry();
    let cluster = u64::from(geometry.cluster_size);
    let Some(clusters) = stream.clusters() else {
        let content = stream.resident().unwrap();
        let (record_size, mft) = (u64::from(geometry.record_size), volume.mft_clusters());
        let vcn = record * record_size / cluster;
        let run = mft.runs.iter().find(|run| vcn < run.end()).unwrap();
        let place = (run.lcn.unwrap() - run.vcn) * cluster + record * record_size;
        let mut bytes = vec![0; record_size as usize];
        volume.disk().read_at(&mut bytes, place).unwrap();
        // The last two bytes of a sector are elsewhere.
        let found = bytes.windows(content.len()).position(|window| window == content);
        return found
            .map(|at| FIRST + place + at as u64..FIRST + place + (at + content.len()) as u64)
            .into_iter()
            .collect();
    };
    let data = clusters.runs.iter().filter_map(|run| {
        let (start, lcn) = (run.vcn * cluster, run.lcn?);
        let length = (run.clusters * cluster).min(stream.len().checked_sub(start)?);
        Some(FIRST + lcn * cluster..FIRST + lcn * cluster + length)
    });
    data.filter(|place| !place.is_empty()).collect()
}

/// What verification answers for, by how it names it, and where its bytes are.
struct Items {
    /// `layer.json`, the index, the block hashes, hives.
    own: Vec<(String, Range<u64>)>,
    /// Files that have clusters.
    large: Vec<(String, Range<u64>)>,
    /// Files whose bytes are in their records.
    small: Vec<(String, Range<u64>)>,
}

impl Items {
    fn of(layer: &Layer) -> Self {
        let volume = layer.volume();
        let at = |path: &str| {
            let file = volume.open_str(path).unwrap();
            let stream = file.content().unwrap();
            let places = places(volume, file.reference().record(), &stream);
            (
                stream.clusters().is_none(),
                places
                    .into_iter()
                    .map(|place| (path.to_owned(), place))
                    .collect::<Vec<_>>(),
            )
        };
        let own = ["layer.json", "layer.idx", "layer.blk", "Hives/SOFTWARE", "Hives/SYSTEM"];
        let (mut large, mut small) = (Vec::new(), Vec::new());
        for entry in layer.index().unwrap().below(FILES_DIRECTORY.as_bytes()) {
            if entry.size() > 0 {
                let (is_small, places) = at(std::str::from_utf8(&entry.path).unwrap());
                if is_small { &mut small } else { &mut large }.extend(places);
            }
        }
        Self {
            own: own.iter().flat_map(|path| at(path).1).collect(),
            large,
            small,
        }
    }

    /// One of the items' bytes, each sort of item as often as the others.
    fn any(&self, dice: [u64; 3]) -> (&str, u64) {
        let items = [&self.own, &self.own, &self.large, &self.small][(dice[0] % 4) as usize];
        let (name, place) = &items[(dice[1] % items.len() as u64) as usize];
        (name, place.start + dice[2] % (place.end - place.start))
    }
}

/// Numbers without order, the same every time.
fn dice() -> impl FnMut() -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 8
    }
}

/// What verification names, of a layer that one of these keys must have signed.
fn named(path: &Path, trust: &TrustFile) -> Vec<String> {
    let options = VerifyOptions {
        trust: Some(trust.clone()),
        threads: 2,
    };
    let report = verify(path, &OpenOptions::new(Gate::beside(path).unwrap()), &options, &Quiet).unwrap();
    report.findings.iter().map(|finding| finding.item.to_string()).collect()
}

/// Flips as many bytes as `FLIPS` says.
#[test]
fn each_flipped_byte_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    if !build(folder.path(), "part.img") {
        return;
    }
    let path = folder.path().join("part.img");
    let key = fs::read_to_string(folder.path().join("layer.pub")).unwrap();
    let trust = TrustFile::parse(&key).unwrap();
    assert_eq!(named(&path, &trust), Vec::<String>::new());
    let items = Items::of(&open(&path));
    assert!(items.own.len() >= 5 && items.large.len() > 10 && items.small.len() > 1);

    let flips = std::env::var("FLIPS").map_or(200, |count| count.parse().unwrap());
    let image = File::options().read(true).write(true).open(&path).unwrap();
    let mut dice = dice();
    for _ in 0..flips {
        let (name, at) = items.any([dice(), dice(), dice()]);
        let mut byte = [0];
        image.read_exact_at(&mut byte, at).unwrap();
        image.write_all_at(&[byte[0] ^ (1 << (dice() % 8))], at).unwrap();
        let found = named(&path, &trust);
        assert!(found.iter().any(|item| item == name), "{name} at {at:#x}: {found:?}");
        image.write_all_at(&byte, at).unwrap();
    }
    assert_eq!(named(&path, &trust), Vec::<String>::new());
}

/// In every container, changed through qemu: the command ends with 1 and names the item.
#[test]
fn the_command_names_what_another_program_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for container in ["vhd", "vhdx", "vmdk"] {
        let layer = format!("part.{container}");
        if !build(folder, &layer) {
            return;
        }
        let format = if container == "vhd" { "vpc" } else { container };
        let items = Items::of(&open(&folder.join(&layer)));
        for (name, place) in items.own.iter().chain(items.large.first()).chain(items.small.first()) {
            let image = Image::open(&folder.join(&layer), &OpenOptions::new(Gate::closed())).unwrap();
            let mut byte = [0];
            image.read_at(&mut byte, place.start + 20).unwrap();
            drop(image);
            let write = |byte: u8| {
                let command = format!("write -P {byte} {} 1", place.start + 20);
                tool(folder, "qemu-io", &["-f", format, "-c", &command, &layer])
            };
            if write(byte[0] ^ 0x40).is_none() {
                return missing("qemu-io");
            }
            let said = text(&ends(folder, &["verify", &layer, "--trust", "layer.pub"], 1));
            assert!(
                said.lines().any(|line| line.starts_with(&format!("{name}: "))),
                "{name}: {said}"
            );
            write(byte[0]);
        }
        done(folder, &["verify", &layer, "--trust", "layer.pub"]);
    }
}
