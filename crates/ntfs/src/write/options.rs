//! How a volume is to be laid out and written.

use crate::structure::NtfsTime;
use crate::structure::security_descriptor::{Ace, AceFlags, Control, SecurityDescriptor, Sid};

/// How a volume is to be laid out.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Bytes of the volume, a multiple of the sector size; `None` for as small as fits, and [`slack`](Self::slack).
    pub volume_size: Option<u64>,
    /// Bytes to leave free where the size is not given; `None` for a sixty-fourth of what is used, 1 MiB at least.
    pub slack: Option<u64>,
    /// Bytes per cluster, a power of two from the sector size to 2 MiB; `None` for 4 KiB, or what a larger volume needs.
    pub cluster_size: Option<u32>,
    /// Bytes per sector, 512 or 4096.
    pub sector_size: u32,
    /// The volume's label, 32 units at most.
    pub label: Vec<u16>,
    /// The serial number; `None` for one computed from the tree.
    pub serial: Option<u64>,
    /// When the volume's own files were made; `None` for when the root was.
    pub time: Option<NtfsTime>,
    /// Sectors of the disk before the volume's first one.
    pub hidden_sectors: u32,
    /// Streams of this many bytes or more begin at a multiple of it, so that a host that shares blocks between files can
    /// do so; 1 for anywhere.
    pub data_alignment: u64,
    /// Whether every name that is not an 8.3 name itself gets one beside it.
    pub short_names: bool,
    /// Which names are allowed.
    pub name_rule: NameRule,
    /// What becomes of names in one directory that differ in case alone.
    pub case_conflicts: CaseConflicts,
    /// The security descriptor, in self-relative form, of files that have none in the tree.
    pub default_security: Vec<u8>,
}

impl Default for PlanOptions {
    /// A volume for Windows: 4 KiB clusters, 512-byte sectors, no 8.3 names, Windows' rules for names.
    fn default() -> Self {
        Self {
            volume_size: None,
            slack: None,
            cluster_size: None,
            sector_size: 512,
            label: Vec::new(),
            serial: None,
            time: None,
            hidden_sectors: 0,
            data_alignment: 1,
            short_names: false,
            name_rule: NameRule::Windows,
            case_conflicts: CaseConflicts::Refuse,
            default_security: default_security(),
        }
    }
}

/// Which names a volume may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NameRule {
    /// Those that every Windows program can open ([`cv_winname::check_component`]).
    #[default]
    Windows,
    /// Those that NTFS can store.
    Any,
}

/// What becomes of names in one directory that differ in case alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CaseConflicts {
    /// They are an error that lists them.
    #[default]
    Refuse,
    /// All but the first in the directory's order get a number: `name (2).txt`.
    Rename,
    /// They stay; Windows programs see the first unless the directory is case-sensitive.
    Keep,
}

/// How a volume is to be written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Whether to compute the SHA-256 of every stream.
    pub hash: bool,
    /// Streams of at least this many bytes get a [`TreeHash`](super::tree_hash::TreeHash) too, those in their file
    /// records, late ones and those of no more than one group excepted; `None` for no stream.
    pub tree_hash_from: Option<u64>,
    /// Threads that read, hash and write, at least one.
    pub threads: usize,
}

impl Default for WriteOptions {
    /// Without hashes, as many threads as the machine has, up to four.
    fn default() -> Self {
        Self {
            hash: false,
            tree_hash_from: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(4),
        }
    }
}

const FULL_ACCESS: u32 = 0x001F_01FF;
const READ_AND_EXECUTE: u32 = 0x0012_00A9;

/// `O:BAG:BAD:(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)`: administrators and the system may do everything,
/// users read and run.
pub fn default_security() -> Vec<u8> {
    let administrators = Sid::new(5, &[32, 544]);
    let inherited = AceFlags::OBJECT_INHERIT | AceFlags::CONTAINER_INHERIT;
    SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT,
        owner: Some(administrators.clone()),
        group: Some(administrators.clone()),
        sacl: None,
        dacl: Some(vec![
            Ace::allow(&Sid::new(5, &[18]), FULL_ACCESS, inherited),
            Ace::allow(&administrators, FULL_ACCESS, inherited),
            Ace::allow(&Sid::new(5, &[32, 545]), READ_AND_EXECUTE, inherited),
        ]),
    }
    .to_bytes()
}

/// The security descriptor of the volume's own files, `O:SYG:BAD:(A;;…;;;SY)(A;;…;;;BA)` with `mask`.
pub(super) fn system_security(mask: u32) -> Vec<u8> {
    let system = Sid::new(5, &[18]);
    let administrators = Sid::new(5, &[32, 544]);
    SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT,
        owner: Some(system.clone()),
        group: Some(administrators.clone()),
        sacl: None,
        dacl: Some(vec![
            Ace::allow(&system, mask, AceFlags::empty()),
            Ace::allow(&administrators, mask, AceFlags::empty()),
        ]),
    }
    .to_bytes()
}
