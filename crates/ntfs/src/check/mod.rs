//! The checker: looks at everything on a volume and changes nothing.
//!
//! ```no_run
//! use cv_disk::{Quiet, RawFile, ReadAt};
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! let volume: Arc<dyn ReadAt> = Arc::new(RawFile::open(Path::new("volume.img"))?);
//! for fault in cv_ntfs::check::check(&volume, &Quiet)? {
//!     println!("{fault}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It works from the structures themselves. The first pass reads `$MFT` from end to end and keeps some hundred bytes for
//! each file; the second reads the indexes. What it then compares:
//!
//! | with | what |
//! |---|---|
//! | the boot sector's copy | the boot sector |
//! | `$MFTMirr`, `$MFT`'s bitmap | file records |
//! | `$Bitmap`, and each other | run lists |
//! | further records, both ways | attribute lists |
//! | indexes, both ways | names |
//! | `$SDS` and its copies, `$SII`, `$SDH` | the security descriptors that files use |
//! | `$R`, `$O` | reparse points, object ids |
//!
//! What Windows itself leaves stale, such as the sizes that a directory repeats of its files, is a note. A hostile volume
//! takes time and memory in proportion to the bytes that it stores.

mod attribute;
mod attribute_list;
mod boot;
mod clusters;
mod context;
mod file;
mod findings;
mod index;
mod mft;
mod names;
mod parallel;
mod record;
mod records;
mod scan;
mod security;
mod system;
mod value;
mod view;
mod volume;

use crate::structure::{AttributeType, system_file};
use clusters::OwnedRuns;
use context::Context;
use cv_disk::{Cancelled, Damage, Faults, Progress, ReadAt, ReadError, Severity};
use findings::Findings;
use mft::Mft;
use parallel::in_order;
use records::{Kind, Records};
use scan::Allowance;
use std::sync::Arc;
use view::Rows;
use volume::Volume;

/// Why a volume could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The boot sector could not be read.
    #[error("cannot read the boot sector")]
    Boot(#[source] ReadError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Files that are looked at together in the passes that take them one by one.
const BATCH: usize = 64;

/// Checks the NTFS volume that is `volume`, and says what is wrong with it, the worst first.
///
/// Faults name the record, and the path where it is known; their offsets are bytes of the volume. Of each severity a thousand
/// are kept, the others counted. What cannot be read is a fault too. `progress` is told the bytes of `$MFT`, once for each of
/// the two passes.
///
/// Fails where the boot sector cannot be read, or where `progress` asks to stop.
pub fn check(volume: &Arc<dyn ReadAt>, progress: &dyn Progress) -> Result<Faults, CheckError> {
    let mut findings = Findings::default();
    let boot = boot::check(&**volume, &mut findings).map_err(CheckError::Boot)?;
    let Some(boot) = boot else {
        return Ok(findings.into_faults(|_| None));
    };
    let volume = Volume {
        disk: volume.clone(),
        geometry: boot.geometry,
    };
    let Some(mft) = Mft::locate(&boot, &volume, &mut findings) else {
        return Ok(findings.into_faults(|_| None));
    };
    let upcase = system::upcase(&mft, &volume);
    let context = Context::new(volume, mft, upcase);
    let bytes = context.mft.records * u64::from(context.volume.geometry.record_size);
    progress.begin(bytes.saturating_mul(2));

    let mut pass = Pass {
        context: &context,
        progress,
        findings,
        records: Records::default(),
        object_ids: Vec::new(),
        reparse_points: Vec::new(),
        reparse_index: None,
        object_id_index: None,
        listed: Vec::new(),
        rows: Rows::default(),
    };
    let used = pass.records()?;
    let allowance = Allowance::new(&used);
    pass.deferred(&allowance)?;
    pass.indexes(&allowance)?;
    pass.compare(&boot, &allowance, &used);
    Ok(pass.findings.into_faults(|record| context.path(record)))
}

/// What the passes gather.
struct Pass<'a> {
    context: &'a Context,
    progress: &'a dyn Progress,
    findings: Findings,
    records: Records,
    object_ids: Vec<([u8; 16], crate::structure::FileReference)>,
    reparse_points: Vec<(u32, crate::structure::FileReference)>,
    reparse_index: Option<u64>,
    object_id_index: Option<u64>,
    listed: Vec<u64>,
    rows: Rows,
}

