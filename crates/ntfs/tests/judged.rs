//! Volumes that we write, as other programs see them: ntfsprogs, ntfs-3g, wimlib, The Sleuth Kit, libfsntfs, 7-Zip, GRUB.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(unix)]

mod support;

use cv_disk::{Quiet, RawFile, ReadAt, Resize, Severity};
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::write::{Compression, PlanOptions, WriteOptions, default_security, plan, write};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rustix::fs::XattrFlags;
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use support::any::any_model;
use support::everything::everything;
use support::model::{Model, Shown};
use support::{Mount, have, run};

const NTFSPROGS: &[&str] = &["ntfsresize", "ntfsfix", "ntfsinfo"];
const NTFS_3G: &[&str] = &["ntfs-3g", "fusermount"];

/// Writes the model into a raw image.
fn image(model: &Model, options: &PlanOptions, folder: &Path) -> PathBuf {
    let path = folder.join("volume.img");
    let plan = plan(model.tree().unwrap(), options).unwrap();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    let disk = RawFile::from_file(file).unwrap();
    disk.set_len(plan.volume_size()).unwrap();
    write(&plan, &model.source(), &disk, &WriteOptions::default(), &Quiet).unwrap();
    path
}

/// Has ntfsprogs look for faults.
fn check(image: &Path) {
    run(Command::new("ntfsresize").args(["-i", "-f"]).arg(image));
    run(Command::new("ntfsfix").arg("-n").arg(image));
    run(Command::new("ntfsinfo").arg("-m").arg(image));
}

/// What went in, under paths as Unix writes them; without names that are no UTF-16, which tools show differently.
fn expected(model: &Model) -> BTreeMap<String, Shown> {
    let shown = model.shown(&default_security());
    shown
        .into_iter()
        .filter_map(|(path, one)| Some((String::from_utf16(&path).ok()?.replace('\\', "/"), one)))
        .collect()
}

/// The paths whose content WOF compressed, which only Windows and we undo.
fn wof_paths(model: &Model) -> BTreeSet<String> {
    let is_wof = |stream: &support::model::ModelStream| stream.compression == Compression::WofXpress4k;
    let files = model.files.iter().filter(|file| file.streams.values().any(is_wof));
    files
        .flat_map(|file| model.paths(file))
        .map(|path| String::from_utf16_lossy(&path).replace('\\', "/"))
        .collect()
}

#[test]
fn ntfsprogs_find_no_fault_in_any_geometry() {
    if !have(NTFSPROGS) || !have(&["fsntfsinfo", "fls"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let geometries = [
        (512, 512),
        (1024, 512),
        (4096, 512),
        (65536, 512),
        (2 << 20, 512),
        (4096, 4096),
        (8192, 4096),
    ];
    for (cluster_size, sector_size) in geometries {
        let options = PlanOptions {
            cluster_size: Some(cluster_size),
            sector_size,
            short_names: cluster_size != 4096,
            label: "Everything".encode_utf16().collect(),
            ..PlanOptions::default()
        };
        let model = everything(cluster_size <= 4096);
        let image = image(&model, &options, folder.path());
        check(&image);
        run(Command::new("fsntfsinfo").arg(&image));
        // The Sleuth Kit knows no larger ones.
        if cluster_size > 65536 {
            continue;
        }
        let listed = String::from_utf8_lossy(&run(Command::new("fls").args(["-r", "-p"]).arg(&image))).into_owned();
        let listed: BTreeSet<&str> = listed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|line| line.1)
            .collect();
        for path in expected(&model).keys().filter(|path| !path.is_empty()) {
            assert!(listed.contains(&path[1..]), "{path} of {cluster_size}");
        }
    }
}

fn get_attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65536];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

/// Attributes that follow from what a file holds.
const DERIVED: FileAttributes = FileAttributes::DIRECTORY
    .union(FileAttributes::REPARSE_POINT)
    .union(FileAttributes::NORMAL)
    .union(FileAttributes::SPARSE_FILE)
    .union(FileAttributes::COMPRESSED);

