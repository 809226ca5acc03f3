//! Two versions of a program, as layers compared by cvtool, and by diff, git and hivexregedit.

use super::programs::{CMAKE, OLDER_CMAKE, Wheel, files, shelf};
use super::run::{cvtool, done, ends, missing, text, tool, try_tool};
use super::unread::Watched;
use cv_disk::ReadAt;
use cv_image::{Gate, Image, OpenOptions};
use layerfmt::diff::{DiffOptions, Side, diff};
use layerfmt::{FILES_DIRECTORY, Layer};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const RECIPE: &str = r#"
[layer]
name = "CMake"
version = "${VERSION}"

[[source]]
wheel = "${WHEEL}"

[[registry]]
file = "${VERSION}.reg"

[[application]]
key = "CMake"
"#;

/// What an installer could write of the tree: a key for each folder of modules, a value for each module with its size.
fn registry(tree: &Path, version: &str) -> String {
    let mut text = format!(
        "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Kitware]\n\"Version\"=\"{version}\"\n"
    );
    let mut keys: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (path, file) in files(tree) {
        let is_module = file.extension().is_some_and(|extension| extension == "cmake");
        if let Some((folder, name)) = path.rsplit_once('/').filter(|_| is_module) {
            let sizes = keys.entry(folder.replace('/', "\\")).or_default();
            sizes.insert(name.to_owned(), file.metadata().unwrap().len());
        }
    }
    for (key, values) in keys {
        writeln!(text, "\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Kitware\\{key}]").unwrap();
        for (name, size) in values {
            writeln!(text, "\"{name}\"=dword:{size:08x}").unwrap();
        }
    }
    text
}

/// Builds the layer `VERSION.CONTAINER` of a wheel, which is unpacked to a folder named as its version too.
fn build(folder: &Path, wheel: Wheel, container: &str) -> Option<()> {
    let version = wheel.version();
    let tree = wheel.unpacked(folder, version)?;
    fs::write(folder.join(format!("{version}.reg")), registry(&tree, version)).unwrap();
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
    let wheels = shelf();
    let file = format!("WHEEL={}", wheels.join(wheel.file_name()).display());
    let (version, output) = (format!("VERSION={version}"), format!("{version}.{container}"));
    let sets = ["--set", &version, "--set", &file];
    let arguments = ["build", "recipe.toml", "-o", &output, "--allow", wheels.to_str()?];
    done(folder, &[&arguments[..], &sets].concat());
    Some(())
}

/// What cvtool says of two sides, which differ.
fn compared(folder: &Path, before: &str, after: &str) -> Json {
    let arguments = ["diff", "--semantic", "--no-renames", "--json", before, after];
    serde_json::from_slice(&ends(folder, &arguments, 1)).unwrap()
}

/// Of each file what `git diff --name-status` would call it.
fn statuses(found: &Json) -> BTreeMap<String, char> {
    let files = found["files"].as_array().unwrap().iter();
    files
        .filter(|file| file["kind"] == "file")
        .map(|file| {
            let status = match file["change"].as_str().unwrap() {
                "added" => 'A',
                "removed" => 'D',
                _ => 'M',
            };
            let path = file["path"].as_str().unwrap().strip_prefix("Files/").unwrap();
            (path.to_owned(), status)
        })
        .collect()
}

fn by_git(folder: &Path, before: &str, after: &str) -> Option<BTreeMap<String, char>> {
    let arguments = [
        "diff",
        "--no-index",
        "--name-status",
        "--no-renames",
        "-z",
        before,
        after,
    ];
    let output = text(&try_tool(folder, "git", &arguments)?.stdout);
    let mut parts = output.split('\0');
    let mut files = BTreeMap::new();
    while let (Some(status), Some(path)) = (parts.next().filter(|status| !status.is_empty()), parts.next()) {
        let (_, below) = path.split_once('/').unwrap();
        files.insert(below.to_owned(), status.chars().next()?);
    }
    Some(files)
}

