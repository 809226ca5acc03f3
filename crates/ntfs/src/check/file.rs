//! A file over all its records: which attributes it has, their sizes, and what its resident ones say.

use super::attribute::title;
use super::context::{Context, shown};
use super::findings::Findings;
use super::record::Record;
use super::records::{Kind, RecordState};
use super::value;
use super::volume::{Clusters, Value};
use crate::structure::file_record::RecordFlags;
use crate::structure::index::I30;
use crate::structure::{
    Attribute, AttributeFlags, AttributeType, FileReference, Form, Run, moved, run_list, system_file,
};
use cv_disk::{Damage, Severity};

/// An attribute and the record it stands in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held<'a> {
    pub record: u64,
    pub attribute: Attribute<'a>,
}

impl Held<'_> {
    /// Damage at byte `within` of the attribute.
    pub fn damage(
        &self,
        context: &Context,
        within: usize,
        field: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Damage {
        let structure = format!("{}, {field}", title(&self.attribute));
        context.damage(self.record, self.attribute.offset + within, structure, expected, found)
    }

    /// Where the value of a resident attribute stands in the record.
    pub fn value_place(&self, context: &Context) -> u64 {
        match self.attribute.form {
            Form::Resident { header, .. } => {
                context.place(self.record, self.attribute.offset + usize::from(header.value_offset))
            }
            Form::NonResident { .. } => context.place(self.record, self.attribute.offset),
        }
    }
}

/// What a file says of itself that is compared with the volume's indexes.
#[derive(Debug, Default)]
pub(super) struct FileFacts {
    pub state: RecordState,
    /// Its object id.
    pub object_id: Option<[u8; 16]>,
    /// Its reparse tag.
    pub reparse_tag: Option<u32>,
    /// Its name, where it lies in `$Extend`.
    pub name_in_extend: Option<Vec<u16>>,
}

/// The first record of a file, and all the file's attributes.
pub(super) struct File<'a> {
    pub base: &'a Record<'a>,
    pub attributes: Vec<Held<'a>>,
    /// Whether there may be others that cannot be read.
    pub is_whole: bool,
}

impl File<'_> {
    /// The reference by which others mean the file.
    pub fn reference(&self) -> FileReference {
        FileReference::new(self.base.number, self.base.header.sequence_number)
    }

    fn fault(&self, findings: &mut Findings, severity: Severity, damage: Damage) {
        findings.record(severity, self.base.number, damage);
    }

    /// All of one type.
    pub fn of_type(&self, type_code: AttributeType) -> impl Iterator<Item = &Held<'_>> {
        self.attributes
            .iter()
            .filter(move |held| held.attribute.type_code() == type_code)
    }

    /// The first of that type and name.
    pub fn find(&self, type_code: AttributeType, name: &[u16]) -> Option<&Held<'_>> {
        self.of_type(type_code).find(|held| held.attribute.is_named(name))
    }

    /// The value of the attribute of that type and name, from all its extents; `None` where there is none.
    pub fn value(&self, context: &Context, type_code: AttributeType, name: &[u16]) -> Option<Result<Value, Damage>> {
        let mut clusters: Option<Clusters> = None;
        let mut extents: Vec<&Held<'_>> = self
            .of_type(type_code)
            .filter(|held| held.attribute.is_named(name))
            .collect();
        extents.sort_by_key(|held| held.attribute.lowest_vcn());
        for held in extents {
            let place = context.place(held.record, held.attribute.offset);
            match held.attribute.form {
                Form::Resident { value, .. } => {
                    return Some(Ok(Value::Resident {
                        bytes: value.to_vec(),
                        place: held.value_place(context),
                    }));
                }
                Form::NonResident {
                    header, mapping_pairs, ..
                } => {
                    let clusters = clusters.get_or_insert_with(|| Clusters::new(&header));
                    if let Err(damage) = clusters.extend(&header, mapping_pairs, &context.volume) {
                        return Some(Err(moved(damage, place)));
                    }
                }
            }
        }
        clusters.map(|clusters| Ok(Value::Clusters(clusters)))
    }
}

