//! Which clusters belong to which file, against each other and against `$Bitmap`.

use super::findings::Findings;
use super::volume::{Clusters, Value, Volume};
use cv_disk::{Damage, Faults, Severity};
use std::collections::BTreeMap;
use std::ops::Range;

/// Clusters of one file that follow each other.
#[derive(Debug, Clone, Copy)]
struct OwnedRun {
    lcn: u64,
    clusters: u64,
    record: u64,
}

/// The clusters of files, in the order they were met.
#[derive(Debug, Default)]
pub(super) struct OwnedRuns(Vec<OwnedRun>);

impl OwnedRuns {
    /// Most runs that are kept, in 768 MiB: far more than any volume in use has.
    const MOST: usize = 32 << 20;

    /// Adds `clusters` clusters from `lcn` on, which lie in the volume.
    pub fn push(&mut self, lcn: u64, clusters: u64, record: u64) {
        match self.0.last_mut() {
            Some(last) if last.record == record && last.lcn + last.clusters == lcn => last.clusters += clusters,
            _ => self.0.push(OwnedRun { lcn, clusters, record }),
        }
    }

    /// Takes over the runs of `others`; false where there is no room for them.
    pub fn append(&mut self, mut others: Self) -> bool {
        let fits = self.0.len() + others.0.len() <= Self::MOST;
        if fits {
            self.0.append(&mut others.0);
        }
        fits
    }

    /// Sorts them, and reports clusters that belong to two files, or twice to one. `record_place` says where a record
    /// stands in the volume.
    pub fn into_used(mut self, record_place: impl Fn(u64) -> u64, findings: &mut Findings) -> UsedClusters {
        self.0.sort_unstable_by_key(|run| (run.lcn, run.record, run.clusters));
        let mut used = UsedClusters::default();
        let mut crossings = Crossings::default();
        let mut furthest: Option<OwnedRun> = None;
        for run in self.0 {
            let end = run.lcn + run.clusters;
            match used.ranges.last_mut() {
                Some(last) if run.lcn <= last.end => last.end = last.end.max(end),
                _ => used.ranges.push(run.lcn..end),
            }
            if let Some(before) = furthest {
                let before_end = before.lcn + before.clusters;
                if run.lcn < before_end {
                    let shared = run.lcn..end.min(before_end);
                    crossings.add(run.record, before.record, &shared);
                    match used.shared.last_mut() {
                        Some(last) if shared.start <= last.end => last.end = last.end.max(shared.end),
                        _ => used.shared.push(shared),
                    }
                }
                if end <= before_end {
                    continue;
                }
            }
            furthest = Some(run);
        }
        crossings.report(record_place, findings);
        used
    }
}

/// Clusters that two files have, by the pair of files.
#[derive(Debug, Default)]
struct Crossings {
    pairs: BTreeMap<(u64, u64), (Range<u64>, u64)>,
}

impl Crossings {
    fn add(&mut self, record: u64, other: u64, shared: &Range<u64>) {
        // Of a thousand pairs no more are listed.
        if self.pairs.len() < Faults::LISTED || self.pairs.contains_key(&(record, other)) {
            let (_, count) = self.pairs.entry((record, other)).or_insert((shared.clone(), 0));
            *count += shared.end - shared.start;
        }
    }

    fn report(self, record_place: impl Fn(u64) -> u64, findings: &mut Findings) {
        for ((record, other), (first, count)) in self.pairs {
            let more = match count - (first.end - first.start) {
                0 => String::new(),
                more => format!(", and {more} others,"),
            };
            let owner = if other == record {
                "it has twice".into()
            } else {
                format!("record {other} has too")
            };
            let found = format!("{}{more} that {owner}", clusters(&first));
            let damage = Damage::new("run list", record_place(record), "clusters of its own", found);
            findings.record(Severity::Error, record, damage);
        }
    }
}

fn clusters(range: &Range<u64>) -> String {
    if range.end - range.start == 1 {
        format!("cluster {}", range.start)
    } else {
        format!("clusters {} to {}", range.start, range.end - 1)
    }
}

/// The clusters of all files.
#[derive(Debug, Default)]
pub(super) struct UsedClusters {
    /// Ascending, and neither touching nor overlapping.
    ranges: Vec<Range<u64>>,
    /// Those that belong to several files.
    shared: Vec<Range<u64>>,
}

