//! Opening a volume.

use crate::error::{FileError, OpenError};
use crate::read::attribute::{Content, FileAttribute, Gathered, gather};
use crate::read::clusters::Clusters;
use crate::read::file::File;
use crate::read::record::{self, FileRecord, Records};
use crate::read::secure::Secure;
use crate::read::stream::Stream;
use crate::structure::system_file::{self, SystemFile};
use crate::structure::volume_information::{VolumeFlags, VolumeInformation};
use crate::structure::{AttributeType, BootSector, FileReference, Geometry, Structure};
use cv_disk::{Damage, ReadAt, ReadError};
use cv_winname::UpcaseTable;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Security descriptors kept; a volume rarely has more than some hundreds.
const DESCRIPTORS_KEPT: usize = 1024;

/// An NTFS volume, read by any number of threads at once.
///
/// A clone is another handle to the same volume. Nothing is read but what is asked for, apart from the volume's own
/// description; no file is ever changed.
#[derive(Clone)]
pub struct Volume {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) disk: Arc<dyn ReadAt>,
    pub(crate) geometry: Geometry,
    pub(crate) records: Records,
    /// Security descriptors by number, as far as they were asked for.
    descriptors: Mutex<HashMap<u32, Arc<[u8]>>>,
    boot_sector: BootSector,
    report: OpenReport,
    upcase: UpcaseTable,
    information: Option<VolumeInformation>,
    label: Option<Vec<u16>>,
}

/// Which of two copies served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// The one in its usual place.
    Primary,
    /// The spare one: the usual one is damaged.
    Backup,
}

/// How the volume was opened, and what was found wrong on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Which boot sector served: the first, or the one behind the volume.
    pub boot_sector: Copy,
    /// Which record of `$MFT` served: its own, or that of `$MFTMirr`.
    pub mft: Copy,
    /// What is damaged; the volume is readable nevertheless.
    pub damage: Vec<Damage>,
}

impl Volume {
    /// Opens the volume that is the whole of `disk`: a partition is a [`Slice`](cv_disk::Slice) of its disk.
    ///
    /// Whichever boot sector and whichever copy of the first file record is good serves. What of the volume's own
    /// description is damaged is in the [`report`](Self::report); a damaged `$UpCase` is replaced by that of Windows.
    pub fn open(disk: Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        // What is wrong with the usual copies; a spare one is only looked at for want of better.
        let mut damage = Vec::new();
        let mut not_ntfs = None;
        let mut no_records = None;
        for mft in [Copy::Primary, Copy::Backup] {
            for (copy, offset) in boot_sector_places(&disk) {
                let is_usual = mft == Copy::Primary && copy == Copy::Primary;
                let opened = match boot_sector(&disk, offset) {
                    Ok((boot, geometry)) => match open_mft(&disk, &geometry, mft) {
                        Ok((records, gathered)) => Ok((boot, geometry, records, gathered)),
                        Err(error) => Err((&mut no_records, error)),
                    },
                    Err(error) => Err((&mut not_ntfs, error)),
                };
                match opened {
                    Ok((boot, geometry, records, gathered)) => {
                        damage.extend(signature_damage(&boot, offset));
                        damage.extend(gathered.damage);
                        let report = OpenReport {
                            boot_sector: copy,
                            mft,
                            damage,
                        };
                        return Ok(Self::with_records(disk, boot, geometry, records, report));
                    }
                    Err((first, error)) => {
                        if let (ReadError::Damaged(found), true) = (&error, is_usual) {
                            damage.push(found.clone());
                        }
                        first.get_or_insert(error);
                    }
                }
            }
        }
        match (no_records, not_ntfs) {
            (Some(error), _) => Err(OpenError::Mft(error)),
            (None, Some(error)) => Err(OpenError::NotNtfs(error)),
            // There is always a place to look at.
            (None, None) => Err(OpenError::NotNtfs(ReadError::BeyondEnd {
                offset: 0,
                length: BootSector::SIZE as u64,
                size: disk.len(),
            })),
        }
    }

