//! Names in archives, which anyone may have made.

use super::SourceError;
use cv_ntfs::structure::reparse::ReparsePoint;

/// The names of an archive's path; both `/` and `\` separate them. What would lead out of the place that the archive is
/// unpacked to is refused: `..`, absolute paths, drive letters, streams.
pub(crate) fn components(path: &str) -> Result<Vec<Vec<u16>>, SourceError> {
    let refuse = |reason: &str| {
        Err(SourceError::Refused {
            path: path.escape_debug().to_string(),
            reason: reason.to_owned(),
        })
    };
    if path.starts_with(['/', '\\']) {
        return refuse("an absolute path");
    }
    let mut names = Vec::new();
    for name in path.split(['/', '\\']) {
        match name {
            "" | "." => {}
            ".." => return refuse("a path that leads upwards"),
            _ if name.contains(':') => return refuse("a name with a drive letter or a stream"),
            _ => names.push(name.encode_utf16().collect()),
        }
    }
    if names.len() > super::MAX_DEPTH {
        return Err(SourceError::TooDeep {
            path: path.chars().take(200).collect(),
        });
    }
    Ok(names)
}

/// The reparse data of a symbolic link at `path` that leads to `target`. One that leads out of the archive is refused.
pub(super) fn link(path: &str, target: &str, depth: usize) -> Result<Box<[u8]>, SourceError> {
    let refuse = |reason: &str| SourceError::Refused {
        path: path.escape_debug().to_string(),
        reason: format!("a link to {target:?}, {reason}"),
    };
    if target.starts_with(['/', '\\']) || target.contains(':') {
        return Err(refuse("an absolute path"));
    }
    // How many names lie above the target at every step, from the link's own directory.
    let mut level = depth.saturating_sub(1);
    for name in target.split(['/', '\\']) {
        match name {
            "" | "." => {}
            ".." => {
                level = level
                    .checked_sub(1)
                    .ok_or_else(|| refuse("which leads out of the archive"))?;
            }
            _ => level += 1,
        }
    }
    let units: Vec<u16> = target.replace('/', "\\").encode_utf16().collect();
    let point = ReparsePoint::Symlink {
        substitute_name: units.clone(),
        print_name: units,
        is_relative: true,
    };
    let bytes = point.to_bytes().ok_or_else(|| refuse("which is too long"))?;
    Ok(bytes.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        for path in ["/etc/passwd", "\\x", "a/../../b", "..", "C:\\x", "c:x", "a/b:stream"] {
            assert!(matches!(components(path), Err(SourceError::Refused { .. })), "{path}");
        }
        let names = components("./a//b\\c/").unwrap_or_default();
        assert_eq!(names.len(), 3);
        assert!(matches!(
            components(&"a/".repeat(600)),
            Err(SourceError::TooDeep { .. })
        ));
        for (target, depth, is_good) in [
            ("b", 1, true),
            ("../b", 2, true),
            ("../b", 1, false),
            ("x/../../b", 1, false),
            ("/etc", 3, false),
            ("C:\\", 3, false),
        ] {
            assert_eq!(link("link", target, depth).is_ok(), is_good, "{target}");
        }
    }
}
