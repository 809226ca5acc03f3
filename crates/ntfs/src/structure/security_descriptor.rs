//! Security descriptors in self-relative form (`SECURITY_DESCRIPTOR_RELATIVE`, \[MS-DTYP\] 2.4).

use super::{Structure, fixed_size, moved, part};
use binrw::binrw;
use bitflags::bitflags;
use cv_disk::Damage;
use std::fmt;
use std::str::FromStr;

bitflags! {
    /// Which parts a security descriptor has, and how they came there.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Control: u16 {
        /// The owner was set by default.
        const OWNER_DEFAULTED = 0x0001;
        /// The group was set by default.
        const GROUP_DEFAULTED = 0x0002;
        /// There is a DACL.
        const DACL_PRESENT = 0x0004;
        /// The DACL was set by default.
        const DACL_DEFAULTED = 0x0008;
        /// There is a SACL.
        const SACL_PRESENT = 0x0010;
        /// The SACL was set by default.
        const SACL_DEFAULTED = 0x0020;
        /// The DACL was inherited.
        const DACL_AUTO_INHERITED = 0x0400;
        /// The SACL was inherited.
        const SACL_AUTO_INHERITED = 0x0800;
        /// The DACL does not inherit.
        const DACL_PROTECTED = 0x1000;
        /// The SACL does not inherit.
        const SACL_PROTECTED = 0x2000;
        /// Offsets instead of pointers; always on disk.
        const SELF_RELATIVE = 0x8000;
    }
}

/// `SECURITY_DESCRIPTOR_RELATIVE`. An offset of 0 means that there is none.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityDescriptorHeader {
    /// 0x00: 1.
    pub revision: u8,
    /// 0x01: 0.
    pub sbz1: u8,
    /// 0x02: which parts there are.
    #[br(map = Control::from_bits_retain)]
    #[bw(map = Control::bits)]
    pub control: Control,
    /// 0x04: where the owner's security identifier stands.
    pub owner: u32,
    /// 0x08: where the group's stands.
    pub group: u32,
    /// 0x0C: where the SACL stands.
    pub sacl: u32,
    /// 0x10: where the DACL stands.
    pub dacl: u32,
}

fixed_size!(SecurityDescriptorHeader, "security descriptor", 20);

/// `ACL` without its entries.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AclHeader {
    /// 0x00: 2, or 4 where there are entries with object types.
    pub acl_revision: u8,
    /// 0x01: 0.
    pub sbz1: u8,
    /// 0x02: bytes of the list.
    pub acl_size: u16,
    /// 0x04: number of entries.
    pub ace_count: u16,
    /// 0x06: 0.
    pub sbz2: u16,
}

fixed_size!(AclHeader, "access control list", 8);

/// `ACE_HEADER`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AceHeader {
    /// 0x00: 0 allows, 1 denies, 2 audits, and so on.
    pub ace_type: u8,
    /// 0x01: how it is inherited.
    #[br(map = AceFlags::from_bits_retain)]
    #[bw(map = AceFlags::bits)]
    pub ace_flags: AceFlags,
    /// 0x02: bytes of the entry.
    pub ace_size: u16,
}

fixed_size!(AceHeader, "access control entry", 4);

bitflags! {
    /// How an access control entry is inherited.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct AceFlags: u8 {
        /// By files.
        const OBJECT_INHERIT = 0x01;
        /// By directories.
        const CONTAINER_INHERIT = 0x02;
        /// By children, not by their children.
        const NO_PROPAGATE_INHERIT = 0x04;
        /// It does not count for the directory itself.
        const INHERIT_ONLY = 0x08;
        /// It was inherited.
        const INHERITED = 0x10;
    }
}

/// A security identifier, such as `S-1-5-32-544`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid {
    /// Who gave the rest: 5 is Windows NT.
    pub identifier_authority: u64,
    /// Up to 15 numbers.
    pub sub_authorities: Vec<u32>,
}

impl Sid {
    /// Most numbers behind the authority.
    pub const MAX_SUB_AUTHORITIES: usize = 15;

    /// The identifier of `authority` and `sub_authorities`, of which 15 count at most.
    pub fn new(authority: u64, sub_authorities: &[u32]) -> Self {
        let count = sub_authorities.len().min(Self::MAX_SUB_AUTHORITIES);
        Self {
            identifier_authority: authority & 0xFFFF_FFFF_FFFF,
            sub_authorities: sub_authorities[..count].to_vec(),
        }
    }

