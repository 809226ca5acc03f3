//! Volumes that other programs made, read as those programs read them: mkntfs and ntfs-3g, wimlib, The Sleuth Kit.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(unix)]

mod support;

use cv_disk::{ExtentKind, Extents, ReadAt};
use cv_ntfs::structure::reparse::{ReparsePoint, WofAlgorithm};
use cv_ntfs::structure::{AttributeFlags, AttributeType};
use cv_ntfs::{File, Listing, Order, Volume};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Mount, random, text};

const NTFS_3G: &[&str] = &["mkntfs", "ntfs-3g", "fusermount"];

fn format(image: &Path, size: u64, options: &[&str]) {
    fs::File::create(image).unwrap().set_len(size).unwrap();
    support::run(Command::new("mkntfs").args(["-F", "-Q", "-q"]).args(options).arg(image));
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty())
        .unwrap_or_else(|error| panic!("{}: {name}: {error}", path.display()));
}

fn get_attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65536];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn attribute_names(path: &Path) -> Vec<String> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    String::from_utf8(names[..length].to_vec())
        .unwrap()
        .split_terminator('\0')
        .map(str::to_owned)
        .collect()
}

/// Fills a mounted volume with everything that ntfs-3g can make.
fn populate(root: &Path) {
    let write = |path: &str, content: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("empty", b"");
    write("résidente ☃ 𝄞.txt", b"in the record");
    for (number, size) in [600, 4095, 4096, 4097, 65_537, 3_000_001].into_iter().enumerate() {
        write(&format!("sizes/{size}"), &random(number as u8, size));
    }
    for number in 0..3000 {
        let content = format!("file {number}");
        write(
            &format!("many/Entry number {number} of a large directory"),
            content.as_bytes(),
        );
    }
    let deep: Vec<String> = (0..40).map(|level| format!("level {level}")).collect();
    let deep = deep.join("/");
    write(&format!("{deep}/bottom"), b"reached");

    // Streams, small and large, more than fit into one record.
    write("streams", b"content");
    for number in 0..40 {
        let size = if number % 4 == 0 { 20_000 } else { 30 };
        set_attribute(
            &root.join("streams"),
            &format!("user.stream {number}"),
            &random(number, size),
        );
    }
    // More names than fit into one record, and into the attribute list as well as several records.
    write("links/first", b"many names");
    for number in 0..150 {
        let name = format!("links/another name of the very same file, number {number}");
        fs::hard_link(root.join("links/first"), root.join(name)).unwrap();
    }
    // Interleaved files: as many runs as writes.
    let fragments: Vec<fs::File> = (0..2)
        .map(|number| fs::File::create(root.join(format!("fragmented {number}"))).unwrap())
        .collect();
    for round in 0..600_usize {
        for (number, mut file) in fragments.iter().enumerate() {
            file.write_all(&random((round % 251) as u8 ^ number as u8, 4096))
                .unwrap();
            file.sync_all().unwrap();
        }
    }
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    for offset in [0, 5 << 20, (700 << 20) + 12345] {
        sparse.write_all_at(b"island", offset).unwrap();
    }
    sparse.set_len(1 << 30).unwrap();
    std::os::unix::fs::symlink("sizes/600", root.join("symlink")).unwrap();

    write("tagged", b"");
    set_attribute(
        &root.join("tagged"),
        "system.ntfs_reparse_data",
        &ReparsePoint::Symlink {
            substitute_name: "..\\sizes".encode_utf16().collect(),
            print_name: "..\\sizes".encode_utf16().collect(),
            is_relative: true,
        }
        .to_bytes()
        .unwrap(),
    );
    fs::create_dir(root.join("junction")).unwrap();
    set_attribute(
        &root.join("junction"),
        "system.ntfs_reparse_data",
        &ReparsePoint::MountPoint {
            substitute_name: "\\??\\C:\\Program Files".encode_utf16().collect(),
            print_name: "C:\\Program Files".encode_utf16().collect(),
        }
        .to_bytes()
        .unwrap(),
    );
    write("identified", b"");
    set_attribute(&root.join("identified"), "system.ntfs_object_id", &random(9, 16));
    write("hidden", b"");
    set_attribute(&root.join("hidden"), "system.ntfs_attrib", &0x27_u32.to_le_bytes());
    let times: Vec<u8> = [1_u64, 132_223_104_000_000_001, 132_223_104_000_000_003, 2]
        .iter()
        .flat_map(|time| time.to_le_bytes())
        .collect();
    set_attribute(&root.join("hidden"), "system.ntfs_times", &times);
}

