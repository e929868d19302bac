//! The position of a page within a walk through a list.
//!
//! A cursor names the last row of a page by the value it was sorted by and its id; the next page begins after it. It is
//! encoded without a signature: the layer that gives it to clients signs it, and decodes only what it has signed.

use super::Sort;
use crate::search::Correction;
use thiserror::Error;

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;

/// The position after the last row of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The order of the list.
    pub sort: Sort,
    /// The value of the last row in this order.
    pub value: i64,
    /// The id of the last row.
    pub id: i64,
    /// [`Query::fingerprint`](super::Query::fingerprint) of the query that made it.
    pub fingerprint: u64,
    /// The rows that are ranked, if the order is [`Sort::Relevance`].
    pub ranked: Option<RankedHits>,
    /// The corrections of the first page. The following pages look for the same words.
    pub corrections: Vec<Correction>,
}

/// The hits that the first page of a search has ranked, and the weights of the terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankedHits {
    /// Lowest id.
    pub oldest: i64,
    /// Highest id.
    pub newest: i64,
    /// [`weight`](crate::ranking::weight) of each term.
    pub weights: Vec<u8>,
}

/// A cursor that is cut, altered, or belongs to another query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the cursor does not belong to this query")]
pub struct CursorInvalid;

impl Cursor {
    /// Encodes the cursor: version, sort order, value, id, fingerprint, ranked hits, corrections. Numbers are
    /// big-endian; lists and texts begin with their length in one byte, and lists that do not fit are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let sort = Sort::ALL.iter().position(|sort| *sort == self.sort);
        let mut bytes = vec![VERSION, sort.and_then(|sort| u8::try_from(sort).ok()).unwrap_or(0)];
        bytes.extend(self.value.to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(self.fingerprint.to_be_bytes());
        bytes.push(u8::from(self.ranked.is_some()));
        if let Some(ranked) = &self.ranked {
            bytes.extend(ranked.oldest.to_be_bytes());
            bytes.extend(ranked.newest.to_be_bytes());
            list(&mut bytes, &ranked.weights, |bytes, weight| bytes.push(*weight));
        }
        let text = |bytes: &mut Vec<u8>, text: &String| list(bytes, text.as_bytes(), |bytes, byte| bytes.push(*byte));
        list(&mut bytes, &self.corrections, |bytes, correction| {
            bytes.push(u8::try_from(correction.term).unwrap_or(u8::MAX));
            text(bytes, &correction.word);
            list(bytes, &correction.replacements, text);
        });
        bytes
    }

    /// Decodes a cursor.
    ///
    /// # Errors
    /// The bytes are not those of a whole cursor.
    pub fn decode(bytes: &[u8]) -> Result<Self, CursorInvalid> {
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return Err(CursorInvalid);
        }
        let sort = Sort::ALL
            .get(usize::from(reader.byte()?))
            .copied()
            .ok_or(CursorInvalid)?;
        let value = i64::from_be_bytes(reader.array()?);
        let id = i64::from_be_bytes(reader.array()?);
        let fingerprint = u64::from_be_bytes(reader.array()?);
        let ranked = match reader.byte()? {
            0 => None,
            1 => Some(RankedHits {
                oldest: i64::from_be_bytes(reader.array()?),
                newest: i64::from_be_bytes(reader.array()?),
                weights: reader.list(Reader::byte)?,
            }),
            _ => return Err(CursorInvalid),
        };
        let corrections = reader.list(|reader| {
            Ok(Correction {
                term: usize::from(reader.byte()?),
                word: reader.text()?,
                replacements: reader.list(Reader::text)?,
            })
        })?;
        let cursor = Self {
            sort,
            value,
            id,
            fingerprint,
            ranked,
            corrections,
        };
        reader.0.is_empty().then_some(cursor).ok_or(CursorInvalid)
    }
}

/// Appends up to 255 items after their number.
fn list<T>(bytes: &mut Vec<u8>, items: &[T], mut append: impl FnMut(&mut Vec<u8>, &T)) {
    let length = u8::try_from(items.len()).unwrap_or(u8::MAX);
    bytes.push(length);
    for item in items.iter().take(usize::from(length)) {
        append(bytes, item);
    }
}

/// The bytes that are not decoded yet.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CursorInvalid> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(CursorInvalid)?;
        self.0 = rest;
        Ok(*array)
    }

    fn byte(&mut self) -> Result<u8, CursorInvalid> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, CursorInvalid>,
    ) -> Result<Vec<T>, CursorInvalid> {
        let length = self.byte()?;
        (0..length).map(|_| item(self)).collect()
    }

    fn text(&mut self) -> Result<String, CursorInvalid> {
        String::from_utf8(self.list(Self::byte)?).map_err(|_| CursorInvalid)
    }
}
