//! Layers as tars and images of Windows containers, judged by tar, libarchive, Python and skopeo.

use crate::support::{everything, open, options, units, write};
use cv_disk::Quiet;
use cv_image::Format;
use layerfmt::content::{Content, NodeKind};
use layerfmt::oci::{Compression, Contents, ExportError, read_image, read_tar, write_image, write_tar};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// The streams of a file, by name, and their sizes.
type Streams = Vec<(String, u64)>;

/// What the tool prints; `None`, said aloud, where it is missing, which it must not be in CI.
fn tool(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{program} {arguments:?}: {errors}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {program}: {error}");
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

/// A layer with a bit of everything, as it is read again.
fn layer(folder: &Path) -> Content {
    write(&everything(), &folder.join("layer.img"), &options(Format::Raw));
    open(&folder.join("layer.img")).content().unwrap()
}

fn tar(content: &Content, path: &Path, contents: Contents, packing: Compression) {
    let file = std::fs::File::create(path).unwrap();
    let written = packing.pack(file, |out| write_tar(content, contents, out, &Quiet));
    written.unwrap().flush().unwrap();
}

#[test]
fn a_layer_comes_back_from_tars_and_images_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let content = layer(folder);
    let before = std::fs::read(folder.join("layer.img")).unwrap();
    let mut again = Vec::new();
    for (name, packing) in [
        ("a.tar", Compression::None),
        ("a.tar.gz", Compression::Gzip),
        ("a.tar.zst", Compression::Zstd),
    ] {
        let path = folder.join(name);
        tar(&content, &path, Contents::All, packing);
        again.push((name, read_tar(&path, None, &Quiet).unwrap()));
    }
    let image = folder.join("image");
    write_image(&content, &image, Compression::Gzip, &Quiet).unwrap();
    again.push(("image", read_image(&image, None, None, &Quiet).unwrap()));
    for (name, content) in again {
        let path = folder.join("again.img");
        write(&content, &path, &options(Format::Raw));
        assert!(
            std::fs::read(&path).unwrap() == before,
            "from {name} it is another layer"
        );
    }
    assert!(matches!(
        write_image(&content, &image, Compression::Gzip, &Quiet),
        Err(ExportError::Exists)
    ));
    // The same content gives the same bytes.
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    tar(&content, &folder.join("b.tar.gz"), Contents::All, Compression::Gzip);
    assert!(bytes("a.tar.gz") == bytes("b.tar.gz"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_layer_comes_back_from_a_folder() {
    use layerfmt::oci::{read_folder, write_folder};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let content = layer(folder);
    write_folder(&open(&folder.join("layer.img")), &folder.join("out"), &Quiet).unwrap();
    let again = read_folder(&folder.join("out"), None, &Quiet).unwrap();
    assert_eq!(again.hives, content.hives);
    assert_eq!(again.scripts, content.scripts);
    assert_eq!(again.manifest.name, content.manifest.name);
    let names = |content: &Content| -> Vec<(String, NodeKind, Streams)> {
        let files = &content.files;
        let described = files.walk(layerfmt::content::FileTree::ROOT).map(|node| {
            let mut streams: Vec<_> = files
                .metadata(node)
                .streams
                .iter()
                .map(|stream| (stream.name.to_string(), stream.size))
                .collect();
            streams.sort();
            (
                String::from_utf8_lossy(&files.path(node)).into_owned(),
                files.kind(node),
                streams,
            )
        });
        described.collect()
    };
    assert_eq!(names(&again), names(&content));
}

#[test]
fn tar_libarchive_and_python_read_what_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let content = layer(folder);
    let path = folder.join("layer.tar");
    tar(&content, &path, Contents::FilesAndHives, Compression::None);
    let path = path.to_str().unwrap();
    // libarchive is what writes and reads the layers of some engines.
    for program in ["tar", "bsdtar"] {
        let Some(listed) = tool(program, &["-tf", path]) else {
            continue;
        };
        for expected in [
            "Files/Program Files/App/app.exe",
            "Files/Program Files/App/.wh.old.dll",
            "Files/Windows/Temp/.wh..wh..opq",
            "Files/ProgramData/App/named with a long name.txt:Zone.Identifier",
            "Hives/Software_Delta",
            "Hives/System_Delta",
        ] {
            assert!(
                listed.lines().any(|line| line == expected),
                "{program}: {expected} is not in {listed}"
            );
        }
        assert!(
            !listed.contains("layer.json") && !listed.contains("Scripts"),
            "{listed}"
        );
    }
    let script = r#"
import hashlib, sys, tarfile
with tarfile.open(sys.argv[1]) as tar:
    for entry in tar:
        known = {key: value for key, value in entry.pax_headers.items() if key.startswith(("MSWINDOWS", "LIBARCHIVE"))}
        hashed = hashlib.sha256(tar.extractfile(entry).read()).hexdigest() if entry.isreg() else entry.linkname
        print(entry.name, entry.type.decode(), entry.size, hashed, known.get("MSWINDOWS.fileattr"),
              "MSWINDOWS.rawsd" in known, known.get("LIBARCHIVE.creationtime"), sep="|")
"#;
    let Some(listed) = tool("python3", &["-c", script, path]) else {
        return;
    };
    let line = |name: &str| {
        let mut lines = listed.lines().filter(|line| line.split('|').next() == Some(name));
        lines
            .next()
            .unwrap_or_else(|| panic!("{name} is not in {listed}"))
            .to_owned()
    };
    let layer = open(&folder.join("layer.img"));
    let index = layer.index().unwrap();
    for name in [
        "Files/Program Files/App/large.dat",
        "Files/Windows/sparse.bin",
        "Files/Gr\u{fc}\u{df}e/\u{4f60}\u{597d}.txt",
    ] {
        let stream = &index.entry(name.as_bytes()).unwrap().streams[0];
        let expected = format!("{name}|0|{}|{}|32|True|", stream.size, stream.sha256);
        assert!(
            line(name).starts_with(&expected),
            "{} instead of {expected}",
            line(name)
        );
    }
    // 1700000001 is when the file was made, 3 hidden and read-only.
    let named = line("Files/ProgramData/App/named with a long name.txt");
    assert!(named.ends_with("|35|True|1700000001"), "{named}");
    assert!(line("Files/Program Files/App/same.exe").contains("|1|0|Files/Program Files/App/app.exe|"));
    assert!(line("Files/Program Files/App/link dir").contains("|2|0|../App|1040|"));
}

#[test]
fn skopeo_takes_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let content = layer(folder);
    write_image(&content, &folder.join("image"), Compression::Gzip, &Quiet).unwrap();
    let [image, copy] = ["image", "copy"].map(|name| format!("oci:{}", folder.join(name).display()));
    let Some(told) = tool("skopeo", &["inspect", &image]) else {
        return;
    };
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (told["Os"].as_str(), told["Layers"].as_array().map(Vec::len)),
        (Some("windows"), Some(1))
    );
    assert_eq!(told["Labels"]["org.opencontainers.image.title"], "Everything");
    tool(
        "skopeo",
        &["--insecure-policy", "copy", "--override-os", "windows", &image, &copy],
    );
    let again = read_image(&folder.join("copy"), None, None, &Quiet).unwrap();
    write(&again, &folder.join("again.img"), &options(Format::Raw));
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert!(bytes("again.img") == bytes("layer.img"));

    // A blob that is not what its name says is refused.
    let blobs = std::fs::read_dir(folder.join("image/blobs/sha256")).unwrap();
    let largest = blobs
        .map(|blob| blob.unwrap().path())
        .max_by_key(|path| path.metadata().unwrap().len());
    let largest = largest.unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let error = read_image(&folder.join("image"), None, None, &Quiet).unwrap_err();
    assert!(error.to_string().contains("which is not its name"), "{error}");
}