fn populate_compressed(root: &Path) {
    let folder = root.join("compressed");
    fs::create_dir(&folder).unwrap();
    set_attribute(&folder, "system.ntfs_attrib", &0x800_u32.to_le_bytes());
    for (number, size) in [100, 5000, 65_536, 200_000, 1_234_567].into_iter().enumerate() {
        fs::write(folder.join(format!("text {size}")), text(number as u8, size)).unwrap();
        fs::write(folder.join(format!("random {size}")), random(number as u8, size)).unwrap();
    }
    let mut mixed = text(7, 150_000);
    mixed.extend(vec![0; 300_000]);
    mixed.extend(random(7, 150_000));
    mixed.extend(text(8, 70_000));
    fs::write(folder.join("mixed"), &mixed).unwrap();
    let sparse = fs::File::create(folder.join("sparse")).unwrap();
    sparse.write_all_at(&text(3, 10_000), 10 << 20).unwrap();
}

/// Compares a file with what the mounted volume shows.
fn compare_file(file: &File, path: &Path) {
    let shown = path.display();
    assert!(file.damage().is_empty(), "{shown}: {:?}", file.damage());
    let metadata = fs::symlink_metadata(path).unwrap();
    assert_eq!(file.reference().record(), metadata.ino(), "{shown}");
    let value = |name: &str| get_attribute(path, name);
    let information = file.standard_information().unwrap().unwrap();
    let base = information.base;
    let times: Vec<u8> = [
        base.creation_time,
        base.last_modification_time,
        base.last_access_time,
        base.last_change_time,
    ]
    .iter()
    .flat_map(|time| time.0.to_le_bytes())
    .collect();
    assert_eq!(Some(times), value("system.ntfs_times"), "{shown}: times");
    assert_eq!(
        file.security_descriptor().unwrap().map(|own| own.to_vec()),
        value("system.ntfs_acl"),
        "{shown}: security"
    );
    let attributes = u32::from_le_bytes(value("system.ntfs_attrib").unwrap().try_into().unwrap());
    let shown_bits = base.file_attributes.bits() & 0xFFFF;
    assert_eq!(
        shown_bits | attributes & 0x90,
        attributes & 0xFFFF,
        "{shown}: attributes"
    );
    let stored = |type_code| file.value(type_code).unwrap();
    if file.is_directory() || metadata.is_file() {
        assert_eq!(
            stored(AttributeType::REPARSE_POINT),
            value("system.ntfs_reparse_data"),
            "{shown}: reparse data"
        );
    }
    let object_id = value("system.ntfs_object_id");
    assert_eq!(
        file.object_id().unwrap().map(|own| own.object_id.to_vec()),
        object_id.map(|id| id[..16].to_vec()),
        "{shown}: object id"
    );
    assert_eq!(stored(AttributeType::EA), value("system.ntfs_ea"), "{shown}: EA");
    let names: BTreeMap<String, Vec<u8>> = attribute_names(path)
        .into_iter()
        .filter_map(|name| {
            Some((
                name.strip_prefix("user.")?.to_owned(),
                get_attribute(path, &name).unwrap(),
            ))
        })
        .collect();
    let streams: BTreeMap<String, Vec<u8>> = file
        .streams()
        .into_iter()
        .filter(|stream| !stream.name.is_empty())
        .map(|info| {
            let stream = file.stream(&info.name).unwrap();
            let mut content = vec![0; info.size as usize];
            stream.read_at(&mut content, 0).unwrap();
            (cv_winname::wtf8::display(&info.name), content)
        })
        .collect();
    assert!(streams == names, "{shown}: {:?} {:?}", streams.keys(), names.keys());
    let is_plain = metadata.is_file() && stored(AttributeType::REPARSE_POINT).is_none();
    if is_plain {
        compare_content(&file.content().unwrap(), path, &metadata);
    }
}