/// The same by `diff -rq`, which names a folder where all in it was added or removed.
fn by_diff(folder: &Path, before: &str, after: &str) -> Option<BTreeMap<String, char>> {
    let output = text(&try_tool(folder, "diff", &["-rq", before, after])?.stdout);
    let mut found = BTreeMap::new();
    for line in output.lines() {
        if let Some(only) = line.strip_prefix("Only in ") {
            let (directory, name) = only.split_once(": ").unwrap();
            let (side, below) = directory.split_once('/').unwrap_or((directory, ""));
            let path = Path::new(below).join(name);
            let whole = folder.join(side).join(&path);
            let status = if side == before { 'D' } else { 'A' };
            let inside = if whole.is_dir() {
                files(&whole).into_keys().collect()
            } else {
                vec![String::new()]
            };
            found.extend(inside.iter().map(|name| {
                let path = if name.is_empty() { path.clone() } else { path.join(name) };
                (path.to_str().unwrap().to_owned(), status)
            }));
        } else {
            let (first, _) = line.strip_prefix("Files ").unwrap().split_once(" and ").unwrap();
            found.insert(first.split_once('/').unwrap().1.to_owned(), 'M');
        }
    }
    Some(found)
}

/// Keys, and values by key and name, as hivexregedit exports the layer's hive.
fn exported(folder: &Path, layer: &str) -> Option<BTreeMap<(String, Option<String>), String>> {
    fs::write(folder.join("hive"), done(folder, &["cat", layer, "/Hives/SOFTWARE"])).unwrap();
    let prefix = r"HKEY_LOCAL_MACHINE\SOFTWARE";
    let export = tool(folder, "hivexregedit", &["--export", "--prefix", prefix, "hive", "\\"])?;
    let mut items = BTreeMap::new();
    let mut key = String::new();
    for line in export.lines() {
        if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            path.trim_end_matches('\\').clone_into(&mut key);
            items.insert((key.clone(), None), String::new());
        } else if let Some((name, data)) = line.split_once('=') {
            let name = name.trim_matches('"').trim_start_matches('@').to_owned();
            items.insert((key.clone(), Some(name)), data.to_owned());
        }
    }
    Some(items)
}

#[test]
fn two_versions_of_a_program_differ_as_other_tools_say() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (before, after) = (OLDER_CMAKE.version(), CMAKE.version());
    if build(folder, OLDER_CMAKE, "vhdx").is_none() || build(folder, CMAKE, "vmdk").is_none() {
        return;
    }
    let (old, new) = (format!("{before}.vhdx"), format!("{after}.vmdk"));
    let found = compared(folder, &old, &new);
    let ours = statuses(&found);
    assert!(ours.values().collect::<BTreeSet<_>>().len() == 3, "{ours:#?}");
    // A layer and a folder, and two folders.
    assert_eq!(statuses(&compared(folder, &old, after)), ours);
    assert_eq!(statuses(&compared(folder, before, after)), ours);
    if let Some(theirs) = by_git(folder, before, after) {
        assert_eq!(ours, theirs);
    }
    if let Some(theirs) = by_diff(folder, before, after) {
        assert_eq!(ours, theirs);
    }

    if let (Some(was), Some(is)) = (exported(folder, &old), exported(folder, &new)) {
        let mut theirs = BTreeSet::new();
        for item in was.keys().chain(is.keys()) {
            let change = match (was.get(item), is.get(item)) {
                (Some(_), None) => "removed",
                (None, Some(_)) => "added",
                (one, other) if one != other => "changed",
                _ => continue,
            };
            theirs.insert((item.0.clone(), item.1.clone(), change));
        }
        let changes = found["registry"].as_array().unwrap();
        let ours = changes.iter().map(|change| {
            let member = |name: &str| change[name].as_str().map(str::to_owned);
            let change = ["removed", "added", "changed"]
                .into_iter()
                .find(|word| change["change"] == *word);
            (member("key").unwrap(), member("name"), change.unwrap())
        });
        assert_eq!(ours.collect::<BTreeSet<_>>(), theirs);
        assert!(theirs.len() > 10, "{theirs:#?}");
    }

    // A page is written beside the answer, complete in itself.
    let said = text(&ends(folder, &["diff", &old, &new, "--stat", "--html", "page.html"], 1));
    assert!(said.contains("renamed"), "{said}");
    let page = fs::read_to_string(folder.join("page.html")).unwrap();
    assert!(page.contains("cmake.exe") && !page.contains("src=") && !page.contains("href="));
}

