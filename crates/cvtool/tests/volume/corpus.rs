//! Volumes that Windows made.

use super::support::{corpus, cvtool, done, ends, sha256, text, tool};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Unpacks a volume of the corpus; gives the folder and the options and name by which cvtool opens it.
fn unpacked(name: &str) -> Option<(TempDir, Vec<&'static str>)> {
    let packed = corpus("ntfs")?.join(name);
    let folder = tempfile::tempdir().unwrap();
    let path = packed.to_str().unwrap();
    let extension = packed.extension().unwrap();
    if extension == "bz2" {
        let image = fs::File::create(folder.path().join("volume")).unwrap();
        let status = Command::new("bzip2")
            .args(["-dc", path])
            .stdout(Stdio::from(image))
            .status()
            .unwrap();
        assert!(status.success());
        // A VHD cut off before its size says: what matters is in it.
        return Some((folder, vec!["--input-format", "raw", "volume"]));
    }
    if extension == "zip" {
        assert!(tool(folder.path(), "unzip", &["-q", path])?.status.success());
        return Some((folder, vec!["SampleTinyNtfsVolume/partition.dd"]));
    }
    assert!(tool(folder.path(), "tar", &["-xJf", path])?.status.success());
    let image = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    fs::rename(image, folder.path().join("volume")).unwrap();
    Some((folder, vec!["volume"]))
}

#[test]
fn every_stream_is_listed_and_read_as_expected() {
    for (name, expected) in [
        ("charlie.dd.bz2", "charlie.expected.txt"),
        ("SampleTinyNtfsVolume.zip", "SampleTiny.expected.txt"),
    ] {
        let Some((folder, image)) = unpacked(name) else { return };
        let listing = done(folder.path(), &[&["ls", "-R", "-a", "--json"], &image[..]].concat());
        let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
        let target = folder.path().join("out");
        done(
            folder.path(),
            &[&["extract", "-a", "--streams", "files", "-C", "out"], &image[..]].concat(),
        );

        let expected = fs::read_to_string(corpus("ntfs").unwrap().join(expected)).unwrap();
        let mut count = 0;
        for line in expected.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.splitn(4, ' ');
            let [sum, size, _, path] = [0; 4].map(|_: i32| words.next().unwrap());
            let content = cvtool(folder.path(), &[&["cat"], &image[..], &[path]].concat());
            assert!(content.status.success(), "{path}: {}", text(&content.stderr));
            assert_eq!(sha256(&content.stdout), sum, "{path}");

            // Stream names of `$` files of the volume itself may hold what no path of a listing has.
            let (file, stream) = path
                .split_once(':')
                .map_or((path, None), |(file, stream)| (file, Some(stream)));
            let entries = listing.as_array().unwrap();
            let entry = entries
                .iter()
                .find(|entry| entry["path"] == file)
                .unwrap_or_else(|| panic!("{file} not listed"));
            let listed_size = match stream {
                None => &entry["size"],
                Some(stream) => {
                    let streams = entry["streams"].as_array().unwrap();
                    &streams.iter().find(|listed| listed["name"] == stream).unwrap()["size"]
                }
            };
            assert_eq!(listed_size.as_u64(), size.parse().ok(), "{path}");
            assert_eq!(sha256(&fs::read(target.join(path)).unwrap()), sum, "{path} extracted");
            count += 1;
        }
        assert!(count > 10);
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let Some((folder, image)) = unpacked("charlie.dd.bz2") else {
        return;
    };
    let cat = |path: &str| done(folder.path(), &[&["cat"], &image[..], &[path]].concat());
    let settings = cat("System Volume Information/WPSettings.dat");
    for path in [
        r"\SYSTEM VOLUME INFORMATION\wpsettings.DAT",
        "/system volume information//WPSettings.dat::$DATA",
    ] {
        assert_eq!(cat(path), settings, "{path}");
    }
    assert_eq!(cat("nine.TXT:222").len(), 56);
    let missing = ends(folder.path(), &[&["cat"], &image[..], &["Nine.txt:444"]].concat(), 2);
    assert!(
        missing.contains("Nine.txt:444") && missing.contains("no stream"),
        "{missing}"
    );
    ends(
        folder.path(),
        &[&["cat"], &image[..], &["System Volume Information"]].concat(),
        2,
    );
    ends(folder.path(), &[&["ls"], &image[..], &["missing"]].concat(), 2);
    let none = ends(folder.path(), &[&["ls", "--volume", "3"], &image[..]].concat(), 2);
    assert!(none.contains("there is no volume 3"), "{none}");
    // It was cut out of a VHD, whose footer is still at its end.
    let as_vhd = ends(folder.path(), &["ls", "volume"], 2);
    assert!(as_vhd.contains("--input-format raw"), "{as_vhd}");

    assert_eq!(
        done(folder.path(), &[&["ls"], &image[..]].concat()),
        "Nine.txt\nSystem Volume Information\n"
    );
    let drawn = done(folder.path(), &[&["tree"], &image[..]].concat());
    let expected = "/\n├── Nine.txt\n└── System Volume Information\n    └── WPSettings.dat\n\n1 directories, 2 files\n";
    assert_eq!(drawn, expected);
    let nested = done(folder.path(), &[&["tree", "--json", "--all"], &image[..]].concat());
    let nested: serde_json::Value = serde_json::from_str(&nested).unwrap();
    assert!(nested["children"].as_array().unwrap().len() > 10);
}

