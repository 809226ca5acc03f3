//! Sessions cut after every write, within writes, and by power failures.

use crate::tools::{bytes, noise};
use cv_disk::testing::{Operation, RecordingDisk};
use cv_disk::{MemoryDisk, ReadAt, Resize, Severity, WriteAt};
use cv_vhd::vhd::{ParentReference, Vhd, VhdBuilder, VhdWriter, check, repair};
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Clone)]
enum Step {
    Write(Range<u64>),
    Zeros(Range<u64>),
    Reserve(Range<u64>),
    Flush,
    Resize(u64),
    Relink,
    Reopen,
}

/// A disk after a step: how many changes the file had seen, and what the disk held.
struct Milestone {
    changes: usize,
    content: Vec<u8>,
    /// What the step that leads to the next milestone may have touched when it is cut short.
    next: Option<Step>,
}

struct Session {
    recording: Arc<RecordingDisk>,
    milestones: Vec<Milestone>,
    parent: Option<Arc<dyn ReadAt>>,
}

fn open(file: Arc<dyn Resize>, parent: Option<&Arc<dyn ReadAt>>) -> VhdWriter {
    let mut disk = VhdWriter::open(file).unwrap();
    if let Some(parent) = parent {
        disk.set_parent(parent.clone());
    }
    disk
}

impl Session {
    /// Runs `steps` on a disk that `builder` describes and that has a little content.
    fn run(builder: &VhdBuilder, parent: Option<Arc<dyn ReadAt>>, steps: &[Step]) -> Self {
        let file = Arc::new(MemoryDisk::new(0));
        let mut disk = builder.create(file.clone()).unwrap();
        if let Some(parent) = &parent {
            disk.set_parent(parent.clone());
        }
        disk.write_at(&noise(99, 3000), 1000).unwrap();
        let mut content = bytes(&disk);
        disk.finish().unwrap();

        let recording = Arc::new(RecordingDisk::new(file.as_ref().clone()));
        let mut disk = open(recording.clone(), parent.as_ref());
        let mut milestones = vec![];
        for (number, step) in steps.iter().enumerate() {
            milestones.push(Milestone {
                changes: recording.count(),
                content: content.clone(),
                next: Some(step.clone()),
            });
            match step.clone() {
                Step::Write(range) => {
                    let data = noise(number as u64, (range.end - range.start) as usize);
                    disk.write_at(&data, range.start).unwrap();
                    content[range.start as usize..range.end as usize].copy_from_slice(&data);
                }
                Step::Zeros(range) => {
                    disk.write_zeros_at(range.clone()).unwrap();
                    content[range.start as usize..range.end as usize].fill(0);
                }
                Step::Reserve(range) => disk.reserve(range).unwrap(),
                Step::Flush => disk.flush().unwrap(),
                Step::Resize(size) => {
                    disk.resize(size).unwrap();
                    content.resize(size as usize, 0);
                }
                Step::Relink => disk
                    .relink(&ParentReference::new(Uuid::nil()).relative(r"..\elsewhere\base.vhd"))
                    .unwrap(),
                Step::Reopen => {
                    disk.finish().unwrap();
                    disk = open(recording.clone(), parent.as_ref());
                }
            }
        }
        milestones.push(Milestone {
            changes: recording.count(),
            content: content.clone(),
            next: None,
        });
        disk.finish().unwrap();
        milestones.push(Milestone {
            changes: recording.count(),
            content,
            next: None,
        });
        Self {
            recording,
            milestones,
            parent,
        }
    }

    fn read(&self, file: &MemoryDisk) -> Vec<u8> {
        let mut disk = Vhd::open(Arc::new(file.clone())).unwrap();
        if let Some(parent) = &self.parent {
            disk.set_parent(parent.clone());
        }
        bytes(&disk)
    }

    /// After `changes` whole changes: everything completed is there, and what was under way is old or new.
    fn verify_kill(&self, changes: usize, file: &MemoryDisk) {
        let last = self
            .milestones
            .iter()
            .rposition(|milestone| milestone.changes <= changes);
        let before = &self.milestones[last.unwrap_or(0)];
        let after = self.milestones.get(last.unwrap_or(0) + 1).unwrap_or(before);
        let found = self.read(file);
        let what = |offset: usize| format!("after {changes} changes: wrong at {offset:#x}");
        if let Some(Step::Resize(_)) = before.next {
            let (old, new) = (&before.content, &after.content);
            assert!([old.len(), new.len()].contains(&found.len()), "after {changes} changes");
            // What both sizes have stays; a fixed disk may have a footer in what is cut off or new.
            for offset in 0..old.len().min(new.len()) {
                assert!(found[offset] == old[offset], "{}", what(offset));
            }
        } else {
            assert_eq!(found.len(), before.content.len());
            for (offset, byte) in found.iter().enumerate() {
                let is_known = *byte == before.content[offset] || *byte == after.content[offset];
                assert!(is_known, "{}", what(offset));
            }
        }
        self.verify_mending(file, &found);
    }

