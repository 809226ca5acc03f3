//! What the attributes of a file say, but for streams and indexes.

use super::context::Context;
use super::file::{File, FileFacts, Held, quoted};
use super::findings::Findings;
use crate::structure::extended_attribute::{EaInformation, ExtendedAttribute};
use crate::structure::object_id::ObjectId;
use crate::structure::reparse::{ReparseHeader, ReparsePoint};
use crate::structure::security_descriptor::SecurityDescriptor;
use crate::structure::{
    AttributeType, FileAttributes, FileName, Namespace, StandardInformation, Structure, moved, system_file, within,
};
use cv_disk::{Damage, Severity};

/// Bytes of `$STANDARD_INFORMATION` in NTFS 1.2 and since 3.0.
const STANDARD_INFORMATION_SIZES: [usize; 2] = [48, 72];

pub(super) fn check_standard_information(
    context: &Context,
    file: &File<'_>,
    facts: &mut FileFacts,
    findings: &mut Findings,
) {
    let Some(held) = file.find(AttributeType::STANDARD_INFORMATION, &[]) else {
        return;
    };
    let number = file.base.number;
    if held.record != number {
        let found = format!("record {}", held.record);
        let damage = held.damage(context, 0, "record", "the file's first record", found);
        findings.record(Severity::Error, number, damage);
    }
    let value = held.attribute.resident_value().unwrap_or_default();
    if !STANDARD_INFORMATION_SIZES.contains(&value.len()) {
        let damage = held.damage(context, 0x10, "value length", "48 or 72", value.len().to_string());
        findings.record(Severity::Error, number, damage);
    }
    if let Ok(information) = StandardInformation::parse(value) {
        facts.state.file_attributes = information.base.file_attributes.bits();
        facts.state.security_id = information.security_id().unwrap_or(0);
    }
}

pub(super) fn check_names(context: &Context, file: &File<'_>, facts: &mut FileFacts, findings: &mut Findings) {
    let number = file.base.number;
    let mut count = 0_u64;
    let mut links = Vec::new();
    for held in file.of_type(AttributeType::FILE_NAME) {
        count += 1;
        let value = held.attribute.resident_value().unwrap_or_default();
        let name = match FileName::parse(value) {
            Ok(name) => name,
            Err(damage) => {
                let damage = moved(damage, held.value_place(context));
                findings.record(Severity::Error, number, damage);
                facts.state.kind |= super::records::Kind::DAMAGED;
                continue;
            }
        };
        check_name(context, held, &name, number, findings);
        let length = FileName::size(name.name.len());
        let hash = context.name_hash(name.parent(), file.reference(), &value[..length]);
        facts.state.add_name(hash);
        if links.is_empty() {
            facts.state.parent = name.parent();
        }
        if name.parent().record() == system_file::EXTEND.record {
            facts.name_in_extend = Some(name.name.clone());
        }
        links.push(name);
    }
    let said = file.base.header.reference_count;
    if u64::from(said) != count && file.is_whole {
        let expected = format!("{count}, the number of its names");
        let damage = context.damage(
            number,
            0x12,
            "file record header, link count",
            expected,
            said.to_string(),
        );
        findings.record(Severity::Error, number, damage);
    }
    check_links(context, file, &links, findings);
}

fn check_name(context: &Context, held: &Held<'_>, name: &FileName, number: u64, findings: &mut Findings) {
    let value_start = held.attribute.resident_value().map_or(0, |_| 0x18);
    let mut fault = |severity, within: usize, field: &str, expected: &str, found: String| {
        let damage = held.damage(context, value_start + within, field, expected, found);
        findings.record(severity, number, damage);
    };
    if name.header.flags > Namespace::WIN32_AND_DOS.0 {
        fault(
            Severity::Error,
            0x41,
            "namespace",
            "0 to 3",
            name.header.flags.to_string(),
        );
    }
    if let Err(reason) = name_fault(&name.name, number == system_file::ROOT.record) {
        fault(reason.0, 0x42, "name", reason.1, quoted(&name.name));
    }
}

