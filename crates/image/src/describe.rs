//! Everything that an image and its chain say of themselves.

use crate::container::{Container, ParentReference};
use crate::facts::{Facts, Value};
use crate::open::{Image, OpenError, OpenOptions};
use cv_disk::{RawFile, ReadAt};
use cv_vhd::vhd::{DiskType, FooterPlace, FooterState, PathKind, VhdInfo};
use cv_vhd::vhdx::{VhdxInfo, VhdxSubformat};
use cv_vmdk::VmdkInfo;
use std::path::{Path, PathBuf};

/// An image and its parents.
#[derive(Debug)]
pub struct ChainFacts {
    /// The image, then its parents, nearest first.
    pub links: Vec<Facts>,
    /// Why the chain ends before an image that needs no parent.
    pub broken: Option<String>,
}

impl Image {
    /// Describes the image at `path` and its chain, as far as that can be opened.
    pub fn describe(path: &Path, options: &OpenOptions) -> Result<ChainFacts, OpenError> {
        let container = Container::open(path, options)?;
        let mut links = vec![facts_of(path, &container)];
        let broken = match Self::open(path, options) {
            Err(error) => Some(one_line(&error)),
            Ok(image) => {
                let mut parent = image.parent();
                while let Some(link) = parent {
                    links.push(facts_of(link.path(), link.container()));
                    parent = link.parent();
                }
                None
            }
        };
        Ok(ChainFacts { links, broken })
    }

    /// Bytes that the host has allocated for the image's files.
    pub fn allocated(&self) -> u64 {
        files_of(self.path(), self.container())
            .iter()
            .filter_map(|path| RawFile::open(path).ok())
            .map(|file| file.allocated().unwrap_or_else(|| file.len()))
            .sum()
    }
}

pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

/// The image's own file and those of its extents.
fn files_of(path: &Path, container: &Container) -> Vec<PathBuf> {
    let mut files = vec![path.to_path_buf()];
    if let Container::Vmdk(vmdk) = container {
        let folder = path.parent().unwrap_or(Path::new(""));
        files.extend(
            vmdk.info()
                .extents
                .into_iter()
                .filter_map(|extent| Some(folder.join(extent.name?))),
        );
    }
    files
}

fn facts_of(path: &Path, container: &Container) -> Facts {
    let mut facts = Facts::new();
    facts.add("file", path.display().to_string());
    facts.add("format", container.format().name());
    let files: Vec<RawFile> = files_of(path, container)
        .iter()
        .filter_map(|path| RawFile::open(path).ok())
        .collect();
    let file_size: u64 = files.iter().map(RawFile::len).sum();
    let allocated = files.iter().map(RawFile::allocated).sum::<Option<u64>>();
    let sizes = |facts: &mut Facts, virtual_size: u64| {
        facts.add_bytes("virtual_size", virtual_size);
        facts.add_bytes("file_size", file_size);
        facts.add_some("allocated", allocated.map(Value::Bytes));
    };
    match container {
        Container::Raw(file) => sizes(&mut facts, file.len()),
        Container::Vhd(vhd) => {
            let info = vhd.info();
            facts.add("subformat", vhd_subformat(info.disk_type));
            sizes(&mut facts, info.size);
            vhd_facts(&mut facts, &info);
        }
        Container::Vhdx(vhdx) => {
            let info = vhdx.info();
            facts.add("subformat", vhdx_subformat(info.subformat));
            sizes(&mut facts, info.virtual_size);
            vhdx_facts(&mut facts, &info);
        }
        Container::Vmdk(vmdk) => {
            let info = vmdk.info();
            facts.add_some("subformat", info.create_type.clone());
            sizes(&mut facts, info.virtual_size);
            vmdk_facts(&mut facts, &info);
        }
    }
    if let Some(reference) = container.parent_reference() {
        facts.add("parent", parent_facts(&reference));
    }
    facts
}

fn vhd_subformat(disk_type: DiskType) -> &'static str {
    match disk_type {
        DiskType::Fixed => "fixed",
        DiskType::Dynamic => "dynamic",
        DiskType::Differencing => "differencing",
    }
}

fn vhd_facts(facts: &mut Facts, info: &VhdInfo) {
    if let Some(blocks) = &info.blocks {
        facts.add_bytes("block_size", blocks.block_size);
    }
    facts.add("logical_sector_size", 512_u32);
    facts.add("unique_id", info.identity.to_string());
    facts.add("created", rfc3339(info.created()));
    facts.add("creator_application", info.creator_application.clone());
    facts.add(
        "creator_version",
        format!("{}.{}", info.creator_version.0, info.creator_version.1),
    );
    facts.add("creator_host_os", info.creator_host_os.clone());
    facts.add_bytes("original_size", info.original_size);
    let geometry = &info.geometry;
    facts.add(
        "geometry",
        format!(
            "{}/{}/{}",
            geometry.cylinders, geometry.heads, geometry.sectors_per_track
        ),
    );
    facts.add("saved_state", info.saved_state);
    facts.add(
        "footer_used",
        match info.footer_used {
            FooterPlace::Head => "the copy at the start",
            FooterPlace::Tail => "the one at the end",
        },
    );
    facts.add("footer_at_end", footer_state(info.tail_footer));
    if let Some(blocks) = &info.blocks {
        facts.add("footer_at_start", footer_state(info.head_footer));
        facts.add("bat_offset", blocks.table_offset);
        facts.add("bat_entries", blocks.max_table_entries);
        facts.add("header_checksum_good", blocks.header_checksum_good);
    }
}

