//! What the bytes of a value mean by its type, for people to read and write.

use cv_winname::wtf8;

use crate::{Name, ValueType};

/// Names of types, and the short ones that commands take.
const NAMES: [(ValueType, &str); 12] = [
    (ValueType::NONE, "REG_NONE"),
    (ValueType::SZ, "REG_SZ"),
    (ValueType::EXPAND_SZ, "REG_EXPAND_SZ"),
    (ValueType::BINARY, "REG_BINARY"),
    (ValueType::DWORD, "REG_DWORD"),
    (ValueType::DWORD_BIG_ENDIAN, "REG_DWORD_BIG_ENDIAN"),
    (ValueType::LINK, "REG_LINK"),
    (ValueType::MULTI_SZ, "REG_MULTI_SZ"),
    (ValueType::RESOURCE_LIST, "REG_RESOURCE_LIST"),
    (ValueType::FULL_RESOURCE_DESCRIPTOR, "REG_FULL_RESOURCE_DESCRIPTOR"),
    (ValueType::RESOURCE_REQUIREMENTS_LIST, "REG_RESOURCE_REQUIREMENTS_LIST"),
    (ValueType::QWORD, "REG_QWORD"),
];

/// The name, such as `REG_SZ`; of other types the number in hexadecimal.
impl std::fmt::Display for ValueType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match NAMES.iter().find(|(known, _)| known == self) {
            Some((_, name)) => formatter.pad(name),
            None => formatter.pad(&format!("{:#x}", self.0)),
        }
    }
}

/// A text that names no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no type: expected sz, expand_sz, multi_sz, dword, qword, binary, none, link or a number")]
pub struct UnknownType(String);

/// From the name, with or without `REG_` and in any case, or from the number.
impl std::str::FromStr for ValueType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let name = text.to_ascii_uppercase();
        let is_named = |known: &&(Self, &str)| known.1 == name || known.1.strip_prefix("REG_") == Some(&name);
        if let Some((known, _)) = NAMES.iter().find(is_named) {
            return Ok(*known);
        }
        let number = match name.strip_prefix("0X") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => name.parse(),
        };
        number.map(Self).map_err(|_| UnknownType(text.to_owned()))
    }
}

/// What the bytes of a value mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A text, without the zero at its end.
    Text(Name),
    /// Texts, without the zeros at their ends.
    Texts(Vec<Name>),
    /// A number.
    Number(u64),
    /// Bytes that mean no more, or that are not what their type demands.
    Bytes(Vec<u8>),
}

/// Texts that are not what a type demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The type takes another number of texts.
    #[error("{value_type} takes one text, {found} are given")]
    Count {
        /// The type.
        value_type: ValueType,
        /// How many texts there are.
        found: usize,
    },
    /// The text is no number of that size.
    #[error("{text:?} is no number of {bits} bits")]
    Number {
        /// The text.
        text: String,
        /// Bits of the number.
        bits: u32,
    },
    /// The text is not bytes in hexadecimal.
    #[error("{0:?} is not bytes of two hexadecimal digits each")]
    Bytes(String),
}