/// Why NTFS, or Windows, has no files of that name.
pub(super) fn name_fault(name: &[u16], is_root: bool) -> Result<(), (Severity, &'static str)> {
    const SLASH: u16 = b'/' as u16;
    const DOT: u16 = b'.' as u16;
    if name.is_empty() {
        return Err((Severity::Error, "at least a unit"));
    }
    if matches!(name, [DOT] | [DOT, DOT]) && !is_root {
        return Err((Severity::Error, "a name that stands for no directory"));
    }
    if name.iter().any(|unit| [0, SLASH].contains(unit)) {
        return Err((Severity::Error, "a name without NUL and slash"));
    }
    if cv_winname::check_stored_component(name).is_err() && !is_root {
        return Err((Severity::Note, "a name that Windows can open"));
    }
    Ok(())
}

fn check_links(context: &Context, file: &File<'_>, links: &[FileName], findings: &mut Findings) {
    let number = file.base.number;
    let is_long = |name: &&FileName| name.namespace() == Namespace::WIN32;
    let is_short = |name: &&FileName| name.namespace() == Namespace::DOS;
    let mut without_twin = None;
    for short in links.iter().filter(is_short) {
        if !links.iter().filter(is_long).any(|long| long.parent() == short.parent()) {
            without_twin = Some(short);
        }
    }
    let shorts = links.iter().filter(is_short).count();
    if let Some(short) = without_twin {
        let found = format!("{} alone", quoted(&short.name));
        let damage = context.damage(number, 0, "$FILE_NAME", "a long name beside each 8.3 name", found);
        findings.record(Severity::Warning, number, damage);
    } else if shorts > 1 {
        let damage = context.damage(number, 0, "$FILE_NAME", "at most one 8.3 name", shorts.to_string());
        findings.record(Severity::Note, number, damage);
    }
    let is_directory = facts_directory(file);
    let parents = links
        .iter()
        .any(|name| Some(name.parent()) != links.first().map(FileName::parent));
    let long_names = links.iter().filter(|name| !is_short(name)).count();
    if is_directory && (parents || long_names > 1) {
        let expected = "one name in one directory, as it is a directory";
        let damage = context.damage(number, 0, "$FILE_NAME", expected, format!("{long_names} names"));
        findings.record(Severity::Error, number, damage);
    }
}

fn facts_directory(file: &File<'_>) -> bool {
    let flags = file.base.header.flags;
    flags.contains(crate::structure::RecordFlags::FILE_NAME_INDEX_PRESENT)
}

pub(super) fn check_others(context: &Context, file: &File<'_>, facts: &mut FileFacts, findings: &mut Findings) {
    let number = file.base.number;
    if let Some(held) = file.find(AttributeType::OBJECT_ID, &[]) {
        match ObjectId::parse(held.attribute.resident_value().unwrap_or_default()) {
            // That of the volume is not a file's, and need not be in the index.
            Ok(_) if number == system_file::VOLUME.record => {}
            Ok(id) => facts.object_id = Some(id.object_id),
            Err(damage) => findings.record(Severity::Error, number, moved(damage, held.value_place(context))),
        }
    }
    if let Some(held) = file.find(AttributeType::SECURITY_DESCRIPTOR, &[]) {
        check_security(context, file, held, findings);
    } else if facts.state.security_id == 0
        && file.is_whole
        && number >= system_file::FIRST_FREE_RECORD
        && file.find(AttributeType::STANDARD_INFORMATION, &[]).is_some()
    {
        let expected = "a security descriptor, its own or one of $Secure";
        findings.record(
            Severity::Note,
            number,
            context.damage(number, 0, "security", expected, "none"),
        );
    }
    check_reparse(context, file, facts, findings);
    check_extended_attributes(context, file, findings);
}

/// The value of an attribute that is never large, with where it stands.
fn small_value(
    context: &Context,
    file: &File<'_>,
    held: &Held<'_>,
    limit: u64,
    findings: &mut Findings,
) -> Option<(Vec<u8>, u64)> {
    let type_code = held.attribute.type_code();
    let value = file.value(context, type_code, &held.attribute.name())?;
    let read = value.and_then(|value| {
        let bytes = value.read_all(limit, &context.volume, &type_code.to_string())?;
        Ok((bytes, value.place(0, &context.volume)))
    });
    match read {
        Ok(read) => Some(read),
        Err(damage) => {
            findings.record(Severity::Error, file.base.number, within(damage, type_code));
            None
        }
    }
}

