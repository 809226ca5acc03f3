//! The volume's own files, but for what the other parts look at.

use super::boot::Boot;
use super::context::Context;
use super::findings::Findings;
use super::scan::{Allowance, with_file};
use super::volume::{Clusters, Value, Volume};
use crate::structure::attribute_definition::{self, AttributeDefinition};
use crate::structure::log_file::{self, LogState};
use crate::structure::system_file::{self, SystemFile};
use crate::structure::upcase_info::UpcaseInfo;
use crate::structure::volume_information::{VolumeFlags, VolumeInformation};
use crate::structure::{AttributeType, FileRecordHeader, Structure, moved, within};
use cv_disk::{Damage, Severity};
use cv_winname::UpcaseTable;

/// The value of a stream of a system file; `None` where it has none.
pub(super) fn stream(
    context: &Context,
    allowance: &Allowance<'_>,
    file: SystemFile,
    type_code: AttributeType,
    name: &[u16],
    findings: &mut Findings,
) -> Option<Value> {
    // What is wrong with the record the first pass has told.
    let loaded = context.mft.load(file.record, &context.volume).ok()?;
    let value = with_file(context, &loaded, allowance, &mut Findings::default(), |file, _| {
        file.value(context, type_code, name)
    });
    match value? {
        Ok(value) => Some(value),
        Err(damage) => {
            findings.record(Severity::Error, file.record, within(damage, type_code));
            None
        }
    }
}

/// The table by which names compare: that of Windows where the volume's own cannot be read.
pub(super) fn upcase(mft: &super::mft::Mft, volume: &Volume) -> UpcaseTable {
    let read = || {
        let record = mft.load(system_file::UPCASE.record, volume).ok()?;
        let data = record.find(AttributeType::DATA, &[])?;
        let value = Value::of(&data, record.place, volume).ok()?;
        value.read_all(UpcaseTable::SIZE as u64, volume, "$UpCase").ok()
    };
    match read() {
        Some(bytes) if bytes.len() == UpcaseTable::SIZE && upper_is_right(&bytes).is_none() => {
            UpcaseTable::from_bytes(&bytes)
        }
        _ => UpcaseTable::windows().clone(),
    }
}

/// The first letter of ASCII whose upper case is wrong.
fn upper_is_right(bytes: &[u8]) -> Option<(u8, u16)> {
    (0..0x80).find_map(|letter: u8| {
        let at = 2 * usize::from(letter);
        let upper = u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
        (upper != u16::from(letter.to_ascii_uppercase())).then_some((letter, upper))
    })
}

/// What checks a system file: where it is, and where faults go.
struct Checker<'a> {
    context: &'a Context,
    allowance: &'a Allowance<'a>,
    findings: &'a mut Findings,
}

/// Checks the system files.
pub(super) fn check(context: &Context, boot: &Boot, allowance: &Allowance<'_>, findings: &mut Findings) {
    let mut checker = Checker {
        context,
        allowance,
        findings,
    };
    checker.mft(boot);
    checker.mirror(boot);
    checker.log();
    checker.volume();
    checker.attribute_definitions();
    checker.places();
    checker.bad_clusters();
    checker.upcase();
}

