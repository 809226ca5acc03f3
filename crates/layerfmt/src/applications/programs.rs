//! Programs: what their version resources say, and the processor they are for.

use super::stream::StreamDisk;
use super::{Found, Unread, drive_path};
use crate::content::{FileTree, NodeId, NodeKind};
use crate::manifest::{Architecture, Program};
use crate::pe;
use cv_ntfs::write::SourceError;
use std::collections::BTreeMap;

/// Programs that are listed at most.
const MAX_PROGRAMS: usize = 1000;

/// Libraries that are looked at, where there is no program, to tell the processor.
const MAX_LIBRARIES: usize = 100;

/// Bytes that are read at most of a program whose source can only be read from its start.
const MAX_PREFIX: u64 = 64 << 20;

pub fn find(files: &FileTree, found: &mut Found) {
    let with_extension = |extension: &'static str| {
        files.walk(FileTree::ROOT).filter(move |node| {
            let name = files.name(*node).units();
            let end = String::from_utf16_lossy(&name[name.len().saturating_sub(4)..]);
            let is_one = end.eq_ignore_ascii_case(extension);
            is_one && files.kind(*node) == NodeKind::File
        })
    };
    let mut sizes = BTreeMap::new();
    for node in with_extension(".exe").take(MAX_PROGRAMS) {
        match program(files, node) {
            Ok(None) => {}
            Ok(Some((program, size))) => {
                *sizes.entry(Order(program.architecture)).or_default() += size;
                found.applications.programs.push(program);
            }
            Err(error) => found.unread.push(Unread {
                path: drive_path(&files.path(node)),
                reason: error.to_string(),
            }),
        }
    }
    if sizes.keys().all(|order| order.0 == Architecture::Neutral) {
        for node in with_extension(".dll").take(MAX_LIBRARIES) {
            if let Ok(Some((architecture, size))) = processor(files, node) {
                *sizes.entry(Order(architecture)).or_default() += size;
            }
        }
    }
    found.architecture = main_architecture(&sizes);
}

/// Which processor most of the bytes are for; those for any processor decide nothing.
fn main_architecture(sizes: &BTreeMap<Order, u64>) -> Option<Architecture> {
    let named = sizes.iter().filter(|(order, _)| order.0 != Architecture::Neutral);
    let most = named.max_by_key(|(_, size)| **size).or(sizes.first_key_value());
    most.map(|(order, _)| order.0)
}

/// An architecture in an order, so that equal contents give equal answers.
#[derive(PartialEq, Eq)]
struct Order(Architecture);

impl Ord for Order {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0 as u8).cmp(&(other.0 as u8))
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The header and the version of a program, and its size.
fn program(files: &FileTree, node: NodeId) -> Result<Option<(Program, u64)>, SourceError> {
    let Some(disk) = StreamDisk::of(files, node, MAX_PREFIX) else {
        return Ok(None);
    };
    let Some(program) = pe::Program::open(disk?)? else {
        return Ok(None);
    };
    let Some(architecture) = program.architecture() else {
        return Ok(None);
    };
    // Packers and signers leave damaged resources in programs that run; what they are for is known all the same.
    let info = program.version_info().unwrap_or_default().unwrap_or_default();
    let string = |name: &str| info.string(name).unwrap_or_default().to_owned();
    let version = |name: &str, number: Option<pe::Version>| match (number, string(name)) {
        (Some(number), text) if text.is_empty() => number.to_string(),
        (_, text) => text,
    };
    let record = Program {
        path: drive_path(&files.path(node)),
        name: string("ProductName"),
        description: string("FileDescription"),
        company: string("CompanyName"),
        version: version("FileVersion", info.file_version),
        product_version: version("ProductVersion", info.product_version),
        architecture,
        ..Program::default()
    };
    Ok(Some((record, size(files, node))))
}

fn processor(files: &FileTree, node: NodeId) -> Result<Option<(Architecture, u64)>, SourceError> {
    let Some(disk) = StreamDisk::of(files, node, 1 << 16) else {
        return Ok(None);
    };
    let architecture = pe::Program::open(disk?)?.and_then(|program| program.architecture());
    Ok(architecture.map(|architecture| (architecture, size(files, node))))
}

fn size(files: &FileTree, node: NodeId) -> u64 {
    let streams = &files.metadata(node).streams;
    streams
        .iter()
        .find(|stream| stream.name.is_empty())
        .map_or(0, |stream| stream.size)
}
