//! Shortcuts: ours read by lnkinfo, Wine's read by us.

use crate::tools::{have, run};
use layerfmt::shell_link::{ShellLink, ShellLinkError, Window};
use std::process::Command;

fn sample(path: &str) -> ShellLink {
    ShellLink {
        path: Some(path.to_owned()),
        description: Some("Größe, 日本".into()),
        directory: Some(r"C:\Program Files".into()),
        arguments: Some(r#"--new "a b""#.into()),
        icon: Some(r"%SystemRoot%\System32\shell32.dll".into()),
        icon_index: -5,
        window: Window::Maximized,
        hot_key: 0x0641,
        is_elevated: true,
        ..ShellLink::default()
    }
}

fn lnkinfo(link: &ShellLink) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.lnk");
    std::fs::write(&file, link.to_bytes().unwrap()).unwrap();
    run(Command::new("lnkinfo").arg(&file))
}

/// The value behind `name` in what lnkinfo prints.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.trim_start().starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_once(':').unwrap().1.trim()
}

#[test]
fn lnkinfo_reads_what_we_write() {
    if !have(&["lnkinfo"]) {
        return;
    }
    for path in [
        r"C:\Program Files\App\a long name.exe",
        r"D:\Größe\日本語.exe",
        r"C:\",
        r"c:\a.b.c\x",
    ] {
        let text = lnkinfo(&sample(path));
        assert_eq!(value(&text, "Local path"), path, "{text}");
        assert_eq!(value(&text, "Drive type"), "Fixed (3)", "{text}");
        assert_eq!(value(&text, "Description"), "Größe, 日本");
        assert_eq!(value(&text, "Working directory"), r"C:\Program Files");
        assert_eq!(value(&text, "Command line arguments"), r#"--new "a b""#);
        assert_eq!(value(&text, "Icon location"), r"%SystemRoot%\System32\shell32.dll");
        assert_eq!(value(&text, "Icon index"), "-5");
        // The items lead there too, name by name.
        assert_eq!(
            value(&text, "Volume name").to_uppercase(),
            path[..3].to_uppercase(),
            "{text}"
        );
        for name in path[3..].split('\\').filter(|name| !name.is_empty()) {
            assert!(
                text.lines().any(|line| line.trim() == format!("Long name\t\t: {name}")),
                "{name}: {text}"
            );
        }
    }
    let share = lnkinfo(&sample(r"\\server\share\folder\app.exe"));
    assert_eq!(
        value(&share, "Network path"),
        r"\\server\share\folder\app.exe",
        "{share}"
    );
    let environment = ShellLink {
        environment_path: Some(r"%ProgramFiles%\App\app.exe".into()),
        ..sample(r"C:\Program Files\App\app.exe")
    };
    let text = lnkinfo(&environment);
    assert_eq!(
        value(&text, "Environment variables location"),
        r"%ProgramFiles%\App\app.exe",
        "{text}"
    );
}

#[test]
fn what_is_written_reads_the_same() {
    for path in [
        r"C:\Program Files\App\a long name.exe",
        r"D:\Größe\日本語 und mehr.exe",
        r"\\server\share\ordner\größe.exe",
        r"\\server\share",
    ] {
        let link = sample(path);
        let mut read = ShellLink::parse(&link.to_bytes().unwrap()).unwrap();
        let item_path = read.item_path.take();
        assert_eq!(read, link);
        assert!(item_path.is_none_or(|item_path| item_path == path));
        assert_eq!(read.target(), Some(path));
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let refused = |path: &str| sample(path).to_bytes();
    assert!(matches!(refused(r"App\app.exe"), Err(ShellLinkError::NotAbsolute(_))));
    assert!(matches!(refused(r"\\server"), Err(ShellLinkError::NotAbsolute(_))));
    assert!(matches!(refused("C:app.exe"), Err(ShellLinkError::NotAbsolute(_))));
    let long = format!(r"C:\{}", "a".repeat(256));
    assert!(matches!(
        refused(&long),
        Err(ShellLinkError::TooLong { units: 256, .. })
    ));
    let environment = ShellLink {
        environment_path: Some("%a%".repeat(87)),
        ..ShellLink::default()
    };
    assert!(matches!(
        environment.to_bytes(),
        Err(ShellLinkError::TooLong { limit: 259, .. })
    ));
}

#[test]
fn shortcuts_of_wine_are_read() {
    let link = ShellLink::parse(include_bytes!("wine/wine.lnk")).unwrap();
    let target = r"C:\Program Files\Internet Explorer\iexplore.exe";
    assert_eq!(link.path.as_deref(), Some(target));
    assert_eq!(link.item_path.as_deref(), Some(target));
    assert_eq!(link.arguments.as_deref(), Some(r#"--new "a b""#));
    assert_eq!(link.directory.as_deref(), Some(r"C:\Program Files"));
    assert_eq!(link.description.as_deref(), Some("A shortcut made by Wine"));
    assert_eq!(link.icon.as_deref(), Some(r"C:\windows\notepad.exe"));
    assert_eq!((link.icon_index, link.window), (1, Window::Maximized));
    let link = ShellLink::parse(include_bytes!("wine/wine-environment.lnk")).unwrap();
    assert!(
        link.target().unwrap().ends_with(r"\Internet Explorer\iexplore.exe"),
        "{link:?}"
    );
}