#[test]
fn volumes_are_found_in_every_container() {
    let Some(containers) = corpus("containers") else { return };
    for name in ["monolithicSparse.vmdk", "streamOptimized.vmdk"] {
        let folder = tempfile::tempdir().unwrap();
        let packed = containers.join(format!("{name}.xz"));
        let image = fs::File::create(folder.path().join(name)).unwrap();
        let status = Command::new("xz")
            .arg("-dc")
            .arg(packed)
            .stdout(Stdio::from(image))
            .status()
            .unwrap();
        assert!(status.success());
        let listing = done(folder.path(), &["ls", "-R", "-a", "--json", name]);
        let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
        assert!(
            listing.as_array().unwrap().iter().any(|entry| entry["path"] == "$MFT"),
            "{name}"
        );
    }
}

#[test]
fn large_directories_that_windows_built_are_listed_whole() {
    let Some((folder, image)) = unpacked("windows_repaired.img.tar.xz") else {
        return;
    };
    let names = done(folder.path(), &[&["ls", "-R"], &image[..]].concat());
    assert_eq!(names.lines().count(), 4967);
    let Some(fls) = tool(folder.path(), "fls", &["-r", "-p", "volume"]) else {
        return;
    };
    let listed = text(&fls.stdout);
    let user = listed
        .lines()
        .filter_map(|line| line.split_once('\t').map(|(_, path)| path));
    let mut user: Vec<&str> = user
        .filter(|path| !path.starts_with('$') && !path.contains(':'))
        .collect();
    let mut ours: Vec<&str> = names.lines().filter(|path| !path.contains(':')).collect();
    user.sort_unstable();
    user.dedup();
    ours.sort_unstable();
    let missing: Vec<_> = user.iter().filter(|path| ours.binary_search(path).is_err()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(ours.len(), user.len());
}

#[test]
fn damaged_volumes_are_named_and_read_as_far_as_possible() {
    let Some(ntfs) = corpus("ntfs") else { return };
    let mut names: Vec<_> = fs::read_dir(ntfs.join("damaged"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    for name in names {
        let Some((folder, image)) = unpacked(Path::new("damaged").join(name).to_str().unwrap()) else {
            return;
        };
        for (arguments, statuses) in [
            (&["image", "check"][..], &[1][..]),
            (&["ls", "-lR"], &[0, 2]),
            (&["tree"], &[0, 2]),
        ] {
            let output = cvtool(folder.path(), &[arguments, &image[..]].concat());
            let status = output.status.code();
            assert!(
                status.is_some_and(|status| statuses.contains(&status)),
                "{folder:?} {arguments:?}: {status:?}"
            );
            assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
        }
    }
}

#[test]
fn what_is_not_there_is_said_on_one_line() {
    let Some((folder, _)) = unpacked("SampleTinyNtfsVolume.zip") else {
        return;
    };
    let image = "SampleTinyNtfsVolume/partition.dd";
    for arguments in [
        &["cat", image, "no/such file"][..],
        &["ls", image, "missing"],
        &["tree", "absent.img"],
    ] {
        let said = ends(folder.path(), arguments, 2);
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    }
}
