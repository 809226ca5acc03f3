//! What is found in a layer that has one of everything.

use cv_hive::reg::Patch;
use cv_hive::{Deletions, Key, KeyPath};
use layerfmt::content::{FileTree, HiveName, Metadata, NodeKind, Stream};
use layerfmt::shell_link::ShellLink;
use layerfmt::{Content, Kind, Manifest, applications};

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn put(tree: &mut FileTree, path: &str, bytes: Vec<u8>) {
    let (folder, name) = path.rsplit_once('\\').unwrap();
    let folder = tree.directories(&units(folder)).unwrap();
    let metadata = Metadata {
        streams: vec![Stream::of(bytes)],
        ..Metadata::default()
    };
    tree.add(folder, name, NodeKind::File, metadata).unwrap();
}

fn content() -> Content {
    let mut content = Content::new(Manifest::new("One of everything", "1", Kind::App));
    let text = include_str!("one-of-everything.reg");
    for hive in [HiveName::Software, HiveName::System, HiveName::User] {
        let top = KeyPath::parse(hive.root()).unwrap();
        let mut patch = Patch::parse(text.as_bytes()).unwrap();
        patch.changes.retain(|change| change.path.below(&top).is_some());
        let mut root = Key::new("");
        patch.apply(&mut root, &top, Deletions::Mark, 0).unwrap();
        content.hives.insert(hive, root);
    }
    let link = ShellLink {
        path: Some(r"C:\Program Files\App\app.exe".into()),
        arguments: Some("--quiet".into()),
        icon: Some(r"C:\Program Files\App\app.exe".into()),
        icon_index: 2,
        ..ShellLink::default()
    };
    let menu = r"ProgramData\Microsoft\Windows\Start Menu\Programs";
    let files = &mut content.files;
    put(files, &format!(r"{menu}\App.LNK"), link.to_bytes().unwrap());
    put(files, &format!(r"{menu}\StartUp\Watch.lnk"), link.to_bytes().unwrap());
    put(files, &format!(r"{menu}\StartUp\desktop.ini"), Vec::new());
    put(files, &format!(r"{menu}\Broken.lnk"), b"no shortcut".to_vec());
    let task = r"<Task><Actions><Exec><Command>C:\up.exe</Command><Arguments>/q</Arguments></Exec></Actions></Task>";
    let bytes = [0xFEFF]
        .into_iter()
        .chain(task.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    put(files, r"Windows\System32\Tasks\Maker\Update", bytes);
    content
}

#[test]
fn one_of_everything_is_found() {
    let found = applications::find(&content());
    let json = serde_json::to_value(&found.applications).unwrap();
    let expected: serde_json::Value = serde_json::from_str(include_str!("one-of-everything.json")).unwrap();
    assert_eq!(json, expected, "{json:#}");
    assert_eq!(found.unread.len(), 1);
    assert!(found.unread[0].path.ends_with(r"\Broken.lnk"));
    assert_eq!(found.architecture, None);
}
