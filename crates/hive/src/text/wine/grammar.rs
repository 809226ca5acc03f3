//! The grammar of Wine's registry files.
//!
//! ```text
//! file     = "WINE REGISTRY Version 2" end { blank | comment | option | key }
//! comment  = ";" text end
//! option   = "#arch=" ( "win32" | "win64" ) end
//! key      = "[" path "]" [ seconds ] end { comment | note | value }
//! note     = "#time=" digits end | "#class=" quoted end | "#link" end
//! value    = ( "@" | quoted ) "=" data end
//! data     = quoted | "str:" quoted | "str(" digits "):" quoted | "dword:" digits
//!          | "hex" [ "(" digits ")" ] ":" [ bytes ]
//! bytes    = byte { "," [ "\" end ] byte }
//! ```
//!
//! The comment ";; All keys relative to" says where the root stands. Lines that begin with "#" and say something else are
//! passed over, as Wine does.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while};
use nom::character::complete::{char, hex_digit1, u64 as decimal};
use nom::combinator::{map_opt, opt, value};
use nom::sequence::{delimited, preceded};

use super::text::{Unescaped, unescape};
use super::{Architecture, HEADER, RELATIVE, SECONDS_TO_1970, TICKS_PER_SECOND, WineRegistry};
use crate::path::{MAX_KEY_NAME, MAX_VALUE_NAME};
use crate::text::bytes::{byte, hexadecimal};
use crate::text::error::{Parsed, Unexpected, expect, unexpected};
use crate::text::gather::Gathering;
use crate::{KeyPath, MAX_DEPTH, Name, Value, ValueType};

/// The registry that a file holds.
pub(super) fn file(input: &[u8]) -> Result<WineRegistry, Unexpected<'_>> {
    match lines(input) {
        Ok((_, registry)) => Ok(registry),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(error),
        Err(nom::Err::Incomplete(_)) => Err(Unexpected {
            rest: &[],
            expected: "more",
        }),
    }
}

fn lines(input: &[u8]) -> Parsed<'_, WineRegistry> {
    let mut relative_to = KeyPath::default();
    let mut architecture = None;
    let mut keys = Gathering::new();
    // The key that the values and notes belong to.
    let mut current = None;

    let (rest, _) = expect(tag(HEADER.as_bytes())(input), r#""WINE REGISTRY Version 2""#)?;
    let (mut rest, ()) = end(rest)?;
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => break,
            Some(b';') => {
                if let Some(path) = rest.strip_prefix(RELATIVE.as_bytes()) {
                    relative_to = path_until(path, b'\n').map_or_else(KeyPath::default, |(_, names)| names.into());
                }
                rest = to_end_of_line(rest);
            }
            Some(b'[') => {
                let (after, (names, seconds)) = key(rest)?;
                let place = keys.key(&names);
                let key = keys.at(place);
                // Several keys of one name are one, the last of which tells the time.
                key.last_written = seconds.saturating_add(SECONDS_TO_1970).saturating_mul(TICKS_PER_SECOND);
                current = Some(place);
                rest = after;
            }
            Some(b'#') => {
                let (after, note) = note(rest)?;
                match (note, current) {
                    (Note::Architecture(found), _) => architecture = Some(found),
                    (Note::Time(time), Some(place)) => keys.at(place).last_written = time,
                    (Note::Class(class), Some(place)) => keys.at(place).class = Some(class.into()),
                    (Note::Link, Some(place)) => keys.at(place).is_link = true,
                    (Note::Unknown, _) => {}
                    (_, None) => return unexpected(rest, "a key in brackets"),
                }
                rest = after;
            }
            Some(_) => {
                let Some(place) = current else {
                    return unexpected(rest, "a key in brackets");
                };
                let (after, value) = value_line(rest)?;
                keys.set_value(place, value);
                rest = after;
            }
        }
    }
    let registry = WineRegistry {
        relative_to,
        architecture,
        root: keys.finish(),
    };
    Ok((rest, registry))
}

fn to_end_of_line(input: &[u8]) -> &[u8] {
    let length = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    &input[length..]
}

fn blanks(input: &[u8]) -> Parsed<'_, ()> {
    value((), take_while(|byte| byte == b' ' || byte == b'\t')).parse(input)
}

fn end(input: &[u8]) -> Parsed<'_, ()> {
    let (rest, ()) = blanks(input)?;
    match rest.strip_prefix(b"\r").unwrap_or(rest) {
        [] => Ok((&[], ())),
        [b'\n', rest @ ..] => Ok((rest, ())),
        _ => unexpected(rest, "the end of the line"),
    }
}

/// The names of a path up to `end`, which is left out. A line break ends it as well where that is what `end` says.
fn path_until(input: &[u8], end: u8) -> Option<(&[u8], Vec<Name>)> {
    let mut rest = input;
    let mut names: Vec<Name> = Vec::new();
    let mut name: Vec<u16> = Vec::new();
    let mut finish = |name: &mut Vec<u16>| {
        if !name.is_empty() {
            names.push(Name::from(std::mem::take(name)));
        }
    };
    loop {
        match unescape(rest, end) {
            Some((after, Some(Unescaped::Backslash))) => {
                finish(&mut name);
                rest = after;
            }
            Some((after, Some(unit))) => {
                name.push(unit.unit());
                rest = after;
            }
            Some((after, None)) => {
                finish(&mut name);
                return Some((after, names));
            }
            None if end == b'\n' => {
                finish(&mut name);
                return Some((rest, names));
            }
            None => return None,
        }
    }
}