    fn with_records(
        disk: Arc<dyn ReadAt>,
        boot_sector: BootSector,
        geometry: Geometry,
        records: Records,
        report: OpenReport,
    ) -> Self {
        let mut inner = Inner {
            disk,
            geometry,
            records,
            descriptors: Mutex::default(),
            boot_sector,
            report,
            upcase: UpcaseTable::windows().clone(),
            information: None,
            label: None,
        };
        let mut damage = Vec::new();
        match inner.read_upcase() {
            Ok(table) => inner.upcase = table,
            Err(found) => damage.push(found),
        }
        match inner.read_information() {
            Ok((information, label)) => (inner.information, inner.label) = (Some(information), label),
            Err(found) => damage.push(found),
        }
        inner.report.damage.extend(damage);
        Self { inner: Arc::new(inner) }
    }

    /// How the volume was opened.
    pub fn report(&self) -> &OpenReport {
        &self.inner.report
    }

    /// The boot sector that served.
    pub fn boot_sector(&self) -> &BootSector {
        &self.inner.boot_sector
    }

    /// The sizes of the volume's parts.
    pub fn geometry(&self) -> &Geometry {
        &self.inner.geometry
    }

    /// The disk that the volume is the whole of.
    pub fn disk(&self) -> &Arc<dyn ReadAt> {
        &self.inner.disk
    }

    /// The table by which names compare here.
    pub fn upcase(&self) -> &UpcaseTable {
        &self.inner.upcase
    }

    /// Version and state, where `$Volume` can be read.
    pub fn information(&self) -> Option<VolumeInformation> {
        self.inner.information
    }

    /// Whether the volume was not unmounted properly.
    pub fn is_dirty(&self) -> bool {
        self.information()
            .is_some_and(|information| information.volume_flags.contains(VolumeFlags::DIRTY))
    }

    /// The label, where there is one.
    pub fn label(&self) -> Option<&[u16]> {
        self.inner.label.as_deref()
    }

    /// The serial number.
    pub fn serial_number(&self) -> u64 {
        self.inner.boot_sector.serial_number
    }

    /// How many file records there are, in use or not.
    pub fn record_count(&self) -> u64 {
        self.inner.records.count(&self.inner.geometry)
    }

    /// Where `$MFT` lies.
    pub fn mft_clusters(&self) -> &Clusters {
        &self.inner.records.clusters
    }

    /// File record `number`, in use or not, fixups undone.
    pub fn record(&self, number: u64) -> Result<FileRecord, FileError> {
        self.inner.record(number)
    }

    /// The file whose first record is `number`, whatever its sequence number.
    pub fn file(&self, number: u64) -> Result<File, FileError> {
        File::open(self, number)
    }

    /// The file that `reference` is of; fails where its record was reused since. A reference with sequence number 0 takes any.
    pub fn file_by_reference(&self, reference: FileReference) -> Result<File, FileError> {
        let file = self.file(reference.record())?;
        let found = file.reference().sequence();
        if reference.sequence() == 0 || found == reference.sequence() {
            Ok(file)
        } else {
            Err(FileError::Stale { reference, found })
        }
    }

    /// One of the volume's own files.
    pub fn system_file(&self, file: SystemFile) -> Result<File, FileError> {
        self.file(file.record)
    }

    /// The root directory.
    pub fn root(&self) -> Result<File, FileError> {
        self.system_file(system_file::ROOT)
    }

    /// The file at `path`, whose names are separated by `\` or `/` and compared by the volume's `$UpCase`; where two differ in
    /// case alone the one written so is meant, else either. Links are not followed.
    pub fn open_path(&self, path: &[u16]) -> Result<File, FileError> {
        let mut file = self.root()?;
        let mut walked = String::new();
        for name in cv_winname::components(path) {
            if !file.is_directory() {
                return Err(FileError::NotADirectory { name: walked });
            }
            let entry = file.directory()?.find(name)?;
            walked.push('\\');
            walked.push_str(&cv_winname::wtf8::display(name));
            match entry {
                Some(entry) => file = self.file_by_reference(entry.reference)?,
                None => return Err(FileError::NotFound { name: walked }),
            }
        }
        Ok(file)
    }

    /// As [`open_path`](Self::open_path), for a path without lone surrogates.
    pub fn open_str(&self, path: &str) -> Result<File, FileError> {
        self.open_path(&path.encode_utf16().collect::<Vec<_>>())
    }

