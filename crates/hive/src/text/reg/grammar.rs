//! The grammar of `.reg` files.
//!
//! ```text
//! file     = header { comment | key | value }
//! header   = ( "Windows Registry Editor Version 5.00" | "REGEDIT4" ) end
//! comment  = ( ";" | "#" ) text end
//! key      = "[" [ "-" ] path "]" end
//! value    = ( "@" | quoted ) "=" data end
//! data     = "-" | quoted | "dword:" digits | "hex" [ "(" digits ")" ] ":" [ bytes ]
//! bytes    = byte { "," [ continued ] byte } [ "," [ continued ] ]
//! continued = "\" end { [ ";" text ] line-end }
//! quoted   = '"' { character | "\" character } '"'
//! end      = [ ";" text ] line-end
//! ```
//!
//! Blanks may stand between any two of these. What regedit passes over in silence is an error here, so that nobody takes a
//! patch for applied that was not. A path ends with the last bracket of its line, as names may have brackets in them.

use cv_winname::wtf8;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_till, take_while};
use nom::character::complete::char;
use nom::combinator::{opt, value};
use nom::sequence::{delimited, preceded};

use super::encoding::utf16_of_ansi;
use super::patch::{KeyAction, KeyChange};
use super::{VERSION_4, VERSION_5};
use crate::path::{MAX_VALUE_NAME, PathError};
use crate::text::bytes::{byte, hexadecimal};
use crate::text::error::{Parsed, Unexpected, expect, unexpected};
use crate::{KeyPath, Value, ValueState, ValueType};

/// The changes of a file. `is_version_4` says whether texts in hexadecimal are of the code page.
pub(super) fn file(input: &[u8], is_version_4: bool) -> Result<Vec<KeyChange>, Unexpected<'_>> {
    let parse = || -> Parsed<'_, Vec<KeyChange>> {
        let mut changes: Vec<KeyChange> = Vec::new();
        let (rest, ()) = header(input)?;
        let mut rest = between(rest, b";#");
        while !rest.is_empty() {
            if rest[0] == b'[' {
                let (after, change) = key(rest)?;
                changes.push(change);
                rest = after;
            } else {
                let (after, value) = value_line(rest, is_version_4)?;
                match changes.last_mut().map(|change| &mut change.action) {
                    Some(KeyAction::Set(values)) => values.push(value),
                    Some(KeyAction::Delete) => return unexpected(rest, "a key, as the last one is deleted"),
                    None => return unexpected(rest, "a key in brackets"),
                }
                rest = after;
            }
            rest = between(rest, b";#");
        }
        Ok((rest, changes))
    };
    match parse() {
        Ok((_, changes)) => Ok(changes),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(error),
        Err(nom::Err::Incomplete(_)) => Err(Unexpected {
            rest: &[],
            expected: "more",
        }),
    }
}

fn blanks(input: &[u8]) -> Parsed<'_, ()> {
    value((), take_while(|byte| byte == b' ' || byte == b'\t')).parse(input)
}

/// What follows breaks, blanks and lines of comment, which begin with one of `marks`.
fn between<'a>(input: &'a [u8], marks: &[u8]) -> &'a [u8] {
    let mut rest = input.trim_ascii_start();
    while rest.first().is_some_and(|byte| marks.contains(byte)) {
        rest = to_end_of_line(rest).trim_ascii_start();
    }
    rest
}

fn to_end_of_line(input: &[u8]) -> &[u8] {
    let length = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    &input[length..]
}

/// The end of a line, before which blanks and a comment may stand.
fn end(input: &[u8]) -> Parsed<'_, ()> {
    let (rest, ()) = blanks(input)?;
    let rest = if rest.first() == Some(&b';') {
        to_end_of_line(rest)
    } else {
        rest
    };
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
    match rest {
        [] => Ok((rest, ())),
        [b'\n', rest @ ..] => Ok((rest, ())),
        _ => unexpected(rest, "the end of the line"),
    }
}

fn header(input: &[u8]) -> Parsed<'_, ()> {
    let known = value((), alt((tag(VERSION_5), tag(VERSION_4)))).parse(input);
    let expected = r#""Windows Registry Editor Version 5.00" or "REGEDIT4""#;
    let (rest, ()) = expect(known, expected)?;
    end(rest)
}

fn key(input: &[u8]) -> Parsed<'_, KeyChange> {
    let (rest, delete) = preceded(char('['), opt(char('-'))).parse(input)?;
    let (_, line) = take_till(|byte| byte == b'\n').parse(rest)?;
    let Some(length) = line.iter().rposition(|byte| *byte == b']') else {
        return unexpected(&rest[line.len()..], "a bracket that ends the key's path");
    };
    let (path, after) = rest.split_at(length);
    let path = match path_of(path) {
        Ok(path) => path,
        Err(expected) => return unexpected(rest, expected),
    };
    let (rest, ()) = end(&after[1..])?;
    let action = match delete {
        Some(_) => KeyAction::Delete,
        None => KeyAction::Set(Vec::new()),
    };
    Ok((rest, KeyChange { path, action }))
}