fn key(input: &[u8]) -> Parsed<'_, (Vec<Name>, u64)> {
    let path = &input[1..];
    let Some((rest, names)) = path_until(path, b']') else {
        return unexpected(input, "a bracket that ends the key's path");
    };
    if names.len() > MAX_DEPTH {
        return unexpected(path, "a path of at most 512 keys");
    }
    if names.iter().any(|name| name.units().len() > MAX_KEY_NAME) {
        return unexpected(path, "a path with names of at most 255 characters");
    }
    let (rest, seconds) = preceded(blanks, opt(decimal)).parse(rest)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, (names, seconds.unwrap_or_default())))
}

/// What a line that begins with `#` says.
#[derive(Clone, Debug)]
enum Note {
    Architecture(Architecture),
    Time(u64),
    Class(Vec<u16>),
    Link,
    Unknown,
}

fn note(input: &[u8]) -> Parsed<'_, Note> {
    let time = |digits: &[u8]| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let known = alt((
        value(Note::Architecture(Architecture::Win32), tag("#arch=win32")),
        value(Note::Architecture(Architecture::Win64), tag("#arch=win64")),
        preceded(tag("#time="), map_opt(hex_digit1, time)).map(Note::Time),
        preceded(tag("#class="), quoted).map(Note::Class),
        value(Note::Link, tag("#link")),
    ))
    .parse(input);
    match known {
        Ok((rest, note)) => end(rest).map(|(rest, ())| (rest, note)),
        Err(nom::Err::Error(_)) => Ok((to_end_of_line(input), Note::Unknown)),
        Err(error) => Err(error),
    }
}

fn value_line(input: &[u8]) -> Parsed<'_, Value> {
    let (rest, name) = match input.first() {
        Some(b'@') => (&input[1..], Vec::new()),
        Some(b'"') => quoted(input)?,
        _ => return unexpected(input, "a key in brackets, or a value's name in quotes or @"),
    };
    if name.len() > MAX_VALUE_NAME {
        return unexpected(input, "a value's name of at most 16383 characters");
    }
    let equals = delimited(blanks, char('='), blanks).parse(rest);
    let (rest, _) = expect(equals, "= behind the value's name")?;
    let known = alt((text, number, bytes)).parse(rest);
    let expected = r#"a text in quotes, "str(type):", "dword:", "hex:" or "hex(type):""#;
    let (rest, (value_type, data)) = expect(known, expected)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, Value::new(name, value_type, data)))
}

/// The type of a value where it stands in brackets.
fn kind(input: &[u8]) -> Parsed<'_, Option<ValueType>> {
    opt(delimited(char('('), |input| hexadecimal(input, 8), char(')')).map(ValueType)).parse(input)
}

fn text(input: &[u8]) -> Parsed<'_, (ValueType, Vec<u8>)> {
    let (rest, kind) = opt(delimited(tag("str"), kind, char(':'))).parse(input)?;
    let (rest, units) = if kind.is_some() {
        expect(quoted(rest), "a text in quotes")?
    } else {
        quoted(rest)?
    };
    let data = units.into_iter().chain([0]).flat_map(u16::to_le_bytes).collect();
    Ok((rest, (kind.flatten().unwrap_or(ValueType::SZ), data)))
}

fn number(input: &[u8]) -> Parsed<'_, (ValueType, Vec<u8>)> {
    let (rest, _) = tag("dword:")(input)?;
    let (rest, number) = expect(hexadecimal(rest, 8), "a hexadecimal number of up to 8 digits")?;
    Ok((rest, (ValueType::DWORD, number.to_le_bytes().to_vec())))
}

fn bytes(input: &[u8]) -> Parsed<'_, (ValueType, Vec<u8>)> {
    let (mut rest, kind) = delimited(tag("hex"), kind, char(':')).parse(input)?;
    let mut data = Vec::new();
    while let Some((after, byte)) = byte(rest) {
        data.push(byte);
        rest = after;
        let Some(after) = rest.strip_prefix(b",") else {
            break;
        };
        rest = match after.strip_prefix(b"\\") {
            Some(after) => {
                let (after, ()) = end(after)?;
                blanks(after)?.0
            }
            None => after,
        };
    }
    Ok((rest, (kind.unwrap_or(ValueType::BINARY), data)))
}

/// The units of a text between quotes.
fn quoted(input: &[u8]) -> Parsed<'_, Vec<u16>> {
    let (mut rest, _) = char('"').parse(input)?;
    let mut units = Vec::new();
    loop {
        match unescape(rest, b'"') {
            Some((after, Some(unit))) => {
                units.push(unit.unit());
                rest = after;
            }
            Some((after, None)) => return Ok((after, units)),
            None => return unexpected(input, "a quote that ends the text"),
        }
    }
}
