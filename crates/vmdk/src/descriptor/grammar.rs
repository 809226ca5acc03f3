//! The grammar of a descriptor's lines.
//!
//! ```text
//! descriptor = { line }
//! line       = ( comment | extent | entry | anything ) line-end
//! comment    = blanks "#" text
//! extent     = access sectors type [ name [ offset ] ] [ text ]
//! entry      = key "=" ( '"' text '"' | text )
//! ```
//!
//! Every byte sequence is a descriptor to the grammar; what it does not know becomes [`Content::Other`] and is kept.

use super::extent_line::{Access, ExtentKindName};
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_till1, take_while, take_while1};
use nom::character::complete::{char, u64 as decimal};
use nom::combinator::{consumed, eof, map_opt, opt, rest, verify};
use nom::multi::many0;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};
use std::ops::Range;

/// One line: its bytes, the bytes that end it, and what it says. Places within the line are byte ranges of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub bytes: Vec<u8>,
    pub end: Vec<u8>,
    pub content: Content,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing, a comment, or something unknown that is kept.
    Other,
    /// `key = value`, the value without its quotes.
    Entry { key: Range<usize>, value: Range<usize> },
    /// An extent.
    Extent {
        access: Access,
        sectors: Range<usize>,
        count: u64,
        kind: ExtentKindName,
        name: Option<Range<usize>>,
        offset: Option<u64>,
    },
}

/// All lines of a descriptor.
pub(super) fn lines(text: &[u8]) -> Vec<Line> {
    // The grammar accepts everything, so that nothing is left over and no error remains.
    match many0(line).parse(text) {
        Ok((_, lines)) => lines,
        Err(_) => Vec::new(),
    }
}

fn line(input: &[u8]) -> IResult<&[u8], Line> {
    let (after, bytes) = take_till(|byte| byte == b'\n').parse(input)?;
    let (after, end) = verify(alt((tag("\n"), eof)), |end: &[u8]| {
        // An empty last line without an end is no line.
        !end.is_empty() || !bytes.is_empty()
    })
    .parse(after)?;
    let (bytes, carriage_return) = match bytes.split_last() {
        Some((b'\r', before)) if !end.is_empty() => (before, &b"\r"[..]),
        _ => (bytes, &b""[..]),
    };
    Ok((
        after,
        Line {
            bytes: bytes.to_vec(),
            end: [carriage_return, end].concat(),
            content: content(bytes),
        },
    ))
}

/// What the line `bytes` says.
pub(super) fn content(bytes: &[u8]) -> Content {
    let known = alt((|input| extent(input, bytes), |input| entry(input, bytes))).parse(bytes);
    known.map_or(Content::Other, |(_, content)| content)
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn blanks(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while(is_blank).parse(input)
}

fn blanks1(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while1(is_blank).parse(input)
}

fn word(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while1(|byte: u8| byte.is_ascii_alphanumeric() || byte == b'_').parse(input)
}

fn quoted(input: &[u8]) -> IResult<&[u8], &[u8]> {
    delimited(char('"'), take_till(|byte| byte == b'"'), char('"')).parse(input)
}

fn entry<'a>(input: &'a [u8], line: &[u8]) -> IResult<&'a [u8], Content> {
    let (input, _) = blanks(input)?;
    let (input, key) = take_till1(|byte| matches!(byte, b'=' | b'#' | b'"')).parse(input)?;
    let (input, value) = preceded(
        (char('='), blanks),
        alt((terminated(quoted, (blanks, alt((eof, tag("#"))))), rest)),
    )
    .parse(input)?;
    let key = key.trim_ascii_end();
    let quoted = value.as_ptr() > line.as_ptr() && line.get(place(value, line).start.wrapping_sub(1)) == Some(&b'"');
    let value = if quoted { value } else { value.trim_ascii_end() };
    Ok((
        input,
        Content::Entry {
            key: place(key, line),
            value: place(value, line),
        },
    ))
}

fn extent<'a>(input: &'a [u8], line: &[u8]) -> IResult<&'a [u8], Content> {
    let (input, _) = blanks(input)?;
    let (input, access) = map_opt(word, Access::from_word).parse(input)?;
    let (input, (sectors, count)) = preceded(blanks1, consumed(decimal)).parse(input)?;
    let (input, kind) = preceded(blanks1, word).parse(input)?;
    let bare = take_till1(|byte: u8| byte.is_ascii_whitespace() || byte == b'"' || byte == b'#');
    let (input, name) = opt(preceded(blanks1, alt((quoted, bare)))).parse(input)?;
    let (input, offset) = opt(preceded(blanks1, decimal)).parse(input)?;
    Ok((
        input,
        Content::Extent {
            access,
            sectors: place(sectors, line),
            count,
            kind: ExtentKindName::from_word(kind),
            name: name.map(|name| place(name, line)),
            offset,
        },
    ))
}

/// Where `part`, a slice of `line`, stands in it.
fn place(part: &[u8], line: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - line.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(line: &str) -> (String, String) {
        match content(line.as_bytes()) {
            Content::Entry { key, value } => (line[key].into(), line[value].into()),
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn entries_are_understood_with_and_without_quotes() {
        let expect = |line, key: &str, value: &str| assert_eq!(entry_of(line), (key.into(), value.into()), "{line:?}");
        expect("version=1", "version", "1");
        expect("CID=a454774a ", "CID", "a454774a");
        expect("ddb.adapterType = \"lsilogic\"", "ddb.adapterType", "lsilogic");
        expect("\t createType=\"vmfs\"  # said VMware", "createType", "vmfs");
        expect(
            "parentFileNameHint=\"C:\\a b\\c.vmdk\"",
            "parentFileNameHint",
            "C:\\a b\\c.vmdk",
        );
        expect("ddb.empty = \"\"", "ddb.empty", "");
        expect("ddb.empty =", "ddb.empty", "");
        expect("unfinished=\"abc", "unfinished", "\"abc");
        expect("two=\"a\" \"b\"", "two", "\"a\" \"b\"");
    }

    #[test]
    fn extents_are_understood() {
        let Content::Extent {
            access,
            sectors,
            count,
            kind,
            name,
            offset,
        } = content(b"RW 4192256 FLAT \"a b-f001.vmdk\" 63 partitionUUID 12")
        else {
            panic!("not an extent");
        };
        assert_eq!((access, count, offset), (Access::ReadWrite, 4_192_256, Some(63)));
        assert_eq!(kind, ExtentKindName::Flat);
        assert_eq!((sectors, name), (3..10, Some(17..30)));
        assert!(matches!(
            content(b"NOACCESS 63 ZERO"),
            Content::Extent {
                access: Access::None,
                name: None,
                ..
            }
        ));
        assert!(matches!(
            content(b"RW 1 HOLOGRAM \"x\""),
            Content::Extent {
                kind: ExtentKindName::Unknown(_),
                ..
            }
        ));
    }

    #[test]
    fn everything_else_is_kept() {
        for line in [
            "",
            "   ",
            "# Disk DescriptorFile",
            "RW many FLAT \"x\"",
            "hello",
            "\"=\"",
            "=5",
        ] {
            assert_eq!(content(line.as_bytes()), Content::Other, "{line:?}");
        }
        let text = b"a=1\r\n\r\n# b\nc=2";
        let lines = lines(text);
        assert_eq!(lines.len(), 4);
        let again: Vec<u8> = lines
            .iter()
            .flat_map(|line| [&line.bytes[..], &line.end].concat())
            .collect();
        assert_eq!(again, text);
    }
}
