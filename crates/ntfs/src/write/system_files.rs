//! The volume's own files.

use super::core::{Core, Place, system_reference, system_sequence};
use super::layout::Layout;
use super::names::system_name;
use super::options::system_security;
use super::parts;
use super::record::{Clusters, Header, Part};
use super::security_file::{SYSTEM_READ, SYSTEM_WRITE};
use super::view_indexes::View;
use crate::structure::file_name::FileNameHeader;
use crate::structure::index::{I30, encode_end_entry, encode_name_entry, encode_view_entry};
use crate::structure::security_descriptor::Sid;
use crate::structure::standard_information::{StandardInformationBase, StandardInformationExtension};
use crate::structure::system_file::{
    ATTRIBUTE_DEFINITIONS, BAD, BAD_CLUSTERS, BITMAP, BOOT, EXTEND, INFO, LOG_FILE, MFT, MFT_MIRROR, O, Q, ROOT, SDS,
    SECURE, UPCASE, VOLUME,
};
use crate::structure::upcase_info::UpcaseInfo;
use crate::structure::view_index::QuotaData;
use crate::structure::volume_information::{VolumeFlags, VolumeInformation};
use crate::structure::{
    AttributeType, BootSector, CollationRule, FileAttributes, FileName, FileReference, Namespace, RecordFlags, Run,
    StandardInformation, Structure, attribute_definition,
};
use cv_winname::UpcaseTable;

/// `$Extend\$Quota`.
const QUOTA: u64 = 24;
/// `$Extend\$ObjId`.
const OBJECT_IDS: u64 = 25;
/// `$Extend\$Reparse`.
const REPARSE: u64 = 26;
/// The files of `$Extend` in the order of its index.
const EXTEND_FILES: [(u64, &str); 3] = [(OBJECT_IDS, "$ObjId"), (QUOTA, "$Quota"), (REPARSE, "$Reparse")];

/// The access mask of the descriptor that `$Boot` and the reserved records have themselves.
const READ: u32 = 0x0012_0089;

/// Whether the record is one of the volume's own that is in use; the root is the tree's.
pub(super) fn is_system(record: u64) -> bool {
    matches!(record, 0..16 | QUOTA..=REPARSE) && record != ROOT.record
}

fn is_reserved(record: u64) -> bool {
    (12..16).contains(&record)
}

/// What the record says of itself.
pub(super) fn header(record: u64) -> Header {
    let flags = match record {
        _ if record == EXTEND.record => RecordFlags::FILE_NAME_INDEX_PRESENT,
        _ if record == SECURE.record => RecordFlags::VIEW_INDEX_PRESENT,
        QUOTA..=REPARSE => RecordFlags::SYSTEM_FILE | RecordFlags::VIEW_INDEX_PRESENT,
        _ => RecordFlags::empty(),
    };
    Header {
        number: record,
        sequence: system_sequence(record),
        flags: flags | RecordFlags::IN_USE,
        names: u16::from(!is_reserved(record)),
        base: FileReference(0),
    }
}

fn name(record: u64) -> Vec<u16> {
    match EXTEND_FILES.iter().find(|(number, _)| *number == record) {
        Some((_, name)) => name.encode_utf16().collect(),
        None => system_name(record as u32),
    }
}

fn attributes(record: u64) -> FileAttributes {
    let own = FileAttributes::HIDDEN | FileAttributes::SYSTEM;
    match record {
        _ if record == SECURE.record => own | FileAttributes::VIEW_INDEX,
        QUOTA..=REPARSE => own | FileAttributes::ARCHIVE | FileAttributes::VIEW_INDEX,
        _ => own,
    }
}

/// Where the unnamed stream of a file of the volume itself is.
fn data(core: &Core, layout: &Layout, record: u64) -> Option<Clusters> {
    let at = |place: Place, size: u64| Some(Clusters::contiguous(place.lcn, place.clusters, size, core.cluster_size));
    match record {
        _ if record == MFT.record => at(layout.mft, layout.records * u64::from(core.record_size)),
        _ if record == MFT_MIRROR.record => at(core.front.mirror, core.mirror_size()),
        _ if record == LOG_FILE.record => at(layout.log, layout.log_size(core)),
        _ if record == ATTRIBUTE_DEFINITIONS.record => {
            at(core.front.attribute_definitions, attribute_definition::FILE_SIZE as u64)
        }
        _ if record == BITMAP.record => at(layout.bitmap, layout.bitmap_size()),
        _ if record == BOOT.record => at(core.front.boot, boot_size(core)),
        _ if record == UPCASE.record => at(core.front.upcase, UpcaseTable::SIZE as u64),
        _ => None,
    }
}

