//! Kills, torn writes and power failures at every point of scripted sessions.

use crate::model::{Step, act, builder, parent, parent_reference};
use crate::tools::{arg, guids, identity, installed, readable, run};
use cv_disk::testing::{Operation, RecordingDisk};
use cv_disk::{MemoryDisk, ReadAt, Resize, Severity};
use cv_vhd::vhdx::{ParentReference, Vhdx, VhdxBuilder, VhdxWriter, check};
use std::collections::BTreeSet;
use std::sync::Arc;

const MIB: u64 = 1 << 20;
const PART: u64 = 4096;

/// A step of a crash session.
#[derive(Debug, Clone)]
enum Doing {
    Step(Step),
    Resize(u64),
    Relink(ParentReference),
    Reopen,
}

fn write(offset: u64, length: u64, seed: u64) -> Doing {
    Doing::Step(Step::Write { offset, length, seed })
}

fn zero(offset: u64, length: u64) -> Doing {
    Doing::Step(Step::Zero { offset, length })
}

fn flush() -> Doing {
    Doing::Step(Step::Flush)
}

/// What a session did: every change of the file, and the disk as it was after each step.
struct Session {
    file: Arc<RecordingDisk>,
    parent: Option<Arc<MemoryDisk>>,
    /// The disk before any step and after each, with the number of changes of the file by then.
    states: Vec<(MemoryDisk, usize)>,
    /// Numbers of the states that a flush made durable.
    durable: Vec<usize>,
    /// The parts of the disk, 4 KiB each, that steps touch, and those next to them.
    touched: BTreeSet<u64>,
}

impl Session {
    fn new(builder: &VhdxBuilder, size: u64, parent: Option<Arc<MemoryDisk>>, script: &[Doing]) -> Self {
        let empty = Arc::new(MemoryDisk::new(0));
        builder.create(empty.clone()).unwrap().finish().unwrap();
        let file = Arc::new(RecordingDisk::new((*empty).clone()));
        let open = |file: &Arc<RecordingDisk>| {
            let writer = VhdxWriter::open(file.clone(), guids()).unwrap();
            match &parent {
                Some(parent) => writer.with_parent(parent.clone()),
                None => writer,
            }
        };
        let model = match &parent {
            Some(parent) => crate::model::sized(parent, size),
            None => MemoryDisk::new(size),
        };
        let mut states = vec![(model.clone(), 0)];
        let mut durable = vec![0];
        let mut touched = BTreeSet::new();
        let mut touch = |offset: u64, length: u64| {
            touched.extend((offset / PART).saturating_sub(1)..=(offset + length).div_ceil(PART));
        };
        let mut writer = open(&file);
        for doing in script {
            match doing {
                Doing::Step(step) => {
                    act(&writer, step);
                    act(&model, step);
                    if let Step::Write { offset, length, .. } | Step::Zero { offset, length } = step {
                        touch(*offset, *length);
                    }
                }
                Doing::Resize(size) => {
                    touch(model.len(), 1);
                    touch(*size, 1);
                    writer.resize(*size).unwrap();
                    model.set_len(*size).unwrap();
                }
                Doing::Relink(reference) => writer.relink(reference.clone()).unwrap(),
                Doing::Reopen => {
                    writer.finish().unwrap();
                    writer = open(&file);
                }
            }
            states.push((model.clone(), file.count()));
            if matches!(doing, Doing::Step(Step::Flush) | Doing::Reopen) {
                durable.push(states.len() - 1);
            }
        }
        writer.finish().unwrap();
        states.push((model, file.count()));
        Self {
            file,
            parent,
            states,
            durable,
            touched,
        }
    }

    /// The state that was reached with `count` changes of the file.
    fn reached(&self, count: usize) -> usize {
        self.states.iter().rposition(|(_, changes)| *changes <= count).unwrap()
    }

    /// The last state up to `reached` that a flush made durable.
    fn durable_before(&self, reached: usize) -> usize {
        let before = self.durable.iter().copied().filter(|state| *state <= reached);
        before.max().unwrap()
    }