impl UsedClusters {
    /// Whether one of `value`'s clusters belongs to several files.
    pub fn is_shared(&self, value: &Clusters) -> bool {
        !self.shared.is_empty()
            && value.runs().iter().any(|run| {
                run.lcn.is_some_and(|lcn| {
                    let next = self.shared.partition_point(|shared| shared.end <= lcn);
                    let shared = self.shared.get(next);
                    shared.is_some_and(|shared| shared.start < lcn + run.clusters)
                })
            })
    }

    /// Compares `bitmap`, the value of `$Bitmap`, with the clusters in use.
    pub fn compare(&self, bitmap: &Value, volume: &Volume, findings: &mut Findings) {
        let total = volume.geometry.total_clusters;
        let size = bitmap.size(volume);
        if size < total.div_ceil(8) {
            let expected = format!("at least {} bytes, a bit for each cluster", total.div_ceil(8));
            let damage = Damage::new(
                "$Bitmap, data size",
                bitmap.place(0, volume),
                expected,
                size.to_string(),
            );
            findings.volume(Severity::Error, damage);
        }
        let mut comparison = Comparison {
            bitmap,
            volume,
            pending: None,
            wrong: [Wrong::default(), Wrong::default()],
        };
        // Everywhere but in the parts that are stored, or in use, both sides are clear.
        let stored = bitmap
            .stored(volume)
            .map(|range| range.start * 8..range.end.saturating_mul(8));
        let mut next_used = 0;
        let mut position = 0;
        for range in stored {
            comparison.expect_clear(&self.ranges, &mut next_used, position..range.start, findings);
            position = range.start;
            while position < range.end {
                let end = range.end.min(position + 8 * CHUNK);
                comparison.look(&self.ranges, &mut next_used, position..end, findings);
                position = end;
            }
        }
        comparison.expect_clear(&self.ranges, &mut next_used, position..total, findings);
        comparison.finish(findings);
        check_end(bitmap, volume, findings);
    }
}

/// Bytes of the bitmap that are looked at together.
const CHUNK: u64 = 1 << 20;

/// Clusters whose bit is wrong.
struct Pending {
    range: Range<u64>,
    is_used: bool,
}

struct Comparison<'a> {
    bitmap: &'a Value,
    volume: &'a Volume,
    pending: Option<Pending>,
    /// What was found marked, and what clear, by mistake.
    wrong: [Wrong; 2],
}

/// How often one mistake was found.
#[derive(Default)]
struct Wrong {
    ranges: u64,
    /// Clusters in the ranges that are not listed.
    unlisted: u64,
}

/// Ranges of one mistake that are listed.
const LISTED_RANGES: u64 = 100;

impl Comparison<'_> {
    /// The bits of `range` are clear: all clusters in use there are unmarked.
    fn expect_clear(&mut self, used: &[Range<u64>], next: &mut usize, range: Range<u64>, findings: &mut Findings) {
        while let Some(one) = used.get(*next).filter(|one| one.start < range.end) {
            let wrong = one.start.max(range.start)..one.end.min(range.end);
            if wrong.start < wrong.end {
                self.add(wrong, true, findings);
            }
            if one.end > range.end {
                break;
            }
            *next += 1;
        }
    }

    /// Compares the bits of `range`, which begins on a byte of the bitmap.
    fn look(&mut self, used: &[Range<u64>], next: &mut usize, range: Range<u64>, findings: &mut Findings) {
        let total = self.volume.geometry.total_clusters;
        let mut found = vec![0; (range.end.div_ceil(8) - range.start / 8) as usize];
        if let Err(damage) = self.bitmap.read(&mut found, range.start / 8, self.volume, "$Bitmap") {
            findings.volume(Severity::Error, damage);
            return;
        }
        let mut expected = vec![0; found.len()];
        while let Some(one) = used.get(*next).filter(|one| one.start < range.end) {
            set_bits(
                &mut expected,
                one.start.max(range.start) - range.start..one.end.min(range.end).saturating_sub(range.start),
            );
            if one.end > range.end {
                break;
            }
            *next += 1;
        }
        for (number, (left, right)) in expected.chunks(8).zip(found.chunks(8)).enumerate() {
            if left == right {
                continue;
            }
            for bit in 0..8 * left.len() {
                let at = |bytes: &[u8]| bytes[bit / 8] >> (bit % 8) & 1 == 1;
                let cluster = range.start + 64 * number as u64 + bit as u64;
                if at(left) != at(right) && cluster < total {
                    self.add(cluster..cluster + 1, at(left), findings);
                }
            }
        }
    }

    fn add(&mut self, range: Range<u64>, is_used: bool, findings: &mut Findings) {
        match &mut self.pending {
            Some(pending) if pending.is_used == is_used && pending.range.end == range.start => {
                pending.range.end = range.end;
            }
            _ => {
                self.flush(findings);
                self.pending = Some(Pending { range, is_used });
            }
        }
    }

    fn flush(&mut self, findings: &mut Findings) {
        let Some(Pending { range, is_used }) = self.pending.take() else {
            return;
        };
        let wrong = &mut self.wrong[usize::from(is_used)];
        wrong.ranges += 1;
        if wrong.ranges > LISTED_RANGES {
            wrong.unlisted += range.end - range.start;
        } else {
            let place = self.bitmap.place(range.start / 8, self.volume);
            report(is_used, &clusters(&range), place, findings);
        }
    }

    fn finish(mut self, findings: &mut Findings) {
        self.flush(findings);
        for (wrong, is_used) in self.wrong.iter().zip([false, true]) {
            if wrong.unlisted > 0 {
                let subject = format!("{} further clusters", wrong.unlisted);
                report(is_used, &subject, self.bitmap.place(0, self.volume), findings);
            }
        }
    }
}

