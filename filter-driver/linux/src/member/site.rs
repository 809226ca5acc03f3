//! Where in a view the trees of layers and writable folders stand: they are laid out as on drive C:.

use cv_overlay::NamePath;
use cv_overlay::policy::Pattern;
use cv_winname::wtf8;

/// The directory of a Wine prefix that is drive C:.
pub const DRIVE: &str = "drive_c";

/// Where a writable folder keeps what is written in a prefix beside its drive C:.
pub const PREFIX_DIRECTORY: &str = ".cvlayer/prefix";

/// What the root of a view is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Site {
    /// Drive C: itself.
    #[default]
    Drive,
    /// A Wine prefix, in which drive C: is a directory.
    Prefix,
}

impl Site {
    /// The name of the directory that is drive C:, where the root is not.
    pub fn drive(self) -> Option<Vec<u16>> {
        (self == Self::Prefix).then(|| DRIVE.encode_utf16().collect())
    }

    /// Whether a name of the view's root is drive C:.
    pub fn is_drive(self, name: &[u16], names: &cv_overlay::Names) -> bool {
        self.drive().is_some_and(|drive| names.equal(&drive, name))
    }

    /// A path of the view as one on drive C:.
    pub fn on_drive(self, path: &NamePath) -> NamePath {
        match self {
            Self::Drive => path.clone(),
            Self::Prefix => path.names().skip(1).collect(),
        }
    }

    /// A path on drive C: as one of the view.
    pub fn in_view(self, path: &NamePath) -> NamePath {
        let drive = self.drive();
        drive.iter().map(Vec::as_slice).chain(path.names()).collect()
    }

    /// The pattern of a rule, which is about drive C:, as one of the view.
    pub fn rule_in_view(self, pattern: &mut Vec<Pattern>) {
        if let Some(drive) = self.drive() {
            pattern.insert(0, Pattern::Name(drive));
        }
    }

    /// Where a path of the view is in a writable folder, on the host.
    pub fn host_path(self, path: &NamePath, names: &cv_overlay::Names) -> Vec<u8> {
        let is_on_drive = path.name(0).is_none_or(|first| self.is_drive(first, names));
        let (mut bytes, skipped) = match self {
            Self::Drive => (Vec::new(), 0),
            Self::Prefix if is_on_drive && !path.is_root() => (Vec::new(), 1),
            Self::Prefix => (PREFIX_DIRECTORY.as_bytes().to_vec(), 0),
        };
        for name in path.names().skip(skipped) {
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            wtf8::encode_into(name, &mut bytes);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_overlay::Names;

    #[test]
    fn a_writable_folder_is_laid_out_alike_in_both() {
        let names = Names::windows();
        let host = |site: Site, path: &str| String::from_utf8(site.host_path(&NamePath::from(path), &names)).unwrap();
        assert_eq!(host(Site::Drive, r"Users\a"), "Users/a");
        assert_eq!(host(Site::Prefix, r"Drive_C\Users\a"), "Users/a");
        assert_eq!(host(Site::Prefix, "drive_c"), "");
        assert_eq!(host(Site::Prefix, ""), ".cvlayer/prefix");
        assert_eq!(host(Site::Prefix, r"dosdevices\d"), ".cvlayer/prefix/dosdevices/d");
        assert_eq!(
            Site::Prefix.on_drive(&Site::Prefix.in_view(&NamePath::from("x"))),
            NamePath::from("x")
        );
    }
}
