//! What the tests share.

use cv_disk::ReadAt;
use cv_hive::{Key, KeyState, Value, ValueType};
use cv_image::{Format, Gate, Image, OpenOptions as ImageOptions};
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::Times;
use layerfmt::content::{Content, FileTree, HiveName, Metadata, NodeId, NodeKind, Stream};
use layerfmt::{Kind, Layer, Manifest, WriteOptions, Written};
use std::path::Path;
use std::sync::Arc;

pub const FORMATS: [(Format, &str); 4] = [
    (Format::Raw, "img"),
    (Format::Vhd, "vhd"),
    (Format::Vhdx, "vhdx"),
    (Format::Vmdk, "vmdk"),
];

pub fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

pub fn time(seconds: i64) -> NtfsTime {
    NtfsTime::from_unix(1_700_000_000 + seconds, 0).unwrap()
}

pub fn file(bytes: &[u8]) -> Metadata {
    Metadata {
        attributes: FileAttributes::ARCHIVE,
        times: Times::all(time(0)),
        streams: vec![Stream::of(bytes)],
        ..Metadata::default()
    }
}

/// Bytes that do not repeat, the same every time.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

pub fn add(files: &mut FileTree, path: &str, metadata: Metadata) -> NodeId {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let directory = files.directories(&units(directory)).unwrap();
    files.add(directory, name, NodeKind::File, metadata).unwrap()
}

/// A layer with a bit of everything.
pub fn everything() -> Content {
    let mut content = Content::new(Manifest::new("Everything", "1.2.3", Kind::App));
    let files = &mut content.files;
    let program = add(files, "Program Files/App/app.exe", file(&noise(300_000, 1)));
    let bin = files.parent(program);
    files.link(bin, "same.exe", program).unwrap();
    add(files, "Program Files/App/large.dat", file(&noise((3 << 20) + 777, 2)));
    add(files, "Program Files/App/small.txt", file(b"small"));
    add(files, "Program Files/App/empty", file(b""));
    let mut named = file(b"with streams");
    named.streams.push(Stream {
        name: "Zone.Identifier".into(),
        ..Stream::of(*b"[ZoneTransfer]\r\nZoneId=3\r\n")
    });
    named.extended_attributes.push(ExtendedAttribute {
        flags: 0,
        name: b"$KERNEL.TEST".to_vec(),
        value: vec![1, 2, 3],
    });
    named.object_id = Some(uuid::Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0));
    named.attributes |= FileAttributes::HIDDEN | FileAttributes::READONLY;
    named.times = Times {
        creation: time(1),
        modification: time(2),
        change: time(3),
        access: time(4),
    };
    let named = add(files, "ProgramData/App/named with a long name.txt", named);
    files.set_short_name(named, Some("NAMEDW~1.TXT".into()));
    for (name, is_directory) in [("link.txt", false), ("link dir", true)] {
        let target = units(if is_directory { "..\\App" } else { "small.txt" });
        let point = ReparsePoint::Symlink {
            substitute_name: target.clone(),
            print_name: target,
            is_relative: true,
        };
        let mut metadata = Metadata {
            reparse: Some(point.to_bytes().unwrap().into_boxed_slice()),
            ..Metadata::default()
        };
        if is_directory {
            metadata.attributes = FileAttributes::DIRECTORY;
        }
        add(files, &format!("Program Files/App/{name}"), metadata);
    }
    let mut sparse = file(&noise(4 << 20, 3));
    sparse.streams[0].data = Some([0..65536, (2 << 20)..(3 << 20)].into());
    let zeroed: Vec<u8> = match &sparse.streams[0].content {
        layerfmt::content::StreamContent::Bytes(bytes) => {
            let keep = |place: usize| place < 65536 || ((2 << 20)..(3 << 20)).contains(&place);
            (0..bytes.len())
                .map(|place| if keep(place) { bytes[place] } else { 0 })
                .collect()
        }
        layerfmt::content::StreamContent::Origin { .. } => unreachable!(),
    };
    let data = sparse.streams[0].data.take();
    sparse.streams[0] = Stream {
        data,
        ..Stream::of(zeroed)
    };
    add(files, "Windows/sparse.bin", sparse);
    let windows = files.directories(&units("Windows/Temp")).unwrap();
    files.set_opaque(windows, true);
    files
        .add(bin, "old.dll", NodeKind::Whiteout, Metadata::default())
        .unwrap();
    add(files, "Gr\u{fc}\u{df}e/\u{4f60}\u{597d}.txt", file("\u{e9}".as_bytes()));

    let mut software = Key::new("");
    let app = software.subkey_or_insert("Vendor").subkey_or_insert("App");
    app.values
        .push(Value::new("Version", ValueType::SZ, b"1\0.\x002\0\0\0".to_vec()));
    app.subkey_or_insert("Gone").state = KeyState::Tombstone;
    content.hives.insert(HiveName::Software, software);
    let mut system = Key::new("");
    let service = system
        .subkey_or_insert("ControlSet001")
        .subkey_or_insert("Services")
        .subkey_or_insert("AppService");
    service.values.push(Value::new("Start", ValueType::DWORD, [2, 0, 0, 0]));
    content.hives.insert(HiveName::System, system);
    content
        .scripts
        .insert("on-attach.cmd".to_owned(), b"@echo off\r\n".to_vec());
    content
}

pub fn options(format: Format) -> WriteOptions {
    let mut options = WriteOptions::new(format);
    options.created = Some(1_700_000_000);
    options
}

pub fn write(content: &Content, path: &Path, options: &WriteOptions) -> Written {
    layerfmt::write(content, path, options, &cv_disk::Quiet).unwrap()
}

pub fn disk(path: &Path) -> Arc<dyn ReadAt> {
    Arc::new(Image::open(path, &ImageOptions::new(Gate::beside(path).unwrap())).unwrap())
}

pub fn open(path: &Path) -> Layer {
    Layer::open(&disk(path)).unwrap()
}
