//! What a child is to note of where its parent is.

use std::io;
use std::path::{Component, Path, PathBuf};

/// The paths from a child to its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParentNote {
    /// From the child's folder, `./base.vhdx`, with slashes.
    pub relative: Option<String>,
    /// From the root.
    pub absolute: String,
}

impl ParentNote {
    /// For a child that is or will be at `child`.
    pub fn new(parent: &Path, child: &Path) -> io::Result<Self> {
        let parent = parent.canonicalize()?;
        let folder = match child.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.canonicalize()?,
            _ => Path::new(".").canonicalize()?,
        };
        Ok(Self {
            relative: relative(&parent, &folder),
            absolute: parent.to_string_lossy().into_owned(),
        })
    }

    /// The relative path in Windows' manner.
    pub fn windows_relative(&self) -> Option<String> {
        self.relative.as_ref().map(|path| path.replace('/', "\\"))
    }

    /// The absolute path in Windows' manner, without a drive where the host has none.
    pub fn windows_absolute(&self) -> String {
        self.absolute.replace('/', "\\")
    }

    /// The path as VMware notes it: the bare name of a parent in the same folder.
    pub fn hint(&self) -> String {
        match &self.relative {
            Some(path) => path.strip_prefix("./").unwrap_or(path).to_owned(),
            None => self.absolute.clone(),
        }
    }
}

/// The way from `folder` to `file`, both absolute and without links; `None` between two drives.
fn relative(file: &Path, folder: &Path) -> Option<String> {
    let file: Vec<Component<'_>> = file.components().collect();
    let folder: Vec<Component<'_>> = folder.components().collect();
    let common = file.iter().zip(&folder).take_while(|(a, b)| a == b).count();
    if common == 0 {
        return None;
    }
    let up = folder.len() - common;
    let mut path: PathBuf = if up == 0 {
        PathBuf::from(".")
    } else {
        vec![".."; up].iter().collect()
    };
    path.extend(&file[common..]);
    Some(path.to_string_lossy().replace('\\', "/"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_parent() {
        let way = |file: &str, folder: &str| relative(Path::new(file), Path::new(folder)).unwrap();
        assert_eq!(way("/vm/base.vhd", "/vm"), "./base.vhd");
        assert_eq!(way("/vm/bases/base.vhd", "/vm"), "./bases/base.vhd");
        assert_eq!(way("/bases/base.vhd", "/vm/one"), "../../bases/base.vhd");
        let note = ParentNote {
            relative: Some("./base.vhd".into()),
            absolute: "/vm/base.vhd".into(),
        };
        assert_eq!(note.windows_relative().as_deref(), Some(r".\base.vhd"));
        assert_eq!(note.windows_absolute(), r"\vm\base.vhd");
        assert_eq!(note.hint(), "base.vmdk".replace("vmdk", "vhd"));
    }
}
