//! Volumes that Windows and others made, and damaged ones.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cv_disk::ReadAt;
use cv_ntfs::structure::AttributeType;
use cv_ntfs::structure::security_descriptor::SecurityDescriptor;
use cv_ntfs::{Listing, Order};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Every stream but `$BadClus:$Bad` as `sha256 size record path[:stream]`.
fn streams(volume: &cv_ntfs::Volume) -> BTreeMap<String, (String, u64, u64)> {
    let (files, errors) = support::walk(volume);
    assert!(errors.is_empty(), "{errors:?}");
    let mut streams = BTreeMap::new();
    for (path, file) in files {
        assert!(file.damage().is_empty(), "{path}: {:?}", file.damage());
        for info in file.streams() {
            let name = cv_winname::wtf8::display(&info.name);
            if file.reference().record() == 8 && name == "$Bad" {
                continue;
            }
            let stream = file.stream(&info.name).unwrap();
            assert_eq!(stream.len(), info.size, "{path}:{name}");
            let hash = support::sha256(&stream).unwrap();
            let path = if name.is_empty() {
                path.clone()
            } else {
                format!("{path}:{name}")
            };
            streams.insert(path, (hash, info.size, file.reference().record()));
        }
    }
    streams
}

fn compare_with_expected(archive: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (Some(image), Some(expected)) = (support::unpack(archive, folder.path()), support::corpus(expected)) else {
        return;
    };
    let found = streams(&support::open(&image));
    let mut expected_count = 0;
    for line in std::fs::read_to_string(expected).unwrap().lines() {
        if line.starts_with('#') {
            continue;
        }
        let mut fields = line.splitn(4, ' ');
        let hash = fields.next().unwrap();
        let size: u64 = fields.next().unwrap().parse().unwrap();
        let record: u64 = fields.next().unwrap().split('-').next().unwrap().parse().unwrap();
        let path = fields.next().unwrap();
        assert_eq!(found.get(path), Some(&(hash.into(), size, record)), "{path}");
        expected_count += 1;
    }
    assert!(expected_count > 10);
    assert_eq!(found.len(), expected_count, "{:?}", found.keys());
}

#[test]
fn attribute_lists_with_repeated_instances() {
    compare_with_expected("charlie.dd.bz2", "charlie.expected.txt");
}

#[test]
fn clusters_of_512_bytes() {
    compare_with_expected("SampleTinyNtfsVolume.zip", "SampleTiny.expected.txt");
}

/// Walks by index and by scan and compares; reads every stream that is not too long; asks for everything else.
fn read_everything(volume: &cv_ntfs::Volume) -> usize {
    let (files, errors) = support::walk(volume);
    assert!(errors.is_empty(), "{errors:?}");
    assert!(volume.report().damage.is_empty(), "{:?}", volume.report());
    let listing = Listing::of(volume, 2);
    assert!(listing.damage().is_empty(), "{:?}", listing.damage());
    let mut listed = Vec::new();
    listing.walk(volume, Order::Names, |path, _| {
        listed.push(String::from_utf8(path.to_vec()).unwrap());
    });
    listed.sort();
    let walked: Vec<String> = files
        .iter()
        .map(|(path, _)| path.clone())
        .filter(|path| !path.is_empty())
        .collect();
    assert_eq!(listed, walked);
    for (path, file) in &files {
        assert!(file.damage().is_empty(), "{path}: {:?}", file.damage());
        let found = volume.open_str(path).unwrap();
        assert_eq!(found.reference(), file.reference(), "{path}");
        file.standard_information().unwrap().unwrap();
        // chkdsk leaves the volume's own files without.
        let security = file.security_descriptor().unwrap();
        assert!(security.is_some() || file.reference().record() < 16, "{path}");
        if let Some(security) = security {
            let parsed = SecurityDescriptor::parse(&security).unwrap();
            assert!(parsed.owner.is_some(), "{path}");
        }
        file.reparse_point().unwrap();
        file.object_id().unwrap();
        file.extended_attributes().unwrap();
        for info in file.streams() {
            let stream = file.stream(&info.name).unwrap();
            if stream.len() < 64 << 20 {
                support::sha256(&stream).unwrap();
            }
        }
        for attribute in file.attributes() {
            if attribute.type_code == AttributeType::INDEX_ROOT {
                let index = file.index(&attribute.name).unwrap();
                let mut last: Option<Vec<u8>> = None;
                for entry in index.entries(|entry| Ok(entry.key().to_vec())) {
                    let key = entry.unwrap();
                    if let Some(last) = &last {
                        let order = index.collation_rule().compare(last, &key, volume.upcase());
                        assert!(order.is_lt(), "{path}: {:?}", index.collation_rule());
                    }
                    let found = index.find(&key, |entry| Ok(entry.key().to_vec())).unwrap();
                    assert_eq!(found.as_ref(), Some(&key));
                    last = Some(key);
                }
            }
        }
    }
    files.len()
}

#[test]
fn a_volume_that_windows_formatted() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(image) = support::unpack("formatted_on_windows.img.tar.xz", folder.path()) {
        assert!(read_everything(&support::open(&image)) > 20);
    }
}

#[test]
fn a_volume_that_chkdsk_repaired() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(image) = support::unpack("windows_repaired.img.tar.xz", folder.path()) {
        assert!(read_everything(&support::open(&image)) > 1900);
    }
}

#[test]
fn damaged_volumes_are_read_as_far_as_they_can_be() {
    let Some(folder) = support::corpus("damaged") else {
        return;
    };
    let mut names: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for name in names {
        let folder = tempfile::tempdir().unwrap();
        let Some(image) = support::unpack(&format!("damaged/{name}"), folder.path()) else {
            return;
        };
        let start = Instant::now();
        let volume = support::open(&image);
        let (files, errors) = support::walk(&volume);
        let listing = Listing::of(&volume, 2);
        let mut paths = 0;
        listing.walk(&volume, Order::Names, |_, _| paths += 1);
        let mut unreadable = 0;
        let mut damage = 0;
        for (_, file) in &files {
            damage += file.damage().len();
            let _ = (
                file.security_descriptor(),
                file.reparse_point(),
                file.extended_attributes(),
            );
            for info in file.streams() {
                match file.stream(&info.name) {
                    Ok(stream) if stream.len() < 64 << 20 => {
                        unreadable += usize::from(support::sha256(&stream).is_err());
                    }
                    Ok(_) => {}
                    Err(_) => unreadable += 1,
                }
            }
        }
        eprintln!(
            "{name}: {} files, {} errors, {damage} damaged, {unreadable} streams unreadable; \
             by scan {} files, {paths} paths, {} orphans, {} damaged",
            files.len(),
            errors.len(),
            listing.files().len(),
            listing.orphans(&volume).len(),
            listing.damage().len(),
        );
        assert!(files.len() > 10, "{name}");
        // What never ends on a damaged volume fails here; a slow machine does not.
        assert!(start.elapsed() < Duration::from_secs(180), "{name}");
    }
}
