//! What is written is read again, in every container, and written again alike.

use crate::support::{FORMATS, everything, open, options, units, write};
use cv_disk::ReadAt;
use cv_image::Format;
use cv_ntfs::structure::NtfsTime;
use layerfmt::content::{Content, HiveName, StreamContent};
use layerfmt::index::{BLOCK_SIZE, EntryKind};
use layerfmt::{Kind, Manifest, OpenError, Sha256Sum};
use sha2::{Digest, Sha256};

#[test]
fn everything_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let content = everything();
    for (format, extension) in FORMATS {
        let path = folder.path().join(format!("layer.{extension}"));
        let written = write(&content, &path, &options(format));
        let layer = open(&path);
        assert_eq!(layer.manifest(), &written.manifest);
        assert_eq!(layer.index().unwrap(), &written.index);
        assert_eq!(layer.volume().label(), Some(&units("CVLAYER")[..]));
        assert_eq!(layer.signature_bytes().unwrap(), None);
        let counts = &layer.manifest().counts;
        assert_eq!((counts.files, counts.links, counts.whiteouts), (7, 2, 1));
        assert_eq!((counts.registry_keys, counts.registry_values), (6, 2));

        let index = layer.index().unwrap();
        let sealed = &layer.manifest().index;
        let packed = layer.index_bytes().unwrap();
        assert_eq!(sealed.sha256, Sha256Sum(Sha256::digest(&packed).into()));
        for (path, kind) in [
            ("Files/Program Files/App/old.dll", EntryKind::Whiteout),
            ("Files/Program Files/App/link.txt", EntryKind::Symlink),
            ("Files/Program Files/App/link dir", EntryKind::Symlink),
            ("files/WINDOWS/temp", EntryKind::OpaqueDirectory),
            ("Scripts/on-attach.cmd", EntryKind::File),
        ] {
            assert_eq!(
                index.entry(path.as_bytes()).map(|entry| entry.kind),
                Some(kind),
                "{path}"
            );
        }
        let named = index
            .entry(b"Files/ProgramData/App/named with a long name.txt")
            .unwrap();
        assert_eq!(named.short_name.as_deref(), Some("NAMEDW~1.TXT"));
        assert!(layer.file(&units(r"\Files\Program Files\App\old.dll")).is_err());

        // Every stream's hashes are those of its bytes.
        let blocks = layer.blocks().unwrap().unwrap();
        let mut large = 0;
        for entry in &index.entries {
            for stream in &entry.streams {
                let path = cv_winname::wtf8::decode(&entry.path).unwrap();
                let name = cv_winname::wtf8::decode(&stream.name).unwrap();
                let source = layer.file(&path).unwrap().stream(&name).unwrap();
                let mut bytes = vec![0; stream.size as usize];
                source.read_at(&mut bytes, 0).unwrap();
                assert_eq!(stream.sha256, Sha256Sum(Sha256::digest(&bytes).into()));
                if let Some(place) = stream.blocks {
                    large += 1;
                    assert_eq!(place.root, *blake3::hash(&bytes).as_bytes());
                    assert!(place.offset + stream.size.div_ceil(BLOCK_SIZE) * 32 <= blocks.len());
                }
            }
        }
        assert_eq!(large, 2);
    }
}

#[test]
fn a_layer_taken_apart_is_written_alike() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first.vhdx");
    let second = folder.path().join("second.vhdx");
    let written = write(&everything(), &first, &options(Format::Vhdx));
    let content = open(&first).content().unwrap();
    let app = content.files.find(&units("Program Files/App/large.dat")).unwrap();
    let stream = &content.files.metadata(app).streams[0];
    assert!(stream.known.is_some() && matches!(stream.content, StreamContent::Origin { .. }));
    let again = write(&content, &second, &options(Format::Vhdx));
    for (left, right) in again.index.entries.iter().zip(&written.index.entries) {
        assert_eq!(left, right);
    }
    assert_eq!(again.index, written.index);
    assert_eq!(again.manifest, written.manifest);
    assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap());
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    for (format, extension) in FORMATS {
        let bytes = [1, 2, 4].map(|threads| {
            let path = folder.path().join(format!("{threads}/layer.{extension}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut options = options(format);
            options.threads = threads;
            write(&everything(), &path, &options);
            std::fs::read(&path).unwrap()
        });
        assert!(bytes[0] == bytes[1] && bytes[0] == bytes[2], "{format:?}");
    }
}

#[test]
fn the_id_follows_from_the_contents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.img");
    let mut options = options(Format::Raw);
    let id = write(&everything(), &path, &options).manifest.id;
    assert_eq!(write(&everything(), &path, &options).manifest.id, id);
    options.created = Some(1_800_000_000);
    let later = write(&everything(), &path, &options).manifest;
    assert_eq!(later.created, "2027-01-15T08:00:00Z");
    assert_ne!(later.id, id);
    let mut other = everything();
    other.scripts.insert("on-detach.cmd".to_owned(), Vec::new());
    assert_ne!(write(&other, &path, &options).manifest.id, id);
}

#[test]
fn an_empty_layer_is_one_and_hives_are_neutral() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.vhd");
    let empty = Content::new(Manifest::new("Empty", "", Kind::Data));
    let mut unsaid = options(Format::Vhd);
    unsaid.created = None;
    write(&empty, &path, &unsaid);
    let layer = open(&path);
    assert_eq!(layer.index().unwrap().entries.len(), 1);
    assert!(layer.blocks().unwrap().is_none());
    assert_eq!(layer.manifest().created, "1970-01-01T00:00:00Z");
    assert_ne!(layer.index().unwrap().entries[0].times[0], NtfsTime::default().0);

    write(&everything(), &path, &options(Format::Vhd));
    let system = open(&path).hive_tree(HiveName::System).unwrap();
    assert_eq!(system.subkeys[0].name.to_string(), "CurrentControlSet");
}

#[test]
fn other_volumes_are_no_layers() {
    let plan = cv_ntfs::write::plan(cv_ntfs::write::Tree::new(), &cv_ntfs::write::PlanOptions::default()).unwrap();
    let disk = cv_disk::MemoryDisk::new(plan.volume_size());
    let options = cv_ntfs::write::WriteOptions::default();
    cv_ntfs::write::write(&plan, &cv_ntfs::write::NoSource, &disk, &options, &cv_disk::Quiet).unwrap();
    let disk: std::sync::Arc<dyn ReadAt> = std::sync::Arc::new(disk);
    assert!(matches!(layerfmt::Layer::open(&disk), Err(OpenError::NoLayer)));
}
