//! A tree with every feature that NTFS has.

use super::model::{Giving, Model, ModelFile, ModelStream, units};
use super::{random, security, text};
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::write::Compression;

/// The tree; with LZNT1 where `lznt1` says that clusters allow it.
pub fn everything(lznt1: bool) -> Model {
    let mut model = Model::new();
    model.files[0]
        .streams
        .insert(units("of the root"), ModelStream::of(b"root".to_vec(), Giving::Bytes));
    model.files[0].security = Some(security(1));
    sizes(&mut model);
    names(&mut model);
    streams(&mut model);
    links(&mut model);
    attachments(&mut model);
    sparse(&mut model);
    compressed(&mut model, lznt1);
    large_directories(&mut model);
    model
}

fn sizes(model: &mut Model) {
    let directory = model.directory(0, "sizes");
    let givings = [Giving::Bytes, Giving::File, Giving::Reader, Giving::Disk];
    let sizes = [
        0,
        1,
        7,
        8,
        600,
        700,
        712,
        720,
        728,
        740,
        1024,
        4095,
        4096,
        4097,
        65_536,
        262_143,
        262_144,
        300_000,
        1 << 20,
        3_000_001,
    ];
    for (number, size) in sizes.into_iter().enumerate() {
        for (turn, giving) in givings.into_iter().enumerate() {
            if size >= 65_536 && (number + turn) % 2 == 0 {
                continue;
            }
            let name = format!("{size} by {giving:?}");
            model.file(directory, &name, random(size as u8 ^ turn as u8, size), giving);
        }
    }
    model.file(directory, "zeros", vec![0; 500_000], Giving::Disk);
    let late = model.directory(directory, "late");
    model.file(late, "index", text(9, 50_000), Giving::Late);
    model.file(late, "empty", Vec::new(), Giving::Late);
}

fn names(model: &mut Model) {
    let directory = model.directory(0, "names");
    for name in [
        "README.TXT",
        "readme.md",
        "Ünïcödé",
        "日本語",
        "a",
        "\u{1F600}",
        "with space",
        "$MFT",
        "x~1",
        ".hidden",
    ] {
        model.file(directory, name, name.as_bytes().to_vec(), Giving::Bytes);
    }
    for (number, name) in [
        vec![0xD800],
        vec![0xDC00, 0xD800, 0x61],
        vec![0x62; 255],
        vec![0x416; 254],
    ]
    .into_iter()
    .enumerate()
    {
        let file = model.file(directory, "replaced", vec![number as u8; 50], Giving::Disk);
        model.files[file].names[0].1 = name;
    }
    let file = model.file(
        directory,
        "A long name with a given one",
        b"short".to_vec(),
        Giving::Bytes,
    );
    model.files[file].short_name = Some(units("GIVEN.1"));
    let mut deep = model.directory(directory, "deep");
    for level in 0..60 {
        deep = model.directory(deep, &format!("level {level}"));
    }
    model.file(deep, "bottom", b"deep down".to_vec(), Giving::Bytes);
}

fn streams(model: &mut Model) {
    let directory = model.directory(0, "streams");
    let file = model.file(directory, "three", b"content".to_vec(), Giving::Disk);
    for (name, length) in [("Zone.Identifier", 26), ("large", 300_000), ("LATER", 0)] {
        let stream = ModelStream::of(text(length as u8, length), Giving::Reader);
        model.files[file].streams.insert(units(name), stream);
    }
    let many = model.file(directory, "many", b"content".to_vec(), Giving::Disk);
    for number in 0..300 {
        let stream = ModelStream::of(text(number as u8, number * 5), Giving::Disk);
        model.files[many]
            .streams
            .insert(units(&format!("stream {number}")), stream);
    }
    let folder = model.directory(directory, "folder with one");
    let stream = ModelStream::of(text(3, 3000), Giving::File);
    model.files[folder].streams.insert(units("on a folder"), stream);
    model.file(folder, "file in it", Vec::new(), Giving::Bytes);
}

fn links(model: &mut Model) {
    let directory = model.directory(0, "links");
    let other = model.directory(directory, "other");
    let two = model.file(directory, "two.txt", text(5, 2000), Giving::Disk);
    model.files[two].names.push((other, units("the second name of it")));
    let many = model.file(directory, "first of many", text(6, 2000), Giving::Disk);
    for number in 0..400 {
        let parent = if number % 2 == 0 { directory } else { other };
        model.files[many]
            .names
            .push((parent, units(&format!("link {number} to one file"))));
    }
}