    /// The identifier with which `bytes` begin.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let fixed = part(bytes, 0, 8, "security identifier")?;
        let (revision, count) = (fixed[0], usize::from(fixed[1]));
        if revision != 1 || count > Self::MAX_SUB_AUTHORITIES {
            return Err(Damage::new(
                "security identifier",
                0,
                "revision 1, at most 15 sub-authorities",
                format!("revision {revision}, {count} sub-authorities"),
            ));
        }
        let authority = fixed[2..].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let numbers = part(bytes, 8, 4 * count, "security identifier")?;
        Ok(Self {
            identifier_authority: authority,
            sub_authorities: numbers
                .chunks_exact(4)
                .map(|number| u32::from_le_bytes([number[0], number[1], number[2], number[3]]))
                .collect(),
        })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![1, self.sub_authorities.len() as u8];
        bytes.extend_from_slice(&self.identifier_authority.to_be_bytes()[2..]);
        bytes.extend(self.sub_authorities.iter().flat_map(|number| number.to_le_bytes()));
        bytes
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.identifier_authority >> 32 == 0 {
            write!(f, "S-1-{}", self.identifier_authority)?;
        } else {
            write!(f, "S-1-{:#014x}", self.identifier_authority)?;
        }
        self.sub_authorities
            .iter()
            .try_for_each(|number| write!(f, "-{number}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no security identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no security identifier of the form S-1-5-…")]
pub struct NotASid(String);

impl FromStr for Sid {
    type Err = NotASid;

    fn from_str(text: &str) -> Result<Self, NotASid> {
        let parse = || -> Option<Self> {
            let mut numbers = text.strip_prefix("S-1-")?.split('-');
            let authority = numbers.next()?;
            let authority = match authority.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok()?,
                None => authority.parse().ok()?,
            };
            let numbers: Vec<u32> = numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?;
            (authority >> 48 == 0 && numbers.len() <= Self::MAX_SUB_AUTHORITIES).then(|| Self::new(authority, &numbers))
        };
        parse().ok_or_else(|| NotASid(text.into()))
    }
}

/// An access control entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ace {
    /// [`Ace::ALLOWED`], [`Ace::DENIED`], [`Ace::AUDIT`] or another.
    pub ace_type: u8,
    /// How it is inherited.
    pub flags: AceFlags,
    /// What follows its header: for the simple types the access mask and the security identifier.
    pub body: Vec<u8>,
}

impl Ace {
    /// Allows.
    pub const ALLOWED: u8 = 0;
    /// Denies.
    pub const DENIED: u8 = 1;
    /// Has uses recorded.
    pub const AUDIT: u8 = 2;

    /// An entry that allows `sid` what `mask` says.
    pub fn allow(sid: &Sid, mask: u32, flags: AceFlags) -> Self {
        let mut body = mask.to_le_bytes().to_vec();
        body.extend(sid.to_bytes());
        Self {
            ace_type: Self::ALLOWED,
            flags,
            body,
        }
    }

    /// The access mask of an entry that has one.
    pub fn mask(&self) -> Option<u32> {
        self.body.first_chunk::<4>().copied().map(u32::from_le_bytes)
    }

    /// The security identifier of an entry of a simple type (0 to 3, 0x11).
    pub fn sid(&self) -> Option<Sid> {
        let is_simple = matches!(self.ace_type, 0..=3 | 0x11);
        is_simple.then(|| Sid::parse(self.body.get(4..)?).ok()).flatten()
    }
}

/// A security descriptor taken apart.
///
/// A list that is `None` while the control bits say it is present is a null list: everything is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityDescriptor {
    /// Which parts there are; [`SELF_RELATIVE`](Control::SELF_RELATIVE) included.
    pub control: Control,
    /// Owner.
    pub owner: Option<Sid>,
    /// Group.
    pub group: Option<Sid>,
    /// What is audited.
    pub sacl: Option<Vec<Ace>>,
    /// What is allowed.
    pub dacl: Option<Vec<Ace>>,
}

