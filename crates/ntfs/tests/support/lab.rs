//! A sound volume in memory, to be damaged at chosen places.

use super::{Mount, have, open, run};
use cv_disk::{Faults, MemoryDisk, Quiet, ReadAt};
use cv_ntfs::structure::index::{IndexBlockHeader, IndexRootHeader, NodeFlags};
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::structure::{
    Attribute, AttributeType, BootSector, FileRecordHeader, Form, Geometry, IndexHeader, Run, Structure, fixup,
    run_list,
};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

/// A volume's bytes and where its parts are.
#[derive(Clone)]
pub struct Lab {
    pub bytes: Vec<u8>,
    pub geometry: Geometry,
    mft: Vec<Run>,
    records: HashMap<String, u64>,
}

/// An attribute's place: in its record, and that of its value in the volume where it is there in one piece.
#[derive(Clone, Copy)]
pub struct Place {
    pub record: u64,
    pub attribute: usize,
    pub value: usize,
}

const FILES: [&str; 19] = [
    "file",
    "other",
    "small",
    "sparse",
    "squeezed",
    "squeezed\\text",
    "hub",
    "big",
    "big\\entry 0100",
    "tiny",
    "tiny\\b",
    "link",
    "identified",
    "attributed",
    "long name",
    "a",
    "a\\b",
    "a\\b\\c",
    "a\\b\\c\\leaf",
];

/// Fills a mounted volume with one of everything.
fn populate(root: &Path) {
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(root.join(path), name, value, rustix::fs::XattrFlags::empty())
            .unwrap_or_else(|error| panic!("{path}: {name}: {error}"));
    };
    for folder in ["squeezed", "big", "tiny", "a/b/c", "links"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("file"), vec![0x5A; 100_000]).unwrap();
    fs::write(root.join("other"), vec![0xA5; 50_000]).unwrap();
    fs::write(root.join("small"), b"resident").unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(10 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &[1; 9000], 5 << 20).unwrap();
    drop(sparse);
    set("squeezed", "system.ntfs_attrib", &0x0810_u32.to_le_bytes());
    fs::write(root.join("squeezed/text"), b"the same again ".repeat(20_000)).unwrap();
    fs::write(root.join("hub"), b"of many links").unwrap();
    for number in 0..60 {
        let name = format!("links/{number:03}{}", "x".repeat(60));
        fs::hard_link(root.join("hub"), root.join(name)).unwrap();
    }
    for number in 0..400 {
        fs::write(root.join(format!("big/entry {number:04}")), b"").unwrap();
    }
    for name in ["a", "b", "c"] {
        fs::write(root.join("tiny").join(name), name).unwrap();
    }
    fs::write(root.join("link"), b"").unwrap();
    let target: Vec<u16> = "file".encode_utf16().collect();
    let link = ReparsePoint::Symlink {
        substitute_name: target.clone(),
        print_name: target,
        is_relative: true,
    };
    set("link", "system.ntfs_reparse_data", &link.to_bytes().unwrap());
    fs::write(root.join("identified"), b"").unwrap();
    set("identified", "system.ntfs_object_id", b"0123456789abcdef");
    fs::write(root.join("attributed"), b"").unwrap();
    let extended = b"\x14\0\0\0\0\x03\x06\0KEY\0value!\0\0";
    set("attributed", "system.ntfs_ea", extended);
    fs::write(root.join("long name"), b"").unwrap();
    set("long name", "system.ntfs_dos_name", b"LONGNA~1");
    fs::write(root.join("a/b/c/leaf"), b"deep").unwrap();
}

impl Lab {
    /// The volume, made once by mkntfs and ntfs-3g; `None`, said aloud, where those are missing.
    pub fn new() -> Option<Self> {
        static LAB: OnceLock<Option<Lab>> = OnceLock::new();
        LAB.get_or_init(Self::make).clone()
    }