fn check_security(context: &Context, file: &File<'_>, held: &Held<'_>, findings: &mut Findings) {
    let limit = u64::from(crate::structure::security::MAX_DESCRIPTOR);
    let Some((bytes, place)) = small_value(context, file, held, limit, findings) else {
        return;
    };
    if let Err(damage) = SecurityDescriptor::parse(&bytes) {
        let damage = within(moved(damage, place), "$SECURITY_DESCRIPTOR");
        findings.record(Severity::Warning, file.base.number, damage);
    }
}

fn check_reparse(context: &Context, file: &File<'_>, facts: &mut FileFacts, findings: &mut Findings) {
    let number = file.base.number;
    let is_flagged = facts.state.file_attributes & FileAttributes::REPARSE_POINT.bits() != 0;
    let Some(held) = file.find(AttributeType::REPARSE_POINT, &[]) else {
        if is_flagged && file.is_whole {
            let expected = "reparse data, as the file attributes say so";
            findings.record(
                Severity::Error,
                number,
                context.damage(number, 0, "$REPARSE_POINT", expected, "none"),
            );
        }
        return;
    };
    let Some((bytes, place)) = small_value(context, file, held, ReparsePoint::MAX_SIZE as u64, findings) else {
        return;
    };
    if let Ok(header) = ReparseHeader::read_from(&bytes, 0) {
        facts.reparse_tag = Some(header.reparse_tag.0);
    }
    if let Err(damage) = ReparsePoint::parse(&bytes) {
        findings.record(Severity::Error, number, within(moved(damage, place), "$REPARSE_POINT"));
    }
    if !is_flagged {
        let damage = held.damage(
            context,
            0,
            "file attributes",
            "the flag of a reparse point in $STANDARD_INFORMATION",
            "no such flag",
        );
        findings.record(Severity::Warning, number, damage);
    }
}

/// Most bytes of `$EA`.
const MAX_EA: u64 = 64 << 10;

fn check_extended_attributes(context: &Context, file: &File<'_>, findings: &mut Findings) {
    let number = file.base.number;
    let (Some(held), Some(summary)) = (
        file.find(AttributeType::EA, &[]),
        file.find(AttributeType::EA_INFORMATION, &[]),
    ) else {
        return;
    };
    let Some((bytes, place)) = small_value(context, file, held, MAX_EA, findings) else {
        return;
    };
    let (mut packed, mut needed) = (0, 0);
    for attribute in ExtendedAttribute::parse_all(&bytes) {
        match attribute {
            Ok(attribute) => {
                packed += 5 + attribute.name.len() + attribute.value.len();
                needed += usize::from(attribute.flags & ExtendedAttribute::NEED_EA != 0);
            }
            Err(damage) => {
                findings.record(Severity::Error, number, moved(damage, place));
                return;
            }
        }
    }
    let summary_place = summary.value_place(context);
    let Ok(said) = EaInformation::read_from(summary.attribute.resident_value().unwrap_or_default(), 0) else {
        return;
    };
    let fields = [
        (0, "packed size", packed, usize::from(said.packed_ea_size)),
        (2, "number of needed ones", needed, usize::from(said.need_ea_count)),
        (4, "size of $EA", bytes.len(), said.unpacked_ea_size as usize),
    ];
    for (offset, field, expected, found) in fields {
        if expected != found {
            let structure = format!("$EA_INFORMATION, {field}");
            let damage = Damage::new(
                structure,
                summary_place + offset,
                expected.to_string(),
                found.to_string(),
            );
            // A reader that believes it still stays within $EA.
            let is_within = offset == 4 && found < expected;
            let severity = if is_within { Severity::Note } else { Severity::Warning };
            findings.record(severity, number, damage);
        }
    }
}
