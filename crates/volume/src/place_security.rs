//! Security descriptors for files that bring none along: those that Windows gives in the same place of drive C:.
//!
//! Each place has a descriptor of its own, and what is below it inherits by Windows' rules (\[MS-DTYP\] 2.5.3.4). A file whose
//! mode lets nobody but its owner read is for administrators and the system alone, and so is what is below such a folder.

use cv_ntfs::structure::security_descriptor::{Ace, AceFlags, Control, SecurityDescriptor, Sid};
use cv_ntfs::write::{SecurityId, Tree, TreeError};
use std::collections::HashMap;

const ALL: u32 = 0x001F_01FF;
const MODIFY: u32 = 0x0013_01BF;
const READ_AND_RUN: u32 = 0x0012_00A9;
/// Make folders, but no files.
const ADD_FOLDER: u32 = 0x0000_0004;
/// Make files and folders, write attributes.
const ADD: u32 = 0x0000_0116;

fn system() -> Sid {
    Sid::new(5, &[18])
}

fn administrators() -> Sid {
    Sid::new(5, &[32, 544])
}

fn users() -> Sid {
    Sid::new(5, &[32, 545])
}

fn authenticated_users() -> Sid {
    Sid::new(5, &[11])
}

fn everyone() -> Sid {
    Sid::new(1, &[0])
}

fn creator_owner() -> Sid {
    Sid::new(3, &[0])
}

fn app_packages() -> [Sid; 2] {
    [Sid::new(15, &[2, 1]), Sid::new(15, &[2, 2])]
}

fn trusted_installer() -> Sid {
    let service = [956_008_885, 3_418_522_649, 1_831_038_044, 1_853_292_631, 2_271_478_464];
    Sid::new(5, &[&[80][..], &service].concat())
}

/// A folder that Windows treats in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Root,
    /// `Program Files`, `Program Files (x86)`, `Windows`.
    Programs,
    ProgramData,
    Users,
    /// `Users\Public`.
    Public,
    /// `Users\Default` and every other profile.
    Profile,
    /// For administrators and the system alone.
    Private,
}

impl Place {
    /// The place that a folder of that name in the root is.
    fn in_root(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "program files" | "program files (x86)" | "windows" => Self::Programs,
            "programdata" => Self::ProgramData,
            "users" => Self::Users,
            _ => return None,
        })
    }

    #[expect(clippy::match_same_arms, reason = "each place has rights of its own")]
    fn descriptor(self) -> SecurityDescriptor {
        let here = AceFlags::empty();
        let all_below = AceFlags::OBJECT_INHERIT | AceFlags::CONTAINER_INHERIT;
        let only_below = all_below | AceFlags::INHERIT_ONLY;
        let folders_below = AceFlags::CONTAINER_INHERIT;
        let mut owner = system();
        let mut dacl = vec![
            Ace::allow(&system(), ALL, all_below),
            Ace::allow(&administrators(), ALL, all_below),
        ];
        match self {
            Self::Root => {
                owner = trusted_installer();
                dacl.push(Ace::allow(&users(), READ_AND_RUN, all_below));
                dacl.push(Ace::allow(&authenticated_users(), MODIFY, only_below));
                dacl.push(Ace::allow(&authenticated_users(), ADD_FOLDER, here));
            }
            Self::Programs => {
                owner = trusted_installer();
                dacl.insert(0, Ace::allow(&trusted_installer(), ALL, all_below));
                dacl.push(Ace::allow(&users(), READ_AND_RUN, all_below));
                dacl.push(Ace::allow(&creator_owner(), ALL, only_below));
                dacl.extend(
                    app_packages()
                        .iter()
                        .map(|sid| Ace::allow(sid, READ_AND_RUN, all_below)),
                );
            }
            Self::ProgramData => {
                dacl.push(Ace::allow(&creator_owner(), ALL, only_below));
                dacl.push(Ace::allow(&users(), READ_AND_RUN, all_below));
                dacl.push(Ace::allow(&users(), ADD, folders_below));
            }
            Self::Users => {
                dacl.push(Ace::allow(&users(), READ_AND_RUN, all_below));
                dacl.push(Ace::allow(&everyone(), READ_AND_RUN, all_below));
            }
            Self::Public => {
                let interactive = Sid::new(5, &[4]);
                let service = Sid::new(5, &[6]);
                dacl.push(Ace::allow(&creator_owner(), ALL, only_below));
                dacl.push(Ace::allow(&interactive, MODIFY, all_below));
                dacl.push(Ace::allow(&service, MODIFY, all_below));
            }
            Self::Profile => {
                dacl.push(Ace::allow(&users(), READ_AND_RUN, all_below));
                dacl.push(Ace::allow(&everyone(), READ_AND_RUN, all_below));
            }
            Self::Private => owner = administrators(),
        }
        SecurityDescriptor {
            control: Control::SELF_RELATIVE
                | Control::DACL_PRESENT
                | Control::DACL_PROTECTED
                | Control::DACL_AUTO_INHERITED,
            group: Some(owner.clone()),
            owner: Some(owner),
            sacl: None,
            dacl: Some(dacl),
        }
    }
}