fn footer_state(state: FooterState) -> &'static str {
    match state {
        FooterState::Good => "good",
        FooterState::StaleChecksum => "wrong checksum",
        FooterState::Missing => "missing",
    }
}

fn vhdx_subformat(subformat: VhdxSubformat) -> &'static str {
    match subformat {
        VhdxSubformat::Fixed => "fixed",
        VhdxSubformat::Dynamic => "dynamic",
        VhdxSubformat::Differencing => "differencing",
    }
}

fn vhdx_facts(facts: &mut Facts, info: &VhdxInfo) {
    facts.add_bytes("block_size", info.block_size);
    facts.add("logical_sector_size", info.logical_sector_size);
    facts.add("physical_sector_size", info.physical_sector_size);
    facts.add("virtual_disk_id", info.identity.virtual_disk_id.to_string());
    facts.add("data_write_guid", info.identity.data_write_guid.to_string());
    facts.add("file_write_guid", info.identity.file_write_guid.to_string());
    facts.add("creator", info.creator.clone());
    facts.add("header_sequence_number", info.sequence_number);
    let state = |fault: &Option<cv_disk::Damage>| fault.as_ref().map_or("good".to_owned(), ToString::to_string);
    facts.add("headers", info.header_faults.iter().map(state).collect::<Vec<_>>());
    facts.add(
        "region_tables",
        info.region_table_faults.iter().map(state).collect::<Vec<_>>(),
    );
    facts.add("log_is_dirty", info.log_to_replay.is_some());
    let place = |range: &std::ops::Range<u64>| {
        let mut place = Facts::new();
        place
            .add("offset", range.start)
            .add_bytes("length", range.end - range.start);
        place
    };
    facts.add_some("log", info.log.as_ref().map(place));
    facts.add("bat", place(&info.bat));
    facts.add("metadata", place(&info.metadata));
}

fn vmdk_facts(facts: &mut Facts, info: &VmdkInfo) {
    facts.add_some(
        "block_size",
        info.extents
            .iter()
            .find_map(|extent| extent.sparse)
            .map(|sparse| Value::Bytes(sparse.grain_size)),
    );
    facts.add("logical_sector_size", info.sector_size);
    facts.add("cid", format!("{:08x}", info.identity.cid));
    facts.add_some("long_content_id", info.identity.long_content_id.clone());
    facts.add_some("descriptor_version", info.version);
    facts.add_some("encoding", info.encoding.clone());
    facts.add_some("uuid", info.uuid.clone());
    facts.add_some("adapter_type", info.adapter_type.clone());
    facts.add_some("hardware_version", info.hardware_version.clone());
    facts.add_some(
        "geometry",
        info.geometry
            .map(|(cylinders, heads, sectors)| format!("{cylinders}/{heads}/{sectors}")),
    );
    facts.add_some("change_track_path", info.change_track_path.clone());
    let extents: Vec<Facts> = info
        .extents
        .iter()
        .map(|extent| {
            let mut facts = Facts::new();
            facts.add("kind", extent.kind.clone());
            facts.add_some("file", extent.name.clone());
            facts.add("access", extent.access.to_string());
            facts.add("start", extent.start);
            facts.add_bytes("length", extent.length);
            facts.add("file_offset", extent.file_offset);
            if let Some(sparse) = &extent.sparse {
                facts.add("version", sparse.version);
                facts.add("flags", format!("{:#x}", sparse.flags));
                facts.add_bytes("grain_size", sparse.grain_size);
                facts.add("is_compressed", sparse.is_compressed);
                facts.add("has_zeroed_grains", sparse.has_zeroed_grains);
                facts.add("has_redundant_tables", sparse.has_redundant_tables);
                facts.add("uses_redundant_directory", sparse.uses_redundant_directory);
                facts.add("was_not_closed", sparse.was_not_closed);
            }
            facts
        })
        .collect();
    facts.add("extents", extents);
}

fn parent_facts(reference: &ParentReference) -> Facts {
    let mut facts = Facts::new();
    match reference {
        ParentReference::Vhd(reference) => {
            facts.add("unique_id", reference.identity.to_string());
            for path in &reference.paths {
                let name = match path.kind {
                    PathKind::RelativeUnicode => "relative_path",
                    PathKind::AbsoluteUnicode => "absolute_path",
                    PathKind::RelativeAnsi => "relative_path_ansi",
                    PathKind::AbsoluteAnsi => "absolute_path_ansi",
                    PathKind::MacUrl => "mac_url",
                    PathKind::MacAlias => "mac_alias",
                    PathKind::Name => "name",
                };
                facts.add(name, path.path.clone());
            }
        }
        ParentReference::Vhdx(reference) => {
            facts.add("parent_linkage", reference.parent_linkage.to_string());
            facts.add_some(
                "parent_linkage2",
                reference.parent_linkage2.map(|guid| guid.to_string()),
            );
            facts.add_some("relative_path", reference.relative_path.clone());
            facts.add_some("volume_path", reference.volume_path.clone());
            facts.add_some("absolute_win32_path", reference.absolute_win32_path.clone());
        }
        ParentReference::Vmdk(reference) => {
            facts.add("cid", format!("{:08x}", reference.cid));
            facts.add_some("file_name_hint", reference.file_name_hint.clone());
        }
    }
    facts
}

/// Seconds since 1970 as RFC 3339 in UTC.
fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
