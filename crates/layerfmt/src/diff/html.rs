//! A comparison as one page that a browser shows by itself.

use super::Diff;
use serde_json::json;
use std::io::{self, Write};

/// The page around the data. It asks nothing of the network, and its policy forbids it to.
const PAGE: &str = include_str!("page.html");

/// Where the data stand in [`PAGE`].
const PLACE: &str = "@DATA@";

/// Writes a page that shows `diff`, with a field to search it. The sides are called as given.
pub fn write_html(out: &mut dyn Write, diff: &Diff, names: [&str; 2]) -> io::Result<()> {
    let (head, tail) = PAGE.split_once(PLACE).unwrap_or((PAGE, ""));
    out.write_all(head.as_bytes())?;
    let mut script = Escaped(&mut *out);
    serde_json::to_writer(&mut script, &json!({ "names": names })).map_err(io::Error::from)?;
    script.write_all(b",")?;
    serde_json::to_writer(&mut script, diff).map_err(io::Error::from)?;
    out.write_all(tail.as_bytes())
}

/// JSON inside of a script: nothing in it can end the script.
struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // In JSON these stand in texts alone.
        for part in bytes.split_inclusive(|byte| matches!(byte, b'<' | b'>' | b'&')) {
            match part.split_last() {
                Some((last @ (b'<' | b'>' | b'&'), before)) => {
                    self.0.write_all(before)?;
                    write!(self.0, "\\u{last:04x}")?;
                }
                _ => self.0.write_all(part)?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
