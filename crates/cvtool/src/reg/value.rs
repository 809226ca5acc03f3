//! Values, printed for people and for programs.

use crate::print;
use cv_hive::{Data, Name, ValueState, VisitedValue};
use cv_winname::wtf8;
use serde_json::{Value as Json, json};

/// Bytes of one value that are shown to people at most.
const SHOWN: usize = 64;

/// A name for people.
pub fn name(name: &Name) -> String {
    print::name(&wtf8::encode(name.units())).into_owned()
}

/// One line for people: name, type, data.
pub fn line(value: &VisitedValue<'_>) -> String {
    let label = if value.name.is_empty() {
        "(Default)".to_owned()
    } else {
        name(&value.name.into())
    };
    if value.state == ValueState::Tombstone {
        return format!("    {label}  (deleted)");
    }
    format!("    {label}  {}  {}", value.value_type, short(value))
}

fn short(value: &VisitedValue<'_>) -> String {
    match Data::decode(value.value_type, value.data) {
        Data::Text(text) => name(&text),
        Data::Texts(texts) => texts.iter().map(name).collect::<Vec<_>>().join("\\0"),
        Data::Number(number) => format!("{number:#x} ({number})"),
        Data::Bytes(bytes) if bytes.len() <= SHOWN => hexadecimal(&bytes),
        Data::Bytes(bytes) => format!("{}... ({} bytes)", hexadecimal(&bytes[..SHOWN]), bytes.len()),
    }
}

/// Bytes in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The whole value.
pub fn json(value: &VisitedValue<'_>) -> Json {
    let text = |text: &Name| print::json_units(text.units());
    let meaning = match Data::decode(value.value_type, value.data) {
        Data::Text(name) => json!(text(&name)),
        Data::Texts(names) => names.iter().map(text).collect(),
        Data::Number(number) => json!(number),
        Data::Bytes(_) => Json::Null,
    };
    json!({
        "name": text(&value.name.into()),
        "type": value.value_type.to_string(),
        "value": meaning,
        "data": hexadecimal(value.data),
        "deleted": value.state == ValueState::Tombstone,
    })
}