    /// Fails unless the disk in `file` holds in every sector what one of the states from `first` to `last` holds.
    fn assert_holds(&self, file: MemoryDisk, first: usize, last: usize, when: &str) {
        let file: Arc<dyn ReadAt> = Arc::new(file);
        for fault in check(&file).unwrap() {
            assert!(
                fault.repairable && fault.severity == Severity::Warning,
                "{when}: {fault}"
            );
        }
        let image = Vhdx::open(file).unwrap_or_else(|error| panic!("{when}: {error}"));
        let image = match &self.parent {
            Some(parent) => image.with_parent(parent.clone()),
            None => image,
        };
        let states = &self.states[first..=last];
        assert!(
            states.iter().any(|(state, _)| state.len() == image.len()),
            "{when}: size {:#x}",
            image.len()
        );
        let mut found = [0; PART as usize];
        let mut possible = vec![[0; PART as usize]; states.len()];
        for part in &self.touched {
            let offset = part * PART;
            if offset >= image.len() {
                continue;
            }
            read_within(&image, &mut found, offset);
            for ((state, _), bytes) in states.iter().zip(&mut possible) {
                read_within(state, bytes, offset);
            }
            if possible.contains(&found) {
                continue;
            }
            for start in (0..PART as usize).step_by(512) {
                let sector = start..start + 512;
                // A kill may cut a write within a sector.
                let fits = possible
                    .iter()
                    .any(|bytes| bytes[sector.clone()] == found[sector.clone()])
                    || sector
                        .clone()
                        .all(|byte| possible.iter().any(|bytes| bytes[byte] == found[byte]));
                assert!(fits, "{when}: the sector at {:#x}", offset + start as u64);
            }
        }
    }

    /// Kills the session after every single change, and in the middle of every write.
    fn kill_everywhere(&self) {
        self.kill_after_every(1);
    }

    /// As [`kill_everywhere`](Self::kill_everywhere), at every `stride`th change.
    fn kill_after_every(&self, stride: usize) {
        let operations = self.file.operations();
        for count in (0..=operations.len()).step_by(stride) {
            let reached = self.reached(count);
            let next = (reached + 1).min(self.states.len() - 1);
            self.assert_holds(
                self.file.after(count),
                reached,
                next,
                &format!("killed after change {count}"),
            );
            if let Some(Operation::Write(_, bytes)) = operations.get(count) {
                for torn in [1, 512, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                    if torn < bytes.len() {
                        let when = format!("killed {torn} bytes into change {count}");
                        self.assert_holds(self.file.after_torn(count, torn), reached, next, &when);
                    }
                }
            }
        }
    }

    /// Fails the power after every change, with various of the changes since the last flush kept.
    fn fail_power_everywhere(&self) {
        self.fail_power_after_every(1);
    }

    /// As [`fail_power_everywhere`](Self::fail_power_everywhere), at every `stride`th change.
    fn fail_power_after_every(&self, stride: usize) {
        for count in (0..=self.file.count()).step_by(stride) {
            let reached = self.reached(count);
            let next = (reached + 1).min(self.states.len() - 1);
            let first = self.durable_before(reached);
            let keeps: [(&str, &dyn Fn(usize) -> bool); 5] = [
                ("none", &|_| false),
                ("every second", &|number| number % 2 == 0),
                ("every other second", &|number| number % 2 == 1),
                ("some", &|number| {
                    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62 & 1 == 0
                }),
                ("the last", &|number| number + 1 == count),
            ];
            for (name, keep) in keeps {
                let when = format!("power failed after change {count}, {name} kept");
                self.assert_holds(self.file.after_power_failure(count, keep), first, next, &when);
            }
        }
    }
}

/// Reads what there is from `offset` on, and zeros beyond the end.
fn read_within(disk: &dyn ReadAt, bytes: &mut [u8], offset: u64) {
    let length = disk.len().saturating_sub(offset).min(bytes.len() as u64) as usize;
    bytes.fill(0);
    if length > 0 {
        disk.read_at(&mut bytes[..length], offset).unwrap();
    }
}

fn script(size: u64) -> Vec<Doing> {
    vec![
        write(0, 4096, 1),
        write(MIB - 1000, 3000, 2),
        flush(),
        write(3 * MIB, MIB, 3),
        write(3 * MIB + 5000, 700, 4),
        zero(3 * MIB + 4096, 100_000),
        zero(MIB, MIB),
        flush(),
        write(size - 1536, 1536, 5),
        Doing::Reopen,
        write(MIB + 512, 512, 6),
        write(2 * MIB, 2 * MIB, 7),
        zero(0, 4 * MIB),
        flush(),
        write(700, 10, 8),
        write(2 * MIB + 4096, 8192, 9),
    ]
}

#[test]
fn a_dynamic_disk_survives_kills_and_power_failures() {
    let size = 5 * MIB + 4096;
    let mut script = script(size);
    script.extend([
        Doing::Resize(9 * MIB),
        write(8 * MIB, 4096, 10),
        Doing::Resize(3 * MIB + 512),
        write(MIB, 300_000, 11),
        Doing::Resize(6 * MIB),
        flush(),
        write(5 * MIB, 512, 12),
    ]);
    let session = Session::new(&builder(size, 512, false), size, None, &script);
    session.kill_everywhere();
    session.fail_power_everywhere();
}

