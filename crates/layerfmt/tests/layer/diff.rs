//! Layers compared.

use crate::support::{add, everything, file, noise, open, options, time, units, write};
use cv_hive::{Key, Value, ValueType};
use cv_image::Format;
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::write::Times;
use layerfmt::Layer;
use layerfmt::content::{Content, FileTree, HiveName, NodeKind, Stream};
use layerfmt::diff::{
    Aspect, ChangeKind, Diff, DiffOptions, RegistryWhat, Side, TreeSide, diff, folder_tree, write_html,
};
use layerfmt::manifest::{Application, Service};
use std::path::Path;

fn layer(content: &Content, path: &Path) -> Layer {
    write(content, path, &options(Format::Raw));
    open(path)
}

/// What differs between the usual layer and one that `change` made of it.
fn after(change: impl FnOnce(&mut Content), options: &DiffOptions) -> Diff {
    let folder = tempfile::tempdir().unwrap();
    let before = layer(&everything(), &folder.path().join("before.img"));
    let mut content = everything();
    change(&mut content);
    let after = layer(&content, &folder.path().join("after.img"));
    diff(
        &Side::of_layer(&before).unwrap(),
        &Side::of_layer(&after).unwrap(),
        options,
    )
    .unwrap()
}

fn paths(found: &Diff) -> Vec<(ChangeKind, String)> {
    let changes = found.files.iter();
    changes
        .map(|change| (change.change, String::from_utf8_lossy(&change.path).into_owned()))
        .collect()
}

#[test]
fn a_layer_is_like_itself() {
    let found = after(|_| (), &DiffOptions::strict());
    assert!(found.is_empty() && found.compared_all, "{found:?}");
}

#[test]
fn files_are_told_by_what_differs() {
    let found = after(
        |content| {
            let files = &mut content.files;
            let find = |files: &FileTree, path: &str| files.find(&units(path)).unwrap();
            let gone = find(files, "Program Files/App/small.txt");
            files.remove(gone);
            add(files, "Program Files/App/new.txt", file(b"new"));
            let large = find(files, "Program Files/App/large.dat");
            let content = files.metadata(large).clone();
            files.remove(large);
            add(files, "Program Files/App/moved/Large.dat", content);
            let named = find(files, "ProgramData/App/named with a long name.txt");
            files.metadata_mut(named).streams[1] = Stream {
                name: "Zone.Identifier".into(),
                ..Stream::of(*b"other")
            };
            files.metadata_mut(named).attributes -= FileAttributes::HIDDEN;
            let program = find(files, "Program Files/App/app.exe");
            files.metadata_mut(program).streams = vec![Stream::of(noise(300_000, 77))];
        },
        &DiffOptions::strict(),
    );
    let changed: Vec<_> = paths(&found);
    let expected = [
        (ChangeKind::Changed, "Files/Program Files/App/app.exe"),
        (ChangeKind::Renamed, "Files/Program Files/App/moved/Large.dat"),
        (ChangeKind::Added, "Files/Program Files/App/new.txt"),
        (ChangeKind::Changed, "Files/Program Files/App/same.exe"),
        (ChangeKind::Removed, "Files/Program Files/App/small.txt"),
        (ChangeKind::Changed, "Files/ProgramData/App/named with a long name.txt"),
    ];
    for (kind, path) in expected {
        assert!(changed.contains(&(kind, path.to_owned())), "{path}: {changed:#?}");
    }
    let of = |path: &str| {
        found
            .files
            .iter()
            .find(|change| change.path == path.as_bytes())
            .unwrap()
    };
    let moved = of("Files/Program Files/App/moved/Large.dat");
    assert_eq!(moved.from.as_deref(), Some(&b"Files/Program Files/App/large.dat"[..]));
    assert!(moved.aspects.is_empty(), "{moved:?}");
    let named = &of("Files/ProgramData/App/named with a long name.txt").aspects;
    assert!(
        named
            .iter()
            .any(|aspect| matches!(aspect, Aspect::Stream { name, .. } if name == b"Zone.Identifier"))
    );
    assert!(named.iter().any(|aspect| matches!(aspect, Aspect::Attributes { .. })));
    assert_eq!(named.len(), 2, "{named:?}");
}