#[test]
fn a_tar_that_others_made_becomes_a_layer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.tar.gz");
    let script = r#"
import base64, io, sys, tarfile
def add(tar, name, kind=tarfile.REGTYPE, data=b"", link="", **pax):
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.linkname, entry.mtime = kind, len(data), link, 1600000000
    entry.pax_headers = {key.replace("_", "."): value for key, value in pax.items()}
    tar.addfile(entry, io.BytesIO(data))
with tarfile.open(sys.argv[1], "w:gz", format=tarfile.PAX_FORMAT) as tar:
    add(tar, "Files", tarfile.DIRTYPE)
    add(tar, "Files/App", tarfile.DIRTYPE, MSWINDOWS_fileattr="16")
    add(tar, "Files/App/a.txt", data=b"hello", MSWINDOWS_fileattr="34", LIBARCHIVE_creationtime="1500000000.25")
    add(tar, "Files/App/a.txt:extra", data=b"stream")
    add(tar, "Files/App/b.txt", tarfile.LNKTYPE, link="Files/App/a.txt")
    add(tar, "Files/App/link", tarfile.SYMTYPE, link="C:/Windows/notepad.exe", MSWINDOWS_fileattr="1024")
    add(tar, "Files/App/mount", tarfile.SYMTYPE, link="C:/Data", MSWINDOWS_mountpoint="1", MSWINDOWS_fileattr="1040")
    add(tar, "Files/App/.wh.gone.dll")
    add(tar, "Files/Logs", tarfile.DIRTYPE)
    add(tar, "Files/Logs/.wh..wh..opq")
    add(tar, "UtilityVM/Files/x", data=b"of the host")
