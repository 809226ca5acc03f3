//! PAX records of tars: POSIX.1-2001, `pax` interchange format; those of Windows as libarchive and the Windows container host
//! write them; and those of cvtool.

use cv_ntfs::structure::NtfsTime;

/// The attributes, in decimal.
pub const ATTRIBUTES: &str = "MSWINDOWS.fileattr";
/// The self-relative security descriptor, in base64.
pub const SECURITY: &str = "MSWINDOWS.rawsd";
/// A symbolic link that stands for a junction or mounted volume.
pub const MOUNT_POINT: &str = "MSWINDOWS.mountpoint";
/// In front of an extended attribute's name; its value in base64.
pub const EXTENDED_ATTRIBUTE: &str = "MSWINDOWS.xattr.";
/// The creation time.
pub const CREATION_TIME: &str = "LIBARCHIVE.creationtime";
/// The modification time.
pub const MODIFICATION_TIME: &str = "mtime";
/// The access time.
pub const ACCESS_TIME: &str = "atime";
/// The time of the last change of the file's record.
pub const CHANGE_TIME: &str = "ctime";
/// The whole path.
pub const PATH: &str = "path";
/// The whole target of a link.
pub const LINK_PATH: &str = "linkpath";
/// The size, where it does not fit into the header.
pub const SIZE: &str = "size";
/// The 8.3 name.
pub const SHORT_NAME: &str = "CVLAYER.shortname";
/// The object id, as a UUID.
pub const OBJECT_ID: &str = "CVLAYER.objectid";
/// The reparse data in base64, where a link of a tar does not say all of it.
pub const REPARSE: &str = "CVLAYER.reparse";
/// Where a sparse stream has data: `START-END` joined by commas. All its bytes are in the tar, the zeros too.
pub const DATA: &str = "CVLAYER.data";
/// In front of an extended attribute's name: its flags, where there are any.
pub const EXTENDED_ATTRIBUTE_FLAGS: &str = "CVLAYER.xattrflags.";

/// Records on their way into a tar.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<u8>);

impl Records {
    /// Adds a record: its length in decimal, which counts its own digits too, a space, `key=value` and a line end.
    pub fn add(&mut self, key: &str, value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(format!("{length} {key}=").as_bytes());
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    pub fn time(&mut self, key: &str, time: NtfsTime) {
        self.add(key, format_time(time).as_bytes());
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Seconds since 1970 with a fraction of 100 ns, exactly.
fn format_time(time: NtfsTime) -> String {
    let (seconds, nanoseconds) = time.to_unix();
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let (sign, total) = if total < 0 { ("-", -total) } else { ("", total) };
    let (seconds, fraction) = (total / 1_000_000_000, total % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}{seconds}");
    }
    let digits = format!("{fraction:09}");
    format!("{sign}{seconds}.{}", digits.trim_end_matches('0'))
}

/// Reads a time.
pub(crate) fn parse_time(text: &str) -> Option<NtfsTime> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(seconds) || !is_number(&digits) {
        return None;
    }
    let total = i128::from(seconds.parse::<u64>().ok()?) * 1_000_000_000 + digits.parse::<i128>().ok()?;
    let total = sign * total;
    let seconds = i64::try_from(total.div_euclid(1_000_000_000)).ok()?;
    NtfsTime::from_unix(seconds, total.rem_euclid(1_000_000_000) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for (value, expected) in [("a", "9 key=a\n".len()), ("12", 10), ("123", 11), ("1234", 12)] {
            let mut records = Records::default();
            records.add("key", value.as_bytes());
            let text = String::from_utf8(records.0).unwrap_or_default();
            let (length, _) = text.split_once(' ').unwrap_or_default();
            assert_eq!(length.parse(), Ok(text.len()), "{text:?}");
            assert!(text.len() <= expected, "{text:?}");
        }
        let mut records = Records::default();
        records.add("k", &[b'x'; 95]);
        assert_eq!(records.0.len(), 102);
    }

    #[test]
    fn times_are_kept_exactly() {
        for ticks in [
            0,
            1,
            116_444_735_999_999_999,
            116_444_736_000_000_000,
            133_000_000_000_000_001,
        ] {
            let time = NtfsTime(ticks);
            assert_eq!(parse_time(&format_time(time)), Some(time), "{}", format_time(time));
        }
        assert_eq!(parse_time("1.5"), NtfsTime::from_unix(1, 500_000_000));
        for text in ["", "-", "x", "1.x", "1e9", "99999999999999999999"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
