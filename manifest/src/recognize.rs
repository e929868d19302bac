//! The format of a file by its first bytes.

use crate::error::Error;
use crate::layout::{Delimiter, MAGIC_BYTES};
use crate::text::{BLOCK_BYTES, Text};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The format of a file without the names of its columns.
pub(crate) enum Recognized {
    Csv(Delimiter),
    Jsonl,
}

/// Recognizes the format of the text of a file, and goes to its first record, which is the header of CSV.
pub(crate) fn recognize(text: &mut Text) -> Result<Recognized, Error> {
    text.hold(MAGIC_BYTES)?;
    if is_utf16(text.ahead()) {
        let reason = "the file is UTF-16; accepted: UTF-8";
        return Err(Error::Unreadable { reason });
    }
    if text.ahead().starts_with(BYTE_ORDER_MARK) {
        text.advance(BYTE_ORDER_MARK.len());
    }
    if !text.skip_line_breaks()? {
        return Err(Error::Empty);
    }
    let first = loop {
        let mut bytes = text.ahead().iter();
        let first = bytes.find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if let Some(first) = first {
            break *first;
        }
        if text.ahead().len() >= BLOCK_BYTES {
            let reason = "the file begins with white space only";
            return Err(Error::Unreadable { reason });
        }
        if !text.hold_twice()? {
            return Err(Error::Empty);
        }
    };
    if first == b'{' {
        return Ok(Recognized::Jsonl);
    }
    loop {
        let (delimiter, is_whole) = delimiter_of(text.ahead());
        if is_whole || text.ahead().len() >= BLOCK_BYTES || !text.hold_twice()? {
            return Ok(Recognized::Csv(delimiter));
        }
    }
}

/// The most frequent delimiter of the first line outside of quotes, a comma if there is none. Returns true as well
/// if the line ends in the text.
fn delimiter_of(text: &[u8]) -> (Delimiter, bool) {
    let mut is_quoted = false;
    let mut counts = [0_usize; 3];
    let is_end = |byte: &u8| {
        is_quoted ^= *byte == b'"';
        if !is_quoted {
            let counted = Delimiter::ALL.iter().zip(&mut counts);
            let counted = counted.filter(|(delimiter, _)| delimiter.byte() == *byte);
            counted.for_each(|(_, count)| *count += 1);
        }
        !is_quoted && matches!(byte, b'\r' | b'\n')
    };
    let is_whole = text.iter().any(is_end);
    let mut best = (Delimiter::Comma, 0);
    for (delimiter, count) in Delimiter::ALL.into_iter().zip(counts) {
        if count > best.1 {
            best = (delimiter, count);
        }
    }
    (best.0, is_whole)
}

/// True for the byte order marks of UTF-16, and for a first character of ASCII in it. Other NUL bytes are left to the
/// checks of records.
fn is_utf16(text: &[u8]) -> bool {
    match text {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}