"#;
    if tool("python3", &["-c", script, path.to_str().unwrap()]).is_none() {
        return;
    }
    let content = read_tar(&path, None, &Quiet).unwrap();
    assert_eq!(content.manifest.name, "other");
    let files = &content.files;
    let find = |path: &str| files.find(&units(path)).unwrap();
    let a = find("App/a.txt");
    assert_eq!(files.file_number(a), files.file_number(find("App/b.txt")));
    let metadata = files.metadata(a);
    assert_eq!(metadata.attributes.bits(), 34);
    assert_eq!(metadata.times.creation.to_unix(), (1_500_000_000, 250_000_000));
    let streams: Vec<(String, u64)> = metadata
        .streams
        .iter()
        .map(|stream| (stream.name.to_string(), stream.size))
        .collect();
    assert_eq!(streams, [(String::new(), 5), ("extra".to_owned(), 6)]);
    assert_eq!(files.kind(find("App/gone.dll")), NodeKind::Whiteout);
    assert_eq!(files.kind(find("Logs")), NodeKind::OpaqueDirectory);
    assert!(files.find(&units("x")).is_none());
    // Windows resolves an absolute target through its object manager.
    let point =
        |path: &str| String::from_utf8_lossy(files.metadata(find(path)).reparse.as_deref().unwrap()).replace('\0', "");
    assert!(point("App/link").contains(r"\??\C:\Windows\notepad.exe"));
    assert!(point("App/mount").contains(r"\??\C:\Data"));
    write(&content, &folder.path().join("layer.img"), &options(Format::Raw));
}

/// A tar of one entry, and what comes before its header.
fn hostile(path: &Path, name: &[u8], kind: u8, records: &[(&str, &[u8])], size: u64) {
    let mut bytes = Vec::new();
    let mut header = |name: &[u8], kind: u8, size: u64, data: &[u8]| {
        let mut header = tar_header(name, kind, size);
        header.extend_from_slice(data);
        header.resize(header.len().div_ceil(512) * 512, 0);
        bytes.extend_from_slice(&header);
    };
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        text.extend_from_slice(format!("{length} {key}=").as_bytes());
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    if !text.is_empty() {
        header(b"records", b'x', text.len() as u64, &text);
    }
    header(name, kind, size, b"");
    bytes.extend_from_slice(&[0; 1024]);
    std::fs::write(path, bytes).unwrap();
}

fn tar_header(name: &[u8], kind: u8, size: u64) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

#[test]
fn hostile_tars_are_refused_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.tar");
    let deep = "Files/".to_owned() + &"d/".repeat(600);
    let records: &[(&str, &[u8])] = &[];
    for (name, kind, records, size, expected) in [
        (&b"Files/../../etc/passwd"[..], b'0', records, 0, "leads upwards"),
        (b"Files/App/..\\..\\x", b'0', records, 0, "leads upwards"),
        (b"Files/C:/x", b'0', records, 0, "drive letter"),
        (b"Files/a:b:c", b'0', records, 0, "no proper name"),
        (b"Files/a:b", b'0', records, 0, "not before it"),
        (b"Files/link", b'1', records, 0, "hard link"),
        (b"Files/x", b'0', &[("path", deep.as_bytes())], 0, "deeper"),
        (
            b"Files/x",
            b'0',
            &[("MSWINDOWS.rawsd", b"AA==")],
            0,
            "security descriptor",
        ),
        (b"Files/x", b'0', &[("MSWINDOWS.fileattr", b"-1")], 0, "32 bits"),
        (b"Files/x", b'0', &[("mtime", b"soon")], 0, "a time"),
        (b"Files/x", b'0', &[("size", b"99999999999999")], 0, "unexpected end"),
        (b"Files/x", b'0', records, 1 << 30, "unexpected end"),
        (b"Files/x", b'0', &[("CVLAYER.data", b"0-9")], 0, "ranges"),
        (b"Hives/Software_Delta", b'0', records, 0, "not a registry hive"),
        (b"layer.json", b'0', records, 0, "manifest"),
        (b"records", b'x', records, 0, ""),
    ] {
        hostile(&path, name, kind, records, size);
        let read = read_tar(&path, None, &Quiet);
        if expected.is_empty() {
            assert!(read.is_ok());
            continue;
        }
        let error = read.expect_err(&String::from_utf8_lossy(name));
        let mut told = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            told.push_str(": ");
            told.push_str(&error.to_string());
            cause = error.source();
        }
        assert!(told.contains(expected), "{}: {told}", String::from_utf8_lossy(name));
    }
    // Records of more than any entry has.
    let mut bytes = tar_header(b"records", b'x', 5 << 20);
    bytes.resize(512 + (5 << 20), b' ');
    std::fs::write(&path, bytes).unwrap();
    let error = read_tar(&path, None, &Quiet).unwrap_err();
    assert!(error.to_string().contains("4194304 that are allowed"), "{error}");
}
