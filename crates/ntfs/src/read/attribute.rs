//! A file's attributes, gathered from all its records.

use crate::read::clusters::Clusters;
use crate::read::record::FileRecord;
use crate::structure::{
    Attribute, AttributeFlags, AttributeListEntry, AttributeType, FileReference, Form, attribute_list, within,
};
use cv_disk::{Damage, ReadError};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};

/// The longest attribute list that NTFS has.
const MAX_LIST: u64 = 256 << 10;

/// An attribute of a file, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAttribute {
    /// What it is.
    pub type_code: AttributeType,
    /// Its name, empty where it has none.
    pub name: Vec<u16>,
    /// How its value is stored.
    pub flags: AttributeFlags,
    /// The record that its first extent stands in.
    pub record: u64,
    /// Its instance there.
    pub instance: u16,
    /// Its value.
    pub content: Content,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The value itself.
    Resident(Vec<u8>),
    /// Where it lies.
    NonResident(Clusters),
}

impl FileAttribute {
    /// Bytes of the value.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::Resident(value) => value.len() as u64,
            Content::NonResident(clusters) => clusters.file_size,
        }
    }
}

/// What gathering found: the attributes that can be read, and what is wrong with the others.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) attributes: Vec<FileAttribute>,
    pub(crate) damage: Vec<Damage>,
}

/// The attributes of the file whose first record is `base`; `read_record` gives its further ones, and `read_value` the value
/// of an attribute list that is not resident.
pub(crate) fn gather(
    base: &FileRecord,
    mut read_record: impl FnMut(u64, &Gathered) -> Result<FileRecord, Damage>,
    read_value: impl Fn(&Clusters, &mut [u8]) -> Result<(), ReadError>,
) -> Gathered {
    let mut gathering = Gathering::default();
    let list = match base.attributes() {
        Ok(attributes) => gathering.take_base(base, attributes),
        Err(damage) => {
            gathering.gathered.damage.push(damage);
            None
        }
    };
    let entries = match list {
        None => return gathering.gathered,
        Some(Content::Resident(value)) => gathering.entries(base, &value),
        Some(Content::NonResident(clusters)) => {
            let mut value = vec![0; clusters.file_size.min(MAX_LIST) as usize];
            match read_value(&clusters, &mut value) {
                Ok(()) => gathering.entries(base, &value),
                Err(error) => {
                    gathering.gathered.damage.push(base.located(Damage::new(
                        "$ATTRIBUTE_LIST",
                        0,
                        "a value that can be read",
                        error.to_string(),
                    )));
                    Vec::new()
                }
            }
        }
    };
    let mut records: BTreeMap<FileReference, Option<FileRecord>> = BTreeMap::new();
    for entry in entries {
        let reference = entry.segment_reference;
        if reference.record() == base.number {
            gathering.take_listed(base, &entry);
            continue;
        }
        let record = match records.entry(reference) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let record = further_record(base, reference, &mut read_record, &gathering.gathered);
                let record = record.map_err(|damage| gathering.gathered.damage.push(damage)).ok();
                place.insert(record)
            }
        };
        if let Some(record) = record {
            gathering.take_listed(record, &entry);
        }
    }
    gathering.gathered
}

fn further_record(
    base: &FileRecord,
    reference: FileReference,
    read_record: &mut impl FnMut(u64, &Gathered) -> Result<FileRecord, Damage>,
    gathered: &Gathered,
) -> Result<FileRecord, Damage> {
    let record = read_record(reference.record(), gathered)?;
    let found = (record.header.base_file_record_segment, record.header.sequence_number);
    let expected = (base.reference(), reference.sequence());
    if found == expected && record.header.is_in_use() {
        return Ok(record);
    }
    Err(record.located(Damage::new(
        "base file record and sequence number",
        0x10,
        format!("a record in use of {} at {}", expected.0, expected.1),
        format!("{} at {}", found.0, found.1),
    )))
}

#[derive(Default)]
struct Gathering {
    gathered: Gathered,
    /// Record and offset of what was taken, as a damaged list may name it twice.
    taken: HashSet<(u64, usize)>,
}

