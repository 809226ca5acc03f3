//! Streams compressed by LZNT1.
//!
//! The clusters come in units of 2^n. A unit whose clusters are all stored is not compressed; one of which some are missing at
//! the end is; one of which all are missing is zeros.

use crate::compress::lznt1;
use crate::read::clusters::Clusters;
use crate::read::volume::Inner;
use cv_disk::{Damage, Extent, ExtentKind, ReadError};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest unit that is read. Windows makes units of 64 KiB at most.
const MAX_UNIT: u64 = 4 << 20;

pub(super) struct Lznt1Stream {
    volume: Arc<Inner>,
    clusters: Clusters,
    /// Bytes of a unit.
    unit: u64,
    /// The unit decoded last, for readers that take small pieces.
    last: Mutex<Option<(u64, Vec<u8>)>>,
}

/// What a unit holds.
enum Unit {
    Zeros,
    Plain,
    /// As many bytes of it are stored.
    Compressed(u64),
}

impl Lznt1Stream {
    pub(super) fn new(volume: Arc<Inner>, clusters: Clusters) -> Result<Self, Damage> {
        let cluster_size = u64::from(volume.geometry.cluster_size);
        let unit = cluster_size.checked_shl(u32::from(clusters.compression_unit));
        match unit {
            Some(unit @ 1..=MAX_UNIT) if clusters.flags.bits() & 0xFF == 1 && clusters.compression_unit <= 16 => {
                Ok(Self {
                    volume,
                    clusters,
                    unit,
                    last: Mutex::default(),
                })
            }
            _ => Err(Damage::new(
                "compressed attribute, flags and compression unit",
                0,
                format!("LZNT1 in units of at most {MAX_UNIT} bytes"),
                format!(
                    "{:#06x} in units of 2^{} clusters",
                    clusters.flags.bits(),
                    clusters.compression_unit
                ),
            )),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.clusters.file_size
    }

    fn unit_at(&self, number: u64) -> Result<Unit, ReadError> {
        let cluster_size = u64::from(self.volume.geometry.cluster_size);
        let start = number * (self.unit / cluster_size);
        let end = start + self.unit / cluster_size;
        let mut stored_end = start;
        let mut vcn = start;
        while vcn < end {
            let Some(run) = self.clusters.run_at(vcn) else {
                if vcn >= self.clusters.end_vcn() && vcn > start {
                    break;
                }
                return Err(Damage::new(
                    "run list",
                    vcn * cluster_size,
                    format!("a run for cluster {vcn} of the value"),
                    "none",
                )
                .into());
            };
            let run_end = run.end().min(end);
            if run.lcn.is_some() {
                if stored_end < vcn {
                    return Err(Damage::new(
                        "compression unit",
                        start * cluster_size,
                        "stored clusters before those that are not",
                        format!("cluster {vcn} stored after some that are not"),
                    )
                    .into());
                }
                stored_end = run_end;
            }
            vcn = run_end;
        }
        Ok(match stored_end - start {
            0 => Unit::Zeros,
            stored if stored == end - start => Unit::Plain,
            stored => Unit::Compressed(stored * cluster_size),
        })
    }

    /// Decodes unit `number`, of which `stored` bytes are stored, into `output`, its whole length.
    fn decode(&self, number: u64, stored: u64, output: &mut [u8]) -> Result<(), ReadError> {
        let start = number * self.unit;
        let mut input = vec![0; stored as usize];
        self.clusters
            .read_stored(&*self.volume.disk, &self.volume.geometry, &mut input, start)?;
        lznt1::decode(&input, output)
            .map_err(|error| Damage::new("compression unit", start, "LZNT1", error.to_string()).into())
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let valid = self
            .clusters
            .valid_data_length
            .saturating_sub(offset)
            .min(buf.len() as u64);
        let (buf, zeros) = buf.split_at_mut(valid as usize);
        zeros.fill(0);
        let mut done = 0;
        while done < buf.len() {
            let position = offset + done as u64;
            let number = position / self.unit;
            let within = (position % self.unit) as usize;
            let length = (self.unit as usize - within).min(buf.len() - done);
            let part = &mut buf[done..done + length];
            match self.unit_at(number)? {
                Unit::Zeros => part.fill(0),
                Unit::Plain => {
                    self.clusters
                        .read_stored(&*self.volume.disk, &self.volume.geometry, part, position)?;
                }
                Unit::Compressed(stored) if part.len() as u64 == self.unit => self.decode(number, stored, part)?,
                Unit::Compressed(stored) => {
                    let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                    let unit = match last.take() {
                        Some((kept, unit)) if kept == number => unit,
                        _ => {
                            let mut unit = vec![0; self.unit as usize];
                            self.decode(number, stored, &mut unit)?;
                            unit
                        }
                    };
                    part.copy_from_slice(&unit[within..within + length]);
                    *last = Some((number, unit));
                }
            }
            done += length;
        }
        Ok(())
    }

    pub(super) fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        if offset >= self.clusters.valid_data_length {
            return Ok(Extent {
                start: offset,
                length: self.len() - offset,
                kind: ExtentKind::Zero,
            });
        }
        let number = offset / self.unit;
        let kind = match self.unit_at(number)? {
            Unit::Zeros => ExtentKind::Hole,
            Unit::Plain | Unit::Compressed(_) => ExtentKind::Data,
        };
        // Where a run goes on for more units, all of them are of that kind.
        let cluster_size = u64::from(self.volume.geometry.cluster_size);
        let run = self.clusters.run_at(number * (self.unit / cluster_size));
        let run_end = run.map_or(0, |run| run.end().saturating_mul(cluster_size) / self.unit * self.unit);
        let end = ((number + 1) * self.unit)
            .max(run_end)
            .min(self.clusters.valid_data_length);
        Ok(Extent {
            start: offset,
            length: end - offset,
            kind,
        })
    }
}
