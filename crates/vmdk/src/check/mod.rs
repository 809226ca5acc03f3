//! Checking images, and mending what needs no guessing.

mod grains;
mod sparse;
mod stream;

use crate::descriptor::{Descriptor, ExtentKindName, ExtentLine};
use crate::error::OpenError;
use crate::extent_files::ExtentFiles;
use crate::image::{Beginning, Vmdk};
use crate::structures::{CowdHeader, SECTOR, SeSparseConstHeader, SparseExtentHeader, from_bytes};
use crate::write::DescriptorFile;
use cv_disk::{Damage, Fault, Faults, ReadAt, ReadError, Resize, Severity, WriteError};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Every fault of the image whose descriptor, or whose only extent, is `file`; also of one that cannot be opened.
///
/// Looks at the descriptor, every header, directory and table, each grain's place, and inflates compressed grains. Faults
/// in an extent's own file begin with its name.
pub fn check(file: &Arc<dyn ReadAt>, files: &dyn ExtentFiles) -> Result<Faults, ReadError> {
    let mut checker = Checker::default();
    let open = |name: &str| files.open(name).map(|file| Target { file, sink: None });
    let target = Target {
        file: file.clone(),
        sink: None,
    };
    match checker.check_image(&target, &open) {
        Ok(()) => Ok(checker.found),
        Err(WriteError::Read(error)) => Err(error),
        // Nothing is written by a check.
        Err(other) => Err(ReadError::Io {
            offset: 0,
            length: 0,
            source: io::Error::other(other),
        }),
    }
}

/// Mends what needs no guessing: tables and directories of which the other copy is good, the mark of an extent that was
/// not closed, the size in an embedded descriptor. Returns what was mended; a [`check`] afterwards says what is left.
pub fn repair(file: &Arc<dyn Resize>, files: &dyn ExtentFiles) -> Result<Faults, WriteError> {
    let mut checker = Checker::default();
    let open = |name: &str| {
        files.open_writable(name).map(|file| Target {
            file: file.clone(),
            sink: Some(file),
        })
    };
    let target = Target {
        file: file.clone(),
        sink: Some(file.clone()),
    };
    checker.check_image(&target, &open)?;
    if let Some(sink) = target.sink.filter(|_| !checker.mended.is_empty()) {
        sink.flush()?;
    }
    Ok(checker.mended)
}

/// A file to check, and to mend where it has a sink.
struct Target {
    file: Arc<dyn ReadAt>,
    sink: Option<Arc<dyn Resize>>,
}

/// Opens an extent's file.
type Open<'a> = &'a dyn Fn(&str) -> io::Result<Target>;

/// What was found, and what was mended.
#[derive(Default)]
struct Checker {
    found: Faults,
    mended: Faults,
    /// Stands before each fault: the extent in whose file it is.
    prefix: String,
    /// Whether the extent being checked has a fault that endangers content.
    has_error: bool,
}

impl Checker {
    fn fault(&mut self, severity: Severity, damage: Damage) {
        self.has_error |= severity == Severity::Error;
        let damage = self.named(damage);
        self.found.push(Fault::new(severity, damage));
    }

    /// A fault that `mend` mends where the file may be written.
    fn repairable(
        &mut self,
        severity: Severity,
        damage: Damage,
        target: &Target,
        mend: impl FnOnce(&dyn Resize) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let fault = Fault::new(severity, self.named(damage)).repairable();
        match &target.sink {
            Some(sink) => {
                mend(&**sink)?;
                self.mended.push(fault);
            }
            None => self.found.push(fault),
        }
        Ok(())
    }

    fn named(&self, damage: Damage) -> Damage {
        Damage {
            structure: format!("{}{}", self.prefix, damage.structure),
            ..damage
        }
    }