    /// The security descriptor that `$Secure` keeps under `id`, in self-relative form; `None` where there is none.
    pub fn security_descriptor(&self, id: u32) -> Result<Option<Arc<[u8]>>, FileError> {
        if let Some(known) = self.inner.descriptors().get(&id) {
            return Ok(Some(known.clone()));
        }
        let Some(descriptor) = Secure::open(self)?.find(id)? else {
            return Ok(None);
        };
        let descriptor: Arc<[u8]> = descriptor.into();
        let mut descriptors = self.inner.descriptors();
        if descriptors.len() >= DESCRIPTORS_KEPT {
            descriptors.clear();
        }
        descriptors.insert(id, descriptor.clone());
        Ok(Some(descriptor))
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume")
            .field("geometry", &self.inner.geometry)
            .field("report", &self.inner.report)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn descriptors(&self) -> MutexGuard<'_, HashMap<u32, Arc<[u8]>>> {
        self.descriptors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, number: u64) -> Result<FileRecord, FileError> {
        self.records.read(&*self.disk, &self.geometry, number)
    }

    /// What `$MFTMirr` has of record `number`.
    pub(crate) fn mirrored(&self, number: u64) -> Option<FileRecord> {
        self.records.read_mirrored(&*self.disk, &self.geometry, number)
    }

    pub(crate) fn gather(&self, base: &FileRecord) -> Gathered {
        gather(
            base,
            |number, _| {
                self.record(number).map_err(|error| match error {
                    FileError::Record {
                        source: ReadError::Damaged(damage),
                        ..
                    } => damage,
                    other => Damage::new(
                        format!("file record {number}"),
                        0,
                        format!("a further record of {}", base.number),
                        std::error::Error::source(&other).map_or_else(|| other.to_string(), ToString::to_string),
                    ),
                })
            },
            |clusters, buf| clusters.read(&*self.disk, &self.geometry, buf, 0),
        )
    }

    /// The attribute of a volume's own file, whose damage is told from other files'.
    fn own_attribute(&self, file: SystemFile, type_code: AttributeType) -> Result<Option<FileAttribute>, Damage> {
        let record = self.record(file.record).map_err(|error| describe(file, &error))?;
        let Gathered { attributes, damage } = self.gather(&record);
        let wanted = |attribute: &FileAttribute| attribute.type_code == type_code && attribute.name.is_empty();
        match attributes.into_iter().find(wanted) {
            Some(attribute) => Ok(Some(attribute)),
            None => damage.into_iter().next().map_or(Ok(None), Err),
        }
    }

    fn read_upcase(&self) -> Result<UpcaseTable, Damage> {
        let file = system_file::UPCASE;
        let missing = || Damage::new(file.name, 0, "131072 bytes of $DATA", "none");
        let attribute = self.own_attribute(file, AttributeType::DATA)?.ok_or_else(missing)?;
        if attribute.size() != UpcaseTable::SIZE as u64 {
            return Err(Damage::new(
                file.name,
                0,
                UpcaseTable::SIZE.to_string(),
                attribute.size().to_string(),
            ));
        }
        match attribute.content {
            Content::Resident(value) => Ok(UpcaseTable::from_bytes(&value)),
            Content::NonResident(clusters) => {
                let mut bytes = vec![0; UpcaseTable::SIZE];
                clusters
                    .read(&*self.disk, &self.geometry, &mut bytes, 0)
                    .map_err(|error| Damage::new(file.name, 0, "a table that can be read", error.to_string()))?;
                Ok(UpcaseTable::from_bytes(&bytes))
            }
        }
    }

    fn read_information(&self) -> Result<(VolumeInformation, Option<Vec<u16>>), Damage> {
        let file = system_file::VOLUME;
        let value = |type_code| -> Result<Option<Vec<u8>>, Damage> {
            Ok(
                match self.own_attribute(file, type_code)?.map(|attribute| attribute.content) {
                    Some(Content::Resident(value)) => Some(value),
                    _ => None,
                },
            )
        };
        let information = value(AttributeType::VOLUME_INFORMATION)?
            .ok_or_else(|| Damage::new(file.name, 0, "$VOLUME_INFORMATION", "none"))?;
        let label = value(AttributeType::VOLUME_NAME)?;
        Ok((
            VolumeInformation::read_from(&information, 0)?,
            label.map(|label| cv_winname::wtf8::from_le_bytes(&label)),
        ))
    }