/// Checks a file and gathers what is compared later.
pub(super) fn check(context: &Context, file: &File<'_>, findings: &mut Findings) -> FileFacts {
    let mut facts = FileFacts::default();
    let header = &file.base.header;
    facts.state.kind = Kind::IN_USE;
    facts.state.sequence = header.sequence_number;
    facts.state.kind.set(Kind::DAMAGED, !file.is_whole);
    facts.state.kind.set(
        Kind::DIRECTORY,
        header.flags.contains(RecordFlags::FILE_NAME_INDEX_PRESENT),
    );
    check_extents(context, file, findings);
    check_presence(context, file, &mut facts, findings);
    value::check_standard_information(context, file, &mut facts, findings);
    value::check_names(context, file, &mut facts, findings);
    value::check_others(context, file, &mut facts, findings);
    sizes(file, &mut facts);
    facts
}

/// Attributes of one type and name are one value: its extents follow each other and hold what the first says.
fn check_extents(context: &Context, file: &File<'_>, findings: &mut Findings) {
    let mut sorted: Vec<&Held<'_>> = file.attributes.iter().collect();
    sorted.sort_by(|left, right| {
        let key = |held: &Held<'_>| (held.attribute.type_code(), held.attribute.lowest_vcn());
        let name = |held: &Held<'_>| held.attribute.name();
        let (left_key, right_key) = (key(left), key(right));
        left_key
            .0
            .cmp(&right_key.0)
            .then_with(|| name(left).cmp(&name(right)))
            .then(left_key.1.cmp(&right_key.1))
    });
    let is_same = |left: &&Held<'_>, right: &&Held<'_>| {
        left.attribute.type_code() == right.attribute.type_code()
            && left.attribute.type_code() != AttributeType::FILE_NAME
            && left.attribute.name() == right.attribute.name()
    };
    for extents in sorted.chunk_by(is_same) {
        check_value(context, file, extents, findings);
    }
}

fn check_value(context: &Context, file: &File<'_>, extents: &[&Held<'_>], findings: &mut Findings) {
    let first = extents[0];
    let mut next_vcn = 0;
    for (number, held) in extents.iter().enumerate() {
        let Form::NonResident { header, .. } = held.attribute.form else {
            if number > 0 || extents.len() > 1 {
                let found = format!("{} of them", extents.len());
                let damage = held.damage(
                    context,
                    0,
                    "type and name",
                    "one attribute of this type and name",
                    found,
                );
                file.fault(findings, Severity::Error, damage);
                return;
            }
            return;
        };
        if header.lowest_vcn != next_vcn {
            let damage = held.damage(
                context,
                0x10,
                "lowest VCN",
                next_vcn.to_string(),
                header.lowest_vcn.to_string(),
            );
            // What lies between may be in a record that cannot be read, and that is told already.
            file.fault(findings, Severity::Error, damage);
            return;
        }
        next_vcn = header.highest_vcn.wrapping_add(1);
    }
    let Form::NonResident {
        header,
        total_allocated,
        ..
    } = first.attribute.form
    else {
        return;
    };
    let cluster_size = context.volume.cluster_size();
    let allocated = next_vcn.saturating_mul(cluster_size);
    if header.allocated_length != allocated {
        let expected = format!("{allocated}, the size of its {next_vcn} clusters");
        let damage = first.damage(
            context,
            0x28,
            "allocated size",
            expected,
            header.allocated_length.to_string(),
        );
        file.fault(findings, Severity::Error, damage);
    }
    if let Some(total) = total_allocated {
        let stored: u64 = extents
            .iter()
            .map(|held| stored_clusters(&held.attribute))
            .fold(0, u64::saturating_add);
        let stored = stored.saturating_mul(cluster_size);
        if total != stored {
            let expected = format!("{stored}, the size of its stored clusters");
            let damage = first.damage(context, 0x40, "total allocated size", expected, total.to_string());
            file.fault(findings, Severity::Warning, damage);
        }
    }
}

fn stored_clusters(attribute: &Attribute<'_>) -> u64 {
    let Form::NonResident {
        header, mapping_pairs, ..
    } = attribute.form
    else {
        return 0;
    };
    let runs = run_list::decode(mapping_pairs, header.lowest_vcn).unwrap_or_default();
    let stored = runs.iter().filter(|run| run.lcn.is_some());
    stored.map(|run: &Run| run.clusters).fold(0, u64::saturating_add)
}