/// Compares what an ntfs-3g mount shows with what went in; gives the number of paths.
fn compare_with_ntfs_3g(model: &Model, image: &Path, folder: &Path) -> usize {
    let mount = Mount::ntfs_3g(image, folder, "ro,streams_interface=xattr,efs_raw");
    let wof = wof_paths(model);
    let mut count = 0;
    let shown = expected(model);
    // Names below a link lead elsewhere.
    let is_below_link = |path: &str| {
        path.match_indices('/')
            .any(|(end, _)| shown.get(&path[..end]).is_some_and(|above| above.reparse.is_some()))
    };
    for (path, one) in shown.iter().filter(|(path, _)| !is_below_link(path)) {
        let host = mount.folder.join(path.trim_start_matches('/'));
        let metadata = fs::symlink_metadata(&host).unwrap_or_else(|error| panic!("{path}: {error}"));
        let times = get_attribute(&host, "system.ntfs_times_be").unwrap();
        let [creation, modification, change, access] = one.times;
        let order: Vec<u8> = [creation, modification, access, change]
            .iter()
            .flat_map(|time| time.to_be_bytes())
            .collect();
        assert_eq!(times, order, "{path}");
        let found = get_attribute(&host, "system.ntfs_acl").unwrap();
        assert!(
            found == one.security,
            "{path}: {} bytes for {}",
            found.len(),
            one.security.len()
        );
        if !path.is_empty() {
            let shown = get_attribute(&host, "system.ntfs_attrib_be").unwrap();
            let shown = FileAttributes::from_bits_retain(u32::from_be_bytes(shown.try_into().unwrap()));
            assert_eq!(shown - DERIVED, one.attributes - DERIVED, "{path}");
        }
        if let Some(reparse) = &one.reparse {
            assert_eq!(
                get_attribute(&host, "system.ntfs_reparse_data").as_ref(),
                Some(reparse),
                "{path}"
            );
        } else if !one.is_directory && !wof.contains(path) {
            assert_eq!(metadata.len(), one.streams[&Vec::new()].len() as u64, "{path}");
            assert!(fs::read(&host).unwrap() == one.streams[&Vec::new()], "{path}");
            for (name, content) in one
                .streams
                .iter()
                .filter(|(name, content)| !name.is_empty() && content.len() <= 65536)
            {
                let name = format!("user.{}", String::from_utf16_lossy(name));
                assert_eq!(get_attribute(&host, &name).as_ref(), Some(content), "{path}: {name}");
            }
        }
        if !one.extended_attributes.is_empty() {
            let found = get_attribute(&host, "system.ntfs_ea").unwrap();
            let found: Result<Vec<_>, _> =
                cv_ntfs::structure::extended_attribute::ExtendedAttribute::parse_all(&found).collect();
            assert_eq!(found.unwrap(), one.extended_attributes, "{path}");
        }
        if let Some(id) = one.object_id {
            let found = get_attribute(&host, "system.ntfs_object_id").unwrap();
            assert_eq!(&found[..16], &id, "{path}");
        }
        count += 1;
    }
    count
}

#[test]
fn ntfs_3g_shows_what_went_in() {
    if !have(NTFS_3G) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = everything(true);
    let image = image(&model, &PlanOptions::default(), folder.path());
    let count = compare_with_ntfs_3g(&model, &image, &folder.path().join("mount"));
    assert!(count > 4000);
}

