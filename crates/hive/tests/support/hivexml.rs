//! What `hivexml` prints, and the same of a hive that we read.

use cv_hive::{Hive, KeyRef, ValueType};

/// A key or value in the order of a walk: depth, name, what it holds.
pub type Line = (usize, String, String);

/// Takes apart what `hivexml` prints.
pub fn parse(xml: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut depth = 0;
    let mut texts: Option<Vec<String>> = None;
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').unwrap();
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let attribute = |name: &str| {
            let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
            let length = tag[start..].find('"')?;
            Some(unescape(&tag[start..start + length]))
        };
        match tag.split([' ', '/']).next() {
            Some("node") => {
                lines.push((depth, attribute("name").unwrap(), "key".into()));
                depth += 1;
            }
            Some("value") => {
                let kind = attribute("type").unwrap();
                let content = attribute("value").unwrap_or_default().replace(['\r', '\n'], "");
                let name = attribute("key").unwrap_or_default();
                lines.push((depth, name, format!("{kind} {content}")));
                texts = (kind == "string-list").then(Vec::new);
            }
            Some("string") => {
                let length = rest.find('<').unwrap();
                texts.as_mut().unwrap().push(unescape(&rest[..length]));
            }
            _ if tag == "/node" => depth -= 1,
            _ if tag == "/value" => {
                if let Some(texts) = texts.take() {
                    lines.last_mut().unwrap().2 = format!("string-list {texts:?}");
                }
            }
            _ => {}
        }
    }
    lines
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('&');
    plain.push_str(parts.next().unwrap());
    for part in parts {
        let (entity, rest) = part.split_once(';').unwrap();
        plain.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let digits = entity.strip_prefix("#x").unwrap();
                char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap()
            }
        });
        plain.push_str(rest);
    }
    plain
}

/// The same of a hive that we read.
pub fn of(hive: &Hive<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (depth, key) in hive.walk() {
        let key = key.unwrap();
        // hivex ends names at a zero.
        let name = key.name().to_string();
        let name = name.split('\0').next().unwrap_or_default();
        lines.push((depth, name.into(), "key".into()));
        values(&key, depth + 1, &mut lines);
    }
    lines
}

fn values(key: &KeyRef<'_>, depth: usize, lines: &mut Vec<Line>) {
    for value in key.values() {
        let value = value.unwrap();
        let data = value.data().unwrap();
        let content = content(value.value_type(), &data);
        let name = value.name().to_string();
        lines.push((depth, name.split('\0').next().unwrap_or_default().into(), content));
    }
}

fn content(value_type: ValueType, data: &[u8]) -> String {
    let coded = |kind: &str| format!("{kind} {}", base64(data));
    match value_type {
        ValueType::NONE => coded("none"),
        ValueType::SZ => text("string", data),
        ValueType::EXPAND_SZ => text("expand", data),
        ValueType::LINK => text("link", data),
        ValueType::BINARY => coded("binary"),
        // Of more bytes than the number has, hivex takes the first; fewer are -1 to it.
        ValueType::DWORD => number(data).map_or_else(
            || "int32 -1".into(),
            |bytes| format!("int32 {}", i32::from_le_bytes(bytes)),
        ),
        ValueType::DWORD_BIG_ENDIAN => number(data).map_or_else(
            || "int32 -1".into(),
            |bytes| format!("int32 {}", i32::from_be_bytes(bytes)),
        ),
        ValueType::QWORD => number(data).map_or_else(
            || "int64 -1".into(),
            |bytes| format!("int64 {}", i64::from_le_bytes(bytes)),
        ),
        ValueType::MULTI_SZ => format!("string-list {:?}", texts(data)),
        ValueType::RESOURCE_LIST => coded("resource-list"),
        ValueType::FULL_RESOURCE_DESCRIPTOR => coded("full-resource-description"),
        ValueType::RESOURCE_REQUIREMENTS_LIST => coded("resource-requirements"),
        _ => coded("unknown"),
    }
}

fn number<const LENGTH: usize>(data: &[u8]) -> Option<[u8; LENGTH]> {
    data.first_chunk().copied()
}

fn units(data: &[u8]) -> Vec<u16> {
    let pairs = data.chunks_exact(2);
    pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Up to the first zero, as hivex takes it.
fn text(kind: &str, data: &[u8]) -> String {
    let units = units(data);
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    match String::from_utf16(&units[..end]) {
        Ok(text) => format!("{kind} {}", text.replace(['\r', '\n'], "")),
        Err(_) => format!("{kind} {}", base64(data)),
    }
}

fn texts(data: &[u8]) -> Vec<String> {
    let units = units(data);
    // Each up to its zero; the zero that ends the list is an empty text to hivex.
    let texts = units.split_inclusive(|unit| *unit == 0);
    let texts = texts.map(|text| String::from_utf16_lossy(text.strip_suffix(&[0]).unwrap_or(text)));
    texts.collect()
}

fn base64(data: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in data.chunks(3) {
        let number = (0..3).fold(0_u32, |number, at| number << 8 | u32::from(*part.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= part.len() { char::from(digit) } else { '=' });
        }
    }
    text
}