#[test]
fn a_differencing_disk_survives_kills_and_power_failures() {
    let size = 5 * MIB + 4096;
    for sector in [512, 4096] {
        let mut script = script(size);
        script.extend([
            Doing::Relink(ParentReference {
                absolute_win32_path: Some("\\\\?\\C:\\parent.vhdx".into()),
                parent_linkage: identity(9).data_write_guid,
                ..parent_reference()
            }),
            Doing::Resize(7 * MIB),
            write(6 * MIB + 700, 5000, 10),
            Doing::Resize(4 * MIB),
            Doing::Resize(5 * MIB),
        ]);
        let parent = parent(size + 3 * MIB);
        let session = Session::new(&builder(size, sector, true), size, Some(parent), &script);
        session.kill_everywhere();
        session.fail_power_everywhere();
    }
}

#[test]
fn a_table_that_outgrows_its_region_moves_safely() {
    let size = 100 << 30;
    let script = [
        write(5 * MIB, 5000, 1),
        write(size - 512, 512, 2),
        Doing::Resize(200 << 30),
        write(150 << 30, 5000, 3),
        zero(5 * MIB, MIB),
        Doing::Resize(60 << 30),
        write(7 * MIB, 5000, 4),
        flush(),
    ];
    for differencing in [false, true] {
        let parent = differencing.then(|| parent(10 * MIB));
        let session = Session::new(&builder(size, 512, differencing), size, parent, &script);
        session.kill_everywhere();
        session.fail_power_everywhere();
    }
}

#[test]
fn freed_room_is_used_again_and_shows_nothing_of_before() {
    const BLOCK: u64 = 32 * MIB;
    let size = 30 * BLOCK;
    let mut script = Vec::new();
    for block in 0..10 {
        script.push(write(block * BLOCK, 5000, block + 1));
        script.push(write(block * BLOCK + MIB, 5000, block + 1));
    }
    script.extend([flush(), zero(0, 10 * BLOCK)]);
    for block in 0..10 {
        script.push(write((block + 15) * BLOCK, 512, block + 20));
        // What the earlier block had here must not show.
        script.push(zero((block + 15) * BLOCK + MIB, 5000));
    }
    let builder = builder(size, 512, false).block_size(BLOCK as u32);
    let session = Session::new(&builder, size, None, &script);
    assert!(session.file.len() < 14 * BLOCK, "{:#x}", session.file.len());
    session.kill_after_every(19);
    session.fail_power_after_every(19);
}

#[test]
fn a_full_log_begins_anew() {
    let size = 400 * MIB;
    let script: Vec<_> = (0..300)
        .map(|block| write(block * MIB + block * 512, 512, block + 1))
        .collect();
    let session = Session::new(&builder(size, 512, false), size, None, &script);
    let last = session.states.len() - 1;
    let count = session.file.count();
    // Around the point where the log starts over.
    let headers = |operation: &Operation| matches!(operation, Operation::Write(65_536 | 131_072, _));
    let operations = session.file.operations();
    let switches: Vec<_> = (0..count).filter(|number| headers(&operations[*number])).collect();
    assert!(switches.len() >= 12, "{} header writes", switches.len());
    for switch in switches {
        for cut in switch.saturating_sub(3)..(switch + 3).min(count) {
            let reached = session.reached(cut);
            let next = (reached + 1).min(last);
            session.assert_holds(
                session.file.after(cut),
                reached,
                next,
                &format!("killed after change {cut}"),
            );
            let failed = session.file.after_power_failure(cut, |number| number % 3 != 0);
            let first = session.durable_before(reached);
            session.assert_holds(failed, first, next, &format!("power failed after change {cut}"));
        }
    }
}

#[test]
fn qemu_opens_what_kills_leave() {
    if !installed("qemu-img") {
        return;
    }
    let size = 5 * MIB + 4096;
    let session = Session::new(&builder(size, 512, false), size, None, &script(size));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.vhdx");
    for count in (0..=session.file.count()).step_by(3) {
        std::fs::write(&path, session.file.after(count).to_vec()).unwrap();
        run("qemu-img", &["check", "-q", "-r", "all", "-f", "vhdx", arg(&path)]);
        let raw = folder.path().join("disk.img");
        run("qemu-img", &["convert", "-O", "raw", arg(&path), arg(&raw)]);
        let reached = session.reached(count);
        let next = (reached + 1).min(session.states.len() - 1);
        let bytes = std::fs::read(&raw).unwrap();
        let states = [&session.states[reached].0, &session.states[next].0].map(MemoryDisk::to_vec);
        let fits = (0..bytes.len()).all(|byte| states.iter().any(|state| state[byte] == bytes[byte]));
        assert!(fits, "killed after change {count}");
        let image: Arc<dyn ReadAt> = Arc::new(Vhdx::open(readable(&path)).unwrap());
        assert_eq!(image.len(), size);
    }
}
