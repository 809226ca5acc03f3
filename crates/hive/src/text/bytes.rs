//! Lists of bytes in hexadecimal, which both text forms write alike.

use nom::Parser;
use nom::bytes::complete::take_while_m_n;
use nom::combinator::map_opt;

use super::error::Parsed;

/// The column behind which a line of bytes is broken, if more follow.
const LAST_COLUMN: usize = 76;

/// Columns that a continued line is indented by.
const INDENT: usize = 2;

/// What a list of bytes is made of, in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    /// Bytes that stand on one line; a comma follows each, but the last of all.
    Bytes(&'a [u8]),
    /// The end of the line; the list continues on the next one, indented by two blanks.
    Break,
}

/// Breaks a list of bytes, of which the first stands at `column`, into lines as regedit and Wine do.
pub(super) fn lines(data: &[u8], column: usize, mut piece: impl FnMut(Piece<'_>)) {
    let mut rest = data;
    let mut column = column;
    loop {
        // A byte and its comma take three columns; the byte that crosses the last column still stands on the line.
        let count = ((LAST_COLUMN + 1).saturating_sub(column)).div_ceil(3).max(1);
        if count >= rest.len() {
            return piece(Piece::Bytes(rest));
        }
        let (line, after) = rest.split_at(count);
        piece(Piece::Bytes(line));
        piece(Piece::Break);
        rest = after;
        column = INDENT;
    }
}

/// A hexadecimal number of at most `digits` digits, up to 8.
pub(super) fn hexadecimal(input: &[u8], digits: usize) -> Parsed<'_, u32> {
    map_opt(
        take_while_m_n(1, digits, |byte: u8| byte.is_ascii_hexdigit()),
        |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok(),
    )
    .parse(input)
}

/// The value of one hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// One byte of a list: one digit or two.
pub(super) fn byte(input: &[u8]) -> Option<(&[u8], u8)> {
    match input {
        [first, second, rest @ ..] => {
            let first = digit(*first)?;
            Some(match digit(*second) {
                Some(second) => (rest, first << 4 | second),
                None => (&input[1..], first),
            })
        }
        [first] => Some((&input[1..], digit(*first)?)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_those_of_regedit_break() {
        // `"Multiple strings"=hex(7):` is 26 columns wide; Windows writes 17 bytes behind it and 25 on each further line.
        let mut counts = Vec::new();
        lines(&[0; 80], 26, |piece| match piece {
            Piece::Bytes(bytes) => counts.push(bytes.len()),
            Piece::Break => {}
        });
        assert_eq!(counts, [17, 25, 25, 13]);
        let mut breaks = 0;
        lines(&[0; 17], 26, |piece| {
            breaks += usize::from(matches!(piece, Piece::Break));
        });
        assert_eq!(breaks, 0);
    }
}
