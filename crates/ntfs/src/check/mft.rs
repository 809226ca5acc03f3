//! Where `$MFT` lies, and its records by number.

use super::boot::Boot;
use super::findings::Findings;
use super::volume::{Clusters, Value, Volume};
use crate::structure::{
    Attribute, AttributeType, Attributes, FileRecordHeader, FileReference, Form, Structure, attribute_list, fixup,
    moved, within,
};
use cv_disk::{Damage, Severity};

/// Most bytes of an attribute list, which Windows allows too.
pub(super) const MAX_ATTRIBUTE_LIST: u64 = 256 << 10;

/// The table of file records.
pub(super) struct Mft {
    clusters: Clusters,
    /// Number of records that were ever written.
    pub records: u64,
    /// Which records are in use; `None` where that cannot be told.
    pub bitmap: Option<Value>,
}

/// A record whose fixups are applied.
#[derive(Debug, Clone)]
pub(super) struct LoadedRecord {
    pub number: u64,
    /// Where it stands in the volume.
    pub place: u64,
    pub header: FileRecordHeader,
    pub bytes: Vec<u8>,
}

impl LoadedRecord {
    fn new(mut bytes: Vec<u8>, number: u64, place: u64) -> Result<Self, Damage> {
        fixup::apply(&mut bytes, FileRecordHeader::SIGNATURE)
            .and_then(|()| FileRecordHeader::read_from(&bytes, 0))
            .map(|header| Self {
                number,
                place,
                header,
                bytes,
            })
            .map_err(|damage| moved(damage, place))
    }

    /// Its attributes that are of the right form; the others are reported where every record is looked at.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        let attributes = self.header.attributes(&self.bytes);
        attributes.unwrap_or(Attributes::new(&[], 0)).filter_map(Result::ok)
    }

    /// The first attribute of that type and name.
    pub fn find(&self, type_code: AttributeType, name: &[u16]) -> Option<Attribute<'_>> {
        self.attributes()
            .find(|attribute| attribute.type_code() == type_code && attribute.is_named(name))
    }

    /// The reference by which others mean it.
    pub fn reference(&self) -> FileReference {
        FileReference::new(self.number, self.header.sequence_number)
    }
}

impl Mft {
    /// Finds `$MFT` by the first of its places that holds its record; by its mirror where none does.
    pub fn locate(boot: &Boot, volume: &Volume, findings: &mut Findings) -> Option<Self> {
        let mut found = None;
        for (number, lcn) in boot.mft_lcns.iter().chain(&boot.mirror_lcns).enumerate() {
            let is_mirror = number >= boot.mft_lcns.len();
            match Self::at(*lcn, is_mirror, volume) {
                Ok(mft) => {
                    found = Some(mft);
                    break;
                }
                Err(damage) => findings.volume(
                    if is_mirror { Severity::Warning } else { Severity::Error },
                    within(damage, if is_mirror { "$MFTMirr" } else { "$MFT" }),
                ),
            }
        }
        let (mut mft, record) = found?;
        mft.extend_by_list(&record, volume, findings);
        let record_size = u64::from(volume.geometry.record_size);
        mft.records = mft.clusters.valid(volume) / record_size;
        Some(mft)
    }

    fn at(lcn: u64, is_mirror: bool, volume: &Volume) -> Result<(Self, LoadedRecord), Damage> {
        let size = volume.geometry.record_size;
        let place = volume.geometry.cluster_offset(lcn).ok_or_else(|| {
            let expected = format!("a cluster below {}", volume.geometry.total_clusters);
            Damage::new("LCN", 0x30, expected, lcn.to_string())
        })?;
        let mut bytes = vec![0; size as usize];
        volume.read(&mut bytes, place, "file record 0")?;
        let record = LoadedRecord::new(bytes, 0, place)?;
        let data = record
            .find(AttributeType::DATA, &[])
            .ok_or_else(|| Damage::new("file record 0", place, "an unnamed $DATA attribute", "none"))?;
        let value = Value::of(&data, place, volume).map_err(|damage| moved(damage, place + data.offset as u64))?;
        let Value::Clusters(clusters) = value else {
            return Err(Damage::new(
                "file record 0, $DATA",
                place + data.offset as u64,
                "a value in clusters",
                "one in the record",
            ));
        };
        let first = clusters.runs().first().and_then(|run| run.lcn);
        if first.is_none() || !is_mirror && first != Some(lcn) {
            return Err(Damage::new(
                "file record 0, $DATA",
                place + data.offset as u64,
                format!("runs that begin at cluster {lcn}"),
                first.map_or("none".into(), |first| format!("cluster {first}")),
            ));
        }
        let mft = Self {
            clusters,
            records: 0,
            bitmap: None,
        };
        Ok((mft, record))
    }

