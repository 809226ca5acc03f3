//! Times.

use binrw::binrw;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 100-nanosecond intervals since 1601-01-01 00:00 UTC.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NtfsTime(pub u64);

/// Seconds from 1601 to 1970.
const UNIX_SECONDS: i64 = 11_644_473_600;
const PER_SECOND: u64 = 10_000_000;

impl NtfsTime {
    /// The time `seconds` and `nanoseconds` after 1970-01-01 00:00 UTC, rounded down to an interval; `None` before 1601 or
    /// after the year 60056.
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Option<Self> {
        let seconds = u64::try_from(seconds.checked_add(UNIX_SECONDS)?).ok()?;
        seconds
            .checked_mul(PER_SECOND)?
            .checked_add(u64::from(nanoseconds / 100))
            .map(Self)
    }

    /// Seconds since 1970-01-01 00:00 UTC and nanoseconds of the second.
    pub fn to_unix(self) -> (i64, u32) {
        let (seconds, rest) = (self.0 / PER_SECOND, self.0 % PER_SECOND);
        (seconds.cast_signed() - UNIX_SECONDS, rest as u32 * 100)
    }
}

impl From<NtfsTime> for SystemTime {
    /// The time itself, or 1970 where the host cannot express it.
    fn from(time: NtfsTime) -> Self {
        let (seconds, nanoseconds) = time.to_unix();
        let nanoseconds = Duration::from_nanos(u64::from(nanoseconds));
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let second = if seconds < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        second
            .and_then(|second| second.checked_add(nanoseconds))
            .unwrap_or(UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_come_back(intervals in any::<u64>()) {
            let (seconds, nanoseconds) = NtfsTime(intervals).to_unix();
            prop_assert_eq!(NtfsTime::from_unix(seconds, nanoseconds), Some(NtfsTime(intervals)));
            let _ = SystemTime::from(NtfsTime(intervals));
        }
    }

    #[test]
    fn known_times() {
        assert_eq!(NtfsTime::from_unix(0, 0), Some(NtfsTime(116_444_736_000_000_000)));
        assert_eq!(NtfsTime::from_unix(-11_644_473_601, 0), None);
        assert_eq!(NtfsTime(0).to_unix(), (-11_644_473_600, 0));
        assert_eq!(
            SystemTime::from(NtfsTime(116_444_736_000_000_001)),
            UNIX_EPOCH + Duration::from_nanos(100)
        );
    }
}