impl Gathering {
    /// Takes the attributes of the first record; gives the attribute list where it has one. Where it has one, what are not
    /// first extents wait for their turn in it.
    fn take_base<'a>(
        &mut self,
        base: &FileRecord,
        attributes: impl Iterator<Item = Result<Attribute<'a>, Damage>>,
    ) -> Option<Content> {
        let mut further = Vec::new();
        for attribute in attributes {
            match attribute {
                Ok(attribute) if attribute.lowest_vcn() == 0 => self.take(base, &attribute),
                Ok(attribute) => further.push(attribute),
                Err(damage) => self.gathered.damage.push(base.located(damage)),
            }
        }
        let list = self
            .gathered
            .attributes
            .iter()
            .find(|attribute| attribute.type_code == AttributeType::ATTRIBUTE_LIST);
        let content = list.map(|list| list.content.clone());
        if content.is_none() {
            for attribute in &further {
                self.take(base, attribute);
            }
        }
        content
    }

    /// The entries of the attribute list, extents of one attribute in ascending order.
    fn entries(&mut self, base: &FileRecord, value: &[u8]) -> Vec<AttributeListEntry> {
        let mut entries = Vec::new();
        for entry in attribute_list::entries(value) {
            match entry {
                Ok(entry) => entries.push(entry),
                Err(damage) => self.gathered.damage.push(within(
                    damage,
                    format_args!("file record {}, $ATTRIBUTE_LIST", base.number),
                )),
            }
        }
        entries.sort_by_key(|entry| entry.lowest_vcn);
        entries
    }

    /// Takes the attribute of `record` that `entry` names.
    fn take_listed(&mut self, record: &FileRecord, entry: &AttributeListEntry) {
        let attributes = match record.attributes() {
            Ok(attributes) => attributes,
            Err(damage) => return self.gathered.damage.push(damage),
        };
        let fits = |attribute: &Attribute| {
            attribute.type_code() == entry.type_code
                && attribute.lowest_vcn() == entry.lowest_vcn
                && attribute.is_named(&entry.name)
        };
        // A wrong instance is a lesser evil than a lost attribute.
        let candidates: Vec<Attribute> = attributes.filter_map(Result::ok).filter(fits).collect();
        let is_instance = |attribute: &&Attribute| attribute.header.instance == entry.instance;
        match candidates.iter().find(is_instance).or(candidates.first()) {
            Some(attribute) => self.take(record, attribute),
            None => self.gathered.damage.push(record.located(Damage::new(
                "attributes",
                0,
                format!(
                    "{} at VCN {}, instance {}",
                    entry.type_code, entry.lowest_vcn, entry.instance
                ),
                "none",
            ))),
        }
    }

    fn take(&mut self, record: &FileRecord, attribute: &Attribute) {
        if !self.taken.insert((record.number, attribute.offset)) {
            return;
        }
        if let Err(damage) = self.add(record, attribute) {
            let damage = within(damage, attribute.type_code());
            self.gathered.damage.push(record.located(damage));
        }
    }

    fn add(&mut self, record: &FileRecord, attribute: &Attribute) -> Result<(), Damage> {
        let content = match attribute.form {
            Form::Resident { value, .. } => Content::Resident(value.to_vec()),
            Form::NonResident {
                header,
                total_allocated,
                mapping_pairs,
            } => {
                let offset = (attribute.offset + usize::from(header.mapping_pairs_offset)) as u64;
                if header.lowest_vcn != 0 {
                    return self.add_extent(attribute, header.lowest_vcn, mapping_pairs, offset);
                }
                if self.find_non_resident(attribute).is_some() {
                    return Err(Damage::new(
                        "attribute extent, lowest VCN",
                        attribute.offset as u64 + 0x10,
                        "one first extent",
                        "a second one",
                    ));
                }
                Content::NonResident(Clusters::first(
                    &header,
                    attribute.header.flags,
                    total_allocated,
                    mapping_pairs,
                    offset,
                )?)
            }
        };
        self.gathered.attributes.push(FileAttribute {
            type_code: attribute.type_code(),
            name: attribute.name(),
            flags: attribute.header.flags,
            record: record.number,
            instance: attribute.header.instance,
            content,
        });
        Ok(())
    }

    fn add_extent(
        &mut self,
        attribute: &Attribute,
        lowest_vcn: u64,
        mapping_pairs: &[u8],
        offset: u64,
    ) -> Result<(), Damage> {
        match self.find_non_resident(attribute) {
            Some(clusters) => clusters.extend(lowest_vcn, mapping_pairs, offset),
            None => Err(Damage::new(
                "attribute extent, lowest VCN",
                attribute.offset as u64 + 0x10,
                "an extent that begins at VCN 0 before",
                format!("one at VCN {lowest_vcn} alone"),
            )),
        }
    }

    fn find_non_resident(&mut self, attribute: &Attribute) -> Option<&mut Clusters> {
        let same = |own: &&mut FileAttribute| own.type_code == attribute.type_code() && attribute.is_named(&own.name);
        self.gathered
            .attributes
            .iter_mut()
            .filter(same)
            .find_map(|own| match &mut own.content {
                Content::NonResident(clusters) => Some(clusters),
                Content::Resident(_) => None,
            })
    }
}
