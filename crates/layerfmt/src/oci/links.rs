//! Links of NTFS as links of tars, and back.

use cv_ntfs::structure::reparse::ReparsePoint;
use cv_winname::wtf8;

/// The front of a path that Windows' object manager resolves.
const OBJECT_MANAGER: &str = r"\??\";

/// A link as a tar says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarLink {
    /// Where it leads; names are separated by slashes.
    pub target: Vec<u8>,
    /// Whether it is a junction or mounted volume, not a symbolic link.
    pub is_mount_point: bool,
}

impl TarLink {
    /// The link that this reparse data is; `None` where it is none that a tar can say.
    pub fn of_reparse(data: &[u8]) -> Option<Self> {
        let (name, is_mount_point) = match ReparsePoint::parse(data).ok()? {
            ReparsePoint::Symlink { substitute_name, .. } => (substitute_name, false),
            ReparsePoint::MountPoint { substitute_name, .. } => (substitute_name, true),
            _ => return None,
        };
        let front: Vec<u16> = OBJECT_MANAGER.encode_utf16().collect();
        let name = name.strip_prefix(&front[..]).unwrap_or(&name);
        let slashed: Vec<u16> = name
            .iter()
            .map(|unit| if *unit == 0x5C { 0x2F } else { *unit })
            .collect();
        let target = wtf8::encode(&slashed);
        (!target.is_empty() && !target.contains(&0)).then_some(Self { target, is_mount_point })
    }

    /// The reparse data for it; `None` where the target is too long or no text.
    pub fn to_reparse(&self) -> Option<Vec<u8>> {
        let units = wtf8::decode(&self.target).ok()?;
        let target: Vec<u16> = units
            .into_iter()
            .map(|unit| if unit == 0x2F { 0x5C } else { unit })
            .collect();
        // A target with a drive, or from the root of a volume by its name, is taken as the object manager has it.
        let has_drive =
            target.get(1) == Some(&0x3A) || target.starts_with(&"Volume{".encode_utf16().collect::<Vec<_>>());
        let is_relative = !has_drive && target.first() != Some(&0x5C);
        let mut substitute_name = Vec::new();
        if has_drive || self.is_mount_point {
            substitute_name.extend(OBJECT_MANAGER.encode_utf16());
        }
        substitute_name.extend_from_slice(&target);
        let point = if self.is_mount_point {
            ReparsePoint::MountPoint {
                substitute_name,
                print_name: target,
            }
        } else {
            ReparsePoint::Symlink {
                substitute_name,
                print_name: target,
                is_relative,
            }
        };
        point.to_bytes()
    }
}