/// Bytes of `$Boot`.
pub(super) fn boot_size(core: &Core) -> u64 {
    BootSector::FILE_SIZE.max(u64::from(core.cluster_size))
}

/// `$FILE_NAME` of a file of the volume itself.
fn file_name(core: &Core, layout: &Layout, record: u64) -> FileName {
    let parent = match record {
        QUOTA..=REPARSE => EXTEND,
        _ => ROOT,
    };
    let (allocated, size) = data(core, layout, record).map_or((0, 0), |data| (data.allocated, data.size));
    let mut file_attributes = attributes(record);
    file_attributes.set(FileAttributes::DIRECTORY_INDEX, record == EXTEND.record);
    let name = name(record);
    FileName {
        header: FileNameHeader {
            parent_directory: system_reference(parent.record),
            creation_time: core.time,
            last_modification_time: core.time,
            last_change_time: core.time,
            last_access_time: core.time,
            allocated_length: allocated,
            file_size: size,
            file_attributes,
            reparse_tag_or_packed_ea_size: 0,
            file_name_length: name.len() as u8,
            flags: Namespace::WIN32_AND_DOS.0,
        },
        name,
    }
}

/// The entry of a file of the volume itself, or of the root, in the root's index.
pub(super) fn index_entry(core: &Core, layout: &Layout, record: u64) -> (FileReference, FileName) {
    let name = if record == ROOT.record {
        parts::root_file_name(core, layout)
    } else {
        file_name(core, layout, record)
    };
    (system_reference(record), name)
}

/// The attributes of a file of the volume itself, in the order of a record.
pub(super) fn of_record<'a>(core: &'a Core, layout: &Layout, record: u64) -> Vec<Part<'a>> {
    let mut parts = vec![standard_information(core, record)];
    if !is_reserved(record) {
        let name = file_name(core, layout, record);
        parts.push(Part::resident(AttributeType::FILE_NAME, name.to_bytes()));
    }
    if record == BOOT.record || is_reserved(record) {
        parts.push(Part::resident(
            AttributeType::SECURITY_DESCRIPTOR,
            system_security(READ),
        ));
    }
    match data(core, layout, record) {
        Some(data) => parts.push(Part::clusters(AttributeType::DATA, data)),
        None if record == VOLUME.record => volume(core, &mut parts),
        None if record < EXTEND.record && record != SECURE.record || is_reserved(record) => {
            parts.push(Part::resident(AttributeType::DATA, &[][..]));
        }
        None => {}
    }
    match record {
        _ if record == MFT.record => {
            let size = layout.records.div_ceil(64) * 8;
            let place = layout.mft_bitmap;
            let bitmap = Clusters::contiguous(place.lcn, place.clusters, size, core.cluster_size);
            parts.push(Part::clusters(AttributeType::BITMAP, bitmap));
        }
        _ if record == BAD_CLUSTERS.record => {
            let bad = Clusters {
                runs: vec![Run {
                    vcn: 0,
                    lcn: None,
                    clusters: layout.total_clusters,
                }],
                allocated: core.offset(layout.total_clusters),
                size: core.offset(layout.total_clusters),
                ..Clusters::default()
            };
            parts.push(Part::clusters(AttributeType::DATA, bad).named(&BAD[..]));
        }
        _ if record == SECURE.record => secure(core, layout, &mut parts),
        _ if record == UPCASE.record => {
            let info = UpcaseInfo::of(&UpcaseTable::windows().to_bytes());
            parts.push(Part::resident(AttributeType::DATA, info.to_bytes()).named(&INFO[..]));
        }
        _ if record == EXTEND.record => {
            let mut entries = Vec::new();
            for (record, _) in EXTEND_FILES {
                let key = file_name(core, layout, record).to_bytes();
                entries.extend(encode_name_entry(system_reference(record), &key, None));
            }
            entries.extend(encode_end_entry(None));
            let root = parts::index_root(
                core,
                AttributeType::FILE_NAME,
                CollationRule::FILE_NAME,
                &entries,
                false,
            );
            parts.push(Part::resident(AttributeType::INDEX_ROOT, root).named(&I30[..]));
        }
        QUOTA => quota(core, &mut parts),
        OBJECT_IDS => layout.view_indexes.attributes(core, View::ObjectId, &mut parts),
        REPARSE => layout.view_indexes.attributes(core, View::Reparse, &mut parts),
        _ => {}
    }
    parts.sort_by_key(|part| part.type_code);
    parts
}