impl Pass<'_> {
    /// Reads all records, in the order of the disk.
    fn records(&mut self) -> Result<clusters::UsedClusters, Cancelled> {
        let context = self.context;
        let mut runs = OwnedRuns::default();
        let mut has_room = true;
        let mut done = 0;
        in_order(
            scan::pieces(context),
            |piece| scan::scan(context, piece),
            |mut outcome| {
                has_room &= runs.append(std::mem::take(&mut outcome.runs));
                self.progress.advance(outcome.bytes)?;
                done += outcome.bytes;
                self.take(outcome);
                Ok(())
            },
        )?;
        // Records that are not stored took no reading.
        let all = context.mft.records * u64::from(context.volume.geometry.record_size);
        self.progress.advance(all.saturating_sub(done))?;
        if !has_room {
            let expected = "fewer pieces of files than memory holds";
            let damage = Damage::new("$Bitmap", 0, expected, "more: clusters are not compared in full");
            self.findings.volume(Severity::Warning, damage);
        }
        Ok(runs.into_used(|record| context.place(record, 0), &mut self.findings))
    }

    fn take(&mut self, outcome: scan::Outcome) {
        self.findings.absorb(outcome.findings);
        for (number, state) in outcome.states {
            self.records.insert(number, state);
        }
        self.object_ids.extend(outcome.object_ids);
        self.reparse_points.extend(outcome.reparse_points);
        self.listed.extend(outcome.listed);
        for (name, record) in outcome.in_extend {
            match String::from_utf16_lossy(&name).as_str() {
                "$Reparse" => self.reparse_index = Some(record),
                "$ObjId" => self.object_id_index = Some(record),
                _ => {}
            }
        }
    }

    /// Looks at the files that have several records.
    fn deferred(&mut self, allowance: &Allowance<'_>) -> Result<(), Cancelled> {
        let context = self.context;
        let numbers = self.numbers(Kind::DEFERRED);
        in_order(
            numbers.chunks(BATCH).map(<[u64]>::to_vec),
            |numbers| scan::scan_deferred(context, &numbers, allowance),
            |outcome| {
                self.progress.advance(0)?;
                self.take(outcome);
                Ok::<(), Cancelled>(())
            },
        )?;
        for number in std::mem::take(&mut self.listed) {
            if let Some(state) = self.records.get_mut(number) {
                state.kind |= Kind::LISTED;
            }
        }
        for (number, state) in self.records.iter() {
            if state.kind.contains(Kind::EXTENSION) && !state.kind.intersects(Kind::LISTED | Kind::DAMAGED) {
                let expected = format!("an entry in the $ATTRIBUTE_LIST of file {}", state.parent);
                let damage = context.damage(number, 0x20, "further record of a file", expected, "none: an orphan");
                self.findings.record(Severity::Error, number, damage);
            }
        }
        Ok(())
    }

    fn numbers(&self, kind: Kind) -> Vec<u64> {
        let records = self.records.iter();
        records
            .filter(|(_, state)| state.kind.intersects(kind))
            .map(|(number, _)| number)
            .collect()
    }

    fn indexes(&mut self, allowance: &Allowance<'_>) -> Result<(), Cancelled> {
        let context = self.context;
        let record_size = u64::from(context.volume.geometry.record_size);
        let numbers = self.numbers(Kind::DIRECTORY | Kind::VIEW_INDEX);
        let (records, findings, rows) = (&self.records, &mut self.findings, &mut self.rows);
        let mut done = 0;
        in_order(
            numbers.chunks(BATCH),
            |numbers| names::check_indexes(context, records, allowance, numbers),
            |outcome| {
                findings.absorb(outcome.findings);
                rows.append(outcome.rows);
                let before = std::mem::replace(&mut done, outcome.end);
                self.progress.advance((outcome.end - before) * record_size)
            },
        )?;
        self.progress
            .advance(context.mft.records.saturating_sub(done) * record_size)
    }

    /// Compares what was gathered.
    fn compare(&mut self, boot: &boot::Boot, allowance: &Allowance<'_>, used: &clusters::UsedClusters) {
        let context = self.context;
        let findings = &mut self.findings;
        system::check(context, boot, allowance, findings);
        names::compare_bitmap(context, &self.records, findings);
        let data = AttributeType::DATA;
        let bitmap = system::stream(context, allowance, system_file::BITMAP, data, &[], findings);
        if let Some(bitmap) = bitmap {
            used.compare(&bitmap, &context.volume, findings);
        } else {
            let damage = Damage::new("$Bitmap", 0, "a map of the clusters in use", "none that can be read");
            findings.volume(Severity::Error, damage);
        }
        let root = self.records.get(system_file::ROOT.record);
        if !root.is_some_and(|root| root.kind.intersects(Kind::DIRECTORY | Kind::DAMAGED)) {
            let place = context.place(system_file::ROOT.record, 0);
            let damage = Damage::new("root directory", place, "a directory in record 5", "none");
            findings.volume(Severity::Error, damage);
        }
        let directories = {
            let records = self.records.iter();
            let directories = records.filter(|(_, state)| state.kind.contains(Kind::DIRECTORY));
            directories.map(|(number, _)| number).collect::<Vec<_>>()
        };
        names::compare(context, &self.records, allowance, &directories, findings);
        names::check_reachable(context, &self.records, findings);
        let descriptors = system::stream(
            context,
            allowance,
            system_file::SECURE,
            data,
            &system_file::SDS,
            findings,
        );
        security::check(context, &self.rows, descriptors.as_ref(), findings);
        security::check_use(context, &self.records, &self.rows, findings);
        let rows = std::mem::take(&mut self.rows);
        let points = std::mem::take(&mut self.reparse_points);
        view::compare_reparse(context, self.reparse_index, points, rows.reparse_points, findings);
        let ids = std::mem::take(&mut self.object_ids);
        view::compare_object_ids(context, self.object_id_index, ids, rows.object_ids, findings);
    }
}
