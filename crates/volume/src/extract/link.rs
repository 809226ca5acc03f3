//! Where a volume's links lead, and whether that is inside the volume.

use crate::path::find;
use cv_ntfs::Volume;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_winname::wtf8;

/// The target of a symbolic link on the host that means the same as `point` at a link in the directory `directory`;
/// `None` where it leads out of the volume, or is no link.
///
/// The target is relative and all its `..` come first. Those leave directories that were made without following a link,
/// and what comes then goes down, through links that keep to the same rule: so it cannot lead out of the extracted tree,
/// whatever other links there are. Like Windows, this takes `x\..` for nothing even where `x` is a link.
pub fn host_target(volume: &Volume, directory: &[Vec<u16>], point: &ReparsePoint) -> Option<Vec<u8>> {
    let target = match point {
        ReparsePoint::Symlink {
            substitute_name,
            is_relative: true,
            ..
        } => {
            let target = joined(directory, substitute_name)?;
            as_written_in(volume, &target).unwrap_or(target)
        }
        // A drive's letter stands for this volume where this volume holds what the link leads to.
        ReparsePoint::Symlink { substitute_name, .. } | ReparsePoint::MountPoint { substitute_name, .. } => {
            let target = joined(&[], below_drive(substitute_name)?)?;
            as_written_in(volume, &target)?
        }
        ReparsePoint::LxSymlink { target, .. } => {
            let target = wtf8::decode(target).ok()?;
            // Linux, which reads these, looks where `x/..` really leads.
            let mut names = target
                .split(|unit| *unit == u16::from(b'/'))
                .filter(|name| !name.is_empty());
            let goes_down = |name: &[u16]| !matches!(name, [DOT] | [DOT, DOT]);
            let has_late_parent = names.by_ref().any(goes_down) && names.any(|name| name == [DOT, DOT]);
            let is_foreign = target.first() == Some(&u16::from(b'/')) || target.contains(&u16::from(b'\\'));
            if is_foreign || has_late_parent {
                return None;
            }
            joined(directory, &target)?
        }
        ReparsePoint::WofFile(_) | ReparsePoint::Other { .. } => return None,
    };
    Some(relative(directory, &target))
}

/// Where `point`, a link in the directory `directory`, leads from that directory on, whether or not anything is there; `None`
/// where it leads out of the volume, or is no link. The letter of any drive stands for this volume.
pub fn relative_target(directory: &[Vec<u16>], point: &ReparsePoint) -> Option<Vec<u8>> {
    let target = match point {
        ReparsePoint::Symlink {
            substitute_name,
            is_relative: true,
            ..
        } => joined(directory, substitute_name)?,
        ReparsePoint::Symlink { substitute_name, .. } | ReparsePoint::MountPoint { substitute_name, .. } => {
            joined(&[], below_drive(substitute_name)?)?
        }
        ReparsePoint::LxSymlink { target, .. } => return (!target.contains(&0)).then(|| target.clone()),
        ReparsePoint::WofFile(_) | ReparsePoint::Other { .. } => return None,
    };
    Some(relative(directory, &target))
}

const DOT: u16 = b'.' as u16;

/// `path` from `directory` on, without `.` and `..`; `None` where it leaves the root, or no host could store it.
fn joined(directory: &[Vec<u16>], path: &[u16]) -> Option<Vec<Vec<u16>>> {
    let is_separator = |unit: &u16| *unit == u16::from(b'\\') || *unit == u16::from(b'/');
    // `\x` means the link's own volume.
    let mut names = if path.first().is_some_and(is_separator) {
        Vec::new()
    } else {
        directory.to_vec()
    };
    for name in cv_winname::components(path) {
        match name {
            [DOT] => {}
            [DOT, DOT] => {
                names.pop()?;
            }
            name if name.contains(&0) => return None,
            name => names.push(name.to_vec()),
        }
    }
    Some(names)
}

/// What follows the drive in `\??\C:\…`.
fn below_drive(path: &[u16]) -> Option<&[u16]> {
    let rest = path.strip_prefix(&[0x5C, 0x3F, 0x3F, 0x5C]).unwrap_or(path);
    match rest {
        [letter, colon, rest @ ..] if *colon == u16::from(b':') => {
            let is_letter = u8::try_from(*letter).is_ok_and(|letter| letter.is_ascii_alphabetic());
            is_letter.then_some(rest)
        }
        _ => None,
    }
}

/// The path with the case that the volume has it in; `None` where the volume has no such file.
fn as_written_in(volume: &Volume, names: &[Vec<u16>]) -> Option<Vec<Vec<u16>>> {
    find(volume, &names.join(&u16::from(b'\\')))
        .ok()
        .map(|found| found.names)
}

fn relative(directory: &[Vec<u16>], target: &[Vec<u16>]) -> Vec<u8> {
    let common = directory
        .iter()
        .zip(target)
        .take_while(|(left, right)| left == right)
        .count();
    let mut parts = vec![b"..".to_vec(); directory.len() - common];
    parts.extend(target[common..].iter().map(|name| wtf8::encode(name)));
    if parts.is_empty() {
        return b".".to_vec();
    }
    parts.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn names(path: &str) -> Vec<Vec<u16>> {
        path.split('/').filter(|name| !name.is_empty()).map(units).collect()
    }

    #[test]
    fn targets_stay_below_the_root() {
        for (directory, path, expected) in [
            ("a/b", r"..\c", Some("../c")),
            ("a/b", r"c\.\d", Some("c/d")),
            ("a/b", r"x\..\..\..\y", Some("../../y")),
            ("a/b", r"..\..\..\y", None),
            ("a/b", r"x\..\..\..\..\y", None),
            ("a/b", r"\y/z", Some("../../y/z")),
            ("a/b", r"\..\y", None),
            ("a/b", ".", Some(".")),
            ("", r"..", None),
            ("", r"", Some(".")),
            ("a", "c\0d", None),
        ] {
            let directory = names(directory);
            let found = joined(&directory, &units(path)).map(|target| relative(&directory, &target));
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn drives_are_known() {
        assert_eq!(below_drive(&units(r"\??\C:\x")), Some(&units(r"\x")[..]));
        assert_eq!(below_drive(&units(r"z:\")), Some(&units(r"\")[..]));
        assert_eq!(below_drive(&units(r"\??\UNC\server")), None);
        assert_eq!(below_drive(&units(r"\??\Volume{1}\x")), None);
        assert_eq!(below_drive(&units("relative")), None);
    }
}