impl Checker<'_> {
    fn fault(&mut self, severity: Severity, file: SystemFile, damage: Damage) {
        self.findings.record(severity, file.record, damage);
    }

    fn stream(&mut self, file: SystemFile, type_code: AttributeType, name: &[u16]) -> Option<Value> {
        stream(self.context, self.allowance, file, type_code, name, self.findings)
    }

    /// The unnamed stream, which is said to be missing where it is.
    fn data(&mut self, file: SystemFile) -> Option<Value> {
        let data = self.stream(file, AttributeType::DATA, &[]);
        if data.is_none()
            && self
                .context
                .mft
                .load(file.record, &self.context.volume)
                .is_ok_and(|record| record.header.is_in_use())
        {
            let damage = self.context.damage(
                file.record,
                0,
                format!("{}, $DATA", file.name),
                "an unnamed stream",
                "none that can be read",
            );
            self.fault(Severity::Error, file, damage);
        }
        data
    }

    /// The unnamed stream, whose value must be in clusters.
    fn clusters(&mut self, file: SystemFile) -> Option<Clusters> {
        match self.data(file)? {
            Value::Clusters(clusters) => Some(clusters),
            Value::Resident { place, .. } => {
                let damage = Damage::new(
                    format!("{}, $DATA", file.name),
                    place,
                    "a value in clusters",
                    "one in the record",
                );
                self.fault(Severity::Error, file, damage);
                None
            }
        }
    }

    fn first_lcn(&mut self, file: SystemFile, clusters: &Clusters, expected: &[u64], field: &str) {
        let first = clusters.runs().first().and_then(|run| run.lcn);
        let Some(expected) = expected.first().filter(|lcn| first != Some(**lcn)) else {
            return;
        };
        let found = first.map_or("none".into(), |lcn| lcn.to_string());
        let damage = self.context.damage(
            file.record,
            0,
            format!("{}, first cluster", file.name),
            format!("{expected}, {field}"),
            found,
        );
        self.fault(Severity::Error, file, damage);
    }

    fn mft(&mut self, boot: &Boot) {
        if let Some(clusters) = self.clusters(system_file::MFT) {
            self.first_lcn(system_file::MFT, &clusters, &boot.mft_lcns, "as the boot sector says");
            let record_size = u64::from(self.context.volume.geometry.record_size);
            let size = clusters.size(&self.context.volume);
            if !size.is_multiple_of(record_size) {
                let expected = format!("a multiple of {record_size}");
                let damage = self.context.damage(0, 0, "$MFT, data size", expected, size.to_string());
                self.fault(Severity::Error, system_file::MFT, damage);
            }
        }
        if let Some(Value::Resident { place, .. }) = &self.context.mft.bitmap {
            let damage = Damage::new("$MFT, $BITMAP", *place, "a value in clusters", "one in the record");
            self.fault(Severity::Error, system_file::MFT, damage);
        }
    }

    /// The mirror's records are those of `$MFT`, byte for byte.
    fn mirror(&mut self, boot: &Boot) {
        let file = system_file::MFT_MIRROR;
        let Some(clusters) = self.clusters(file) else { return };
        self.first_lcn(file, &clusters, &boot.mirror_lcns, "as the boot sector says");
        let volume = &self.context.volume;
        let record_size = u64::from(volume.geometry.record_size);
        let size = clusters.size(volume);
        if size < system_file::MIRRORED_RECORDS * record_size {
            let expected = format!("at least {} records", system_file::MIRRORED_RECORDS);
            let damage = self
                .context
                .damage(file.record, 0, "$MFTMirr, data size", expected, format!("{size} bytes"));
            self.fault(Severity::Error, file, damage);
        }
        for number in 0..(size / record_size).min(system_file::MIRRORED_RECORDS) {
            let mut original = vec![0; record_size as usize];
            let mut copy = original.clone();
            let offset = number * record_size;
            let read = self.context.mft.clusters().read(&mut original, offset, volume, "$MFT");
            let read = read.and_then(|()| clusters.read(&mut copy, offset, volume, "$MFTMirr"));
            if let Err(damage) = read {
                self.fault(Severity::Error, file, damage);
                return;
            }
            let Some(position) = original.iter().zip(&copy).position(|(left, right)| left != right) else {
                continue;
            };
            let place = clusters
                .place(offset + position as u64, volume)
                .map_or(0, |place| place.start);
            let found = if copy.starts_with(&FileRecordHeader::SIGNATURE) {
                format!("other bytes from {position:#x} on")
            } else {
                "no file record".into()
            };
            let expected = format!("the same bytes as in record {number} of $MFT");
            self.fault(Severity::Warning, file, Damage::new("$MFTMirr", place, expected, found));
        }
    }

    fn log(&mut self) {
        let file = system_file::LOG_FILE;
        let Some(clusters) = self.clusters(file) else { return };
        let volume = &self.context.volume;
        let mut start = vec![0; clusters.size(volume).min(8 << 10) as usize];
        let place = clusters.place(0, volume).map_or(0, |place| place.start);
        if let Err(damage) = clusters.read(&mut start, 0, volume, "$LogFile") {
            return self.fault(Severity::Error, file, damage);
        }
        match log_file::state(&start) {
            Ok(LogState::Fresh | LogState::Clean) => {}
            Ok(LogState::Dirty) => {
                let expected = "a closed log";
                let found = "an open one: the volume was not unmounted properly";
                self.fault(
                    Severity::Note,
                    file,
                    Damage::new("$LogFile, restart area", place, expected, found),
                );
            }
            Err(damage) => self.fault(Severity::Warning, file, within(moved(damage, place), "$LogFile")),
        }
    }

    fn volume(&mut self) {
        let file = system_file::VOLUME;
        let Some(Value::Resident { bytes, place }) = self.stream(file, AttributeType::VOLUME_INFORMATION, &[]) else {
            let damage = self
                .context
                .damage(file.record, 0, "$VOLUME_INFORMATION", "one attribute", "none");
            return self.fault(Severity::Error, file, damage);
        };
        let information = match VolumeInformation::read_from(&bytes, 0) {
            Ok(information) => information,
            Err(damage) => return self.fault(Severity::Error, file, moved(damage, place)),
        };
        let version = (information.major_version, information.minor_version);
        if !matches!(version, (3, 0 | 1) | (1, _)) {
            let found = format!("{}.{}", version.0, version.1);
            let damage = Damage::new("$VOLUME_INFORMATION, version", place + 8, "3.1", found);
            self.fault(Severity::Error, file, damage);
        }
        let flags = information.volume_flags;
        for (flag, meaning) in [
            (
                VolumeFlags::DIRTY,
                "set: the volume was not unmounted properly, or a fault was met on it",
            ),
            (VolumeFlags::CHKDSK_UNDERWAY, "set: a repair by chkdsk was not finished"),
        ] {
            if flags.contains(flag) {
                let name = if flag == VolumeFlags::DIRTY {
                    "dirty flag"
                } else {
                    "chkdsk flag"
                };
                let damage = Damage::new(format!("$VOLUME_INFORMATION, {name}"), place + 0x0A, "clear", meaning);
                self.fault(Severity::Warning, file, damage);
            }
        }
    }

    fn attribute_definitions(&mut self) {
        let file = system_file::ATTRIBUTE_DEFINITIONS;
        let Some(data) = self.data(file) else { return };
        let place = data.place(0, &self.context.volume);
        // ntfs3 reads 100 at most; NT 4 kept 36 KiB.
        let read = data.read_all(64 << 10, &self.context.volume, "$AttrDef");
        let definitions = match read.and_then(|bytes| attribute_definition::parse(&bytes)) {
            Ok(definitions) => definitions,
            Err(damage) => return self.fault(Severity::Error, file, within(damage, "$AttrDef")),
        };
        let types: Vec<u32> = definitions.iter().map(|one| one.attribute_type_code.0).collect();
        if types.first() != Some(&0x10) || types.len() > 100 || !types.is_sorted() {
            let expected = "1 to 100 ascending types that begin with 0x10";
            let damage = Damage::new("$AttrDef", place, expected, format!("{} types", types.len()));
            return self.fault(Severity::Error, file, damage);
        }
        for known in attribute_definition::definitions() {
            let Some(position) = definitions
                .iter()
                .position(|one| one.attribute_type_code == known.attribute_type_code)
            else {
                let damage = Damage::new(
                    "$AttrDef",
                    place,
                    format!("a definition of {}", known.attribute_type_code),
                    "none",
                );
                self.fault(Severity::Warning, file, damage);
                continue;
            };
            let found = &definitions[position];
            let is_same = |one: &AttributeDefinition| (one.name(), one.flags, one.minimum_length, one.maximum_length);
            if is_same(found) != is_same(&known) {
                let at = data.place((position * AttributeDefinition::SIZE) as u64, &self.context.volume);
                let expected = format!("the definition of {} in NTFS 3", known.attribute_type_code);
                self.fault(Severity::Note, file, Damage::new("$AttrDef", at, expected, "another"));
            }
        }
    }

    /// `$Boot` is where it is, and `$Bitmap` is in clusters.
    fn places(&mut self) {
        if let Some(clusters) = self.clusters(system_file::BOOT) {
            self.first_lcn(system_file::BOOT, &clusters, &[0], "the boot sector's");
        }
        self.clusters(system_file::BITMAP);
    }

    fn bad_clusters(&mut self) {
        let file = system_file::BAD_CLUSTERS;
        let bad = self.stream(file, AttributeType::DATA, &system_file::BAD);
        let volume = &self.context.volume;
        let Some(Value::Clusters(clusters)) = bad else {
            let damage = self.context.damage(
                file.record,
                0,
                "$BadClus, $DATA:$Bad",
                "a stream of all clusters",
                "none",
            );
            return self.fault(Severity::Warning, file, damage);
        };
        let total = volume.geometry.total_clusters;
        if clusters.end() != total {
            let expected = format!("{total} clusters, as the volume has");
            let damage = self.context.damage(
                file.record,
                0,
                "$BadClus, $DATA:$Bad",
                expected,
                clusters.end().to_string(),
            );
            self.fault(Severity::Warning, file, damage);
        }
        let count: u64 = clusters
            .runs()
            .iter()
            .filter(|run| run.lcn.is_some())
            .map(|run| run.clusters)
            .sum();
        if count > 0 {
            let found = format!("{count} clusters that were found to be bad");
            let damage = self
                .context
                .damage(file.record, 0, "$BadClus, $DATA:$Bad", "no bad clusters", found);
            self.fault(Severity::Note, file, damage);
        }
    }

    fn upcase(&mut self) {
        let file = system_file::UPCASE;
        let Some(data) = self.data(file) else { return };
        let volume = &self.context.volume;
        let place = data.place(0, volume);
        let size = data.size(volume);
        if size != UpcaseTable::SIZE as u64 {
            let expected = format!("{} bytes", UpcaseTable::SIZE);
            return self.fault(
                Severity::Error,
                file,
                Damage::new("$UpCase, data size", place, expected, size.to_string()),
            );
        }
        let bytes = match data.read_all(size, volume, "$UpCase") {
            Ok(bytes) => bytes,
            Err(damage) => return self.fault(Severity::Error, file, damage),
        };
        if let Some((letter, upper)) = upper_is_right(&bytes) {
            let at = data.place(2 * u64::from(letter), volume);
            let expected = format!("{:#06x} for unit {letter:#04x}", letter.to_ascii_uppercase());
            return self.fault(
                Severity::Error,
                file,
                Damage::new("$UpCase", at, expected, format!("{upper:#06x}")),
            );
        }
        let table = UpcaseTable::from_bytes(&bytes);
        if let Some(unit) = (0..=u16::MAX).find(|unit| table.upcase(table.upcase(*unit)) != table.upcase(*unit)) {
            let at = data.place(2 * u64::from(unit), volume);
            let expected = format!("an upper case of {unit:#06x} that is its own");
            let found = format!("{:#06x}", table.upcase(unit));
            self.fault(Severity::Warning, file, Damage::new("$UpCase", at, expected, found));
        }
        let Some(info) = self.stream(file, AttributeType::DATA, &system_file::INFO) else {
            return;
        };
        let place = info.place(0, &self.context.volume);
        let read = info.read_all(1 << 10, &self.context.volume, "$UpCase:$Info");
        let expected = UpcaseInfo::of(&bytes).crc;
        match read.and_then(|bytes| UpcaseInfo::read_from(&bytes, 0)) {
            Ok(info) if info.crc == expected => {}
            Ok(info) => {
                let (expected, found) = (format!("{expected:#018x}"), format!("{:#018x}", info.crc));
                self.fault(
                    Severity::Warning,
                    file,
                    Damage::new("$UpCase:$Info, checksum", place + 8, expected, found),
                );
            }
            Err(damage) => self.fault(Severity::Warning, file, moved(damage, place)),
        }
    }
}
