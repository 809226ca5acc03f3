//! Layers made to break out of the folder that they are extracted to, or to take all memory.

use super::run::{cvtool, done, ends, text};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Puts `new` in the place of `old`, which is as long, wherever that stands in the image as a name.
fn rename(image: &mut [u8], old: &str, new: &str) {
    let bytes = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let (old, new) = (bytes(old), bytes(new));
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> = (0..image.len() - old.len())
        .step_by(2)
        .filter(|place| image[*place..].starts_with(&old))
        .collect();
    assert!(!places.is_empty());
    for place in places {
        image[place..place + new.len()].copy_from_slice(&new);
    }
}

/// A layer of a few files, named so that others can take their names' places.
fn layer(folder: &Path) -> Vec<u8> {
    let app = folder.join("app");
    fs::create_dir_all(app.join("qq")).unwrap();
    for name in ["up_escape", "qq/inside", "drive_x", "device_", "mid_dle", "kept.txt"] {
        fs::write(app.join(name), b"content").unwrap();
    }
    std::os::unix::fs::symlink("qq/inside", app.join("link")).unwrap();
    let recipe = "[layer]\nname = \"App\"\nversion = \"1\"\n[[source]]\nfolder = \"app\"\ninto = 'C:\\App'\n";
    fs::write(folder.join("app.toml"), recipe).unwrap();
    done(folder, &["build", "app.toml", "-o", "app.img", "--threads", "1"]);
    fs::remove_dir_all(&app).unwrap();
    fs::read(folder.join("app.img")).unwrap()
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Ends without a panic or a signal; what it said.
fn survives(folder: &Path, arguments: &[&str]) -> String {
    let output = cvtool(folder, arguments);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(0..=2)) && !said.contains("Usage:"),
        "{arguments:?}: {}: {said}",
        output.status
    );
    said
}

#[test]
fn names_and_links_do_not_lead_out() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let mut image = layer(folder);
    for (old, new) in [
        ("up_escape", "../escape"),
        ("drive_x", "C:\\evil"),
        ("device_", "CON.txt"),
        ("mid_dle", "mid/dle"),
        ("qq", ".."),
    ] {
        rename(&mut image, old, new);
    }
    // The link's target, wherever it stands.
    let target: Vec<u8> = "qq\\inside".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let evil: Vec<u8> = "..\\..\\..x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let places: Vec<usize> = (0..image.len() - target.len())
        .filter(|place| image[*place..].starts_with(&target))
        .collect();
    for place in places {
        image[place..place + evil.len()].copy_from_slice(&evil);
    }
    fs::write(folder.join("evil.img"), image).unwrap();
    let before = names(folder);

    let said = text(&cvtool(folder, &["extract", "evil.img", "-C", "extracted"]).stderr);
    assert!(said.contains("escape") && said.contains("mid/dle"), "{said}");
    survives(folder, &["export", "evil.img", "--as", "folder", "-o", "exported"]);
    survives(folder, &["export", "evil.img", "-o", "image"]);
    survives(folder, &["export", "evil.img", "-o", "evil.tar"]);
    for arguments in [
        &["ls", "-lR", "evil.img"][..],
        &["tree", "--json", "evil.img"],
        &["inspect", "evil.img"],
        &["diff", "app.img", "evil.img"],
        &["conflicts", "app.img", "evil.img"],
    ] {
        survives(folder, arguments);
    }
    ends(folder, &["verify", "evil.img"], 1);
    let made = names(folder);
    let new: Vec<&String> = made.iter().filter(|name| !before.contains(name)).collect();
    assert!(
        new.iter()
            .all(|name| ["extracted", "exported", "image", "evil.tar"].contains(&name.as_str())),
        "{new:?}"
    );
    let kept = folder.join("extracted/Files/App/kept.txt");
    assert_eq!(fs::read(kept).unwrap(), b"content");
    // No link that was made leads out.
    for entry in names(&folder.join("extracted/Files/App")) {
        let path = folder.join("extracted/Files/App").join(entry);
        if let Ok(target) = fs::read_link(&path) {
            let target = text(target.as_os_str().as_encoded_bytes());
            assert!(!target.starts_with("../../..") && !target.starts_with('/'), "{target}");
        }
    }
}

