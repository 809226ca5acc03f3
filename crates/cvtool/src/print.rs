//! Printing for people and for programs.

use crate::size;
use cv_image::{Facts, Value};
use cv_winname::wtf8;
use serde_json::{Map, Value as Json, json};
use std::borrow::Cow;
use std::io::{self, Write};

/// Prints an error on one line: what was attempted, and down to the cause, where and what was expected. `verbose` puts
/// each cause on a line of its own.
pub fn error(error: &anyhow::Error, verbose: bool) {
    let mut line = String::new();
    let mut last = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // A transparent wrapper says the same as its source.
        if text == last {
            continue;
        }
        if !line.is_empty() {
            line.push_str(if verbose { "\n  because: " } else { ": " });
        }
        line.push_str(&text);
        last = text;
    }
    let _ = writeln!(io::stderr().lock(), "cvtool: {line}");
}

/// Whether the error is that the reader of standard output went away, as `head` does.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints JSON on standard output.
pub fn json(value: &Json) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Facts as a JSON object.
pub fn facts_to_json(facts: &Facts) -> Json {
    Json::Object(
        facts
            .iter()
            .map(|(name, value)| (name.to_owned(), value_to_json(value)))
            .collect::<Map<_, _>>(),
    )
}

fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Number(number) | Value::Bytes(number) => json!(number),
        Value::Flag(flag) => json!(flag),
        Value::List(list) => list.iter().map(value_to_json).collect(),
        Value::Group(facts) => facts_to_json(facts),
    }
}

/// Facts as lines of "name: value", groups indented.
pub fn facts(out: &mut dyn Write, facts: &Facts, indent: usize) -> io::Result<()> {
    let width = facts
        .iter()
        .filter(|(_, value)| is_short(value))
        .map(|(name, _)| name.len() + 1)
        .max()
        .unwrap_or(0);
    for (name, value) in facts.iter() {
        let label = format!("{}:", name.replace('_', " "));
        match value {
            Value::Group(group) => {
                writeln!(out, "{:indent$}{label}", "")?;
                self::facts(out, group, indent + 2)?;
            }
            Value::List(list) if !is_short(value) => {
                writeln!(out, "{:indent$}{label}", "")?;
                for item in list {
                    match item {
                        Value::Group(group) => {
                            let mut text = Vec::new();
                            self::facts(&mut text, group, indent + 4)?;
                            if let Some(first) = text.get_mut(indent + 2) {
                                *first = b'-';
                            }
                            out.write_all(&text)?;
                        }
                        item => writeln!(out, "{:indent$}  - {}", "", short(item))?,
                    }
                }
            }
            value => writeln!(out, "{:indent$}{label:width$} {}", "", short(value))?,
        }
    }
    Ok(())
}

fn is_short(value: &Value) -> bool {
    match value {
        Value::Group(_) => false,
        Value::List(list) => list.is_empty(),
        _ => true,
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Text(text) => printable(text),
        Value::Number(number) => number.to_string(),
        Value::Bytes(bytes) if *bytes < 1024 => size::human(*bytes),
        Value::Bytes(bytes) => format!("{} ({bytes} bytes)", size::human(*bytes)),
        Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::List(_) | Value::Group(_) => "none".to_owned(),
    }
}

/// Text from an image with everything escaped that would move the cursor, colour the terminal or reorder what follows.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if is_plain(c) {
                vec![c]
            } else {
                c.escape_unicode().collect::<Vec<_>>()
            }
        })
        .collect()
}

/// A name or path of a volume, in WTF-8, for people: as [`printable`], lone surrogates shown in the same way. No name holds a
/// backslash, so that no name looks like another one's escapes.
pub fn name(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_plain) => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(printable(text)),
        Err(_) => Cow::Owned(escaped(bytes, is_plain)),
    }
}

/// A name or path of a volume, in WTF-8, for JSON: itself, lone surrogates shown as `\u{d800}`.
pub fn json_name(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(escaped(bytes, |_| true)),
    }
}

/// As [`json_name`], for units.
pub fn json_units(units: &[u16]) -> String {
    json_name(&wtf8::encode(units)).into_owned()
}

fn escaped(bytes: &[u8], is_plain: impl Fn(char) -> bool) -> String {
    let Ok(units) = wtf8::decode(bytes) else {
        return String::from_utf8_lossy(bytes).into_owned();
    };
    let mut text = String::new();
    for unit in char::decode_utf16(units) {
        match unit {
            Ok(c) if is_plain(c) => text.push(c),
            Ok(c) => text.extend(c.escape_unicode()),
            Err(lone) => text.extend(format!("\\u{{{:x}}}", lone.unpaired_surrogate()).chars()),
        }
    }
    text
}

/// Whether a character shows as itself: no control character, and none that changes the direction of what follows.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A line on standard error about one of many things, while the others go on.
pub fn warn(line: &str) {
    let _ = writeln!(io::stderr().lock(), "cvtool: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_pass_for_others() {
        assert_eq!(name("päth/日本".as_bytes()), "päth/日本");
        assert_eq!(name(b"a\x1b[2J"), "a\\u{1b}[2J");
        assert_eq!(name("a\u{202e}txt.exe".as_bytes()), "a\\u{202e}txt.exe");
        assert_eq!(name(b"a\xED\xA0\x80\x07"), "a\\u{d800}\\u{7}");
        assert_eq!(json_name(b"a\xED\xA0\x80\x07"), "a\\u{d800}\u{7}");
    }
}
