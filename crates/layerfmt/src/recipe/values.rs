//! Values of registry keys as a recipe writes them.

use super::table::{Reading, Table};
use crate::bytes::utf16_bytes;
use cv_hive::{Value, ValueState, ValueType};
use data_encoding::HEXLOWER_PERMISSIVE;
use toml::Spanned;
use toml::de::DeValue;

/// Units of a value's name at most.
const MAX_VALUE_NAME: usize = 16383;

/// The values of a table, each by its name; `@` is the default value.
pub fn values(reading: &mut Reading<'_>, table: &Table<'_>) -> Vec<Value> {
    let mut values = Vec::new();
    for (name, value) in table.all() {
        if name.encode_utf16().count() > MAX_VALUE_NAME {
            let position = reading.lines.position(value.span().start);
            reading.mistake(position, "the value's name is too long");
            continue;
        }
        if let Some(read) = self::value(reading, name, value) {
            values.push(read);
        }
    }
    values
}

fn value(reading: &mut Reading<'_>, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
    let position = reading.lines.position(value.span().start);
    let stored_name = if name == "@" { "" } else { name };
    let new = |value_type, data: Vec<u8>| Some(Value::new(stored_name, value_type, data));
    match value.get_ref() {
        DeValue::String(text) => match reading.variables.expand(text) {
            Ok(text) => new(ValueType::SZ, utf16_bytes(&text)),
            Err(message) => {
                reading.mistake(position, message);
                None
            }
        },
        DeValue::Integer(_) => {
            let number = reading.integer(name, value)?;
            if let Ok(number) = u32::try_from(number) {
                new(ValueType::DWORD, number.to_le_bytes().to_vec())
            } else {
                let message = "a plain number has 32 bits; write { qword = ... } for one of 64";
                reading.mistake(position, message);
                None
            }
        }
        DeValue::Array(_) | DeValue::Table(_) => special(reading, name, value).map(|(value_type, data, state)| {
            let mut value = Value::new(stored_name, value_type, data);
            value.state = state;
            value
        }),
        _ => {
            let message = format!(
                "{name}: a value is a text, a number, an array of texts, or a table such as {{ expand = \"...\" }}"
            );
            reading.mistake(position, message);
            None
        }
    }
}

type Special = (ValueType, Vec<u8>, ValueState);

/// A value that says its type: `{ expand = "%TEMP%" }`; an array is one of texts.
fn special(reading: &mut Reading<'_>, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Special> {
    const KINDS: &str = "text, expand, multi, dword, qword, binary, delete or type and data";
    let position = reading.lines.position(value.span().start);
    let present = |value_type, data| Some((value_type, data, ValueState::Present));
    let multi = |texts: Vec<super::Marked<String>>| {
        texts
            .iter()
            .flat_map(|text| utf16_bytes(&text.value))
            .chain([0, 0])
            .collect::<Vec<u8>>()
    };
    if let DeValue::Array(array) = value.get_ref() {
        let mut texts = Vec::new();
        for item in array {
            let Some(text) = item.get_ref().as_str() else {
                let message = format!("{name}: an array holds texts; bytes are {{ binary = \"00 ff\" }}");
                reading.mistake(reading.lines.position(item.span().start), message);
                return None;
            };
            match reading.variables.expand(text) {
                Ok(value) => texts.push(super::Marked { value, position }),
                Err(message) => {
                    reading.mistake(position, message);
                    return None;
                }
            }
        }
        return present(ValueType::MULTI_SZ, multi(texts));
    }
    let mut table = Table::new(value.get_ref().as_table()?, position);
    let before = reading.mistakes.len();
    let mut found = Vec::new();
    if let Some(text) = table.text(reading, "text") {
        found.push((ValueType::SZ, utf16_bytes(&text.value), ValueState::Present));
    }
    if let Some(text) = table.text(reading, "expand") {
        found.push((ValueType::EXPAND_SZ, utf16_bytes(&text.value), ValueState::Present));
    }
    if table.value("multi").is_some() {
        let texts = table.texts(reading, "multi");
        found.push((ValueType::MULTI_SZ, multi(texts), ValueState::Present));
    }
    if let Some(number) = table.number(reading, "dword", u32::MAX.into()) {
        let data = (number as u32).to_le_bytes().to_vec();
        found.push((ValueType::DWORD, data, ValueState::Present));
    }
    if let Some(number) = table.number(reading, "qword", u64::MAX) {
        found.push((ValueType::QWORD, number.to_le_bytes().to_vec(), ValueState::Present));
    }
    if let Some(data) = hexadecimal(reading, &mut table, "binary") {
        found.push((ValueType::BINARY, data, ValueState::Present));
    }
    if let Some(number) = table.number(reading, "type", u32::MAX.into()) {
        let data = hexadecimal(reading, &mut table, "data").unwrap_or_default();
        found.push((ValueType(number as u32), data, ValueState::Present));
    }
    if table.flag(reading, "delete") {
        found.push((ValueType::NONE, Vec::new(), ValueState::Tombstone));
    }
    table.finish(reading);
    if found.len() != 1 && reading.mistakes.len() == before {
        reading.mistake(position, format!("{name}: a value's table has one of {KINDS}"));
    }
    found.pop()
}

/// Bytes in hexadecimal digits, with spaces or commas between them.
fn hexadecimal(reading: &mut Reading<'_>, table: &mut Table<'_>, key: &'static str) -> Option<Vec<u8>> {
    let text = table.text(reading, key)?;
    let digits: String = text.value.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
    if bytes.is_err() {
        reading.mistake(
            text.position,
            format!("{key} is bytes in hexadecimal digits, such as \"00 ff\""),
        );
    }
    bytes.ok()
}
