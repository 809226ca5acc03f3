//! The bytes of a non-resident value.

use crate::structure::run_list::{self, Run};
use crate::structure::{AttributeFlags, Geometry, NonResidentHeader, moved};
use cv_disk::{Damage, Extent, ExtentKind, ReadAt, ReadError, Stored};

/// Where a non-resident value lies, gathered from all extents of its attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clusters {
    /// Its runs in ascending order. Between two there may be clusters of which nothing is known, where an extent is missing
    /// or damaged: reading those fails.
    pub runs: Vec<Run>,
    /// Bytes of its clusters, stored or not.
    pub allocated_length: u64,
    /// Bytes of the value.
    pub file_size: u64,
    /// Bytes up to which it was written; beyond it reads as zeros.
    pub valid_data_length: u64,
    /// Bytes of the clusters that are stored; where the attribute does not say, they are counted.
    pub total_allocated: Option<u64>,
    /// Binary logarithm of the clusters per compression unit.
    pub compression_unit: u8,
    /// How the value is stored.
    pub flags: AttributeFlags,
}

impl Clusters {
    /// That of the first extent, which says the sizes. `offset` is where `mapping_pairs` stands in the attribute's record.
    pub(crate) fn first(
        header: &NonResidentHeader,
        flags: AttributeFlags,
        total_allocated: Option<u64>,
        mapping_pairs: &[u8],
        offset: u64,
    ) -> Result<Self, Damage> {
        if header.file_size >> 63 != 0 {
            return Err(Damage::new(
                "non-resident attribute, file size",
                offset.saturating_sub(u64::from(header.mapping_pairs_offset)) + 0x30,
                "less than 2^63",
                format!("{:#x}", header.file_size),
            ));
        }
        let mut clusters = Self {
            runs: Vec::new(),
            allocated_length: header.allocated_length,
            file_size: header.file_size,
            valid_data_length: header.valid_data_length.min(header.file_size),
            total_allocated,
            compression_unit: header.compression_unit,
            flags,
        };
        clusters.extend(0, mapping_pairs, offset)?;
        Ok(clusters)
    }

    /// Adds the runs of a further extent, which begins at `lowest_vcn`.
    pub(crate) fn extend(&mut self, lowest_vcn: u64, mapping_pairs: &[u8], offset: u64) -> Result<(), Damage> {
        if lowest_vcn < self.end_vcn() {
            return Err(Damage::new(
                "attribute extent, lowest VCN",
                offset,
                format!("at least {}", self.end_vcn()),
                lowest_vcn.to_string(),
            ));
        }
        let runs = run_list::decode(mapping_pairs, lowest_vcn).map_err(|damage| moved(damage, offset))?;
        self.runs.extend(runs);
        Ok(())
    }

    /// The cluster of the value after the last one known.
    pub fn end_vcn(&self) -> u64 {
        self.runs.last().map_or(0, Run::end)
    }

    /// Bytes of the clusters that are stored.
    pub fn stored(&self, geometry: &Geometry) -> u64 {
        self.total_allocated.unwrap_or_else(|| {
            let clusters = self.runs.iter().filter(|run| run.lcn.is_some());
            clusters.fold(0_u64, |sum, run| {
                sum.saturating_add(run.clusters.saturating_mul(u64::from(geometry.cluster_size)))
            })
        })
    }

    /// The run that holds cluster `vcn`, if any.
    pub(crate) fn run_at(&self, vcn: u64) -> Option<&Run> {
        let index = self.runs.partition_point(|run| run.end() <= vcn);
        self.runs.get(index).filter(|run| run.vcn <= vcn)
    }

    /// Where in the value the first run begins that begins after `offset`, in bytes; the value's end where there is none.
    pub(crate) fn next_run_offset(&self, geometry: &Geometry, offset: u64) -> Option<u64> {
        let cluster_size = u64::from(geometry.cluster_size);
        let start = |run: &Run| run.vcn.saturating_mul(cluster_size);
        let index = self.runs.partition_point(|run| start(run) <= offset);
        let next = self.runs.get(index).map_or(self.file_size, start);
        // Where there is a run at all, the fault lies elsewhere.
        self.run_at(offset / cluster_size).is_none().then_some(next)
    }