    fn make() -> Option<Self> {
        if !have(&["mkntfs", "ntfs-3g", "fusermount"]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        run(Command::new("mkntfs").args(["-F", "-Q", "-q", "-L", "lab"]).arg(&image));
        {
            let options = "streams_interface=xattr,compression,efs_raw,permissions";
            let mount = Mount::ntfs_3g(&image, &folder.path().join("mount"), options);
            populate(&mount.folder);
        }
        let volume = open(&image);
        let number = |path: &str| volume.open_str(&format!("\\{path}")).unwrap().reference().record();
        let records = FILES.iter().map(|path| ((*path).to_owned(), number(path))).collect();
        let bytes = fs::read(&image).unwrap();
        let geometry = Geometry::of(&BootSector::read_from(&bytes, 0).unwrap()).unwrap();
        let mut lab = Self {
            mft: vec![Run {
                vcn: 0,
                lcn: Some(geometry.mft_lcn),
                clusters: 4,
            }],
            bytes,
            geometry,
            records,
        };
        lab.mft = lab.runs(0, AttributeType::DATA, "");
        Some(lab)
    }

    /// The record of a file by its path.
    pub fn record(&self, path: &str) -> u64 {
        self.records[path]
    }

    /// What the checker says.
    pub fn check(&self) -> Faults {
        let disk: Arc<dyn ReadAt> = Arc::new(MemoryDisk::from(&self.bytes[..]));
        cv_ntfs::check::check(&disk, &Quiet).unwrap()
    }

    fn in_runs(&self, runs: &[Run], offset: u64) -> usize {
        let size = u64::from(self.geometry.cluster_size);
        let run = runs.iter().find(|run| offset / size < run.end()).unwrap();
        ((run.lcn.unwrap() + offset / size - run.vcn) * size + offset % size) as usize
    }

    /// Where a record stands.
    pub fn place(&self, record: u64) -> usize {
        self.in_runs(&self.mft, record * u64::from(self.geometry.record_size))
    }

    /// A record's bytes, fixups applied.
    pub fn load(&self, record: u64) -> Vec<u8> {
        let place = self.place(record);
        let mut bytes = self.bytes[place..place + self.geometry.record_size as usize].to_vec();
        fixup::apply(&mut bytes, *b"FILE").unwrap();
        bytes
    }

    /// Changes a record, and protects it as it was.
    pub fn edit(&mut self, record: u64, change: impl FnOnce(&mut [u8])) {
        let place = self.place(record);
        let size = self.geometry.record_size as usize;
        let records = 4 * size;
        edit_block(&mut self.bytes[place..place + size], *b"FILE", change);
        // The mirror follows, or that would be another fault.
        if (record as usize) < records / size {
            let mirror = (self.geometry.mirror_lcn * u64::from(self.geometry.cluster_size)) as usize;
            self.bytes
                .copy_within(place..place + size, mirror + record as usize * size);
        }
    }

    fn with_attribute<T>(
        &self,
        record: u64,
        type_code: AttributeType,
        name: &str,
        look: impl Fn(&Attribute<'_>) -> T,
    ) -> T {
        let bytes = self.load(record);
        let name: Vec<u16> = name.encode_utf16().collect();
        let header = FileRecordHeader::read_from(&bytes, 0).unwrap();
        let mut attributes = header.attributes(&bytes).unwrap().map(Result::unwrap);
        let attribute = attributes.find(|one| one.type_code() == type_code && one.is_named(&name));
        look(&attribute.unwrap_or_else(|| panic!("no {type_code} in record {record}")))
    }

    /// An attribute's place.
    pub fn attribute(&self, record: u64, type_code: AttributeType, name: &str) -> Place {
        self.with_attribute(record, type_code, name, |attribute| Place {
            record,
            attribute: attribute.offset,
            value: match attribute.form {
                Form::Resident { header, .. } => {
                    self.place(record) + attribute.offset + usize::from(header.value_offset)
                }
                Form::NonResident {
                    header, mapping_pairs, ..
                } => {
                    let runs = run_list::decode(mapping_pairs, header.lowest_vcn).unwrap();
                    let first = runs.iter().find_map(|run| run.lcn).unwrap_or_default();
                    (first * u64::from(self.geometry.cluster_size)) as usize
                }
            },
        })
    }

    /// The runs of a non-resident attribute.
    pub fn runs(&self, record: u64, type_code: AttributeType, name: &str) -> Vec<Run> {
        self.with_attribute(record, type_code, name, |attribute| match attribute.form {
            Form::NonResident {
                header, mapping_pairs, ..
            } => run_list::decode(mapping_pairs, header.lowest_vcn).unwrap(),
            Form::Resident { .. } => panic!("resident"),
        })
    }

    /// Changes an attribute, from its start on.
    pub fn edit_attribute(
        &mut self,
        record: u64,
        type_code: AttributeType,
        name: &str,
        change: impl FnOnce(&mut [u8]),
    ) {
        let place = self.attribute(record, type_code, name);
        self.edit(record, |bytes| change(&mut bytes[place.attribute..]));
    }

    /// Changes the value of a resident attribute.
    pub fn edit_value(&mut self, record: u64, type_code: AttributeType, name: &str, change: impl FnOnce(&mut [u8])) {
        self.edit_attribute(record, type_code, name, |bytes| {
            let start = usize::from(u16::from_le_bytes([bytes[0x14], bytes[0x15]]));
            change(&mut bytes[start..]);
        });
    }

    /// Changes block `number` of a directory's index, and protects it as it was.
    pub fn edit_index(&mut self, record: u64, name: &str, number: u64, change: impl FnOnce(&mut [u8])) {
        let runs = self.runs(record, AttributeType::INDEX_ALLOCATION, name);
        let size = self.geometry.index_block_size as usize;
        let place = self.in_runs(&runs, number * size as u64);
        edit_block(
            &mut self.bytes[place..place + size],
            IndexBlockHeader::SIGNATURE,
            change,
        );
    }

    /// The first block of a directory's index that is no leaf.
    pub fn inner_block(&self, record: u64) -> u64 {
        let runs = self.runs(record, AttributeType::INDEX_ALLOCATION, "$I30");
        let size = self.geometry.index_block_size as usize;
        let is_inner = |number: &u64| {
            let place = self.in_runs(&runs, number * size as u64);
            let header = IndexHeader::read_from(&self.bytes[place..place + size], IndexHeader::OFFSET_IN_BLOCK);
            header.unwrap().flags.contains(NodeFlags::INDEX_NODE)
        };
        (0..runs.last().unwrap().end()).find(is_inner).unwrap()
    }

    /// The offsets of the entries in an index block that [`edit_index`](Self::edit_index) hands out, or in the value of an
    /// `$INDEX_ROOT`.
    pub fn entries(node: &[u8], is_root: bool) -> Vec<usize> {
        let start = if is_root {
            IndexRootHeader::SIZE
        } else {
            IndexHeader::OFFSET_IN_BLOCK
        };
        let header = IndexHeader::read_from(node, start).unwrap();
        header
            .entries(node, start)
            .unwrap()
            .map(|entry| entry.unwrap().offset)
            .collect()
    }
}

fn edit_block(bytes: &mut [u8], signature: [u8; 4], change: impl FnOnce(&mut [u8])) {
    let array = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    let number = u16::from_le_bytes([bytes[array], bytes[array + 1]]);
    fixup::apply(bytes, signature).unwrap();
    change(bytes);
    fixup::protect(bytes, number);
}