impl SecurityDescriptor {
    /// The security descriptor that is `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let header = SecurityDescriptorHeader::read_from(bytes, 0)?;
        let at = |offset: u32| bytes.get(offset as usize..).filter(|_| offset != 0);
        let sid = |offset: u32| {
            at(offset)
                .map(Sid::parse)
                .transpose()
                .map_err(|damage| moved(damage, u64::from(offset)))
        };
        let acl = |offset: u32, present: Control| {
            at(offset)
                .filter(|_| header.control.contains(present))
                .map(parse_acl)
                .transpose()
                .map_err(|damage| moved(damage, u64::from(offset)))
        };
        for offset in [header.owner, header.group, header.sacl, header.dacl] {
            if offset as usize >= bytes.len() {
                return Err(Damage::new(
                    "security descriptor, offset",
                    4,
                    format!("less than {}", bytes.len()),
                    offset.to_string(),
                ));
            }
        }
        Ok(Self {
            control: header.control,
            owner: sid(header.owner)?,
            group: sid(header.group)?,
            sacl: acl(header.sacl, Control::SACL_PRESENT)?,
            dacl: acl(header.dacl, Control::DACL_PRESENT)?,
        })
    }

    /// Its self-relative form, in the order that Windows writes: SACL, DACL, owner, group.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut header = SecurityDescriptorHeader {
            revision: 1,
            sbz1: 0,
            control: self.control | Control::SELF_RELATIVE,
            owner: 0,
            group: 0,
            sacl: 0,
            dacl: 0,
        };
        let mut bytes = vec![0; SecurityDescriptorHeader::SIZE];
        let mut append = |place: &mut u32, content: Option<Vec<u8>>| {
            if let Some(content) = content {
                *place = bytes.len() as u32;
                bytes.extend(content);
            }
        };
        append(&mut header.sacl, self.sacl.as_deref().map(acl_bytes));
        append(&mut header.dacl, self.dacl.as_deref().map(acl_bytes));
        append(&mut header.owner, self.owner.as_ref().map(Sid::to_bytes));
        append(&mut header.group, self.group.as_ref().map(Sid::to_bytes));
        header.write_to(&mut bytes, 0);
        bytes
    }
}

fn parse_acl(bytes: &[u8]) -> Result<Vec<Ace>, Damage> {
    let header = AclHeader::read_from(bytes, 0)?;
    let list = part(bytes, 0, usize::from(header.acl_size), "access control list")?;
    let mut position = AclHeader::SIZE;
    (0..header.ace_count)
        .map(|_| {
            let ace = AceHeader::read_from(list, position)?;
            let size = usize::from(ace.ace_size);
            if size < AceHeader::SIZE {
                return Err(Damage::new(
                    "access control entry, size",
                    position as u64 + 2,
                    "at least 4",
                    size.to_string(),
                ));
            }
            let body = part(list, position, size, "access control entry")?[AceHeader::SIZE..].to_vec();
            position += size;
            Ok(Ace {
                ace_type: ace.ace_type,
                flags: ace.ace_flags,
                body,
            })
        })
        .collect()
}

fn acl_bytes(list: &[Ace]) -> Vec<u8> {
    let mut body = Vec::new();
    for ace in list {
        let header = AceHeader {
            ace_type: ace.ace_type,
            ace_flags: ace.flags,
            ace_size: (AceHeader::SIZE + ace.body.len()) as u16,
        };
        body.extend(header.to_bytes());
        body.extend_from_slice(&ace.body);
    }
    let has_object_types = list.iter().any(|ace| matches!(ace.ace_type, 5..=8));
    let header = AclHeader {
        acl_revision: if has_object_types { 4 } else { 2 },
        sbz1: 0,
        acl_size: (AclHeader::SIZE + body.len()) as u16,
        ace_count: list.len() as u16,
        sbz2: 0,
    };
    let mut bytes = header.to_bytes();
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_sid() -> impl Strategy<Value = Sid> {
        (0_u64..1 << 48, prop::collection::vec(any::<u32>(), 0..16))
            .prop_map(|(authority, numbers)| Sid::new(authority, &numbers))
    }

    proptest! {
        #[test]
        fn descriptors_come_back(
            owner in prop::option::of(any_sid()),
            group in prop::option::of(any_sid()),
            list in prop::option::of(prop::collection::vec((any_sid(), any::<u32>(), any::<u8>()), 0..6)),
        ) {
            let dacl: Option<Vec<Ace>> = list.map(|list| list.iter().map(|(sid, mask, flags)|
                Ace::allow(sid, *mask, AceFlags::from_bits_retain(*flags))).collect());
            let descriptor = SecurityDescriptor {
                control: Control::SELF_RELATIVE | Control::DACL_PRESENT, owner, group, sacl: None, dacl,
            };
            let back = SecurityDescriptor::parse(&descriptor.to_bytes()).unwrap();
            prop_assert_eq!(&back, &descriptor);
            for sid in back.owner.iter().chain(&back.group) {
                prop_assert_eq!(&sid.to_string().parse::<Sid>().unwrap(), sid);
            }
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200), offset in 20_u8..200) {
            let mut bytes = bytes;
            let _ = SecurityDescriptor::parse(&bytes);
            if bytes.len() > 20 {
                bytes[..20].copy_from_slice(&[1, 0, 0x14, 0x80, offset, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, offset, 0, 0, 0]);
                let _ = SecurityDescriptor::parse(&bytes);
            }
        }
    }

    #[test]
    fn identifiers_are_written_as_windows_does() {
        let sid = Sid::new(5, &[32, 544]);
        assert_eq!(sid.to_string(), "S-1-5-32-544");
        assert_eq!(sid.to_bytes(), [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]);
        assert!("S-1-".parse::<Sid>().is_err());
        assert!("S-1-5-x".parse::<Sid>().is_err());
    }
}