    /// The value of `attribute` of the file `record`, compression undone.
    pub(crate) fn stream(self: &Arc<Self>, record: u64, attribute: &FileAttribute) -> Result<Stream, FileError> {
        Stream::of_attribute(self, record, attribute)
    }
}

fn describe(file: SystemFile, error: &FileError) -> Damage {
    match error {
        FileError::Record {
            source: ReadError::Damaged(damage),
            ..
        } => crate::structure::within(damage.clone(), file.name),
        other => Damage::new(file.name, 0, "a record that can be read", other.to_string()),
    }
}

/// Where a boot sector may stand: at the start, and in the last sector, whose size is not yet known.
fn boot_sector_places(disk: &dyn ReadAt) -> Vec<(Copy, u64)> {
    let from_end = |sector: u64| disk.len().checked_sub(sector).filter(|offset| *offset != 0);
    let mut places = vec![(Copy::Primary, 0)];
    places.extend(
        [512, 4096]
            .into_iter()
            .filter_map(from_end)
            .map(|offset| (Copy::Backup, offset)),
    );
    places
}

fn boot_sector(disk: &dyn ReadAt, offset: u64) -> Result<(BootSector, Geometry), ReadError> {
    let mut bytes = [0; BootSector::SIZE];
    disk.read_at(&mut bytes, offset)?;
    let boot = BootSector::read_from(&bytes, 0)?;
    let geometry = Geometry::of(&boot).map_err(|damage| crate::structure::moved(damage, offset))?;
    Ok((boot, geometry))
}

fn signature_damage(boot: &BootSector, offset: u64) -> Option<Damage> {
    (boot.signature != BootSector::SIGNATURE).then(|| {
        Damage::new(
            "boot sector, signature",
            offset + 0x1FE,
            format!("{:#06x}", BootSector::SIGNATURE),
            format!("{:#06x}", boot.signature),
        )
    })
}

/// The records that `$MFT`'s own record leads to, read where it usually stands or from the mirror.
fn open_mft(disk: &Arc<dyn ReadAt>, geometry: &Geometry, copy: Copy) -> Result<(Records, Gathered), ReadError> {
    let lcn = match copy {
        Copy::Primary => geometry.mft_lcn,
        Copy::Backup => geometry.mirror_lcn,
    };
    let offset = geometry.cluster_offset(lcn).ok_or_else(|| {
        Damage::new(
            "boot sector, first cluster of $MFT or $MFTMirr",
            0x30,
            format!("less than {}", geometry.total_clusters),
            lcn.to_string(),
        )
    })?;
    let base = record::read_at(&**disk, geometry, 0, offset)?;
    let is_data = |attribute: &&FileAttribute| attribute.type_code == AttributeType::DATA && attribute.name.is_empty();
    let data = |gathered: &Gathered| match gathered.attributes.iter().find(is_data).map(|data| &data.content) {
        Some(Content::NonResident(clusters)) => Some(clusters.clone()),
        _ => None,
    };
    // Further records of $MFT itself are found through the extents gathered before them.
    let gathered = gather(
        &base,
        |number, gathered| {
            let missing = || Damage::new("file record 0, $DATA", offset, "a first extent", "none");
            let records = Records::new(data(gathered).ok_or_else(missing)?, None);
            let found = records.read(&**disk, geometry, number);
            found.map_err(|error| {
                Damage::new(
                    format!("file record {number}"),
                    0,
                    "a further record of $MFT",
                    error.to_string(),
                )
            })
        },
        |clusters, buf| clusters.read(&**disk, geometry, buf, 0),
    );
    match data(&gathered) {
        Some(clusters) if clusters.file_size >= u64::from(geometry.record_size) => {
            let mirror = geometry.cluster_offset(geometry.mirror_lcn);
            Ok((Records::new(clusters, mirror), gathered))
        }
        _ => Err(Damage::new(
            "file record 0",
            offset,
            "$MFT with $DATA of at least one record",
            "none",
        )
        .into()),
    }
}