fn report(is_used: bool, subject: &str, place: u64, findings: &mut Findings) {
    let (severity, expected, found) = if is_used {
        (
            Severity::Error,
            format!("{subject} marked, as a file has them"),
            "clear",
        )
    } else {
        (
            Severity::Warning,
            format!("{subject} clear, as no file has them"),
            "marked",
        )
    };
    findings.volume(severity, Damage::new("$Bitmap", place, expected, found));
}

fn set_bits(bytes: &mut [u8], range: Range<u64>) {
    let mut bit = range.start;
    while bit < range.end {
        if bit.is_multiple_of(8) && range.end - bit >= 8 {
            let whole = (bit / 8) as usize..(range.end / 8) as usize;
            bit = whole.end as u64 * 8;
            bytes[whole].fill(0xFF);
        } else {
            bytes[(bit / 8) as usize] |= 1 << (bit % 8);
            bit += 1;
        }
    }
}

/// The bits behind the last cluster's are set, so that nobody takes what is not there.
fn check_end(bitmap: &Value, volume: &Volume, findings: &mut Findings) {
    let total = volume.geometry.total_clusters;
    let first = total / 8;
    let mut rest = vec![0; bitmap.size(volume).saturating_sub(first).min(8) as usize];
    if bitmap.read(&mut rest, first, volume, "$Bitmap").is_err() {
        return;
    }
    let bits = total % 8..rest.len() as u64 * 8;
    let clear = bits
        .clone()
        .filter(|bit| rest[(bit / 8) as usize] >> (bit % 8) & 1 == 0)
        .count();
    if clear > 0 {
        let expected = format!("{} bits set behind the last cluster's", bits.end - bits.start);
        let damage = Damage::new(
            "$Bitmap",
            bitmap.place(first, volume),
            expected,
            format!("{clear} of them clear"),
        );
        findings.volume(Severity::Note, damage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_in_any_range() {
        for start in 0..20 {
            for end in start..60 {
                let mut bytes = [0; 8];
                set_bits(&mut bytes, start..end);
                let set = u64::from_le_bytes(bytes);
                let expected = (0..64).fold(0_u64, |bits, bit| bits | u64::from((start..end).contains(&bit)) << bit);
                assert_eq!(set, expected, "{start}..{end}");
            }
        }
    }

    #[test]
    fn clusters_of_two_files_are_found_wherever_they_overlap() {
        let mut runs = OwnedRuns::default();
        runs.push(10, 20, 1);
        runs.push(12, 2, 2);
        runs.push(25, 10, 3);
        runs.push(35, 1, 4);
        let mut findings = Findings::default();
        let used = runs.into_used(|_| 0, &mut findings);
        assert_eq!((used.ranges.len(), &used.ranges[0]), (1, &(10..36)));
        assert_eq!(used.shared, [12..14, 25..30]);
    }
}