/// Which attributes a file must have, and which go together.
fn check_presence(context: &Context, file: &File<'_>, facts: &mut FileFacts, findings: &mut Findings) {
    let number = file.base.number;
    let flags = file.base.header.flags;
    let fault = |findings: &mut Findings, severity, within, structure: &str, expected: &str, found: &str| {
        file.fault(
            findings,
            severity,
            context.damage(number, within, structure, expected, found),
        );
    };
    let has = |type_code| file.of_type(type_code).next().is_some();
    let is_directory = flags.contains(RecordFlags::FILE_NAME_INDEX_PRESENT);
    for root in file.of_type(AttributeType::INDEX_ROOT) {
        if !root.attribute.is_named(&I30) {
            facts.state.kind |= Kind::VIEW_INDEX;
        }
    }
    if !file.is_whole {
        return;
    }
    if !has(AttributeType::STANDARD_INFORMATION) {
        fault(
            findings,
            Severity::Error,
            0,
            "$STANDARD_INFORMATION",
            "one attribute",
            "none",
        );
    }
    // Records 12 to 15 belong to no file, and are in use so that none gets them.
    let is_reserved = (12..system_file::FIRST_FREE_RECORD).contains(&number);
    let is_deleted = file.base.header.reference_count == 0;
    if !has(AttributeType::FILE_NAME) && is_deleted && !is_reserved {
        let found = "none, and no links: it was deleted while it was open";
        fault(
            findings,
            Severity::Warning,
            0,
            "$FILE_NAME",
            "at least one attribute",
            found,
        );
    } else if !has(AttributeType::FILE_NAME) && !is_reserved {
        fault(
            findings,
            Severity::Error,
            0,
            "$FILE_NAME",
            "at least one attribute",
            "none",
        );
    }
    let has_names = file.find(AttributeType::INDEX_ROOT, &I30).is_some();
    if is_directory && !has_names {
        fault(
            findings,
            Severity::Error,
            0x16,
            "$INDEX_ROOT:$I30",
            "one, as the record is a directory's",
            "none",
        );
    }
    if has_names && !is_directory {
        let expected = "that of a directory, as there is an index of names";
        fault(
            findings,
            Severity::Error,
            0x16,
            "file record header, flags",
            expected,
            "clear",
        );
    }
    check_partners(context, file, findings);
    // The change journal has named streams alone, $Secure has indexes too.
    let may_lack_data = is_directory || has(AttributeType::INDEX_ROOT) || is_reserved;
    if !has(AttributeType::DATA) && !may_lack_data {
        fault(
            findings,
            Severity::Error,
            0,
            "$DATA",
            "an attribute, as it is no directory",
            "none",
        );
    }
}

/// Attributes that come together do.
fn check_partners(context: &Context, file: &File<'_>, findings: &mut Findings) {
    for held in &file.attributes {
        let partners: &[AttributeType] = match held.attribute.type_code() {
            AttributeType::INDEX_ALLOCATION => &[AttributeType::INDEX_ROOT, AttributeType::BITMAP],
            AttributeType::BITMAP if held.attribute.has_name() => {
                &[AttributeType::INDEX_ROOT, AttributeType::INDEX_ALLOCATION]
            }
            AttributeType::EA => &[AttributeType::EA_INFORMATION],
            AttributeType::EA_INFORMATION => &[AttributeType::EA],
            _ => continue,
        };
        let name = held.attribute.name();
        for partner in partners {
            if file.find(*partner, &name).is_none() {
                let expected = format!("{partner} of the same name beside it");
                let damage = held.damage(context, 0, &partner.to_string(), expected, "none");
                file.fault(findings, Severity::Error, damage);
            }
        }
    }
}

/// What a listing shows of the unnamed stream.
fn sizes(file: &File<'_>, facts: &mut FileFacts) {
    let state = &mut facts.state;
    let extents = file
        .of_type(AttributeType::DATA)
        .filter(|held| !held.attribute.has_name());
    let Some(first) = extents.min_by_key(|held| held.attribute.lowest_vcn()) else {
        return;
    };
    match first.attribute.form {
        Form::Resident { value, .. } => {
            state.file_size = value.len() as u64;
            state.allocated = state.file_size.next_multiple_of(8);
        }
        Form::NonResident {
            header,
            total_allocated,
            ..
        } => {
            state.file_size = header.file_size;
            let is_thin = first
                .attribute
                .header
                .flags
                .intersects(AttributeFlags::COMPRESSED | AttributeFlags::SPARSE);
            state.allocated = total_allocated.filter(|_| is_thin).unwrap_or(header.allocated_length);
        }
    }
}

/// A name for messages.
pub(super) fn quoted(name: &[u16]) -> String {
    format!("`{}`", shown(name))
}