impl Data {
    /// What the bytes of a value of this type mean.
    pub fn decode(value_type: ValueType, bytes: &[u8]) -> Self {
        let units = || wtf8::from_le_bytes(bytes);
        match (value_type, bytes.len()) {
            (ValueType::SZ | ValueType::EXPAND_SZ | ValueType::LINK, length) if length.is_multiple_of(2) => {
                let units = units();
                Self::Text(units.strip_suffix(&[0]).unwrap_or(&units).into())
            }
            (ValueType::MULTI_SZ, length) if length.is_multiple_of(2) => {
                let units = units();
                let units = units.strip_suffix(&[0]).unwrap_or(&units);
                let units = units.strip_suffix(&[0]).unwrap_or(units);
                let texts = units.split(|unit| *unit == 0).map(Name::from);
                Self::Texts(if units.is_empty() { Vec::new() } else { texts.collect() })
            }
            (ValueType::DWORD | ValueType::QWORD, 4 | 8) => {
                let mut number = [0; 8];
                number[..bytes.len()].copy_from_slice(bytes);
                Self::Number(u64::from_le_bytes(number))
            }
            (ValueType::DWORD_BIG_ENDIAN, 4) => {
                Self::Number(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
            }
            _ => Self::Bytes(bytes.to_vec()),
        }
    }

    /// The bytes of a value of this type that people write as `texts`: several for `REG_MULTI_SZ`, one for the others, a
    /// number in decimal or with `0x` in hexadecimal, bytes in hexadecimal, with blanks or commas between them as they like.
    pub fn encode<T: AsRef<str>>(value_type: ValueType, texts: &[T]) -> Result<Vec<u8>, DataError> {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        if value_type == ValueType::MULTI_SZ {
            let texts = texts.iter().map(|text| [&utf16(text.as_ref())[..], &[0, 0]].concat());
            return Ok(texts.chain([vec![0, 0]]).collect::<Vec<_>>().concat());
        }
        let text = match texts {
            [] => "",
            [text] => text.as_ref(),
            _ => {
                let found = texts.len();
                return Err(DataError::Count { value_type, found });
            }
        };
        Ok(match value_type {
            ValueType::SZ | ValueType::EXPAND_SZ => [&utf16(text)[..], &[0, 0]].concat(),
            ValueType::LINK => utf16(text),
            ValueType::DWORD => number(text, 32)?.to_le_bytes()[..4].to_vec(),
            ValueType::QWORD => number(text, 64)?.to_le_bytes().to_vec(),
            ValueType::DWORD_BIG_ENDIAN => number(text, 32)?.to_be_bytes()[4..].to_vec(),
            _ => bytes(text)?,
        })
    }
}

fn number(text: &str, bits: u32) -> Result<u64, DataError> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let fits = |number: &u64| bits == 64 || *number >> bits == 0;
    number.ok().filter(fits).ok_or_else(|| DataError::Number {
        text: text.to_owned(),
        bits,
    })
}

fn bytes(text: &str) -> Result<Vec<u8>, DataError> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|character| !character.is_whitespace() && *character != ',')
        .map(|character| character.to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        }
        _ => Err(DataError::Bytes(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_what_they_read() {
        let back = |kind: &str, texts: &[&str]| {
            let value_type = kind.parse().unwrap();
            Data::decode(value_type, &Data::encode(value_type, texts).unwrap())
        };
        assert_eq!(back("sz", &["a \u{20ac}"]), Data::Text("a \u{20ac}".into()));
        assert_eq!(back("REG_EXPAND_SZ", &[]), Data::Text("".into()));
        assert_eq!(back("multi_sz", &["a", "b"]), Data::Texts(vec!["a".into(), "b".into()]));
        assert_eq!(back("7", &[]), Data::Texts(Vec::new()));
        assert_eq!(back("dword", &["0x1F"]), Data::Number(31));
        assert_eq!(back("qword", &["18446744073709551615"]), Data::Number(u64::MAX));
        assert_eq!(back("dword_big_endian", &["1"]), Data::Number(1));
        assert_eq!(back("binary", &["01 02,fF"]), Data::Bytes(vec![1, 2, 0xFF]));
        assert_eq!(back("0x1234", &["aa"]), Data::Bytes(vec![0xAA]));
        assert!(Data::encode(ValueType::DWORD, &["4294967296"]).is_err());
        assert!(Data::encode(ValueType::DWORD, &["x"]).is_err());
        assert!(Data::encode(ValueType::SZ, &["a", "b"]).is_err());
        assert!(Data::encode(ValueType::BINARY, &["abc"]).is_err());
        assert!("word".parse::<ValueType>().is_err());
        assert_eq!(ValueType(0x1234).to_string(), "0x1234");
        assert_eq!(ValueType::MULTI_SZ.to_string(), "REG_MULTI_SZ");
    }

    #[test]
    fn data_that_is_not_what_its_type_demands_is_bytes() {
        assert_eq!(Data::decode(ValueType::SZ, b"abc"), Data::Bytes(b"abc".to_vec()));
        assert_eq!(Data::decode(ValueType::DWORD, b"abc"), Data::Bytes(b"abc".to_vec()));
        assert_eq!(Data::decode(ValueType::SZ, b"a\0"), Data::Text("a".into()));
        assert_eq!(
            Data::decode(ValueType::MULTI_SZ, b"a\0\0\0b\0\0\0"),
            Data::Texts(vec!["a".into(), "b".into()])
        );
    }
}