fn attachments(model: &mut Model) {
    let directory = model.directory(0, "attachments");
    let attribute = |name: &str, value: Vec<u8>| ExtendedAttribute {
        flags: 0,
        name: name.as_bytes().to_vec(),
        value,
    };
    let small = model.file(directory, "small attributes", b"x".to_vec(), Giving::Bytes);
    model.files[small].extended_attributes = vec![attribute("ONE", b"1".to_vec()), attribute("$LXUID", vec![0; 4])];
    let large = model.file(directory, "large attributes", b"x".to_vec(), Giving::Bytes);
    model.files[large].extended_attributes = vec![
        attribute("LARGE", random(1, 40_000)),
        attribute("ANOTHER", text(2, 9000)),
    ];

    let mut point = |name: &str, is_directory: bool, point: ReparsePoint| {
        let file = ModelFile {
            is_directory,
            reparse: point.to_bytes(),
            ..ModelFile::default()
        };
        assert!(file.reparse.is_some());
        model.add(directory, name, file);
    };
    let link = |target: &str| ReparsePoint::Symlink {
        substitute_name: units(target),
        print_name: units(target),
        is_relative: true,
    };
    point("symbolic link", false, link(r"..\sizes\1024 by Disk"));
    point("long link", false, link(&r"folder\".repeat(500)));
    let target = r"\??\C:\Windows";
    let junction = ReparsePoint::MountPoint {
        substitute_name: units(target),
        print_name: units(&target[4..]),
    };
    point("junction", true, junction);
    let target = b"/etc/passwd".to_vec();
    point("WSL link", false, ReparsePoint::LxSymlink { version: 2, target });
    for number in 0..300 {
        point(
            &format!("link {number}"),
            false,
            link(&format!("target {}", number * 7)),
        );
    }
    for number in 0..100_u8 {
        let file = model.file(directory, &format!("known {number}"), vec![number; 30], Giving::Bytes);
        let mut id = [number + 1; 16];
        id[..4].copy_from_slice(&u32::from(number).wrapping_mul(0x9371_9371).to_le_bytes());
        model.files[file].object_id = Some(id);
    }
    for number in 0..200_u8 {
        let file = model.file(directory, &format!("owned {number}"), Vec::new(), Giving::Bytes);
        model.files[file].security = Some(security(number));
        model.files[file].attributes = match number % 4 {
            0 => FileAttributes::READONLY,
            1 => FileAttributes::HIDDEN | FileAttributes::SYSTEM,
            2 => FileAttributes::ARCHIVE | FileAttributes::NOT_CONTENT_INDEXED,
            _ => FileAttributes::TEMPORARY | FileAttributes::OFFLINE,
        };
        if number == 7 {
            model.files[file].times = [0, 1, i64::MAX as u64, 5];
        }
    }
}

#[allow(clippy::single_range_in_vec_init, reason = "they are lists of ranges")]
fn sparse(model: &mut Model) {
    let directory = model.directory(0, "sparse");
    let cases: [(&str, u64, Vec<std::ops::Range<u64>>); 5] = [
        ("all hole", 1 << 20, vec![]),
        ("data at the end", 1_234_567, vec![1_200_000..1_234_567]),
        ("data in front", 1 << 20, vec![0..10]),
        ("no hole", 200_000, vec![0..100, 100..200_000]),
        (
            "many holes",
            20 << 20,
            (0..150)
                .map(|number| number * 139_000 + number % 7..number * 139_000 + 5000)
                .collect(),
        ),
    ];
    for (name, size, data) in cases {
        let mut content = vec![0; size as usize];
        for range in &data {
            let bytes = random(range.start as u8, (range.end - range.start) as usize);
            content[range.start as usize..range.end as usize].copy_from_slice(&bytes);
        }
        for giving in [Giving::File, Giving::Reader] {
            if size > 2 << 20 && giving == Giving::Reader {
                continue;
            }
            let file = model.file(directory, &format!("{name} by {giving:?}"), content.clone(), giving);
            if let Some(stream) = model.files[file].streams.get_mut(&Vec::new()) {
                stream.sparse = Some(data.clone());
            }
        }
    }
}

fn compressed(model: &mut Model, lznt1: bool) {
    let directory = model.directory(0, "compressed");
    if lznt1 {
        model.files[directory].attributes = FileAttributes::COMPRESSED;
    }
    let mut half = text(1, 1_500_000);
    half.extend(random(2, 700_000));
    half.extend(vec![0; 300_000]);
    half.extend(text(3, 70_001));
    let contents = [
        ("text", text(4, 1_000_000)),
        ("random", random(5, 400_000)),
        ("half", half),
        ("zeros", vec![0; 600_000]),
        ("small", text(6, 5000)),
        ("tiny", text(7, 300)),
        ("a unit", text(8, 65_536)),
        ("a piece", text(9, 1 << 20)),
    ];
    if lznt1 {
        // More units than one record's run list has room for.
        let file = model.file(directory, "long Lznt1", text(10, 12_000_000), Giving::Disk);
        if let Some(stream) = model.files[file].streams.get_mut(&Vec::new()) {
            stream.compression = Compression::Lznt1;
        }
    }
    let ways = [(Compression::WofXpress4k, true), (Compression::Lznt1, lznt1)];
    for (compression, _) in ways.into_iter().filter(|(_, is_wanted)| *is_wanted) {
        for (number, (name, content)) in contents.iter().enumerate() {
            let giving = [Giving::Disk, Giving::Reader, Giving::File][number % 3];
            let file = model.file(directory, &format!("{name} {compression:?}"), content.clone(), giving);
            if let Some(stream) = model.files[file].streams.get_mut(&Vec::new()) {
                stream.compression = compression;
            }
        }
    }
}

fn large_directories(model: &mut Model) {
    let directory = model.directory(0, "large");
    for number in 0..3000 {
        let name = format!("{:04x} is the name of entry {number}", number * 40_503 % 65_536);
        model.add(directory, &name, ModelFile::default());
    }
    for size in [1, 3, 5, 6, 7, 8, 10, 40, 41, 42, 80] {
        let middle = model.directory(0, &format!("of {size}"));
        for number in 0..size {
            model.add(middle, &format!("entry {number}"), ModelFile::default());
        }
    }
}
