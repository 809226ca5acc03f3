//! The same recipe gives the same bytes, wherever and however it is built; one changed byte changes what must, nothing else.

use super::programs::{CMAKE, NINJA, shelf};
use super::run::{done, tool};
use cv_disk::ReadAt;
use cv_image::{Gate, Image, OpenOptions};
use layerfmt::Layer;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

const CONTAINERS: [&str; 4] = ["img", "vhd", "vhdx", "vmdk"];

/// Of a wheel, and of a folder.
const RECIPE: &str = r#"
[layer]
name = "Part of CMake"
version = "3.31.6"

[[source]]
wheel = "${WHEELS}/ninja-1.11.1.4-py3-none-win_amd64.whl"
into = 'C:\Program Files\Ninja'

[[source]]
folder = "files"
into = 'C:\Program Files\CMake'

[[registry]]
key = 'HKLM\SOFTWARE\Kitware\CMake'
values.Version = "3.31.6"

[[application]]
key = "CMake"

[[shortcut]]
name = "Ninja"
target = 'C:\Program Files\Ninja\ninja-1.11.1.4.data\scripts\ninja.exe'
"#;

/// The large file of the folder.
const LARGE: &str = "cmake/data/bin/cmcldeps.exe";

/// Makes the recipe and its folder in `folder`; whether that could be done.
fn prepare(folder: &Path) -> bool {
    let (Some(cmake), Some(_)) = (CMAKE.fetched(), NINJA.fetched()) else {
        return false;
    };
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("part.toml"), RECIPE).unwrap();
    let modules = "cmake/data/share/cmake-3.31/Modules/FindP*.cmake";
    let arguments = ["-q", "-DD", cmake.to_str().unwrap(), LARGE, modules, "-d", "files"];
    tool(folder, "unzip", &arguments).is_some()
}

fn build(folder: &Path, recipe: &str, output: &str, threads: &str) -> Vec<u8> {
    let wheels = shelf();
    let wheels = wheels.to_str().unwrap();
    let set = format!("WHEELS={wheels}");
    let arguments = [
        "build",
        recipe,
        "-o",
        output,
        "--allow",
        wheels,
        "--set",
        &set,
        "--threads",
        threads,
    ];
    done(folder, &arguments);
    fs::read(folder.join(output)).unwrap()
}

#[test]
fn threads_folders_and_checkouts_make_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !prepare(folder) || !prepare(&folder.join("elsewhere/deep")) {
        return;
    }
    for container in CONTAINERS {
        // A VMDK says what it is called.
        let output = format!("layer.{container}");
        let one = build(folder, "part.toml", &output, "1");
        let two = build(folder, "part.toml", &output, "2");
        assert!(one == two, "threads make a difference in {container}");
        let output = format!("elsewhere/layer.{container}");
        let there = build(folder, "elsewhere/deep/part.toml", &output, "2");
        assert!(one == there, "the folder makes a difference in {container}");
    }
}

fn disk(path: &Path) -> Vec<u8> {
    let image = Image::open(path, &OpenOptions::new(Gate::closed())).unwrap();
    let mut bytes = vec![0; image.len() as usize];
    image.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn differing<'a>(before: &'a [u8], after: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    assert_eq!(before.len(), after.len());
    (0..before.len()).filter(|at| before[*at] != after[*at])
}

