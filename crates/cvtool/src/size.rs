//! Sizes as people write and read them.

/// A size with an optional binary unit: `512`, `64K`, `1.5G`, `2TiB`. `s` counts sectors of 512 bytes.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit
        .strip_suffix("ib")
        .or_else(|| unit.strip_suffix('b'))
        .unwrap_or(&unit);
    let scale: u64 = match unit {
        "" => 1,
        "s" => 512,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        "p" => 1 << 50,
        _ => return Err(format!("{text:?} is no size; write for example 512M, 40G or 2T")),
    };
    let too_large = || format!("{text:?} is too large");
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || !fraction.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("{text:?} is no size; write for example 512M, 40G or 2T"));
    }
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let mut bytes = whole.checked_mul(scale).ok_or_else(too_large)?;
    let mut place = u128::from(scale);
    let mut extra = 0;
    for digit in fraction.bytes().take(18) {
        extra = extra * 10 + u128::from(digit - b'0');
        place *= 10;
    }
    let share = extra * u128::from(scale) * u128::from(scale) / place.max(1);
    bytes = bytes
        .checked_add(u64::try_from(share).map_err(|_| too_large())?)
        .ok_or_else(too_large)?;
    Ok(bytes)
}

/// A size for people: the largest unit that leaves a readable number.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(6);
    let unit = UNITS[power as usize - 1];
    let scale = 1_u64 << (10 * power);
    if bytes.is_multiple_of(scale) {
        return format!("{} {unit}", bytes / scale);
    }
    let hundredths = u128::from(bytes) * 100 / u128::from(scale);
    format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("3s", 1536),
            ("64K", 64 << 10),
            ("64kib", 64 << 10),
            ("10M", 10 << 20),
            ("1.5G", 3 << 29),
            ("0.25m", 1 << 18),
            ("2TB", 2 << 40),
            ("1 GiB", 1 << 30),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1", "1x", ".5G", "99999999999999999999", "17000P", "1.x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_printed_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.50 KiB"),
            (127 << 30, "127 GiB"),
            (u64::MAX, "15.99 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