fn standard_information(core: &Core, record: u64) -> Part<'static> {
    let has_own_security = record == BOOT.record || is_reserved(record);
    let security_id = match record {
        _ if record == VOLUME.record || record == SECURE.record || record == EXTEND.record => SYSTEM_WRITE,
        QUOTA..=REPARSE => SYSTEM_WRITE,
        _ => SYSTEM_READ,
    };
    let information = StandardInformation {
        base: StandardInformationBase {
            creation_time: core.time,
            last_modification_time: core.time,
            last_change_time: core.time,
            last_access_time: core.time,
            file_attributes: attributes(record),
            ..StandardInformationBase::default()
        },
        extension: (!has_own_security).then(|| StandardInformationExtension {
            security_id,
            ..StandardInformationExtension::default()
        }),
    };
    Part::resident(AttributeType::STANDARD_INFORMATION, information.to_bytes())
}

fn volume(core: &Core, parts: &mut Vec<Part<'_>>) {
    let label: Vec<u8> = core.label.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    parts.push(Part::resident(AttributeType::VOLUME_NAME, label));
    let information = VolumeInformation {
        reserved: 0,
        major_version: 3,
        minor_version: 1,
        volume_flags: VolumeFlags::empty(),
    };
    parts.push(Part::resident(
        AttributeType::VOLUME_INFORMATION,
        information.to_bytes(),
    ));
    parts.push(Part::resident(AttributeType::DATA, &[][..]));
}

fn secure(core: &Core, layout: &Layout, parts: &mut Vec<Part<'_>>) {
    let place = core.front.security;
    let size = core.security.content().len() as u64;
    let content = Clusters::contiguous(place.lcn, place.clusters, size, core.cluster_size);
    parts.push(Part::clusters(AttributeType::DATA, content).named(&SDS[..]));
    layout.view_indexes.attributes(core, View::SecurityHash, parts);
    layout.view_indexes.attributes(core, View::SecurityId, parts);
}

/// The quota file as formatting makes it: no limits, for anyone and for administrators.
fn quota(core: &Core, parts: &mut Vec<Part<'_>>) {
    const DEFAULTS: u32 = 1;
    const FIRST_USER: u32 = 0x100;
    let administrators = Sid::new(5, &[32, 544]).to_bytes();
    let data = QuotaData {
        version: 2,
        flags: 1,
        bytes_used: 0,
        change_time: core.time,
        threshold: u64::MAX,
        limit: u64::MAX,
        exceeded_time: crate::structure::NtfsTime(0),
    }
    .to_bytes();
    let mut view = |name: &'static [u16], rule, entries: &[Vec<u8>]| {
        let mut node = entries.concat();
        node.extend(encode_end_entry(None));
        let root = parts::index_root(core, AttributeType(0), rule, &node, false);
        parts.push(Part::resident(AttributeType::INDEX_ROOT, root).named(name));
    };
    view(
        &O,
        CollationRule::NTOFS_SID,
        &[encode_view_entry(&administrators, &FIRST_USER.to_le_bytes(), None)],
    );
    let own = [data.as_slice(), &administrators].concat();
    view(
        &Q,
        CollationRule::NTOFS_ULONG,
        &[
            encode_view_entry(&DEFAULTS.to_le_bytes(), &data, None),
            encode_view_entry(&FIRST_USER.to_le_bytes(), &own, None),
        ],
    );
}

/// The boot sector.
pub(super) fn boot_sector(core: &Core, layout: &Layout, total_sectors: u64) -> BootSector {
    use crate::structure::Geometry;
    let sectors_per_cluster = core.cluster_size / core.sector_size;
    BootSector {
        jump: [0xEB, 0x52, 0x90],
        oem: BootSector::OEM,
        bytes_per_sector: core.sector_size as u16,
        sectors_per_cluster: Geometry::sectors_per_cluster_code(sectors_per_cluster),
        reserved_sectors: 0,
        fats: 0,
        root_entries: 0,
        sectors: 0,
        media: 0xF8,
        sectors_per_fat: 0,
        sectors_per_track: 63,
        heads: 255,
        hidden_sectors: core.hidden_sectors,
        large_sectors: 0,
        unused: [0x80, 0, 0x80, 0],
        total_sectors,
        mft_start_lcn: layout.mft.lcn,
        mft2_start_lcn: core.front.mirror.lcn,
        clusters_per_file_record_segment: Geometry::block_size_code(core.record_size, core.cluster_size),
        reserved0: [0; 3],
        default_clusters_per_index_allocation_buffer: Geometry::block_size_code(
            super::b_tree::BLOCK_SIZE,
            core.cluster_size,
        ),
        reserved1: [0; 3],
        serial_number: core.serial,
        checksum: 0,
        boot_strap: [0; 426],
        signature: BootSector::SIGNATURE,
    }
}
