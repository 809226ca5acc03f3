//! From the path that a child notes of its parent to files of this machine.

use std::path::{Path, PathBuf};

/// The places where the file that `noted` names may be, for a child in `folder`.
///
/// Windows' separators and the prefix of its long paths are understood everywhere. A drive letter means nothing outside
/// Windows, and images are moved together with their parents, so the bare name in the child's own folder is always the
/// last place; the parent's identity is checked wherever it is found.
pub fn places(noted: &str, folder: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let slashes = if cfg!(windows) {
        noted.to_owned()
    } else {
        noted.replace('\\', "/")
    };
    let stripped = slashes.strip_prefix("//?/").unwrap_or(&slashes);
    let has_drive = stripped.as_bytes().get(1) == Some(&b':');
    let is_volume = stripped.starts_with("Volume{");
    if cfg!(windows) {
        places.push(folder.join(noted));
    } else if !stripped.is_empty() && !has_drive && !is_volume {
        places.push(folder.join(stripped));
    }
    if let Some(name) = stripped
        .rsplit(['/', '\\'])
        .next()
        .filter(|name| !name.is_empty() && *name != "..")
    {
        let beside = folder.join(name);
        if !places.iter().any(|place| is_same(place, &beside)) {
            places.push(beside);
        }
    }
    places
}

fn is_same(first: &Path, second: &Path) -> bool {
    // `components` leaves out every "." but the first.
    first.components().eq(second.components())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn places_of(noted: &str) -> Vec<String> {
        places(noted, Path::new("/vm"))
            .into_iter()
            .map(|place| place.display().to_string())
            .collect()
    }

    #[test]
    fn windows_and_unix_paths_lead_to_files() {
        assert_eq!(places_of(r".\base.vhd"), ["/vm/./base.vhd"]);
        assert_eq!(
            places_of(r"..\bases\base.vhd"),
            ["/vm/../bases/base.vhd", "/vm/base.vhd"]
        );
        assert_eq!(places_of(r"C:\bases\base.vhd"), ["/vm/base.vhd"]);
        assert_eq!(places_of(r"\\?\C:\bases\base.vhdx"), ["/vm/base.vhdx"]);
        assert_eq!(places_of(r"\\?\Volume{26a21bda}\base.vhdx"), ["/vm/base.vhdx"]);
        assert_eq!(places_of("/bases/base.vmdk"), ["/bases/base.vmdk", "/vm/base.vmdk"]);
        assert_eq!(places_of("base.vmdk"), ["/vm/base.vmdk"]);
        assert_eq!(places_of(""), [""; 0]);
        assert_eq!(places_of(".."), ["/vm/.."]);
    }
}