    fn check_image(&mut self, target: &Target, open: Open<'_>) -> Result<(), WriteError> {
        let mut head = vec![0; target.file.len().min(CowdHeader::SIZE as u64) as usize];
        target.file.read_at(&mut head, 0)?;
        let is_lone_extent = from_bytes::<CowdHeader>(&head).is_some()
            || from_bytes::<SeSparseConstHeader>(&head).is_some()
            || from_bytes::<SparseExtentHeader>(&head).is_some_and(|header| header.descriptor_offset == 0);
        if is_lone_extent {
            return self.check_sparse(target, None);
        }
        match Vmdk::begin(&target.file) {
            Ok(Beginning::Embedded(descriptor, place)) => {
                self.check_descriptor(&descriptor, place.start);
                let capacity = self.check_sparse(target, None).map(|()| head)?;
                self.check_embedded_size(target, &descriptor, &place, &capacity)
            }
            Ok(Beginning::Descriptor(descriptor)) => {
                self.check_descriptor(&descriptor, 0);
                let extents = descriptor.extents();
                if extents.is_empty() {
                    self.fault(
                        Severity::Error,
                        Damage::new("descriptor", 0, "at least one extent", "none"),
                    );
                }
                for line in &extents {
                    self.check_extent(line, open)?;
                }
                Ok(())
            }
            Err(OpenError::Damaged(damage)) => {
                self.fault(Severity::Error, damage);
                // What stands beside a descriptor that cannot be found may still be good.
                if from_bytes::<SparseExtentHeader>(&head).is_some() {
                    self.check_sparse(target, None)?;
                }
                Ok(())
            }
            Err(OpenError::Read(error)) => Err(error.into()),
            Err(_) => {
                let found = String::from_utf8_lossy(&head[..head.len().min(16)]).into_owned();
                let damage = Damage::new("file", 0, "a sparse extent's header or a disk descriptor", found);
                self.fault(Severity::Error, damage);
                Ok(())
            }
        }
    }

    fn check_descriptor(&mut self, descriptor: &Descriptor, at: u64) {
        for damage in descriptor.faults(at) {
            self.fault(Severity::Warning, damage);
        }
        if descriptor.parent_cid().is_some() && descriptor.get("parentFileNameHint").is_none() {
            self.fault(
                Severity::Warning,
                Damage::new(
                    "descriptor, parentFileNameHint",
                    at,
                    "the parent's name, as parentCID says that there is one",
                    "nothing",
                ),
            );
        }
    }

    /// The size in an embedded descriptor, which readers differ in believing.
    fn check_embedded_size(
        &mut self,
        target: &Target,
        descriptor: &Descriptor,
        place: &Range<u64>,
        head: &[u8],
    ) -> Result<(), WriteError> {
        let Some(header) = from_bytes::<SparseExtentHeader>(head) else {
            return Ok(());
        };
        let extents = descriptor.extents();
        let [line] = &extents[..] else {
            self.fault(
                Severity::Warning,
                Damage::new(
                    "descriptor, extents",
                    place.start,
                    "one extent, in whose file the descriptor stands",
                    extents.len().to_string(),
                ),
            );
            return Ok(());
        };
        if line.sectors == header.capacity {
            return Ok(());
        }
        let damage = Damage::new(
            "descriptor, extent size",
            place.start,
            format!("{} sectors, as the header says", header.capacity),
            line.sectors.to_string(),
        );
        let changed = ExtentLine {
            sectors: header.capacity,
            ..line.clone()
        };
        let sink = target.sink.clone();
        self.repairable(Severity::Warning, damage, target, |_| match sink {
            Some(sink) => DescriptorFile::new(sink, Some(place.clone()), descriptor.clone())
                .change(|descriptor| descriptor.set_extents(&[changed]))
                .map(|_| ()),
            None => Ok(()),
        })
    }

    fn check_extent(&mut self, line: &ExtentLine, open: Open<'_>) -> Result<(), WriteError> {
        let name = line.name.clone().unwrap_or_default();
        if line.kind == ExtentKindName::Zero || line.sectors == 0 {
            return Ok(());
        }
        if let ExtentKindName::Unknown(kind) = &line.kind {
            let damage = Damage::new("descriptor, extent type", 0, "a type that can be read", kind.clone());
            self.fault(Severity::Error, damage);
            return Ok(());
        }
        let target = match open(&name) {
            Ok(target) => target,
            Err(error) => {
                let damage = Damage::new(format!("extent {name:?}"), 0, "a file that opens", error.to_string());
                self.fault(Severity::Error, damage);
                return Ok(());
            }
        };
        self.prefix = format!("{name}: ");
        let outcome = if matches!(line.kind, ExtentKindName::Flat | ExtentKindName::Vmfs) {
            let start = line.offset.unwrap_or(0).saturating_mul(SECTOR);
            let end = line.sectors.saturating_mul(SECTOR).saturating_add(start);
            if target.file.len() < end {
                self.fault(
                    Severity::Error,
                    Damage::new(
                        "flat extent",
                        start,
                        format!("a file of at least {end:#x} bytes"),
                        format!("{:#x} bytes", target.file.len()),
                    ),
                );
            }
            Ok(())
        } else {
            self.check_sparse(&target, Some(line.sectors))
        };
        self.prefix.clear();
        outcome
    }
}
