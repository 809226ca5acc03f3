//! What a symbolic link of the host becomes.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where a symbolic link of NTFS would lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkTarget {
    /// To this path, from the link's directory.
    Relative(Vec<u16>),
    /// To something that only the host has, or by names that only it can have.
    Foreign,
}

/// The target of a link in `folder`, a path below the top, whose own path on the host is `top` where that is known.
pub fn ntfs_target(target: &[u8], folder: &[u8], top: Option<&Path>) -> LinkTarget {
    let inside = match (target.first(), top) {
        (Some(b'/'), None) => None,
        (Some(b'/'), Some(top)) => below(target, top.as_os_str().as_bytes()).map(|rest| {
            let depth = folder
                .split(|byte| *byte == b'/')
                .filter(|name| !name.is_empty())
                .count();
            let mut parts = vec![&b".."[..]; depth];
            parts.extend(names(rest));
            parts
        }),
        _ => Some(names(target).collect()),
    };
    let Some(parts) = inside else {
        return LinkTarget::Foreign;
    };
    let has_foreign_name = parts.iter().any(|name| name.contains(&b'\\') || name.contains(&b':'));
    let text = if parts.is_empty() {
        b".".to_vec()
    } else {
        parts.join(&b'\\')
    };
    match cv_winname::wtf8::decode(&text) {
        Ok(units) if !has_foreign_name => LinkTarget::Relative(units),
        _ => LinkTarget::Foreign,
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}

/// What follows `top` in `path`.
fn below<'a>(path: &'a [u8], top: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(top)?;
    let is_whole = rest.is_empty() || rest[0] == b'/' || top.last() == Some(&b'/');
    // `..` behind it may lead out again.
    (is_whole && names(rest).all(|name| name != b"..")).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_written_as_windows_writes_them() {
        let top = Path::new("/build/root");
        for (target, folder, expected) in [
            ("../lib/x.so.1", "usr/bin", Some(r"..\lib\x.so.1")),
            ("./a//b/", "", Some(r"a\b")),
            (".", "", Some(".")),
            ("/build/root/usr/lib", "usr/bin", Some(r"..\..\usr\lib")),
            ("/build/root", "", Some(".")),
            ("/build/rootless/x", "", None),
            ("/build/root/../x", "", None),
            ("/etc/passwd", "", None),
            (r"a\b", "", None),
            ("a:b", "", None),
        ] {
            let found = ntfs_target(target.as_bytes(), folder.as_bytes(), Some(top));
            let expected = expected.map_or(LinkTarget::Foreign, |path| {
                LinkTarget::Relative(path.encode_utf16().collect())
            });
            assert_eq!(found, expected, "{target}");
        }
        assert_eq!(ntfs_target(b"/x", b"", None), LinkTarget::Foreign);
    }
}