/// What a child of a folder with `parent` gets.
fn inherit(parent: &SecurityDescriptor, is_directory: bool) -> SecurityDescriptor {
    let owner = administrators();
    let mut dacl = Vec::new();
    for ace in parent.dacl.iter().flatten() {
        let wanted = if is_directory {
            AceFlags::CONTAINER_INHERIT
        } else {
            AceFlags::OBJECT_INHERIT
        };
        let goes_on = !ace.flags.contains(AceFlags::NO_PROPAGATE_INHERIT);
        let inheritance = ace.flags & (AceFlags::OBJECT_INHERIT | AceFlags::CONTAINER_INHERIT);
        let is_effective = ace.flags.contains(wanted);
        if is_directory && !is_effective && ace.flags.contains(AceFlags::OBJECT_INHERIT) && goes_on {
            // For files further below.
            let flags = inheritance | AceFlags::INHERIT_ONLY | AceFlags::INHERITED;
            dacl.push(Ace { flags, ..ace.clone() });
        }
        if !is_effective {
            continue;
        }
        let below = if is_directory && goes_on {
            inheritance
        } else {
            AceFlags::empty()
        };
        match (ace.sid(), ace.mask()) {
            // The owner now, and whoever makes something below.
            (Some(sid), Some(mask)) if sid == creator_owner() && ace.ace_type == Ace::ALLOWED => {
                dacl.push(Ace::allow(&owner, mask, AceFlags::INHERITED));
                if !below.is_empty() {
                    let flags = below | AceFlags::INHERIT_ONLY | AceFlags::INHERITED;
                    dacl.push(Ace { flags, ..ace.clone() });
                }
            }
            _ => dacl.push(Ace {
                flags: below | AceFlags::INHERITED,
                ..ace.clone()
            }),
        }
    }
    SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT | Control::DACL_AUTO_INHERITED,
        group: Some(owner.clone()),
        owner: Some(owner),
        sacl: None,
        dacl: Some(dacl),
    }
}

/// The descriptor that a folder hands on to what is in it, and which place it is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderSecurity {
    id: SecurityId,
    place: Option<Place>,
}

impl FolderSecurity {
    /// A folder whose descriptor was brought along.
    pub fn with(id: SecurityId) -> Self {
        Self { id, place: None }
    }

    /// Its descriptor.
    pub fn id(self) -> SecurityId {
        self.id
    }
}

/// Gives the files of a [`Tree`] their descriptors, each kind made once.
#[derive(Debug, Default)]
pub struct PlaceSecurity {
    places: HashMap<Place, SecurityId>,
    /// What files and directories inherit from a descriptor.
    inherited: HashMap<(SecurityId, bool), SecurityId>,
    /// Taken apart, to inherit from; `None` where one that was brought along cannot be.
    parsed: HashMap<SecurityId, Option<SecurityDescriptor>>,
}

impl PlaceSecurity {
    /// That of the root.
    pub fn root(&mut self, tree: &mut Tree) -> Result<FolderSecurity, TreeError> {
        self.of_place(tree, Place::Root)
    }

    /// That of a directory `name` in `parent`. `is_private` where others may not read it.
    pub fn directory(
        &mut self,
        tree: &mut Tree,
        parent: FolderSecurity,
        name: &str,
        is_private: bool,
    ) -> Result<FolderSecurity, TreeError> {
        let place = match parent.place {
            _ if is_private => Some(Place::Private),
            Some(Place::Root) => Place::in_root(name),
            Some(Place::Users) if name.eq_ignore_ascii_case("Public") => Some(Place::Public),
            Some(Place::Users) => Some(Place::Profile),
            _ => None,
        };
        match place {
            Some(place) => self.of_place(tree, place),
            None => self.inherited(tree, parent.id, true).map(FolderSecurity::with),
        }
    }

    /// That of a file in `parent`.
    pub fn file(&mut self, tree: &mut Tree, parent: FolderSecurity, is_private: bool) -> Result<SecurityId, TreeError> {
        if is_private {
            let private = self.of_place(tree, Place::Private)?;
            return self.inherited(tree, private.id, false);
        }
        self.inherited(tree, parent.id, false)
    }

