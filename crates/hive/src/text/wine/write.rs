//! Keys written as Wine writes them.

use std::io;

use super::text::escape;
use super::{Architecture, HEADER, RELATIVE, SECONDS_TO_1970, TICKS_PER_SECOND, WineRegistry, order};
use crate::text::bytes::{Piece, lines};
use crate::{AnyName, Key, KeyState, Name, Value, ValueState, ValueType};

/// Bytes that are gathered before they are written.
const GATHERED: usize = 1 << 16;

/// What separates the names of a path: the backslash, escaped.
const SEPARATOR: &[u8] = b"\\\\";

pub(super) fn write(registry: &WineRegistry, mut out: impl io::Write) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(GATHERED * 2);
    buffer.extend_from_slice(HEADER.as_bytes());
    buffer.push(b'\n');
    if !registry.relative_to.names().is_empty() {
        buffer.extend_from_slice(RELATIVE.as_bytes());
        for (position, name) in registry.relative_to.names().iter().enumerate() {
            if position > 0 {
                buffer.extend_from_slice(SEPARATOR);
            }
            escape(name.into(), *b"[]", &mut buffer);
        }
        buffer.push(b'\n');
    }
    match registry.architecture {
        Some(Architecture::Win32) => buffer.extend_from_slice(b"\n#arch=win32\n"),
        Some(Architecture::Win64) => buffer.extend_from_slice(b"\n#arch=win64\n"),
        None => {}
    }

    // Each key still to be written, with the path of the key above it; the next one last.
    let mut path = Vec::new();
    let mut open = vec![(&registry.root, 0, true)];
    while let Some((key, above, is_root)) = open.pop() {
        if key.state == KeyState::Tombstone {
            continue;
        }
        path.truncate(above);
        if !is_root {
            if !path.is_empty() {
                path.extend_from_slice(SEPARATOR);
            }
            escape((&key.name).into(), *b"[]", &mut path);
        }
        write_key(key, &path, is_root, &mut buffer);
        if buffer.len() >= GATHERED {
            out.write_all(&buffer)?;
            buffer.clear();
        }
        let mut subkeys: Vec<&Key> = key.subkeys.iter().collect();
        sort(&mut subkeys, |key| &key.name);
        open.extend(subkeys.into_iter().rev().map(|key| (key, path.len(), false)));
    }
    out.write_all(&buffer)?;
    out.flush()
}

fn sort<'a, T>(items: &mut [&'a T], name: impl Fn(&'a T) -> &'a Name) {
    items.sort_by(|one, other| order::compare(name(one).units(), name(other).units()));
}

/// Writes the key, unless all that there is of it are subkeys, whose paths name it.
fn write_key(key: &Key, path: &[u8], is_root: bool, out: &mut Vec<u8>) {
    let mut values: Vec<&Value> = key
        .values
        .iter()
        .filter(|value| value.state == ValueState::Present)
        .collect();
    let has_subkeys = key.subkeys.iter().any(|subkey| subkey.state != KeyState::Tombstone);
    if values.is_empty() && key.class.is_none() && !key.is_link && (has_subkeys || is_root) {
        return;
    }
    out.extend_from_slice(b"\n[");
    out.extend_from_slice(path);
    let seconds = (key.last_written / TICKS_PER_SECOND).saturating_sub(SECONDS_TO_1970);
    out.extend_from_slice(format!("] {seconds}\n#time={:x}\n", key.last_written).as_bytes());
    if let Some(class) = &key.class {
        out.extend_from_slice(b"#class=\"");
        escape(class.into(), *b"\"\"", out);
        out.extend_from_slice(b"\"\n");
    }
    if key.is_link {
        out.extend_from_slice(b"#link\n");
    }
    sort(&mut values, |value| &value.name);
    for value in values {
        write_value(value, out);
    }
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    let start = out.len();
    if value.name.is_empty() {
        out.push(b'@');
    } else {
        out.push(b'"');
        escape((&value.name).into(), *b"\"\"", out);
        out.push(b'"');
    }
    out.push(b'=');
    let (value_type, data) = (value.value_type, &value.data[..]);
    match (value_type, data, <[u8; 4]>::try_from(data)) {
        (ValueType::SZ | ValueType::EXPAND_SZ | ValueType::MULTI_SZ, [text @ .., 0, 0], _)
            if text.len().is_multiple_of(2) =>
        {
            if value_type != ValueType::SZ {
                out.extend_from_slice(format!("str({:x}):", value_type.0).as_bytes());
            }
            out.push(b'"');
            escape(AnyName::utf16(text), *b"\"\"", out);
            out.push(b'"');
        }
        (ValueType::DWORD, _, Ok(number)) => {
            out.extend_from_slice(format!("dword:{:08x}", u32::from_le_bytes(number)).as_bytes());
        }
        _ => {
            if value_type == ValueType::BINARY {
                out.extend_from_slice(b"hex:");
            } else {
                out.extend_from_slice(format!("hex({:x}):", value_type.0).as_bytes());
            }
            let column = out.len() - start;
            lines(data, column, |piece| match piece {
                Piece::Break => out.extend_from_slice(b"\\\n  "),
                Piece::Bytes(bytes) => {
                    for byte in bytes {
                        out.extend_from_slice(format!("{byte:02x},").as_bytes());
                    }
                }
            });
            if !data.is_empty() {
                // No comma follows the last byte.
                out.pop();
            }
        }
    }
    out.push(b'\n');
}
