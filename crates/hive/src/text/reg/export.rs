//! Keys written as a `.reg` file.

use std::io::{self, Write};
use std::sync::LazyLock;

use cv_winname::wtf8;

use super::encoding::{Form, ansi};
use super::omitted::{Omission, Omitted, Reason};
use super::{VERSION_4, VERSION_5};
use crate::path::{MAX_KEY_NAME, MAX_VALUE_NAME};
use crate::text::bytes::{Piece, lines};
use crate::{
    AnyName, KeyPath, KeyState, MAX_DEPTH, Name, Next, ValueState, ValueType, VisitedKey, VisitedValue, Visitor,
};

/// Bytes that are gathered before they are written.
const GATHERED: usize = 1 << 16;

/// Each byte in hexadecimal with its comma.
static HEXADECIMAL: LazyLock<[[u8; 3]; 256]> = LazyLock::new(|| {
    let digit = |value: usize| b"0123456789abcdef"[value];
    std::array::from_fn(|byte| [digit(byte >> 4), digit(byte & 15), b','])
});

/// As [`HEXADECIMAL`], in UTF-16LE.
static HEXADECIMAL_UTF16: LazyLock<[[u8; 6]; 256]> =
    LazyLock::new(|| HEXADECIMAL.map(|[high, low, comma]| [high, 0, low, 0, comma, 0]));

/// Writes the keys that it visits as a `.reg` file, as regedit does: same order, same lines, same breaks.
///
/// Two things are written otherwise, so that nothing is lost. A `REG_SZ` that is not exactly one text with one zero at its
/// end, or that has line breaks, is written in hexadecimal; regedit cuts it at the first zero. What would be read back as
/// something else (a key's name with a backslash in it, a name with a line break) is not written, and [`Omitted`] says so.
/// The form has no place for classes, times, links and security; they are left out silently, as regedit does.
#[derive(Debug)]
pub struct Exporter<W: Write> {
    out: W,
    buffer: Vec<u8>,
    form: Form,
    /// Where the key that is visited next stands, while no key is entered.
    top: KeyPath,
    /// The path of the key that was entered last, encoded.
    path: Vec<u8>,
    /// For each key that was entered and not left, the length of the path of the key above it.
    above: Vec<usize>,
    /// Whether the line that ends the values of a key is still to be written.
    has_open_values: bool,
    omitted: Omitted,
}

impl<W: Write> Exporter<W> {
    /// Begins a file with one key and everything below it, which has the path `top`; its own name is not looked at.
    pub fn new(out: W, form: Form, top: &KeyPath) -> io::Result<Self> {
        let mut exporter = Self {
            out,
            buffer: Vec::with_capacity(GATHERED + GATHERED / 4),
            form,
            top: KeyPath::default(),
            path: Vec::new(),
            above: Vec::new(),
            has_open_values: false,
            omitted: Omitted::default(),
        };
        exporter.set_top(top)?;
        match form {
            Form::Version5 => {
                exporter.buffer.extend([0xFF, 0xFE]);
                exporter.ascii(VERSION_5);
            }
            Form::Version5Utf8 => exporter.ascii(VERSION_5),
            Form::Regedit4 => exporter.ascii(VERSION_4),
        }
        exporter.ascii("\r\n\r\n");
        Ok(exporter)
    }

