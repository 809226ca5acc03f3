//! Run lists (mapping pairs): which clusters hold a non-resident attribute's value.
//!
//! Each pair is a byte whose low half says how many bytes the length takes and whose high half how many the LCN's
//! difference to the previous pair's takes (none: the run is not stored), then both, signed and little-endian. A byte of 0
//! ends the list.

use cv_disk::Damage;

/// Clusters that follow each other on the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first one's number within the value.
    pub vcn: u64,
    /// The first one's number on the volume; `None` where nothing is stored and the value reads as zeros.
    pub lcn: Option<u64>,
    /// How many.
    pub clusters: u64,
}

impl Run {
    /// The cluster of the value after the last.
    pub fn end(&self) -> u64 {
        self.vcn.saturating_add(self.clusters)
    }
}

/// The runs of `bytes`, the first of which is for cluster `lowest_vcn` of the value.
///
/// Clusters beyond the volume's end are the caller's to refuse; every number is below 2^63.
pub fn decode(bytes: &[u8], lowest_vcn: u64) -> Result<Vec<Run>, Damage> {
    let mut runs = Vec::new();
    let mut position = 0;
    let mut vcn = lowest_vcn;
    let mut lcn = 0_i64;
    loop {
        let fault = |expected: &str, found: String| Damage::new("mapping pairs", position as u64, expected, found);
        let header = *bytes
            .get(position)
            .ok_or_else(|| fault("a pair or the end", "the attribute's end".into()))?;
        if header == 0 {
            return Ok(runs);
        }
        let (length_size, offset_size) = (usize::from(header & 0xF), usize::from(header >> 4));
        if length_size == 0 || length_size > 8 || offset_size > 8 {
            return Err(fault("lengths of 1 to 8 and 0 to 8 bytes", format!("{header:#04x}")));
        }
        let pair = bytes
            .get(position + 1..position + 1 + length_size + offset_size)
            .ok_or_else(|| fault("a whole pair", "the attribute's end".into()))?;
        let Ok(clusters @ 1..) = u64::try_from(signed(&pair[..length_size])) else {
            return Err(fault("a positive length", signed(&pair[..length_size]).to_string()));
        };
        let end = vcn
            .checked_add(clusters)
            .filter(|end| end >> 63 == 0)
            .ok_or_else(|| fault("a length below 2^63", clusters.to_string()))?;
        let start = if offset_size == 0 {
            None
        } else {
            let delta = signed(&pair[length_size..]);
            lcn = lcn
                .checked_add(delta)
                .filter(|lcn| *lcn >= -1)
                .ok_or_else(|| fault("a cluster of the volume", format!("{delta} after {lcn}")))?;
            // Windows NT 4 wrote -1 for what is not stored.
            u64::try_from(lcn).ok()
        };
        runs.push(Run {
            vcn,
            lcn: start,
            clusters,
        });
        vcn = end;
        position += 1 + length_size + offset_size;
    }
}

/// The mapping pairs of `runs`, which follow each other, with the ending 0.
pub fn encode(runs: &[Run]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut previous = 0;
    for run in runs {
        let length_size = size(run.clusters.cast_signed());
        let header = bytes.len();
        bytes.push(length_size as u8);
        bytes.extend_from_slice(&run.clusters.to_le_bytes()[..length_size]);
        if let Some(lcn) = run.lcn {
            let delta = lcn.cast_signed().wrapping_sub(previous);
            let offset_size = size(delta);
            bytes[header] |= (offset_size as u8) << 4;
            bytes.extend_from_slice(&delta.to_le_bytes()[..offset_size]);
            previous = lcn.cast_signed();
        }
    }
    bytes.push(0);
    bytes
}

/// Bytes that [`encode`] makes of one run that comes after one at LCN `previous` (0 before the first).
pub fn encoded_size(run: &Run, previous: u64) -> usize {
    let delta = run.lcn.map_or(0, |lcn| size(lcn.wrapping_sub(previous).cast_signed()));
    1 + size(run.clusters.cast_signed()) + delta
}

fn signed(bytes: &[u8]) -> i64 {
    let mut value = [if bytes.last().is_some_and(|last| last & 0x80 != 0) {
        0xFF
    } else {
        0
    }; 8];
    value[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(value)
}

/// Bytes that hold `value` with its sign.
fn size(value: i64) -> usize {
    let bits = 65 - (if value < 0 { !value } else { value }).leading_zeros();
    bits.div_ceil(8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_come_back(
            lowest in 0_u64..1 << 40,
            list in prop::collection::vec((prop::option::of(0_u64..1 << 48), 1_u64..1 << 40), 0..20),
        ) {
            let mut vcn = lowest;
            let runs: Vec<Run> = list.into_iter().map(|(lcn, clusters)| {
                let run = Run { vcn, lcn, clusters };
                vcn += clusters;
                run
            }).collect();
            let bytes = encode(&runs);
            let mut previous = 0;
            let sizes: usize = runs.iter().map(|run| {
                let size = encoded_size(run, previous);
                previous = run.lcn.unwrap_or(previous);
                size
            }).sum();
            prop_assert_eq!(sizes + 1, bytes.len());
            prop_assert_eq!(decode(&bytes, lowest).unwrap(), runs);
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..60), lowest in any::<u64>()) {
            for run in decode(&bytes, lowest).unwrap_or_default() {
                prop_assert!(run.clusters > 0 && run.end() < 1 << 63);
            }
        }
    }

    #[test]
    fn the_shortest_form_is_made() {
        let run = |lcn, clusters| Run { vcn: 0, lcn, clusters };
        assert_eq!(encode(&[run(Some(0x5634), 0x18)]), [0x21, 0x18, 0x34, 0x56, 0]);
        assert_eq!(encode(&[run(Some(127), 127)]), [0x11, 127, 127, 0]);
        assert_eq!(encode(&[run(Some(128), 128)]), [0x22, 128, 0, 128, 0, 0]);
        assert_eq!(encode(&[run(Some(0), 2)]), [0x11, 2, 0, 0]);
        assert_eq!(encode(&[run(None, 16)]), [0x01, 16, 0]);
    }
}
