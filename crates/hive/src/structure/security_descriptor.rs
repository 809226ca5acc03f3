//! Security descriptors in self-relative form (`SECURITY_DESCRIPTOR_RELATIVE`, \[MS-DTYP\] 2.4.6): which bytes are one, and
//! the one that a root gets that has none.

use super::u32_at;
use std::ops::Range;

/// Bytes of the header: revision, control bits, and the offsets of owner, group, SACL and DACL.
const HEADER: usize = 20;
/// Control bit: offsets instead of pointers.
const SELF_RELATIVE: u16 = 0x8000;
const DACL_PRESENT: u16 = 0x0004;
const SACL_PRESENT: u16 = 0x0010;

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk()?;
    Some(usize::from(u16::from_le_bytes(*number)))
}

/// Whether `bytes` are a valid security descriptor, by the rules of `RtlValidRelativeSecurityDescriptor`: a header of
/// revision 1 that is self-relative, an owner, group and lists that lie within. What is wrong, where they are not.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() < HEADER {
        return Err(format!("{} bytes", bytes.len()));
    }
    if bytes[0] != 1 {
        return Err(format!("revision {}", bytes[0]));
    }
    let control = u16::from_le_bytes([bytes[2], bytes[3]]);
    if control & SELF_RELATIVE == 0 {
        return Err("a descriptor that is not self-relative".into());
    }
    for (at, name) in [(4, "owner"), (8, "group")] {
        let offset = u32_at(bytes, at) as usize;
        if offset != 0 && sid_length(bytes, offset..bytes.len()).is_none() {
            return Err(format!("no security identifier at {offset:#x} for the {name}"));
        }
    }
    for (at, present, name) in [(12, SACL_PRESENT, "SACL"), (16, DACL_PRESENT, "DACL")] {
        let offset = u32_at(bytes, at) as usize;
        if control & present != 0 && offset != 0 && !is_acl(bytes, offset) {
            return Err(format!("no access control list at {offset:#x} for the {name}"));
        }
    }
    Ok(())
}

/// The length of the security identifier at the start of `range`.
fn sid_length(bytes: &[u8], range: Range<usize>) -> Option<usize> {
    let bytes = bytes.get(range)?;
    let [1, count, ..] = *bytes else { return None };
    let length = 8 + 4 * usize::from(count);
    (count <= 15 && length <= bytes.len()).then_some(length)
}

fn is_acl(bytes: &[u8], offset: usize) -> bool {
    let list = || {
        let revision = *bytes.get(offset)?;
        let size = u16_at(bytes, offset + 2)?;
        let list = bytes.get(offset..offset.checked_add(size)?)?;
        let count = u16_at(list, 4)?;
        let mut at = 8;
        for _ in 0..count {
            let entry = u16_at(list, at + 2)?;
            let body = list.get(at..at.checked_add(entry)?)?;
            // Types 0 to 3 are: header, access mask, security identifier.
            if entry < 4 || body[0] <= 3 && sid_length(body, 8..entry).is_none() {
                return None;
            }
            at += entry;
        }
        (2..=4).contains(&revision).then_some(())
    };
    list().is_some()
}

/// The descriptor that a root gets where neither it nor anything above says one: owned by Administrators, full control for
/// them and for SYSTEM, reading for everyone, inherited by subkeys.
pub fn default_for_root() -> Vec<u8> {
    const KEY_ALL_ACCESS: u32 = 0x000F_003F;
    const KEY_READ: u32 = 0x0002_0019;
    const CONTAINER_INHERIT: u8 = 2;
    let sid = |authority: u8, numbers: &[u32]| {
        let mut sid = vec![1, numbers.len() as u8, 0, 0, 0, 0, 0, authority];
        sid.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        sid
    };
    let administrators = sid(5, &[32, 544]);
    let system = sid(5, &[18]);
    let everyone = sid(1, &[0]);
    let mut entries = Vec::new();
    for (sid, mask) in [
        (&administrators, KEY_ALL_ACCESS),
        (&system, KEY_ALL_ACCESS),
        (&everyone, KEY_READ),
    ] {
        entries.extend([0, CONTAINER_INHERIT]);
        entries.extend((8 + sid.len() as u16).to_le_bytes());
        entries.extend(mask.to_le_bytes());
        entries.extend(sid);
    }
    let list_size = 8 + entries.len() as u16;
    let owner = HEADER as u32 + u32::from(list_size);
    let group = owner + administrators.len() as u32;
    let mut bytes = vec![1, 0];
    bytes.extend((SELF_RELATIVE | DACL_PRESENT).to_le_bytes());
    for offset in [owner, group, 0, HEADER as u32] {
        bytes.extend(offset.to_le_bytes());
    }
    bytes.extend([2, 0]);
    bytes.extend(list_size.to_le_bytes());
    bytes.extend([3, 0, 0, 0]);
    bytes.extend(entries);
    bytes.extend(&administrators);
    bytes.extend(&system);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_damage_is_seen() {
        let bytes = default_for_root();
        assert_eq!(check(&bytes), Ok(()));
        for length in 0..bytes.len() {
            assert!(check(&bytes[..length]).is_err(), "{length}");
        }
        for (at, value) in [(0, 2), (3, 0), (4, 0xFF), (16, 0xF0), (24, 200), (30, 1)] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            assert!(check(&damaged).is_err(), "{at}");
        }
    }
}