fn compare_content(stream: &cv_ntfs::Stream, path: &Path, metadata: &fs::Metadata) {
    let shown = path.display();
    assert_eq!(stream.len(), metadata.len(), "{shown}: size");
    let oracle = fs::File::open(path).unwrap();
    let mut own = vec![0; 1 << 20];
    let mut other = vec![0; 1 << 20];
    let mut covered = 0;
    for extent in Extents::all(stream) {
        let extent = extent.unwrap();
        assert_eq!(extent.start, covered);
        covered = extent.end();
        let mut offset = extent.start;
        // Of a long hole the beginning will do.
        let end = extent.end().min(extent.start + (32 << 20));
        while offset < end {
            let length = (end - offset).min(own.len() as u64) as usize;
            stream.read_at(&mut own[..length], offset).unwrap();
            oracle.read_exact_at(&mut other[..length], offset).unwrap();
            assert!(own[..length] == other[..length], "{shown}: {offset:#x}");
            if extent.kind != ExtentKind::Data {
                assert!(cv_disk::is_zero(&own[..length]), "{shown}: {offset:#x}");
            }
            offset += length as u64;
        }
    }
    assert_eq!(covered, stream.len());
    // Pieces that cross clusters, runs and compression units.
    for (offset, length) in [(1, 5000), (65_530, 20), (130_000, 70_001), (4095, 2)] {
        if offset + length <= stream.len() {
            let length = length as usize;
            stream.read_at(&mut own[..length], offset).unwrap();
            oracle.read_exact_at(&mut other[..length], offset).unwrap();
            assert!(own[..length] == other[..length], "{shown}: {length} at {offset:#x}");
        }
    }
}

fn paths(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let full = root.join(&path);
        if fs::symlink_metadata(&full).unwrap().is_dir() {
            pending.extend(
                full.read_dir()
                    .unwrap()
                    .map(|entry| path.join(entry.unwrap().file_name())),
            );
        }
        found.push(path);
    }
    found.sort();
    found
}

/// Compares a volume with what ntfs-3g shows of it.
fn compare_with_ntfs_3g(image: &Path, folder: &Path) -> usize {
    let mount = Mount::ntfs_3g(
        image,
        &folder.join("mounted"),
        "ro,streams_interface=xattr,show_sys_files,permissions",
    );
    let volume = support::open(image);
    let expected = paths(&mount.folder);
    for path in &expected {
        let file = volume.open_str(path.to_str().unwrap()).unwrap();
        let is_own = file.reference().record() < 24 || path.starts_with("$Extend");
        if !is_own {
            compare_file(&file, &mount.folder.join(path));
        }
    }
    let (files, errors) = support::walk(&volume);
    assert!(errors.is_empty(), "{errors:?}");
    let walked: Vec<PathBuf> = files.into_iter().map(|(path, _)| path.into()).collect();
    let shown: Vec<PathBuf> = expected.iter().map(|path| path.to_str().unwrap().into()).collect();
    let missing: Vec<_> = walked.iter().filter(|path| !shown.contains(path)).collect();
    assert!(shown.iter().all(|path| walked.contains(path)));
    // FUSE has no inode 0.
    let is_hidden = |path: &Path| path == Path::new("$MFT") || path.starts_with("$Extend");
    assert!(missing.iter().all(|path| is_hidden(path)), "{missing:?}");
    compare_listing(&volume, &walked);
    walked.len()
}

fn compare_listing(volume: &Volume, walked: &[PathBuf]) {
    let one = Listing::of(volume, 1);
    let listing = Listing::of(volume, 3);
    assert_eq!(one.files(), listing.files());
    let mut listed = Vec::new();
    listing.walk(volume, Order::Names, |path, entry| {
        let path = String::from_utf8(path.to_vec()).unwrap();
        let file = volume.file_by_reference(entry.file.reference).unwrap();
        assert_eq!(entry.file.is_directory, file.is_directory(), "{path}");
        if let Some(data) = file.attribute(AttributeType::DATA, &[]) {
            assert_eq!(entry.file.size, data.size(), "{path}");
        }
        assert_eq!(
            entry.file.link_count as usize,
            file.names().count(),
            "{path}: {:?}",
            file.names().collect::<Vec<_>>()
        );
        listed.push(PathBuf::from(path));
    });
    listed.sort();
    let walked: Vec<_> = walked
        .iter()
        .filter(|path| !path.as_os_str().is_empty())
        .cloned()
        .collect();
    assert!(listed == walked);
    assert!(listing.orphans(volume).is_empty());
}