    /// The file can be repaired, and written to at once, without a change to its content.
    fn verify_mending(&self, file: &MemoryDisk, content: &[u8]) {
        let continued = Arc::new(file.clone());
        open(continued.clone(), self.parent.as_ref()).finish().unwrap();
        let repaired = Arc::new(file.clone());
        let resize: Arc<dyn Resize> = repaired.clone();
        repair(&resize).unwrap();
        // Writing leaves a header torn between its sectors with the checksum it has; repairing does not.
        for (file, allowed) in [(continued, Severity::Warning), (repaired, Severity::Note)] {
            assert!(self.read(&file) == content);
            let file: Arc<dyn ReadAt> = file;
            let faults = check(&file).unwrap();
            let bad = faults.listed().iter().find(|fault| fault.severity > allowed);
            assert!(bad.is_none(), "{}", bad.unwrap());
        }
    }

    fn verify_every_kill(&self) {
        for changes in 0..=self.recording.count() {
            self.verify_kill(changes, &self.recording.after(changes));
        }
        let operations = self.recording.operations();
        for (changes, operation) in operations.iter().enumerate() {
            let Operation::Write(offset, data) = operation else {
                continue;
            };
            // Disks write sectors whole; where a write ends within one is not cut.
            let first = (512 - offset % 512) as usize;
            let cuts: Vec<usize> = (first..data.len()).step_by(512).collect();
            for cut in cuts.iter().step_by(cuts.len().div_ceil(4).max(1)) {
                self.verify_kill(changes, &self.recording.after_torn(changes, *cut));
            }
        }
    }

    /// After a power failure: everything flushed is there, wherever nothing was written since.
    fn verify_power_failures(&self) {
        let operations = self.recording.operations();
        for changes in 0..=self.recording.count() {
            for pattern in 0..6_u64 {
                let keep = |number: usize| noise(pattern * 7919 + number as u64, 9)[8].is_multiple_of(2);
                let file = self.recording.after_power_failure(changes, keep);
                let flushed = operations[..changes]
                    .iter()
                    .rposition(|operation| *operation == Operation::Flush)
                    .unwrap_or(0);
                let Some(last) = self
                    .milestones
                    .iter()
                    .rposition(|milestone| milestone.changes <= flushed)
                else {
                    continue;
                };
                // The steps since, the one under way included.
                let since: Vec<_> = self.milestones[last..]
                    .iter()
                    .filter(|milestone| milestone.changes <= changes)
                    .filter_map(|milestone| milestone.next.clone())
                    .collect();
                let found = self.read(&file);
                let known = &self.milestones[last].content;
                let smallest = since
                    .iter()
                    .fold(known.len().min(found.len()), |size, step| match step {
                        Step::Resize(new) => size.min(*new as usize),
                        _ => size,
                    });
                for offset in 0..smallest {
                    let is_touched = since.iter().any(|step| match step {
                        // Bytes are written in sectors.
                        Step::Write(range) | Step::Zeros(range) => {
                            (range.start / 512 * 512..range.end.next_multiple_of(512)).contains(&(offset as u64))
                        }
                        _ => false,
                    });
                    assert!(
                        is_touched || found[offset] == known[offset],
                        "power failure {pattern} after {changes} changes: wrong at {offset:#x}"
                    );
                }
            }
        }
    }
}

fn script() -> Vec<Step> {
    vec![
        Step::Write(0..100),
        Step::Write(70_000..75_000),
        Step::Flush,
        Step::Write(75_001..90_013),
        Step::Zeros(72_000..80_000),
        Step::Write(20_000..60_000),
        Step::Reserve(110_000..111_000),
        Step::Reopen,
        Step::Write(60_000..66_000),
        Step::Resize(200 << 10),
        Step::Write(190_000..200_000),
        Step::Write(130_000..131_000),
        Step::Zeros(100_000..135_000),
        Step::Flush,
        Step::Resize(96 << 10),
        Step::Write(97_000..98_304),
        Step::Resize(100_352),
        Step::Write(98_000..100_000),
        Step::Resize(150 << 10),
    ]
}

#[test]
fn a_dynamic_disk_survives_a_kill_at_any_moment() {
    let builder = VhdBuilder::new(120 << 10).block_size(16 << 10);
    Session::run(&builder, None, &script()).verify_every_kill();
}

#[test]
fn a_fixed_disk_survives_a_kill_at_any_moment() {
    let builder = VhdBuilder::new(120 << 10).fixed();
    Session::run(&builder, None, &script()).verify_every_kill();
}

fn parent() -> Arc<dyn ReadAt> {
    Arc::new(MemoryDisk::from(&noise(1234, 170 << 10)[..]))
}

fn child() -> VhdBuilder {
    VhdBuilder::new(120 << 10)
        .block_size(16 << 10)
        .parent(ParentReference::new(Uuid::nil()).relative(r".\base.vhd"))
}

#[test]
fn a_differencing_disk_survives_a_kill_at_any_moment() {
    let mut steps = script();
    steps.insert(5, Step::Relink);
    steps.push(Step::Relink);
    Session::run(&child(), Some(parent()), &steps).verify_every_kill();
}

#[test]
fn what_was_flushed_survives_a_power_failure() {
    Session::run(&VhdBuilder::new(120 << 10).block_size(16 << 10), None, &script()).verify_power_failures();
    Session::run(&child(), Some(parent()), &script()).verify_power_failures();
}