#[test]
fn ntfs_3g_shows_random_trees() {
    if !have(NTFS_3G) || !have(NTFSPROGS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    for cluster_size in [512, 1024, 4096].into_iter().cycle().take(16) {
        let model = any_model().new_tree(&mut runner).unwrap().current();
        let options = PlanOptions {
            cluster_size: Some(cluster_size),
            ..PlanOptions::default()
        };
        let image = image(&model, &options, folder.path());
        check(&image);
        compare_with_ntfs_3g(&model, &image, &folder.path().join("mount"));
    }
}

#[test]
fn ntfs_3g_writes_on_without_a_fault() {
    if !have(NTFS_3G) || !have(NTFSPROGS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (cluster_size, sector_size) in [(4096, 512), (512, 512), (4096, 4096)] {
        let options = PlanOptions {
            slack: Some(64 << 20),
            cluster_size: Some(cluster_size),
            sector_size,
            short_names: cluster_size == 512,
            ..PlanOptions::default()
        };
        let image = image(&everything(true), &options, folder.path());
        let mount = Mount::ntfs_3g(&image, &folder.path().join("mount"), "streams_interface=xattr");
        change(&mount.folder);
        drop(mount);
        check(&image);
        let volume = support::open(&image);
        let disk: Arc<dyn ReadAt> = Arc::new(RawFile::open(&image).unwrap());
        let faults = cv_ntfs::check::check(&disk, &Quiet).unwrap();
        let serious: Vec<String> = faults
            .into_iter()
            .filter(|fault| fault.severity > Severity::Note)
            .map(|fault| fault.to_string())
            .collect();
        assert!(serious.is_empty(), "{}", serious.join("\n"));
        let (files, errors) = support::walk(&volume);
        assert!(errors.is_empty(), "{errors:?}");
        assert!(files.len() > 5000);
    }
}

/// Makes 10,000 changes of every kind.
fn change(folder: &Path) {
    let new = folder.join("new");
    fs::create_dir(&new).unwrap();
    for number in 0..3000 {
        fs::write(
            new.join(format!("made later {number}")),
            vec![number as u8; number % 3000],
        )
        .unwrap();
    }
    for number in 0..1500 {
        fs::write(
            folder.join("large").join(format!("inserted {}", number * 7919 % 1500)),
            b"x",
        )
        .unwrap();
    }
    for number in 0..1000 {
        let name = format!("{:04x} is the name of entry {number}", number * 40_503 % 65_536);
        fs::remove_file(folder.join("large").join(name)).unwrap();
    }
    for number in 0..1500 {
        let from = new.join(format!("made later {number}"));
        fs::rename(from, folder.join("streams").join(format!("moved {number}"))).unwrap();
    }
    for number in 1500..2500 {
        fs::remove_file(new.join(format!("made later {number}"))).unwrap();
    }
    let mut paths: Vec<PathBuf> = fs::read_dir(folder.join("sizes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for turn in 0..1000 {
        let path = &paths[turn % paths.len()];
        if path.is_file() {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(&[turn as u8; 700], turn as u64 * 37).unwrap();
            file.set_len(turn as u64 * 41 % 9000).unwrap();
        }
    }
    for number in 0..500 {
        let path = folder.join("attachments").join(format!("owned {}", number % 200));
        let name = format!("user.stream {number}");
        rustix::fs::lsetxattr(&path, &*name, &vec![1; number], XattrFlags::empty()).unwrap();
    }
    for number in 0..300 {
        let link = folder.join("links").join(if number % 2 == 0 { "" } else { "other" });
        fs::remove_file(link.join(format!("link {number} to one file"))).unwrap();
    }
    for number in 0..100 {
        fs::remove_file(folder.join("attachments").join(format!("link {number}"))).unwrap();
        fs::remove_file(folder.join("attachments").join(format!("known {number}"))).unwrap();
    }
}

/// The blocks of `wimlib-imagex dir --detailed`, each the lines between two rules.
fn detailed(text: &str) -> BTreeMap<String, Vec<&str>> {
    let mut files = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("Full Path           = ") {
            current = path.trim_matches('"').to_string();
            files.insert(current.clone(), Vec::new());
        }
        if let Some(lines) = files.get_mut(&current) {
            lines.push(line);
        }
    }
    files
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn wimlib_captures_what_went_in() {
    if !have(&["wimlib-imagex"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut model = everything(true);
    // wimlib gives up at attribute lists of so many named streams, and takes WOF's stream for one.
    for file in &mut model.files {
        for stream in file.streams.values_mut() {
            if stream.compression == Compression::WofXpress4k {
                stream.compression = Compression::None;
            }
        }
    }
    let image = image(&model, &PlanOptions::default(), folder.path());
    let wim = folder.path().join("volume.wim");
    run(Command::new("wimlib-imagex")
        .args(["capture", "--compress=none", "--check"])
        .arg(&image)
        .arg(&wim));
    run(Command::new("wimlib-imagex").arg("verify").arg(&wim));
    let text = run(Command::new("wimlib-imagex")
        .arg("dir")
        .arg(&wim)
        .args(["1", "--detailed"]));
    let text = String::from_utf8_lossy(&text).into_owned();
    let found = detailed(&text);
    for (path, one) in expected(&model) {
        let path = if path.is_empty() { "/" } else { &path };
        let lines = found.get(path).unwrap_or_else(|| panic!("{path} is missing"));
        let has = |line: String| assert!(lines.contains(&line.as_str()), "{path} lacks {line}: {lines:#?}");
        has(format!("Security Descriptor = {}", hexadecimal(&one.security)));
        if !one.is_directory {
            has(format!("Link Count          = {}", one.paths.len()));
        }
        let mut hashes: BTreeSet<String> = one
            .streams
            .values()
            .filter(|content| !content.is_empty())
            .map(|content| format!("Hash              = 0x{:x}", Sha1::digest(content)))
            .collect();
        if let Some(reparse) = &one.reparse {
            // Without the header.
            hashes.insert(format!("Hash              = 0x{:x}", Sha1::digest(&reparse[8..])));
        }
        hashes.into_iter().for_each(has);
        if let Some(id) = one.object_id {
            has(format!("Object ID           = 0x{}", hexadecimal(&id)));
        }
    }
}

#[test]
fn other_readers_give_the_same_content() {
    if !have(&["7zz", "icat", "grub-fstest"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = everything(true);
    let image = image(&model, &PlanOptions::default(), folder.path());
    let out = folder.path().join("out");
    // 7-Zip takes WOF's stream for reparse data, and the host cannot have a name of 508 bytes, so those are left out.
    run(Command::new("7zz")
        .args(["x", "-bso0", "-bsp0", "-x!attachments", "-xr!*Wof*", "-xr!\u{416}*"])
        .arg(format!("-o{}", out.display()))
        .arg(&image));
    let volume = support::open(&image);
    let wof = wof_paths(&model);
    let mut count = 0;
    for (path, one) in expected(&model) {
        let content = one.streams.get(&Vec::new());
        let (Some(content), None, false) = (content, &one.reparse, wof.contains(&path)) else {
            continue;
        };
        count += 1;
        if !path.starts_with("/attachments") && path.len() < 255 {
            let name = out.join(&path[1..]);
            let found = fs::read(&name).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(found == *content, "{path}");
        }
        let is_sample = path.starts_with("/sparse") || path.starts_with("/compressed") || count % 100 == 0;
        if is_sample {
            let record = volume.open_str(&path.replace('/', "\\")).unwrap().reference().record();
            assert!(
                run(Command::new("icat").arg(&image).arg(record.to_string())) == *content,
                "icat {path}"
            );
        }
        // GRUB repeats data in the hole behind it, in ntfs-3g's sparse files too.
        if is_sample && !content.is_empty() && path.is_ascii() && !path.starts_with("/sparse") {
            let copy = folder.path().join("copy");
            run(Command::new("grub-fstest")
                .arg(&image)
                .arg("cp")
                .arg(format!("(loop0){path}"))
                .arg(&copy));
            assert!(fs::read(&copy).unwrap() == *content, "grub {path}");
        }
    }
    assert!(count > 600);
}
