//! What is built from recipes.

use crate::memory::{Memory, build_in};
use cv_hive::reg::{Exporter, Form};
use cv_hive::{KeyPath, KeyState};
use layerfmt::Content;
use layerfmt::content::{FileTree, HiveName, NodeKind};
use layerfmt::shell_link::ShellLink;

/// The example of the documentation.
fn example() -> &'static str {
    let text = include_str!("../../../../docs/recipe.md");
    let start = text.find("```toml\n").unwrap() + 8;
    let end = start + text[start..].find("```").unwrap();
    &text[start..end]
}

fn files() -> Memory {
    let reg = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_CLASSES_ROOT\\.cmake]\r\n@=\"CMake.Script\"\r\n";
    Memory(
        [
            ("files/bin/cmake.exe", b"no program".to_vec()),
            ("files/bin/cmake.pdb", b"debug".to_vec()),
            ("files/share/cmake/Modules/a.cmake", b"a".to_vec()),
            ("files/share/cmake/Modules/a.txt", b"b".to_vec()),
            ("notes.txt", b"notes".to_vec()),
            ("cmake.reg", reg.as_bytes().to_vec()),
            ("attach.ps1", b"exit 0".to_vec()),
        ]
        .into(),
    )
}

/// Every name of the file tree.
fn names(content: &Content) -> Vec<String> {
    let files = &content.files;
    let leaves = files
        .walk(FileTree::ROOT)
        .filter(|node| !files.kind(*node).is_directory());
    leaves
        .map(|node| {
            let mark = if files.kind(node) == NodeKind::Whiteout {
                "-"
            } else {
                ""
            };
            format!("{mark}{}", String::from_utf8(files.path(node)).unwrap())
        })
        .collect()
}

/// A hive as a `.reg` file.
fn exported(content: &Content, hive: HiveName) -> String {
    let top = KeyPath::parse(hive.root()).unwrap();
    let mut exporter = Exporter::new(Vec::new(), Form::Version5Utf8, &top).unwrap();
    content.hives[&hive].visit(&mut exporter).unwrap();
    let (text, omitted) = exporter.finish().unwrap();
    assert!(omitted.is_empty(), "{omitted:?}");
    String::from_utf8(text).unwrap()
}

#[test]
fn the_example_of_the_documentation_is_built() {
    let content = build_in(&files(), example()).unwrap();
    let menu = "ProgramData/Microsoft/Windows/Start Menu/Programs";
    assert_eq!(
        names(&content),
        [
            "Program Files/CMake/bin/cmake.exe".to_owned(),
            "Program Files/CMake/doc/README.txt".to_owned(),
            "Program Files/CMake/share/cmake/Modules/a.cmake".to_owned(),
            "-Program Files/OldCMake".to_owned(),
            format!("{menu}/CMake/CMake (GUI).lnk"),
        ]
    );
    assert_eq!(content.scripts.keys().collect::<Vec<_>>(), ["on-attach.ps1"]);
    let registry = [HiveName::Software, HiveName::System, HiveName::User].map(|hive| exported(&content, hive));
    let expected = include_str!("example.reg").replace('\n', "\r\n");
    assert_eq!(registry.concat(), expected, "{}", registry.concat().replace('\r', ""));

    let manifest = &content.manifest;
    assert_eq!((&*manifest.name, &*manifest.version), ("CMake", "3.31.6"));
    assert_eq!(manifest.description, "CMake 3.31.6 and Ninja");
    assert_eq!(manifest.requires[0].version.as_deref(), Some(">=14.40, <15"));
    assert_eq!(manifest.policy.environment[0].append, [r"C:\Program Files\CMake\bin"]);
    let found = &manifest.applications;
    assert_eq!(found.installed[0].name, "CMake");
    assert_eq!(found.installed[0].version, "3.31.6");
    assert_eq!(found.shortcuts[0].target, r"%ProgramFiles%\CMake\bin\cmake-gui.exe");
    assert_eq!(found.services[0].start, "delayed");
    assert_eq!(found.file_types.len(), 3);
    assert_eq!(found.run[0].name, "CMake tray");
    let path = found
        .environment
        .iter()
        .find(|variable| variable.name == "Path")
        .unwrap();
    assert_eq!(path.value, r"C:\Program Files\CMake\bin");
}

#[test]
fn shortcuts_of_recipes_lead_there() {
    let text = r#"
        [layer]
        name = "x"
        [[shortcut]]
        name = "Größe"
        place = "desktop"
        target = '%SystemRoot%\notepad.exe'
        arguments = "a b"
        icon = 'C:\i.dll,-3'
        hot-key = "Ctrl+Shift+F2"
        window = "minimized"
        administrator = true
        [[shortcut]]
        name = "Mine"
        place = "send-to"
        for = "user"
        target = '%LOCALAPPDATA%\Mine\mine.exe'
    "#;
    let content = build_in(&Memory::default(), text).unwrap();
    let links: Vec<(String, ShellLink)> = content
        .files
        .walk(FileTree::ROOT)
        .filter(|node| content.files.kind(*node) == NodeKind::File)
        .map(|node| {
            let stream = &content.files.metadata(node).streams[0];
            let disk = layerfmt::applications::StreamDisk::open(stream, 1 << 20).unwrap();
            let link = ShellLink::parse(&disk.to_vec(1 << 20).unwrap()).unwrap();
            (String::from_utf8(content.files.path(node)).unwrap(), link)
        })
        .collect();
    let (path, link) = &links[1];
    assert_eq!(path, "Users/Public/Desktop/Größe.lnk");
    assert_eq!(link.path.as_deref(), Some(r"C:\Windows\notepad.exe"));
    assert_eq!(link.environment_path.as_deref(), Some(r"%SystemRoot%\notepad.exe"));
    assert_eq!((link.icon.as_deref(), link.icon_index), (Some(r"C:\i.dll"), -3));
    assert_eq!(link.hot_key, 0x0371);
    assert!(link.is_elevated);
    let (path, link) = &links[0];
    assert_eq!(path, "Users/Default/AppData/Roaming/Microsoft/Windows/SendTo/Mine.lnk");
    assert_eq!(
        (link.path.as_deref(), link.target()),
        (None, Some(r"%LOCALAPPDATA%\Mine\mine.exe"))
    );
}

#[test]
fn what_is_deleted_and_set_again_supersedes() {
    let text = r"
        [layer]
        name = 'x'
        [[registry]]
        key = 'HKLM\SOFTWARE\A'
        delete = true
        [[registry]]
        key = 'HKLM\SOFTWARE\A\B'
        values = { v = 1 }
        [[hide]]
        path = 'C:\Data'
        opaque = true
    ";
    let content = build_in(&Memory::default(), text).unwrap();
    let key = content.hives[&HiveName::Software].subkey("A").unwrap();
    assert_eq!(key.state, KeyState::Merge.over(KeyState::Tombstone));
    assert_eq!(key.subkey("b").unwrap().values.len(), 1);
    let data = content.files.find(&"data".encode_utf16().collect::<Vec<_>>()).unwrap();
    assert_eq!(content.files.kind(data), NodeKind::OpaqueDirectory);
}
