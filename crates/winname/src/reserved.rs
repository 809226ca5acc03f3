//! Names that Windows takes for devices.

/// Whether Windows takes `name` for a device in every directory: `CON`, `NUL.txt`, `com1`, `LPT² .log`.
///
/// What counts is the part before the first dot or colon, without the spaces at its end, in any case. The superscript
/// digits ¹ ² ³ count as digits after `COM` and `LPT`. (Microsoft, "Naming Files, Paths, and Namespaces".)
pub fn is_reserved(name: &[u16]) -> bool {
    let end = name
        .iter()
        .position(|unit| *unit == u16::from(b'.') || *unit == u16::from(b':'))
        .unwrap_or(name.len());
    let mut stem = &name[..end];
    while let [rest @ .., 0x20] = stem {
        stem = rest;
    }
    match stem.len() {
        3 => ["CON", "PRN", "AUX", "NUL"].iter().any(|device| is_ascii(stem, device)),
        4 => {
            let is_digit = matches!(stem[3], 0x31..=0x39 | 0xB9 | 0xB2 | 0xB3);
            is_digit && ["COM", "LPT"].iter().any(|device| is_ascii(&stem[..3], device))
        }
        6 => is_ascii(stem, "CONIN$"),
        7 => is_ascii(stem, "CONOUT$"),
        _ => false,
    }
}

fn is_ascii(units: &[u16], text: &str) -> bool {
    units.len() == text.len()
        && units
            .iter()
            .zip(text.bytes())
            .all(|(unit, byte)| u8::try_from(*unit).is_ok_and(|unit| unit.eq_ignore_ascii_case(&byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn devices_are_known_in_every_form() {
        for (name, reserved) in [
            ("CON", true),
            ("con.txt", true),
            ("nul .tar.gz", true),
            ("Aux:stream", true),
            ("COM1", true),
            ("com¹.log", true),
            ("lpt³", true),
            ("CONIN$", true),
            ("conout$.x", true),
            ("COM0", false),
            ("COM10", false),
            ("CONSOLE", false),
            ("con-1", false),
            ("x.con", false),
            (" con", false),
            ("", false),
        ] {
            let units: Vec<u16> = name.encode_utf16().collect();
            assert_eq!(is_reserved(&units), reserved, "{name}");
        }
    }
}
