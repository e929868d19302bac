//! The lines of JSONL.

use crate::error::Error;
use crate::text::{Extent, Size, Text};

/// Finds the next line that is not blank. `None` at the end of the file.
pub(crate) fn find(text: &mut Text, max_bytes: usize) -> Result<Option<Extent>, Error> {
    loop {
        let extent = line(text, max_bytes)?;
        let Size::Held(bytes) = extent.size else {
            return Ok(Some(extent));
        };
        let content = text.ahead().get(..bytes).unwrap_or_default();
        if !content.trim_ascii().is_empty() {
            return Ok(Some(extent));
        }
        text.advance(extent.rest);
        if extent.rest == 0 {
            return Ok(None);
        }
    }
}

/// The next line, which is empty at the end of the file.
fn line(text: &mut Text, max_bytes: usize) -> Result<Extent, Error> {
    let (byte, line) = (text.byte(), text.line());
    let (mut scanned, mut dropped) = (0, 0);
    let (bytes, rest) = loop {
        let unread = text.ahead().get(scanned..).unwrap_or_default();
        if let Some(index) = memchr::memchr(b'\n', unread) {
            break (scanned + index, scanned + index + 1);
        }
        scanned += unread.len();
        if scanned > max_bytes {
            dropped += scanned as u64;
            text.advance(scanned);
            scanned = 0;
        }
        if !text.more()? {
            break (scanned, scanned);
        }
    };
    let size = if dropped > 0 || bytes > max_bytes {
        Size::TooLarge(dropped + bytes as u64)
    } else {
        Size::Held(bytes)
    };
    Ok(Extent { byte, line, size, rest })
}