/// Where the streams and the file records of these files are on the disk.
fn places(path: &Path, files: &[&str]) -> Vec<(String, Range<usize>)> {
    let disk: Arc<dyn ReadAt> = Arc::new(Image::open(path, &OpenOptions::new(Gate::closed())).unwrap());
    let layer = Layer::open(&disk).unwrap();
    let volume = layer.volume();
    let (first, geometry) = (1 << 20, volume.geometry());
    let cluster = u64::from(geometry.cluster_size);
    let mut places = Vec::new();
    for name in files {
        let file = volume.open_str(name).unwrap();
        let stream = file.content().unwrap();
        for run in &stream.clusters().unwrap().runs {
            let start = (first + run.lcn.unwrap() * cluster) as usize;
            places.push(((*name).to_owned(), start..start + (run.clusters * cluster) as usize));
        }
        let (size, mft) = (u64::from(geometry.record_size), volume.mft_clusters());
        let at = file.reference().record() * size;
        let run = mft.runs.iter().find(|run| at / cluster < run.end()).unwrap();
        let start = (first + (run.lcn.unwrap() - run.vcn) * cluster + at) as usize;
        places.push((format!("record of {name}"), start..start + size as usize));
    }
    // Directories repeat the sizes of files.
    let root = volume.root().unwrap();
    for attribute in root.attributes() {
        if let Some(clusters) = root.attribute_stream(attribute).unwrap().clusters() {
            for run in &clusters.runs {
                let start = (first + run.lcn.unwrap() * cluster) as usize;
                places.push((
                    "root directory".to_owned(),
                    start..start + (run.clusters * cluster) as usize,
                ));
            }
        }
    }
    places
}

#[test]
fn one_changed_byte_changes_what_must() {
    const CHANGED: usize = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !prepare(folder) {
        return;
    }
    // A VMDK says what it is called, which is the same in two folders.
    let built = |name: &str| {
        fs::create_dir(folder.join(name)).unwrap();
        CONTAINERS.map(|container| build(folder, "part.toml", &format!("{name}/layer.{container}"), "2"))
    };
    let before = built("before");
    let input = folder.join("files").join(LARGE);
    let mut bytes = fs::read(&input).unwrap();
    bytes[CHANGED] ^= 1;
    fs::write(&input, bytes).unwrap();
    let after = built("after");

    let large = format!("Files/Program Files/CMake/{LARGE}");
    for (number, container) in CONTAINERS.into_iter().enumerate() {
        let [old, new] = ["before", "after"].map(|name| folder.join(format!("{name}/layer.{container}")));
        let places = places(&old, &["layer.blk", "layer.idx", "layer.json", &large]);
        let (was, is) = (disk(&old), disk(&new));
        let volume_end = was.len() - if container == "vhdx" { 33 * 512 } else { 0 };
        let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for at in differing(&was, &is) {
            let place = places.iter().find(|(_, place)| place.contains(&at));
            let (name, start) = match place {
                Some((name, place)) => (name.as_str(), place.start),
                // The disk's identity follows from the manifest's id.
                None if at < 34 * 512 => ("partition table", 0),
                None if at >= volume_end => ("backup of the partition table", volume_end),
                None => panic!("byte {at:#x} of the disk in {container} differs"),
            };
            found.entry(name).or_default().push(at - start);
        }
        // The byte itself, the hash of its 64 KiB, and the hashes over these.
        assert_eq!(found[&*large], [CHANGED], "{container}");
        let block = CHANGED / (64 << 10) * 32;
        assert!(
            found["layer.blk"].iter().all(|at| (block..block + 32).contains(at)),
            "{:?}",
            found["layer.blk"]
        );
        assert!(found["layer.blk"].len() > 16 && found.contains_key("layer.idx") && found.contains_key("layer.json"));
        eprintln!(
            "{container} {:?}",
            found.iter().map(|(n, v)| (n, v.len())).collect::<Vec<_>>()
        );
        let mut expected = vec!["layer.blk", "layer.idx", "layer.json", "partition table", &large];
        if container == "vhdx" {
            expected.push("backup of the partition table");
        }
        // The packed index may have become longer or shorter by some bytes.
        let of_size = [found.remove("record of layer.idx"), found.remove("root directory")];
        assert!(of_size.iter().flatten().all(|bytes| bytes.len() <= 16), "{of_size:?}");
        expected.sort_unstable();
        assert!(found.keys().eq(&expected), "{container}: {:?}", found.keys());

        // Besides the disk's bytes nothing in the container differs.
        let bytes = differing(&before[number], &after[number]).count();
        assert_eq!(bytes, differing(&was, &is).count(), "{container}");
    }
}
