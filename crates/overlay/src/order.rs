//! In which order the members of a stack stand.

use alloc::vec::Vec;

use crate::policy::Rule;

/// What the caller calls a layer, the same as long as it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub u64);

/// What part a member plays in its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Takes the writes under [`Action::Discard`](crate::policy::Action::Discard); its owner empties it at logoff.
    Session,
    /// Takes the writes under [`Action::Isolate`](crate::policy::Action::Isolate) rules of this layer, and is attached
    /// and detached with it.
    Area(LayerId),
    /// The writable volume.
    Writable,
    /// A layer.
    Layer,
    /// What everything stands on.
    Base,
}

impl Role {
    /// Whether the member takes writes and is seen only where it does.
    pub const fn is_upper(self) -> bool {
        matches!(self, Self::Session | Self::Area(_) | Self::Writable)
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Session => 0,
            Self::Area(_) => 1,
            Self::Writable => 2,
            Self::Layer => 3,
            Self::Base => 4,
        }
    }
}

/// One thing that is put into a stack.
#[derive(Clone, Debug)]
pub struct Attachment<L> {
    /// What the caller calls it.
    pub id: LayerId,
    /// What part it plays.
    pub role: Role,
    /// Among layers, the higher priority stands above; 0 unless set.
    pub priority: i32,
    /// The rules of its manifest.
    pub rules: Vec<Rule>,
    /// The thing itself.
    pub layer: L,
}

impl<L> Attachment<L> {
    /// An attachment without priority and rules.
    pub const fn new(id: LayerId, role: Role, layer: L) -> Self {
        Self {
            id,
            role,
            priority: 0,
            rules: Vec::new(),
            layer,
        }
    }
}

/// Puts attachments, given in the order in which they were attached, into their effective order, the highest first:
/// session, isolated areas, writable volume, layers, base. Layers stand by their priority, and where that is equal the
/// later attached stands above the earlier.
pub fn sort<L>(attachments: &mut [Attachment<L>]) {
    attachments.reverse();
    attachments.sort_by_key(|attachment| {
        let priority = match attachment.role {
            Role::Layer => attachment.priority,
            _ => 0,
        };
        (attachment.role.rank(), core::cmp::Reverse(priority))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn later_layers_stand_above_unless_a_priority_says_otherwise() {
        let mut attachments = vec![
            Attachment::new(LayerId(0), Role::Base, ()),
            Attachment::new(LayerId(1), Role::Writable, ()),
            Attachment::new(LayerId(2), Role::Layer, ()),
            Attachment {
                priority: 5,
                ..Attachment::new(LayerId(3), Role::Layer, ())
            },
            Attachment::new(LayerId(4), Role::Layer, ()),
            Attachment {
                priority: -1,
                ..Attachment::new(LayerId(5), Role::Layer, ())
            },
            Attachment::new(LayerId(6), Role::Area(LayerId(2)), ()),
            Attachment::new(LayerId(7), Role::Session, ()),
        ];
        sort(&mut attachments);
        let order: Vec<u64> = attachments.iter().map(|attachment| attachment.id.0).collect();
        assert_eq!(order, [7, 6, 1, 3, 4, 2, 5, 0]);
    }
}