#[test]
fn a_semantic_comparison_leaves_out_what_means_nothing() {
    let change = |content: &mut Content| {
        let files = &mut content.files;
        let find = |files: &FileTree, path: &str| files.find(&units(path)).unwrap();
        let named = find(files, "ProgramData/App/named with a long name.txt");
        files.set_short_name(named, None);
        files.metadata_mut(named).object_id = None;
        let program = find(files, "Program Files/App/app.exe");
        files.metadata_mut(program).times = Times::all(time(99));
        files.metadata_mut(program).attributes -= FileAttributes::ARCHIVE;
        let software = content.hives.get_mut(&HiveName::Software).unwrap();
        software.subkey_or_insert("Vendor").last_written = 5;
        content.manifest.creator = "somebody else".to_owned();
    };
    let found = after(change, &DiffOptions::semantic());
    assert!(found.is_empty(), "{found:#?}");
    let found = after(change, &DiffOptions::strict());
    assert!(found.files.len() >= 2 && found.registry.len() == 1, "{found:#?}");
    assert!(found.manifest.iter().any(|change| change.member == "creator"));
}

#[test]
fn registry_and_applications_are_told_too() {
    let found = after(
        |content| {
            let software = content.hives.get_mut(&HiveName::Software).unwrap();
            let app = software.subkey_or_insert("Vendor").subkey_or_insert("App");
            app.values[0].data = b"2\0\0\0".to_vec().into_boxed_slice();
            app.values.push(Value::new("New", ValueType::DWORD, [7, 0, 0, 0]));
            content.hives.remove(&HiveName::System);
            let mut user = Key::new("");
            user.subkey_or_insert("Environment");
            content.hives.insert(HiveName::User, user);
            content.manifest.version = "1.3".to_owned();
            content.manifest.applications.installed.push(Application {
                key: "App".to_owned(),
                name: "The App".to_owned(),
                ..Application::default()
            });
            content.manifest.applications.services.push(Service {
                name: "AppService".to_owned(),
                ..Service::default()
            });
        },
        &DiffOptions::semantic(),
    );
    let keys: Vec<_> = found
        .registry
        .iter()
        .map(|change| (change.change, change.key.as_str()))
        .collect();
    let app = r"HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\App";
    assert_eq!(keys[..2], [(ChangeKind::Changed, app), (ChangeKind::Added, app)]);
    assert!(
        matches!(&found.registry[0].what, RegistryWhat::Value { before: Some(before), after: Some(after), .. }
        if before.text == "1.2" && after.text == "2")
    );
    assert!(
        keys.iter()
            .any(|(change, key)| *change == ChangeKind::Removed && key.ends_with(r"Services\AppService"))
    );
    assert!(keys.contains(&(ChangeKind::Added, r"HKEY_CURRENT_USER\Environment")));
    let names: Vec<_> = found
        .applications
        .iter()
        .map(|change| (change.list, change.name.as_str()))
        .collect();
    assert_eq!(names, [("installed", "The App"), ("services", "AppService")]);
    assert!(found.manifest.iter().any(|change| change.member == "version"));

    let mut page = Vec::new();
    write_html(&mut page, &found, ["</script><b>", "after"]).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert_eq!(page.matches("</script>").count(), 1);
    assert!(page.contains(r"Vendor\\App") && !page.contains("http:") && !page.contains("https:"));
}

#[test]
fn a_folder_is_compared_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    let write_file = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write_file("bin/a.exe", b"same");
    write_file("bin/b.exe", b"1234");
    write_file("bin/moved.dll", b"the library");
    let mut content = Content::new(layerfmt::Manifest::new("n", "1", layerfmt::Kind::App));
    add(&mut content.files, "bin/A.exe", file(b"same"));
    add(&mut content.files, "bin/b.exe", file(b"4321"));
    add(&mut content.files, "lib.dll", file(b"the library"));
    let empty = content.files.directories(&units("bin")).unwrap();
    content
        .files
        .add(
            empty,
            "gone.txt",
            NodeKind::Whiteout,
            layerfmt::content::Metadata::default(),
        )
        .unwrap();
    let layer = layer(&content, &folder.path().join("layer.img"));
    let tree = folder_tree(&root).unwrap();
    let tree = TreeSide::new(&tree);
    let found = diff(
        &Side::of_layer(&layer).unwrap(),
        &tree.side(layerfmt::diff::KNOWN_OF_FOLDERS),
        &DiffOptions::semantic(),
    )
    .unwrap();
    let expected = [
        (ChangeKind::Changed, "Files/bin/b.exe"),
        (ChangeKind::Removed, "Files/bin/gone.txt"),
        (ChangeKind::Renamed, "Files/bin/moved.dll"),
    ];
    assert_eq!(paths(&found), expected.map(|(kind, path)| (kind, path.to_owned())));
    assert!(!found.compared_all);
}
