//! GET of a file, from its begin or from the byte at which an earlier GET was cut.

use crate::client::Client;
use crate::error::Error;
use crate::headers::{Headers, retry_after};
use crate::limits::{Limits, Timer};
use crate::target::Target;
use crate::validator::Validator;
use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode};

/// A GET of a file.
#[derive(Clone, Debug)]
pub struct Get {
    /// The URL.
    pub target: Target,
    /// Headers for the origin of the URL. After a redirect to another origin they are not sent.
    pub headers: Headers,
    /// The rest to ask for. `None` asks for the whole file.
    pub resume: Option<Resume>,
}

/// The rest of a file that was received in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Number of bytes that were received.
    pub from_byte: u64,
    /// The validator of the reply in which they came.
    pub validator: Validator,
}

/// The body of a reply, as it arrives. Nothing is decoded.
pub struct Download {
    response: Response,
    timer: Timer,
    extent: Extent,
    validator: Option<Validator>,
    position: u64,
}

/// The part of a file that a reply has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    first: u64,
    /// The byte behind the part. `None` if the reply does not tell.
    end: Option<u64>,
    /// Size of the file. `None` only for a whole file.
    total: Option<u64>,
}

impl Client {
    /// Asks for a file.
    ///
    /// With [`Get::resume`] the host decides: it sends the rest, or the whole file ([`Download::first_byte`] is 0 then)
    /// because it has changed or because the host knows no ranges.
    ///
    /// # Errors
    /// [`Error::Changed`] when the file has to be asked for without [`Get::resume`]; any other [`Error`].
    pub async fn get(&self, get: &Get, limits: Limits) -> Result<Download, Error> {
        let timer = Timer::start(limits);
        let mut own = HeaderMap::new();
        own.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(resume) = &get.resume {
            own.insert(header::RANGE, range_from(resume.from_byte));
            own.insert(header::IF_RANGE, resume.validator.header());
        }
        let response = self.follow(&get.target, &get.headers, &own, &timer).await?;
        let extent = extent(&response, get.resume.as_ref())?;
        let too_large = Error::TooLarge {
            max_bytes: limits.max_bytes,
        };
        if extent.total.max(extent.end) > Some(limits.max_bytes) {
            return Err(too_large);
        }
        Ok(Download {
            validator: Validator::of_reply(response.headers()),
            position: extent.first,
            response,
            timer,
            extent,
        })
    }
}

fn range_from(byte: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes={byte}-")).expect("digits and punctuation are valid in a header")
}

impl Download {
    /// The position in the file of the first byte of the body: 0, or [`Resume::from_byte`].
    #[must_use]
    pub fn first_byte(&self) -> u64 {
        self.extent.first
    }

    /// The size of the whole file in bytes. `None` if the host does not tell; then a connection that ends early may
    /// look like the end of the file.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.extent.total
    }

    /// The validator with which the rest can be asked for after a cut. Without one, the download begins again.
    #[must_use]
    pub fn validator(&self) -> Option<&Validator> {
        self.validator.as_ref()
    }

    /// The next piece of the body; `None` at the end of the file.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::TooLarge`], [`Error::Range`]; [`Error::Cut`] when the body ends before the file.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(piece) = self.timer.piece(self.response.chunk()).await?.map_err(|_| Error::Cut)? else {
            let is_whole = self.extent.total.is_none_or(|total| total == self.position);
            return is_whole.then_some(None).ok_or(Error::Cut);
        };
        self.position += piece.len() as u64;
        if self.position > self.timer.max_bytes() {
            let max_bytes = self.timer.max_bytes();
            return Err(Error::TooLarge { max_bytes });
        }
        if self.extent.end.is_some_and(|end| end < self.position) {
            return Err(Error::Range);
        }
        Ok(Some(piece))
    }
}

/// Checks status and headers, and tells which part of the file the reply has.
fn extent(response: &Response, resume: Option<&Resume>) -> Result<Extent, Error> {
    let (status, headers) = (response.status(), response.headers());
    match (status, resume) {
        (StatusCode::OK, _) => {
            check_encoding(headers)?;
            let total = response.content_length();
            Ok(Extent {
                first: 0,
                end: total,
                total,
            })
        }
        (StatusCode::PARTIAL_CONTENT, Some(resume)) => {
            check_encoding(headers)?;
            if resume.validator.is_contradicted_by(headers) {
                return Err(Error::Changed);
            }
            let extent = content_range(headers).ok_or(Error::Range)?;
            if extent.total.is_none() {
                // The end of the body would not tell if it is the end of the file.
                return Err(Error::Changed);
            }
            let length = response.content_length();
            let fits = length.is_none_or(|length| extent.end == extent.first.checked_add(length));
            let is_the_rest = extent.first == resume.from_byte && fits;
            is_the_rest.then_some(extent).ok_or(Error::Range)
        }
        // The file is shorter than the part that was received.
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => Err(Error::Changed),
        _ => Err(Error::Status {
            status,
            retry_after: retry_after(headers),
        }),
    }
}

/// Refuses a body that has to be decoded: its size is not the one of the file, and what is decoded may have any size.
fn check_encoding(headers: &HeaderMap) -> Result<(), Error> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_plain = codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity") || coding.is_empty());
    is_plain.then_some(()).ok_or(Error::Encoding)
}

/// `Content-Range: bytes 5-9/10`, or with `*` for an unknown size (RFC 9110, section 14.4).
fn content_range(headers: &HeaderMap) -> Option<Extent> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (unit, rest) = text.split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let first = first.parse().ok()?;
    let end = last.parse::<u64>().ok()?.checked_add(1)?;
    let total = match total {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let is_valid = unit.eq_ignore_ascii_case("bytes") && first < end && total.is_none_or(|total| end <= total);
    is_valid.then_some(Extent {
        first,
        end: Some(end),
        total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_parsed_or_refused() {
        let parse = |text: &str| content_range(&HeaderMap::from_iter([(header::CONTENT_RANGE, text.parse().unwrap())]));
        let extent = |first, end, total| {
            Some(Extent {
                first,
                end: Some(end),
                total,
            })
        };
        assert_eq!(parse("bytes 5-9/10"), extent(5, 10, Some(10)));
        assert_eq!(parse("Bytes 0-0/*"), extent(0, 1, None));
        for text in [
            "bytes */10",
            "bytes 5-4/10",
            "bytes 5-10/10",
            "bytes 5-/10",
            "bytes -5/10",
            "bytes=5-9/10",
            "items 5-9/10",
            "bytes 5-18446744073709551615/*",
            "bytes 5-9",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