    /// Gives another path to the key that is visited next, when the last one has been told to its end.
    pub fn set_top(&mut self, top: &KeyPath) -> io::Result<()> {
        let is_usable = |name: &Name| fault_of_key_name(name.into(), self.form).is_none();
        let first = top.names().first().and_then(|name| name.units().first());
        let begins_well = first.is_some_and(|unit| *unit != u16::from(b'-'));
        if !begins_well || !top.names().iter().all(is_usable) {
            let reason = format!("a .reg file cannot hold a key of the path {:?}", top.to_string());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        self.top = top.clone();
        Ok(())
    }

    /// Writes what is still gathered; gives back what was written to, and what was not written.
    pub fn finish(mut self) -> io::Result<(W, Omitted)> {
        self.flush()?;
        self.out.flush()?;
        Ok((self.out, self.omitted))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= GATHERED {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn ascii(&mut self, text: &str) {
        ascii(&mut self.buffer, self.form, text);
    }

    fn end_values(&mut self) {
        if std::mem::take(&mut self.has_open_values) {
            self.ascii("\r\n");
        }
    }

    fn key_line(&mut self, before: &str) {
        self.ascii(before);
        self.buffer.extend_from_slice(&self.path);
        self.ascii("]\r\n");
    }

    fn omit(&mut self, name: Option<AnyName<'_>>, reason: Reason) {
        let (path, form) = (&self.path, self.form);
        self.omitted.push(|| Omission {
            key: match form {
                Form::Version5 => wtf8::display(&wtf8::from_le_bytes(path)),
                Form::Version5Utf8 => String::from_utf8_lossy(path).into_owned(),
                Form::Regedit4 => super::encoding::decode(&[VERSION_4.as_bytes(), path].concat())
                    .0
                    .get(VERSION_4.len()..)
                    .map(|text| String::from_utf8_lossy(text).into_owned())
                    .unwrap_or_default(),
            },
            name: name.map(|name| Name::from(name).to_string()),
            reason,
        });
    }

    fn data(&mut self, value: &VisitedValue<'_>, column: usize) {
        let data = value.data;
        match (value.value_type, <[u8; 4]>::try_from(data)) {
            (ValueType::SZ, _) if is_plain_text(data, self.form) => {
                self.ascii("\"");
                let units = AnyName::utf16(&data[..data.len() - 2]);
                quoted(&mut self.buffer, self.form, units);
                self.ascii("\"");
            }
            (ValueType::DWORD, Ok(number)) => {
                let number = u32::from_le_bytes(number);
                self.ascii(&format!("dword:{number:08x}"));
            }
            (value_type, _) => {
                let kind = match value_type {
                    ValueType::BINARY => "hex:".to_owned(),
                    ValueType(number) => format!("hex({number:x}):"),
                };
                self.ascii(&kind);
                let column = column + kind.len();
                if self.form == Form::Regedit4 && is_text(value_type) {
                    let bytes: Vec<u8> = AnyName::utf16(data).units().filter_map(ansi).collect();
                    self.bytes(&bytes, column);
                } else {
                    self.bytes(data, column);
                }
            }
        }
    }

    fn bytes(&mut self, data: &[u8], column: usize) {
        let (buffer, form) = (&mut self.buffer, self.form);
        lines(data, column, |piece| match (piece, form) {
            (Piece::Break, form) => ascii(buffer, form, "\\\r\n  "),
            (Piece::Bytes(bytes), Form::Version5) => {
                let table = &*HEXADECIMAL_UTF16;
                buffer.extend(bytes.iter().flat_map(|byte| table[usize::from(*byte)]));
            }
            (Piece::Bytes(bytes), Form::Version5Utf8 | Form::Regedit4) => {
                let table = &*HEXADECIMAL;
                buffer.extend(bytes.iter().flat_map(|byte| table[usize::from(*byte)]));
            }
        });
        if !data.is_empty() {
            // No comma follows the last byte.
            let comma = if form == Form::Version5 { 2 } else { 1 };
            buffer.truncate(buffer.len() - comma);
        }
    }
}

impl<W: Write> Visitor for Exporter<W> {
    type Error = io::Error;

    fn enter(&mut self, key: &VisitedKey<'_>) -> io::Result<Next> {
        self.end_values();
        self.flush_if_full()?;
        let length = self.path.len();
        if self.above.is_empty() {
            self.path.clear();
            for (position, name) in self.top.names().iter().enumerate() {
                if position > 0 {
                    ascii(&mut self.path, self.form, "\\");
                }
                plain(&mut self.path, self.form, name.into());
            }
        } else {
            let fault = if self.top.names().len() + self.above.len() > MAX_DEPTH {
                Some(Reason::Depth)
            } else {
                fault_of_key_name(key.name, self.form)
            };
            if let Some(reason) = fault {
                self.omit(Some(key.name), reason);
                return Ok(Next::Skip);
            }
            ascii(&mut self.path, self.form, "\\");
            plain(&mut self.path, self.form, key.name);
        }
        match key.state {
            KeyState::Tombstone => {
                self.key_line("[-");
                self.ascii("\r\n");
                self.path.truncate(length);
                return Ok(Next::Skip);
            }
            KeyState::SupersedeTree => {
                self.key_line("[-");
                self.ascii("\r\n");
            }
            KeyState::SupersedeLocal => self.omit(None, Reason::SupersedeLocal),
            KeyState::Merge => {}
        }
        self.key_line("[");
        self.above.push(length);
        self.has_open_values = true;
        Ok(Next::Into)
    }

    fn value(&mut self, value: &VisitedValue<'_>) -> io::Result<()> {
        self.flush_if_full()?;
        if let Some(reason) = fault_of_value(value, self.form) {
            self.omit(Some(value.name), reason);
            return Ok(());
        }
        let column = if value.name.is_empty() {
            self.ascii("@=");
            2
        } else {
            self.ascii("\"");
            let width = quoted(&mut self.buffer, self.form, value.name);
            self.ascii("\"=");
            width + 3
        };
        match value.state {
            ValueState::Tombstone => self.ascii("-"),
            ValueState::Present => self.data(value, column),
        }
        self.ascii("\r\n");
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        self.end_values();
        let above = self.above.pop().unwrap_or_default();
        self.path.truncate(above);
        Ok(())
    }
}

/// Whether the data of the type are text, which version 4 has in its code page.
fn is_text(value_type: ValueType) -> bool {
    [ValueType::SZ, ValueType::EXPAND_SZ, ValueType::MULTI_SZ].contains(&value_type)
}

/// Whether the encoding has all of the units.
fn is_encodable(units: impl Iterator<Item = u16>, form: Form) -> bool {
    match form {
        Form::Version5 => true,
        Form::Version5Utf8 => char::decode_utf16(units).all(|character| character.is_ok()),
        Form::Regedit4 => units.into_iter().all(|unit| ansi(unit).is_some()),
    }
}

/// Whether a name's units would end the name, or the line.
fn breaks_line(unit: u16) -> bool {
    matches!(unit, 0 | 0x0A | 0x0D)
}

fn fault_of_key_name(name: AnyName<'_>, form: Form) -> Option<Reason> {
    let mut length = 0;
    for unit in name.units() {
        if breaks_line(unit) || unit == u16::from(b'\\') {
            return Some(Reason::Name);
        }
        length += 1;
    }
    if length == 0 || length > MAX_KEY_NAME {
        return Some(Reason::Name);
    }
    (!is_encodable(name.units(), form)).then_some(Reason::Encoding)
}

fn fault_of_value(value: &VisitedValue<'_>, form: Form) -> Option<Reason> {
    if value.name.units().any(breaks_line) || value.name.units().nth(MAX_VALUE_NAME).is_some() {
        return Some(Reason::Name);
    }
    let is_text_lost = form == Form::Regedit4
        && is_text(value.value_type)
        && (!value.data.len().is_multiple_of(2) || !is_encodable(AnyName::utf16(value.data).units(), form));
    (is_text_lost || !is_encodable(value.name.units(), form)).then_some(Reason::Encoding)
}

/// Whether the data are exactly one text with one zero at its end, and stand on one line.
fn is_plain_text(data: &[u8], form: Form) -> bool {
    let Some((text, [0, 0])) = data.split_last_chunk() else {
        return false;
    };
    let mut units = AnyName::utf16(text).units();
    text.len().is_multiple_of(2) && !units.any(breaks_line) && is_encodable(AnyName::utf16(text).units(), form)
}

fn ascii(buffer: &mut Vec<u8>, form: Form, text: &str) {
    match form {
        Form::Version5 => buffer.extend(text.bytes().flat_map(|byte| [byte, 0])),
        Form::Version5Utf8 | Form::Regedit4 => buffer.extend_from_slice(text.as_bytes()),
    }
}

/// Writes units that the encoding has.
fn plain(buffer: &mut Vec<u8>, form: Form, name: AnyName<'_>) {
    match form {
        Form::Version5 => name.units().for_each(|unit| buffer.extend(unit.to_le_bytes())),
        Form::Version5Utf8 => char::decode_utf16(name.units())
            .filter_map(Result::ok)
            .for_each(|character| buffer.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes())),
        Form::Regedit4 => buffer.extend(name.units().filter_map(ansi)),
    }
}

/// Writes units that the encoding has, as they stand between quotes; returns how wide they are.
fn quoted(buffer: &mut Vec<u8>, form: Form, name: AnyName<'_>) -> usize {
    const BACKSLASH: u16 = b'\\' as u16;
    let needs_escape = |unit: &u16| *unit == u16::from(b'"') || *unit == BACKSLASH;
    if !name.units().any(|unit| needs_escape(&unit)) {
        plain(buffer, form, name);
        return name.units().count();
    }
    let escaped: Vec<u16> = name
        .units()
        .flat_map(|unit| needs_escape(&unit).then_some(BACKSLASH).into_iter().chain([unit]))
        .collect();
    plain(buffer, form, AnyName::Units(&escaped));
    escaped.len()
}