    /// Where on the volume the byte at `offset` stands, and how many bytes from there on follow each other.
    ///
    /// `None` where nothing is stored. Fails where no run is known, or where it lies beyond the volume.
    pub(crate) fn place(&self, geometry: &Geometry, offset: u64) -> Result<(Option<u64>, u64), Damage> {
        let cluster_size = u64::from(geometry.cluster_size);
        let vcn = offset / cluster_size;
        let Some(run) = self.run_at(vcn) else {
            return Err(Damage::new(
                "run list",
                offset,
                format!("a run for cluster {vcn} of the value"),
                "none",
            ));
        };
        let within = offset - run.vcn * cluster_size;
        let length = run.clusters.saturating_mul(cluster_size) - within;
        let Some(lcn) = run.lcn else {
            return Ok((None, length));
        };
        match geometry.clusters_offset(lcn, run.clusters) {
            Some(start) => Ok((Some(start + within), length)),
            None => Err(Damage::new(
                "run list",
                offset,
                format!("clusters below {}", geometry.total_clusters),
                format!("{} clusters from {lcn}", run.clusters),
            )),
        }
    }

    /// Fills `buf` with what is stored from `offset` on, without regard to sizes.
    pub(crate) fn read_stored(
        &self,
        disk: &dyn ReadAt,
        geometry: &Geometry,
        buf: &mut [u8],
        offset: u64,
    ) -> Result<(), ReadError> {
        let mut done = 0;
        while done < buf.len() {
            let (place, length) = self.place(geometry, offset + done as u64)?;
            let length = length.min((buf.len() - done) as u64) as usize;
            let part = &mut buf[done..done + length];
            match place {
                Some(start) => disk.read_at(part, start)?,
                None => part.fill(0),
            }
            done += length;
        }
        Ok(())
    }

    /// Fills `buf` with the value from `offset` on, where it is not compressed; zeros beyond the valid data length.
    pub(crate) fn read(
        &self,
        disk: &dyn ReadAt,
        geometry: &Geometry,
        buf: &mut [u8],
        offset: u64,
    ) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.file_size)?;
        let valid = self.valid_data_length.saturating_sub(offset).min(buf.len() as u64);
        let (valid, zeros) = buf.split_at_mut(valid as usize);
        zeros.fill(0);
        self.read_stored(disk, geometry, valid, offset)
    }

    /// Where a file of the host has the value from `offset` on, where it is not compressed.
    pub(crate) fn stored_at<'a>(
        &self,
        disk: &'a dyn ReadAt,
        geometry: &Geometry,
        offset: u64,
    ) -> Result<Option<Stored<'a>>, ReadError> {
        let valid = self.valid_data_length.min(self.file_size);
        if offset >= valid {
            return Ok(None);
        }
        let (Some(start), length) = self.place(geometry, offset)? else {
            return Ok(None);
        };
        let stored = disk.stored_at(start)?;
        Ok(stored.map(|stored| stored.clipped(length.min(valid - offset))))
    }

    /// The extent of the value that begins at `offset`, where it is not compressed.
    pub(crate) fn extent(&self, disk: &dyn ReadAt, geometry: &Geometry, offset: u64) -> Result<Extent, ReadError> {
        ReadError::check_range(offset, 1, self.file_size)?;
        let extent = |length: u64, kind| Extent {
            start: offset,
            length,
            kind,
        };
        if offset >= self.valid_data_length {
            return Ok(extent(self.file_size - offset, ExtentKind::Zero));
        }
        let (place, length) = self.place(geometry, offset)?;
        let length = length.min(self.valid_data_length - offset);
        Ok(match place {
            None => extent(length, ExtentKind::Hole),
            Some(start) => {
                let stored = disk.extent_at(start)?;
                let kind = match stored.kind {
                    ExtentKind::Data => ExtentKind::Data,
                    ExtentKind::Zero | ExtentKind::Hole => ExtentKind::Zero,
                };
                extent(length.min(stored.length), kind)
            }
        })
    }
}