#[test]
fn volumes_filled_by_ntfs_3g() {
    if !support::have(NTFS_3G) {
        return;
    }
    for options in [
        &["-c", "4096"][..],
        &["-c", "512"],
        &["-c", "65536"],
        &["-c", "2097152"],
        &["-s", "4096", "-c", "4096"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        let size = if options.contains(&"2097152") {
            20 << 30
        } else {
            400 << 20
        };
        format(&image, size, options);
        let compresses = options.contains(&"4096") || options.contains(&"512");
        {
            let mount = Mount::ntfs_3g(
                &image,
                &folder.path().join("mounted"),
                "streams_interface=xattr,compression,permissions",
            );
            populate(&mount.folder);
            if compresses {
                populate_compressed(&mount.folder);
            }
        }
        let count = compare_with_ntfs_3g(&image, folder.path());
        assert!(count > 3000, "{options:?}");
        let volume = support::open(&image);
        let file = |path: &str| volume.open_str(path).unwrap();
        let has_list = |path: &str| file(path).attribute(AttributeType::ATTRIBUTE_LIST, &[]).is_some();
        // Forty streams fit into a record of 4096 bytes.
        let has_large_records = volume.geometry().record_size > 1024;
        assert!(
            has_list("streams") != has_large_records && has_list("links/first"),
            "{options:?}"
        );
        assert_eq!(file("LINKS/FIRST").names().count(), 151);
        let data = |path: &str| file(path).attribute(AttributeType::DATA, &[]).unwrap().flags;
        assert!(data("sparse").contains(AttributeFlags::SPARSE));
        if compresses {
            assert!(data("compressed/text 200000").contains(AttributeFlags::COMPRESSED));
        }
        let target = file("junction").reparse_point().unwrap().unwrap();
        assert!(matches!(target, ReparsePoint::MountPoint { print_name, .. }
            if cv_winname::wtf8::display(&print_name) == "C:\\Program Files"));
    }
}

#[test]
fn a_volume_filled_by_wimlib() {
    if !support::have(NTFS_3G) || !support::have(&["wimlib-imagex"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    for number in 0..300 {
        let path = source.join(format!("Directory {}/Some file {number}.bin", number % 17));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, random(number as u8, number * 331)).unwrap();
    }
    let wim = folder.path().join("tree.wim");
    support::run(
        Command::new("wimlib-imagex")
            .arg("capture")
            .arg(&source)
            .arg(&wim)
            .arg("--compress=none"),
    );
    let image = folder.path().join("image");
    format(&image, 100 << 20, &[]);
    support::run(
        Command::new("wimlib-imagex")
            .arg("apply")
            .arg(&wim)
            .arg("1")
            .arg(&image),
    );
    compare_with_ntfs_3g(&image, folder.path());
    let volume = support::open(&image);
    for path in paths(&source) {
        let full = source.join(&path);
        if full.is_file() {
            let stream = volume.open_str(path.to_str().unwrap()).unwrap().content().unwrap();
            let expected = format!("{:x}", Sha256::digest(fs::read(&full).unwrap()));
            assert_eq!(support::sha256(&stream).unwrap(), expected, "{}", path.display());
        }
    }
    compare_with_sleuth_kit(&image, &volume);
}

/// The paths of `fls` are those of the listing.
fn compare_with_sleuth_kit(image: &Path, volume: &Volume) {
    if !support::have(&["fls"]) {
        return;
    }
    let output = support::run(Command::new("fls").args(["-r", "-p"]).arg(image));
    let shown: std::collections::BTreeSet<String> = String::from_utf8(output)
        .unwrap()
        .lines()
        .map(|line| line.split_once('\t').unwrap().1.to_owned())
        .filter(|path| !path.starts_with("$OrphanFiles"))
        .collect();
    Listing::of(volume, 2).walk(volume, Order::Records, |path, entry| {
        let path = String::from_utf8(path.to_vec()).unwrap();
        let shows = shown.contains(&path) || shown.iter().any(|line| line.starts_with(&format!("{path}:$")));
        assert!(shows, "{path} {:?}", entry.file);
    });
}

/// The compressed resource of the content whose sha1 is `hash` in a WIM: the bytes that WOF stores.
fn wim_resource(wim: &Path, hash: &[u8]) -> Option<Vec<u8>> {
    let bytes = fs::read(wim).unwrap();
    let number = |offset: usize, length: usize| {
        bytes[offset..offset + length]
            .iter()
            .rev()
            .fold(0_usize, |value, byte| value << 8 | usize::from(*byte))
    };
    // The header of the resource with the table of all others.
    let (size, offset) = (number(0x30, 7), number(0x38, 8));
    (offset..offset + size).step_by(50).find_map(|entry| {
        let is_compressed = bytes[entry + 7] & 4 != 0;
        (is_compressed && &bytes[entry + 30..entry + 50] == hash)
            .then(|| bytes[number(entry + 8, 8)..][..number(entry, 7)].to_vec())
    })
}

#[test]
fn files_compressed_by_wof() {
    if !support::have(NTFS_3G) || !support::have(&["wimlib-imagex"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir(&source).unwrap();
    let program = std::env::current_exe().unwrap();
    let program = fs::read(program).unwrap();
    let mut mixed = text(1, 100_000);
    mixed.extend(random(2, 100_000));
    mixed.extend(&program[..400_000]);
    mixed.extend(vec![0; 200_000]);
    let contents: BTreeMap<&str, Vec<u8>> = [
        ("program", program[..3_000_000.min(program.len())].to_vec()),
        ("text", text(3, 1_000_000)),
        ("mixed", mixed),
        ("short", text(4, 3000)),
        ("exact", text(5, 65_536)),
        ("zeros", vec![0; 500_000]),
    ]
    .into();
    for (name, content) in &contents {
        fs::write(source.join(name), content).unwrap();
    }
    for (algorithm, compress, chunk) in [
        (WofAlgorithm::Xpress4k, "xpress", "4096"),
        (WofAlgorithm::Xpress8k, "xpress", "8192"),
        (WofAlgorithm::Xpress16k, "xpress", "16384"),
        (WofAlgorithm::Lzx, "lzx", "32768"),
    ] {
        let wim = folder.path().join(format!("{algorithm:?}.wim"));
        support::run(
            Command::new("wimlib-imagex")
                .arg("capture")
                .arg(&source)
                .arg(&wim)
                .arg(format!("--compress={compress}"))
                .arg(format!("--chunk-size={chunk}")),
        );
        let image = folder.path().join("image");
        format(&image, 64 << 20, &[]);
        let mut expected = Vec::new();
        {
            let mount = Mount::ntfs_3g(&image, &folder.path().join("mounted"), "streams_interface=windows");
            for (name, content) in &contents {
                let hash = Sha1::digest(content);
                let Some(resource) = wim_resource(&wim, &hash) else {
                    assert_eq!(*name, "none is left uncompressed");
                    continue;
                };
                let path = mount.folder.join(name);
                fs::File::create(&path).unwrap().set_len(content.len() as u64).unwrap();
                fs::write(mount.folder.join(format!("{name}:WofCompressedData")), resource).unwrap();
                let point = ReparsePoint::WofFile(algorithm).to_bytes().unwrap();
                set_attribute(&path, "system.ntfs_reparse_data", &point);
                expected.push((*name, content));
            }
        }
        let volume = support::open(&image);
        assert!(expected.len() >= 5);
        for (name, content) in expected {
            let file = volume.open_str(name).unwrap();
            assert_eq!(file.wof(), Some(algorithm));
            assert_eq!(file.streams().len(), 1, "{name}");
            let stream = file.content().unwrap();
            assert_eq!(stream.len(), content.len() as u64);
            let mut whole = vec![0; content.len()];
            stream.read_at(&mut whole, 0).unwrap();
            assert!(whole == *content, "{name}, {algorithm:?}");
            // In pieces that fit nothing.
            let mut piece = vec![0; 10_007];
            for offset in (0..content.len()).step_by(10_007) {
                let length = piece.len().min(content.len() - offset);
                stream.read_at(&mut piece[..length], offset as u64).unwrap();
                assert!(
                    piece[..length] == content[offset..offset + length],
                    "{name}: {offset:#x}"
                );
            }
            let stored = file.stored_stream(&[]).unwrap();
            stored.read_at(&mut whole, 0).unwrap();
            assert!(cv_disk::is_zero(&whole), "{name}");
        }
    }
}