#[test]
fn a_manifest_of_a_gibibyte_is_refused_with_the_limit() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    fs::create_dir_all(folder.join("tree")).unwrap();
    // A hole on this disk, and one on the volume.
    File::create(folder.join("tree/layer.json"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    fs::write(folder.join("tree/layer.idx"), b"").unwrap();
    done(folder, &["image", "pack", "tree", "-o", "large.vhdx"]);
    for arguments in [&["inspect", "large.vhdx"][..], &["verify", "large.vhdx"]] {
        let said = survives(folder, arguments);
        assert!(
            said.contains("layer.json") && said.contains("67108864"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn an_index_that_unpacks_to_too_much_is_refused_with_the_limit() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    layer(folder);
    done(folder, &["extract", "app.img", "-C", "tree"]);
    // Endless spaces, in a few KiB.
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(b' '), 2 << 30), 1).unwrap();
    fs::write(folder.join("tree/layer.idx"), bomb).unwrap();
    done(folder, &["image", "pack", "tree", "-o", "bomb.vhdx"]);
    for arguments in [
        &["verify", "bomb.vhdx"][..],
        &["diff", "bomb.vhdx", "app.img"],
        &["conflicts", "bomb.vhdx", "app.img"],
        &["export", "bomb.vhdx", "--as", "folder", "-o", "out"],
    ] {
        let output = cvtool(folder, arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {said}");
        assert!(
            said.contains("layer.idx") && said.contains("more than 16777216"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn folders_of_any_depth_are_walked_without_recursion() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let deep = (0..1000).map(|_| "d").collect::<Vec<_>>().join("/");
    fs::create_dir_all(folder.join("app").join(&deep)).unwrap();
    fs::write(folder.join("app").join(&deep).join("end.txt"), b"end").unwrap();
    let recipe = "[layer]\nname = \"Deep\"\nversion = \"1\"\n[[source]]\nfolder = \"app\"\ninto = 'C:\\App'\n";
    fs::write(folder.join("deep.toml"), recipe).unwrap();
    done(folder, &["build", "deep.toml", "-o", "deep.vhdx"]);
    done(folder, &["verify", "deep.vhdx"]);
    done(folder, &["extract", "deep.vhdx", "-C", "out"]);
    let end = folder.join("out/Files/App").join(&deep).join("end.txt");
    assert_eq!(fs::read(end).unwrap(), b"end");
    // A directory that holds itself.
    let image = folder.join("loop.img");
    done(folder, &["image", "convert", "deep.vhdx", "loop.img"]);
    let file = File::options().read(true).write(true).open(&image).unwrap();
    assert!(make_loop(&file), "no index entry was found");
    for arguments in [
        &["tree", "loop.img"][..],
        &["extract", "loop.img", "-C", "looped"],
        &["verify", "loop.img"],
    ] {
        survives(folder, arguments);
    }
}

/// Lets an entry of a directory's index name a directory above it.
fn make_loop(file: &File) -> bool {
    let mut image = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut image, 0).unwrap();
    // $FILE_NAME attributes of one letter: parent's reference, 56 bytes of facts, then length 1 and the letter.
    let is_name = |place: usize| {
        let name = &image[place..];
        name[64] == 1 && name[66..68] == [b'd', 0] && name[60..64] == [0; 4] && name[6..8] == [1, 0]
    };
    // In an index the entry's own reference stands 16 bytes before.
    let entries: Vec<usize> = ((1 << 20)..image.len() - 128)
        .step_by(8)
        .filter(|place| {
            is_name(*place) && image[*place - 2..*place] == [0, 0] && image[*place - 10..*place - 8] == [1, 0]
        })
        .collect();
    let (Some(high), Some(low)) = (entries.first(), entries.get(entries.len() / 2)) else {
        return false;
    };
    file.write_all_at(&image[high - 16..high - 8], (low - 16) as u64)
        .unwrap();
    true
}
