//! What partition types say a partition holds.

use uuid::Uuid;

/// Partition type GUIDs of a GPT.
///
/// The first two are the UEFI specification's (section 5.3.3), those of Microsoft are in the documentation of
/// `PARTITION_INFORMATION_GPT`, those of Linux in the Discoverable Partitions Specification.
pub mod gpt_type {
    use uuid::Uuid;

    /// EFI system partition.
    pub const EFI_SYSTEM: Uuid = Uuid::from_u128(0xC12A7328_F81F_11D2_BA4B_00A0C93EC93B);
    /// A partition that holds an MBR of its own.
    pub const LEGACY_MBR: Uuid = Uuid::from_u128(0x024DEE41_33E7_11D3_9D69_0008C781F39F);
    /// GRUB's second stage on a machine without UEFI.
    pub const BIOS_BOOT: Uuid = Uuid::from_u128(0x21686148_6449_6E6F_744E_656564454649);
    /// Microsoft basic data: a volume of NTFS, FAT, exFAT or `ReFS`.
    pub const BASIC_DATA: Uuid = Uuid::from_u128(0xEBD0A0A2_B9E5_4433_87C0_68B6B72699C7);
    /// Microsoft reserved partition.
    pub const MICROSOFT_RESERVED: Uuid = Uuid::from_u128(0xE3C9E316_0B5C_4DB8_817D_F92DF00215AE);
    /// Windows recovery environment.
    pub const WINDOWS_RECOVERY: Uuid = Uuid::from_u128(0xDE94BBA4_06D1_4D40_A16A_BFD50179D6AC);
    /// Metadata of the Windows logical disk manager.
    pub const LDM_METADATA: Uuid = Uuid::from_u128(0x5808C8AA_7E8F_42E0_85D2_E1E90434CFB3);
    /// Data of the Windows logical disk manager (dynamic disks).
    pub const LDM_DATA: Uuid = Uuid::from_u128(0xAF9B60A0_1431_4F62_BC68_3311714A69AD);
    /// Windows Storage Spaces.
    pub const STORAGE_SPACES: Uuid = Uuid::from_u128(0xE75CAF8F_F680_4CEE_AFA3_B001E56EFC2D);
    /// Linux file system.
    pub const LINUX_FILESYSTEM: Uuid = Uuid::from_u128(0x0FC63DAF_8483_4772_8E79_3D69D8477DE4);
    /// Linux swap.
    pub const LINUX_SWAP: Uuid = Uuid::from_u128(0x0657FD6D_A4AB_43C4_84E5_0933C84B4F4F);
    /// Linux logical volume manager.
    pub const LINUX_LVM: Uuid = Uuid::from_u128(0xE6D6D379_F507_44C2_A23C_238F2A3DF928);
    /// Linux software RAID.
    pub const LINUX_RAID: Uuid = Uuid::from_u128(0xA19D880F_05FC_4D3B_A006_743F0F84911E);
    /// Linux root file system on x86-64.
    pub const LINUX_ROOT_X86_64: Uuid = Uuid::from_u128(0x4F68BCE3_E8CD_4DB1_96E7_FBCAF984B709);
    /// Linux `/home`.
    pub const LINUX_HOME: Uuid = Uuid::from_u128(0x933AC7E1_2EB4_4F13_B844_0E14E2AEF915);
    /// Linux extended boot partition (`/boot`).
    pub const LINUX_EXTENDED_BOOT: Uuid = Uuid::from_u128(0xBC13C2FF_59E6_4262_A352_B275FD6F7172);
    /// Apple HFS+.
    pub const APPLE_HFS_PLUS: Uuid = Uuid::from_u128(0x48465300_0000_11AA_AA11_00306543ECAC);
    /// Apple APFS.
    pub const APPLE_APFS: Uuid = Uuid::from_u128(0x7C3457EF_0000_11AA_AA11_00306543ECAC);
    /// VMware VMFS.
    pub const VMWARE_VMFS: Uuid = Uuid::from_u128(0xAA31E02A_400F_11DB_9590_000C2911D1B8);
    /// VMware core dump.
    pub const VMWARE_DIAGNOSTIC: Uuid = Uuid::from_u128(0x9D275380_40AD_11DB_BF97_000C2911D1B8);
}

/// The common name of a GPT partition type.
pub fn gpt_type_name(type_id: Uuid) -> Option<&'static str> {
    const NAMES: [(Uuid, &str); 20] = [
        (gpt_type::EFI_SYSTEM, "EFI system"),
        (gpt_type::LEGACY_MBR, "legacy MBR"),
        (gpt_type::BIOS_BOOT, "BIOS boot"),
        (gpt_type::BASIC_DATA, "Microsoft basic data"),
        (gpt_type::MICROSOFT_RESERVED, "Microsoft reserved"),
        (gpt_type::WINDOWS_RECOVERY, "Windows recovery"),
        (gpt_type::LDM_METADATA, "Windows LDM metadata"),
        (gpt_type::LDM_DATA, "Windows LDM data"),
        (gpt_type::STORAGE_SPACES, "Windows Storage Spaces"),
        (gpt_type::LINUX_FILESYSTEM, "Linux file system"),
        (gpt_type::LINUX_SWAP, "Linux swap"),
        (gpt_type::LINUX_LVM, "Linux LVM"),
        (gpt_type::LINUX_RAID, "Linux RAID"),
        (gpt_type::LINUX_ROOT_X86_64, "Linux root (x86-64)"),
        (gpt_type::LINUX_HOME, "Linux home"),
        (gpt_type::LINUX_EXTENDED_BOOT, "Linux extended boot"),
        (gpt_type::APPLE_HFS_PLUS, "Apple HFS+"),
        (gpt_type::APPLE_APFS, "Apple APFS"),
        (gpt_type::VMWARE_VMFS, "VMware VMFS"),
        (gpt_type::VMWARE_DIAGNOSTIC, "VMware diagnostic"),
    ];
    NAMES.iter().find(|(id, _)| *id == type_id).map(|(_, name)| *name)
}

/// The common name of an MBR partition type code (the specification's `OSType`).
pub fn mbr_type_name(type_code: u8) -> Option<&'static str> {
    Some(match type_code {
        0x01 => "FAT12",
        0x04 => "FAT16 (up to 32 MiB)",
        0x05 => "extended",
        0x06 => "FAT16",
        0x07 => "NTFS or exFAT",
        0x0B => "FAT32",
        0x0C => "FAT32 (LBA)",
        0x0E => "FAT16 (LBA)",
        0x0F => "extended (LBA)",
        0x11 => "hidden FAT12",
        0x14 => "hidden FAT16 (up to 32 MiB)",
        0x16 => "hidden FAT16",
        0x17 => "hidden NTFS or exFAT",
        0x1B => "hidden FAT32",
        0x1C => "hidden FAT32 (LBA)",
        0x1E => "hidden FAT16 (LBA)",
        0x27 => "Windows recovery",
        0x42 => "Windows LDM",
        0x82 => "Linux swap",
        0x83 => "Linux",
        0x85 => "Linux extended",
        0x8E => "Linux LVM",
        0xA5 => "FreeBSD",
        0xA6 => "OpenBSD",
        0xA9 => "NetBSD",
        0xAF => "Apple HFS",
        0xDA => "non-file-system data",
        0xEE => "GPT protective",
        0xEF => "EFI system",
        0xFB => "VMware VMFS",
        0xFC => "VMware diagnostic",
        0xFD => "Linux RAID",
        _ => return None,
    })
}
