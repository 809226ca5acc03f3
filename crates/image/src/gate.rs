//! Which files an image may open besides itself.

use std::io;
use std::path::{Path, PathBuf};

/// The caller's word on which files an image may name and have opened: its extents and its parents.
///
/// An image may come from anywhere, and the paths in it are its maker's. Opened without a gate that allows them, they
/// would let a stranger's file read any file of the machine into a converted disk.
#[derive(Debug, Clone)]
pub struct Gate {
    allowed: Allowed,
}

#[derive(Debug, Clone)]
enum Allowed {
    Anything,
    Folders(Vec<PathBuf>),
}

/// A file that the gate does not let through.
#[derive(Debug, thiserror::Error)]
#[error("{} lies outside the folders that images may open files in", file.display())]
pub struct Refused {
    /// The file, with symbolic links resolved.
    pub file: PathBuf,
}

impl Gate {
    /// Lets nothing through: an image that is not one file cannot be opened.
    pub fn closed() -> Self {
        Self {
            allowed: Allowed::Folders(Vec::new()),
        }
    }

    /// Lets everything through, for images whose maker is trusted.
    pub fn open() -> Self {
        Self {
            allowed: Allowed::Anything,
        }
    }

    /// Lets files in the folder of `image` through, and in folders below it: what moving or unpacking an image together
    /// with its parents needs.
    pub fn beside(image: &Path) -> io::Result<Self> {
        let image = image.canonicalize()?;
        Ok(Self {
            allowed: Allowed::Folders(image.parent().map(Path::to_path_buf).into_iter().collect()),
        })
    }

    /// Also lets files in `folder` through, and in folders below it.
    pub fn and_folder(mut self, folder: &Path) -> io::Result<Self> {
        let folder = folder.canonicalize()?;
        if let Allowed::Folders(folders) = &mut self.allowed {
            folders.push(folder);
        }
        Ok(self)
    }

    /// The file's path with symbolic links resolved, if it may be opened; an error of its own kind if it is not there.
    pub fn pass(&self, file: &Path) -> io::Result<Result<PathBuf, Refused>> {
        let file = file.canonicalize()?;
        let allowed = match &self.allowed {
            Allowed::Anything => true,
            Allowed::Folders(folders) => folders.iter().any(|folder| file.starts_with(folder)),
        };
        Ok(if allowed { Ok(file) } else { Err(Refused { file }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_folders_pass_and_links_do_not_lead_out() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("inside");
        let outside = root.path().join("outside");
        for folder in [&inside, &outside] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("disk"), b"").unwrap();
        }
        let gate = Gate::beside(&inside.join("disk")).unwrap();
        assert!(gate.pass(&inside.join("disk")).unwrap().is_ok());
        assert!(gate.pass(&inside.join("../outside/disk")).unwrap().is_err());
        assert!(gate.pass(&inside.join("missing")).is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outside.join("disk"), inside.join("link")).unwrap();
            assert!(gate.pass(&inside.join("link")).unwrap().is_err());
        }
        assert!(
            gate.clone()
                .and_folder(&outside)
                .unwrap()
                .pass(&outside.join("disk"))
                .unwrap()
                .is_ok()
        );
        assert!(Gate::open().pass(&outside.join("disk")).unwrap().is_ok());
        assert!(Gate::closed().pass(&inside.join("disk")).unwrap().is_err());
    }
}