fn path_of(text: &[u8]) -> Result<KeyPath, &'static str> {
    let units = wtf8::decode(text).map_err(|_| "a path")?;
    match KeyPath::from_units(&units) {
        Ok(path) if path.names().is_empty() => Err("a path of at least one name"),
        Ok(path) => Ok(path),
        Err(PathError::NameTooLong { .. }) => Err("a path with names of at most 255 characters"),
        Err(PathError::TooDeep { .. }) => Err("a path of at most 512 keys"),
    }
}

fn value_line(input: &[u8], is_version_4: bool) -> Parsed<'_, Value> {
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
    let (rest, data) = data(rest, is_version_4)?;
    let (rest, ()) = end(rest)?;
    let (value_type, data, state) = match data {
        Some((value_type, data)) => (value_type, data, ValueState::Present),
        None => (ValueType::NONE, Vec::new(), ValueState::Tombstone),
    };
    let value = Value {
        name: name.into(),
        value_type,
        data: data.into(),
        state,
    };
    Ok((rest, value))
}

/// The type and bytes of a value, or nothing where it is deleted.
fn data(input: &[u8], is_version_4: bool) -> Parsed<'_, Option<(ValueType, Vec<u8>)>> {
    match input.first() {
        Some(b'-') => Ok((&input[1..], None)),
        Some(b'"') => {
            let (rest, units) = quoted(input)?;
            let data = units.into_iter().chain([0]).flat_map(u16::to_le_bytes).collect();
            Ok((rest, Some((ValueType::SZ, data))))
        }
        _ => {
            let number = preceded((tag_no_case("dword:"), blanks), |input| {
                expect(hexadecimal(input, 8), "a hexadecimal number of up to 8 digits")
            });
            let number = number.map(|number| (ValueType::DWORD, number.to_le_bytes().to_vec()));
            let bytes = |input| bytes(input, is_version_4);
            let known = alt((number, bytes)).parse(input);
            let (rest, data) = expect(known, r#"a text in quotes, "dword:", "hex:", "hex(type):" or -"#)?;
            Ok((rest, Some(data)))
        }
    }
}

fn bytes(input: &[u8], is_version_4: bool) -> Parsed<'_, (ValueType, Vec<u8>)> {
    let (rest, _) = tag_no_case("hex")(input)?;
    let kind = delimited(char('('), |input| hexadecimal(input, 8), char(')'));
    let (rest, kind) = opt(kind).parse(rest)?;
    let (mut rest, _) = (char(':'), blanks).parse(rest)?;
    let value_type = kind.map_or(ValueType::BINARY, ValueType);

    let mut data = Vec::new();
    while let Some((after, byte)) = byte(rest) {
        data.push(byte);
        let (after, ()) = blanks(after)?;
        let Some(after) = after.strip_prefix(b",") else {
            rest = after;
            break;
        };
        rest = blanks(after)?.0;
        if let Some(after) = rest.strip_prefix(b"\\") {
            let (after, ()) = end(after)?;
            rest = between(after, b";");
            if byte_is_missing(rest) {
                return unexpected(rest, "a byte of two hexadecimal digits");
            }
        }
    }
    let is_text = [ValueType::SZ, ValueType::EXPAND_SZ, ValueType::MULTI_SZ].contains(&value_type);
    if is_version_4 && is_text {
        data = utf16_of_ansi(&data);
    }
    Ok((rest, (value_type, data)))
}

/// Whether something stands where a list of bytes is continued, and it is no byte.
fn byte_is_missing(rest: &[u8]) -> bool {
    !rest.is_empty() && byte(rest).is_none()
}

/// The units of a text between quotes. A backslash stands for the character behind it. Lines may end in the text, as regedit
/// writes texts that have such ends in them.
fn quoted(input: &[u8]) -> Parsed<'_, Vec<u16>> {
    let (mut rest, _) = char('"').parse(input)?;
    let mut units = Vec::new();
    loop {
        let length = rest.iter().position(|byte| *byte == b'"' || *byte == b'\\');
        let Some(length) = length else {
            return unexpected(input, "a quote that ends the text");
        };
        // Quotes and backslashes are characters of their own wherever they stand in WTF-8, so that a part is WTF-8 too.
        units.extend(wtf8::decode(&rest[..length]).unwrap_or_default());
        let is_end = rest[length] == b'"';
        rest = &rest[length + 1..];
        if is_end {
            return Ok((rest, units));
        }
        match rest.first() {
            Some(escaped @ (b'"' | b'\\')) => {
                units.push(u16::from(*escaped));
                rest = &rest[1..];
            }
            Some(_) => {}
            None => return unexpected(input, "a quote that ends the text"),
        }
    }
}