/// Where the content of the layer's files is on the disk, that in file records left out.
fn content(layer: &Layer) -> Vec<std::ops::Range<u64>> {
    let (volume, first) = (layer.volume(), 1 << 20);
    let cluster = u64::from(volume.geometry().cluster_size);
    let mut places = Vec::new();
    for entry in layer.index().unwrap().below(FILES_DIRECTORY.as_bytes()) {
        let stream = volume
            .open_str(std::str::from_utf8(&entry.path).unwrap())
            .unwrap()
            .content();
        let Some(clusters) = stream.ok().and_then(|stream| stream.clusters().cloned()) else {
            continue;
        };
        for run in &clusters.runs {
            let start = first + run.lcn.unwrap() * cluster;
            places.push(start..start + run.clusters * cluster);
        }
    }
    places
}

#[test]
fn layers_are_compared_without_their_content() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if build(folder, OLDER_CMAKE, "img").is_none() || build(folder, CMAKE, "img").is_none() {
        return missing("cmake and unzip");
    }
    let open = |version: &str| -> Arc<dyn ReadAt> {
        let path = folder.join(format!("{version}.img"));
        Arc::new(Image::open(&path, &OpenOptions::new(Gate::closed())).unwrap())
    };
    let disks = [OLDER_CMAKE, CMAKE].map(|wheel| Arc::new(Watched::new(open(wheel.version()))));
    let layers = disks
        .each_ref()
        .map(|disk| Layer::open(&(disk.clone() as Arc<dyn ReadAt>)).unwrap());
    let [before, after] = layers.each_ref().map(|layer| Side::of_layer(layer).unwrap());
    let found = diff(&before, &after, &DiffOptions::strict()).unwrap();
    assert!(found.files.len() > 50 && found.registry.len() > 10);
    let mut unread = 0;
    for (wheel, disk) in [OLDER_CMAKE, CMAKE].into_iter().zip(&disks) {
        let read = disk.read();
        for place in content(&Layer::open(&open(wheel.version())).unwrap()) {
            unread += place.end - place.start;
            let touched = read
                .iter()
                .find(|read| read.start < place.end && place.start < read.end);
            assert!(touched.is_none(), "{touched:?} was read, where {place:?} is content");
        }
        // Less than the volume's own structures, the index and the hive have together.
        let bytes: u64 = read.iter().map(|read| read.end - read.start).sum();
        assert!(bytes < 4 << 20, "{bytes} bytes were read");
    }
    assert!(unread > 100 << 20);

    // And so does the command: it says the same where all content is gone.
    let arguments = ["diff", "3.31.4.img", "3.31.6.img"];
    let whole = ends(folder, &arguments, 1);
    for wheel in [OLDER_CMAKE, CMAKE] {
        let path = folder.join(format!("{}.img", wheel.version()));
        let places = content(&Layer::open(&open(wheel.version())).unwrap());
        let image = fs::File::options().write(true).open(&path).unwrap();
        for place in places {
            let zeros = vec![0; (place.end - place.start) as usize];
            std::os::unix::fs::FileExt::write_all_at(&image, &zeros, place.start).unwrap();
        }
    }
    assert_eq!(cvtool(folder, &arguments).stdout, whole);
}

#[test]
fn what_cannot_be_read_is_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let output = cvtool(folder.path(), &["diff", "missing.vhdx", "."]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("missing.vhdx"));
}
