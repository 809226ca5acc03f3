//! Indexes that do not hold names: `$R` against reparse points, `$O` against object ids.

use super::context::Context;
use super::findings::Findings;
use crate::structure::reparse::ReparseTag;
use crate::structure::security::SecurityDescriptorEntryHeader;
use crate::structure::view_index::{ObjectIdData, ReparseKey, SecurityHashKey, SecurityIdKey};
use crate::structure::{FileReference, IndexEntry, Structure, system_file};
use cv_disk::{Damage, Severity};

/// What the indexes hold, each with the record whose index it is.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub security_ids: Vec<(SecurityIdKey, SecurityDescriptorEntryHeader)>,
    pub security_hashes: Vec<(SecurityHashKey, SecurityDescriptorEntryHeader)>,
    pub reparse_points: Vec<(u64, (u32, FileReference))>,
    pub object_ids: Vec<(u64, ([u8; 16], FileReference))>,
}

impl Rows {
    /// Adds an entry of the index `name` in record `record`, where it is one that is compared.
    pub fn add(&mut self, record: u64, name: &[u16], entry: &IndexEntry<'_>) -> Result<(), Damage> {
        let key = entry.key();
        let of_length = |length: usize| {
            if key.len() == length {
                Ok(())
            } else {
                Err(Damage::new(
                    "entry, key length",
                    0,
                    length.to_string(),
                    key.len().to_string(),
                ))
            }
        };
        let is_secure = record == system_file::SECURE.record;
        if is_secure && name == system_file::SII {
            of_length(SecurityIdKey::SIZE)?;
            let data = SecurityDescriptorEntryHeader::read_from(entry.data()?, 0)?;
            self.security_ids.push((SecurityIdKey::read_from(key, 0)?, data));
        } else if is_secure && name == system_file::SDH {
            of_length(SecurityHashKey::SIZE)?;
            let data = SecurityDescriptorEntryHeader::read_from(entry.data()?, 0)?;
            self.security_hashes.push((SecurityHashKey::read_from(key, 0)?, data));
        } else if name == system_file::R {
            of_length(ReparseKey::SIZE)?;
            let key = ReparseKey::read_from(key, 0)?;
            self.reparse_points
                .push((record, (key.reparse_tag, key.file_reference)));
        } else if name == system_file::O {
            // That of $Quota has the same name, and other data.
            let data = entry.data()?;
            if let (Ok(id), true) = (key.try_into(), data.len() >= ObjectIdData::SIZE) {
                let data = ObjectIdData::read_from(data, 0)?;
                self.object_ids.push((record, (id, data.file_reference)));
            }
        }
        Ok(())
    }

    /// Takes over the entries of `others`.
    pub fn append(&mut self, mut others: Self) {
        self.security_ids.append(&mut others.security_ids);
        self.security_hashes.append(&mut others.security_hashes);
        self.reparse_points.append(&mut others.reparse_points);
        self.object_ids.append(&mut others.object_ids);
    }
}

/// Compares the reparse points of files with `$R`, which is in record `index`.
pub(super) fn compare_reparse(
    context: &Context,
    index: Option<u64>,
    in_files: Vec<(u32, FileReference)>,
    rows: Vec<(u64, (u32, FileReference))>,
    findings: &mut Findings,
) {
    let show = |(tag, _): &(u32, FileReference)| format!("reparse point {}", ReparseTag(*tag));
    compare(
        context,
        index,
        "$Extend\\$Reparse, index $R",
        in_files,
        rows,
        &show,
        findings,
    );
}

/// Compares the object ids of files with `$O`, which is in record `index`.
pub(super) fn compare_object_ids(
    context: &Context,
    index: Option<u64>,
    in_files: Vec<([u8; 16], FileReference)>,
    rows: Vec<(u64, ([u8; 16], FileReference))>,
    findings: &mut Findings,
) {
    let show = |(id, _): &([u8; 16], FileReference)| format!("object id {}", uuid::Uuid::from_bytes_le(*id));
    let of_volume = |row: &(u64, ([u8; 16], FileReference))| row.1.1.record() == system_file::VOLUME.record;
    let rows = rows.into_iter().filter(|row| !of_volume(row)).collect();
    compare(
        context,
        index,
        "$Extend\\$ObjId, index $O",
        in_files,
        rows,
        &show,
        findings,
    );
}

fn compare<K: Ord + Copy>(
    context: &Context,
    index: Option<u64>,
    title: &str,
    mut in_files: Vec<(K, FileReference)>,
    rows: Vec<(u64, (K, FileReference))>,
    show: &dyn Fn(&(K, FileReference)) -> String,
    findings: &mut Findings,
) {
    let rows = rows.into_iter().filter(|(record, _)| Some(*record) == index);
    let mut in_index: Vec<(K, FileReference)> = rows.map(|(_, row)| row).collect();
    in_files.sort_unstable();
    in_index.sort_unstable();
    let (mut left, mut right) = (in_files.iter().peekable(), in_index.iter().peekable());
    loop {
        let is_missing = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(left), Some(right)) if left == right => None,
            (Some(left), Some(right)) => Some(left < right),
            (left, _) => Some(left.is_some()),
        };
        match is_missing {
            None => {
                left.next();
                right.next();
            }
            Some(true) => {
                if let Some(file) = left.next() {
                    let place = context.place(file.1.record(), 0);
                    let expected = format!("an entry for {}", show(file));
                    findings.record(
                        Severity::Error,
                        file.1.record(),
                        Damage::new(title, place, expected, "none"),
                    );
                }
            }
            Some(false) => {
                if let Some(row) = right.next() {
                    let place = index.map_or(0, |index| context.place(index, 0));
                    let expected = format!("a file {} that has the {}", row.1, show(row));
                    findings.volume(Severity::Error, Damage::new(title, place, expected, "none"));
                }
            }
        }
    }
}
