//! What time it is: the clock's, or that of `SOURCE_DATE_EPOCH`, for outputs that are the same every time.

use anyhow::Context;
use cv_ntfs::structure::NtfsTime;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time that the environment says things are made at, in seconds since 1970.
pub fn source_date_epoch() -> anyhow::Result<Option<i64>> {
    std::env::var("SOURCE_DATE_EPOCH").ok().map_or(Ok(None), |seconds| {
        let parsed = seconds.parse().map(Some);
        parsed.with_context(|| format!("SOURCE_DATE_EPOCH is {seconds:?}, expected seconds since 1970"))
    })
}

/// The time that changes get.
pub fn now() -> anyhow::Result<NtfsTime> {
    let (seconds, nanoseconds) = if let Some(seconds) = source_date_epoch()? {
        (seconds, 0)
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        (i64::try_from(now.as_secs())?, now.subsec_nanos())
    };
    NtfsTime::from_unix(seconds, nanoseconds).context("the time is before 1601")
}