    /// Adds the runs that stand in further records: each lies in the part of `$MFT` that is known by then.
    fn extend_by_list(&mut self, record: &LoadedRecord, volume: &Volume, findings: &mut Findings) {
        let mut bitmap = record.find(AttributeType::BITMAP, &[]).map(|attribute| {
            let value = Value::of(&attribute, record.place, volume);
            value.map_err(|damage| moved(damage, record.place + attribute.offset as u64))
        });
        let list = record.find(AttributeType::ATTRIBUTE_LIST, &[]).map(|attribute| {
            Value::of(&attribute, record.place, volume)
                .and_then(|list| list.read_all(MAX_ATTRIBUTE_LIST, volume, "$ATTRIBUTE_LIST"))
        });
        // A list that cannot be read is reported where every record's is.
        let list = list.and_then(Result::ok).unwrap_or_default();
        for entry in attribute_list::entries(&list).map_while(Result::ok) {
            let number = entry.segment_reference.record();
            let is_data = entry.type_code == AttributeType::DATA && entry.name.is_empty();
            let is_bitmap = entry.type_code == AttributeType::BITMAP && entry.name.is_empty();
            if number == 0 || !(is_data || is_bitmap) {
                continue;
            }
            let extended = self.load(number, volume).and_then(|extension| {
                let attribute = extension
                    .attributes()
                    .find(|one| one.type_code() == entry.type_code && one.header.instance == entry.instance)
                    .ok_or_else(|| {
                        Damage::new(
                            "file record",
                            extension.place,
                            format!("{} of $MFT", entry.type_code),
                            "none",
                        )
                    })?;
                let moved = |damage| moved(damage, extension.place + attribute.offset as u64);
                match (&mut bitmap, attribute.form) {
                    (
                        _,
                        Form::NonResident {
                            header, mapping_pairs, ..
                        },
                    ) if is_data => self.clusters.extend(&header, mapping_pairs, volume).map_err(moved),
                    (
                        Some(Ok(Value::Clusters(known))),
                        Form::NonResident {
                            header, mapping_pairs, ..
                        },
                    ) => known.extend(&header, mapping_pairs, volume).map_err(moved),
                    (place, _) => {
                        *place = Some(Value::of(&attribute, extension.place, volume).map_err(moved));
                        Ok(())
                    }
                }
            });
            if let Err(damage) = extended {
                findings.record(Severity::Error, 0, within(damage, "attributes in further records"));
                break;
            }
        }
        match bitmap {
            Some(Ok(bitmap)) => self.bitmap = Some(bitmap),
            Some(Err(damage)) => findings.record(Severity::Error, 0, within(damage, "$BITMAP")),
            None => findings.record(
                Severity::Error,
                0,
                Damage::new(
                    "$BITMAP",
                    record.place,
                    "a bitmap of the records in use",
                    "no such attribute",
                ),
            ),
        }
    }

    /// Where byte `within` of record `number` stands in the volume, 0 where it does not. A record that is larger than a
    /// cluster may lie in pieces.
    pub fn place(&self, number: u64, within: usize, volume: &Volume) -> u64 {
        let size = u64::from(volume.geometry.record_size);
        let offset = number
            .checked_mul(size)
            .and_then(|offset| offset.checked_add(within as u64));
        offset
            .and_then(|offset| self.clusters.place(offset, volume))
            .map_or(0, |place| place.start)
    }

    /// The table's bytes.
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Record `number`, with its fixups applied.
    pub fn load(&self, number: u64, volume: &Volume) -> Result<LoadedRecord, Damage> {
        let size = u64::from(volume.geometry.record_size);
        let valid = self.clusters.valid(volume);
        let offset = number.checked_mul(size);
        let Some(offset) = offset.filter(|offset| offset.checked_add(size).is_some_and(|end| end <= valid)) else {
            return Err(Damage::new(
                "file record",
                0,
                format!("a record below {}", valid / size),
                number.to_string(),
            ));
        };
        let mut bytes = vec![0; size as usize];
        self.clusters.read(&mut bytes, offset, volume, "file record")?;
        LoadedRecord::new(bytes, number, self.place(number, 0, volume))
    }
}