    /// One that was brought along, to be inherited from.
    pub fn brought(&mut self, tree: &mut Tree, bytes: &[u8]) -> Result<SecurityId, TreeError> {
        let id = tree.intern_security(bytes)?;
        self.parsed
            .entry(id)
            .or_insert_with(|| SecurityDescriptor::parse(bytes).ok());
        Ok(id)
    }

    fn of_place(&mut self, tree: &mut Tree, place: Place) -> Result<FolderSecurity, TreeError> {
        let id = match self.places.get(&place) {
            Some(id) => *id,
            None => self.intern(tree, place.descriptor())?,
        };
        self.places.insert(place, id);
        Ok(FolderSecurity { id, place: Some(place) })
    }

    fn inherited(&mut self, tree: &mut Tree, parent: SecurityId, is_directory: bool) -> Result<SecurityId, TreeError> {
        if let Some(id) = self.inherited.get(&(parent, is_directory)) {
            return Ok(*id);
        }
        let id = if let Some(descriptor) = self.parsed.get(&parent).and_then(Option::as_ref) {
            let descriptor = inherit(descriptor, is_directory);
            self.intern(tree, descriptor)?
        } else {
            let root = self.of_place(tree, Place::Root)?;
            self.inherited(tree, root.id, is_directory)?
        };
        self.inherited.insert((parent, is_directory), id);
        Ok(id)
    }

    fn intern(&mut self, tree: &mut Tree, descriptor: SecurityDescriptor) -> Result<SecurityId, TreeError> {
        let id = tree.intern_security(&descriptor.to_bytes())?;
        self.parsed.insert(id, Some(descriptor));
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_of(descriptor: &SecurityDescriptor, sid: &Sid) -> u32 {
        let effective = descriptor
            .dacl
            .iter()
            .flatten()
            .filter(|ace| !ace.flags.contains(AceFlags::INHERIT_ONLY));
        effective
            .filter(|ace| ace.sid().as_ref() == Some(sid))
            .filter_map(Ace::mask)
            .fold(0, |all, mask| all | mask)
    }

    #[test]
    fn files_get_what_windows_gives_there() {
        let program = inherit(&inherit(&Place::Programs.descriptor(), true), false);
        assert_eq!(mask_of(&program, &users()), READ_AND_RUN);
        assert_eq!(mask_of(&program, &trusted_installer()), ALL);
        assert_eq!(mask_of(&program, &administrators()), ALL);
        assert_eq!(mask_of(&program, &creator_owner()), 0);
        assert!(
            program
                .dacl
                .iter()
                .flatten()
                .all(|ace| ace.flags == AceFlags::INHERITED)
        );

        let data = inherit(&Place::Root.descriptor(), true);
        assert_eq!(mask_of(&data, &authenticated_users()), MODIFY);
        let shared = Place::ProgramData.descriptor();
        assert_eq!(mask_of(&inherit(&shared, true), &users()), READ_AND_RUN | ADD);
        assert_eq!(mask_of(&inherit(&shared, false), &users()), READ_AND_RUN);
        let private = inherit(&Place::Private.descriptor(), false);
        assert_eq!((mask_of(&private, &users()), mask_of(&private, &system())), (0, ALL));
    }

    #[test]
    fn equal_descriptors_are_kept_once() {
        let mut tree = Tree::new();
        let mut descriptors = PlaceSecurity::default();
        let root = descriptors.root(&mut tree).unwrap();
        let programs = descriptors.directory(&mut tree, root, "PROGRAM FILES", false).unwrap();
        let one = descriptors.directory(&mut tree, programs, "one", false).unwrap();
        let two = descriptors.directory(&mut tree, one, "two", false).unwrap();
        let three = descriptors.directory(&mut tree, two, "Users", false).unwrap();
        assert_eq!(two.id(), three.id());
        assert_ne!(programs.id(), one.id());
        let file =
            |descriptors: &mut PlaceSecurity, tree: &mut Tree, folder| descriptors.file(tree, folder, false).unwrap();
        assert_eq!(
            file(&mut descriptors, &mut tree, two),
            file(&mut descriptors, &mut tree, three)
        );
        let hidden = descriptors.directory(&mut tree, two, "hidden", true).unwrap();
        assert_ne!(
            file(&mut descriptors, &mut tree, hidden),
            file(&mut descriptors, &mut tree, two)
        );
        let users = descriptors.directory(&mut tree, root, "users", false).unwrap();
        let public = descriptors.directory(&mut tree, users, "Public", false).unwrap();
        assert_ne!(
            public.id(),
            descriptors.directory(&mut tree, users, "ann", false).unwrap().id()
        );
    }
}
