//! The request headers of the protocol. Each may occur once, and a number has only digits.

use super::metadata;
use super::names::{CHECKSUM, CONCAT, DEFER_LENGTH, LENGTH, METADATA, OFFSET, RESUMABLE, VERSION, invalid, shortened};
use crate::AppState;
use crate::error::{Error, Refusal};
use app::idempotency::Fingerprint;
use app::uploads::{Algorithm, Checksum, resumable};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRAILER};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::Code;

/// The media type of bytes of an upload.
const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";

/// Evidence that the client speaks the version of the protocol that the server speaks.
pub(crate) struct Version;

impl FromRequestParts<AppState> for Version {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        match one(&parts.headers, &RESUMABLE)? {
            Some(version) if version.as_bytes() == VERSION.as_bytes() => Ok(Self),
            given => {
                let given = given.unwrap_or("none");
                let detail = format!("Tus-Resumable: {}; accepted: 1.0.0", shortened(given));
                Err(Refusal::new(Code::TusVersionUnsupported).detail(detail).into())
            }
        }
    }
}

/// The headers of a request that creates an upload.
pub(crate) struct CreationHeaders {
    /// The values of the upload.
    pub(crate) new: resumable::New,
    /// The request has the first bytes of the upload.
    pub(crate) first_bytes: Option<resumable::Patch>,
}

impl FromRequestParts<AppState> for CreationHeaders {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        Version::from_request_parts(parts, state).await?;
        Ok(creation(&parts.headers)?)
    }
}

fn creation(headers: &HeaderMap) -> Result<CreationHeaders, Refusal> {
    if headers.contains_key(CONCAT) {
        return Err(invalid(&CONCAT, "given", "no concatenation"));
    }
    let length_bytes = number(headers, &LENGTH)?;
    let is_deferred = match one(headers, &DEFER_LENGTH)? {
        None => false,
        Some("1") => true,
        Some(given) => return Err(invalid(&DEFER_LENGTH, given, "1")),
    };
    if length_bytes.is_some() == is_deferred {
        let given = if is_deferred { "both" } else { "none" };
        return Err(invalid(&LENGTH, given, "either Upload-Length or Upload-Defer-Length"));
    }
    let metadata = one(headers, &METADATA)?.unwrap_or_default();
    let facts = metadata::parse(metadata)?;
    let has_bytes = is_octet_stream(headers) && headers.get(CONTENT_LENGTH).is_none_or(|bytes| bytes != "0");
    let described = serde_json::json!([length_bytes, metadata]);
    Ok(CreationHeaders {
        new: resumable::New {
            file_name: facts.file_name,
            purpose: facts.purpose,
            metadata: metadata.to_owned(),
            length_bytes,
            fingerprint: Fingerprint::of(&described),
            ..resumable::New::default()
        },
        first_bytes: if has_bytes { Some(bytes_at(0, headers)?) } else { None },
    })
}

/// The headers of a request with bytes of an upload.
pub(crate) struct PatchHeaders(pub(crate) resumable::Patch);

impl FromRequestParts<AppState> for PatchHeaders {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        Version::from_request_parts(parts, state).await?;
        let headers = &parts.headers;
        if !is_octet_stream(headers) {
            let detail = format!("accepted: {OFFSET_OCTET_STREAM}");
            return Err(Refusal::new(Code::ContentTypeUnsupported).detail(detail).into());
        }
        let offset = number(headers, &OFFSET)?.ok_or_else(|| invalid(&OFFSET, "none", "the number of bytes so far"))?;
        let mut patch = bytes_at(offset, headers)?;
        patch.length = number(headers, &LENGTH)?;
        Ok(Self(patch))
    }
}

fn bytes_at(offset: u64, headers: &HeaderMap) -> Result<resumable::Patch, Refusal> {
    let trailers = headers.get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
    let mut names = trailers.flat_map(|value| value.split(','));
    if names.any(|name| name.trim().eq_ignore_ascii_case(CHECKSUM.as_str())) {
        return Err(invalid(&CHECKSUM, "in a trailer", "in a header"));
    }
    Ok(resumable::Patch {
        offset,
        length: None,
        checksum: one(headers, &CHECKSUM)?.map(checksum).transpose()?,
        declared_bytes: number(headers, &CONTENT_LENGTH)?,
        is_only_request: false,
    })
}

fn is_octet_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(OFFSET_OCTET_STREAM))
}

/// Reads a checksum: the name of an algorithm, and the checksum as base64.
fn checksum(text: &str) -> Result<Checksum, Refusal> {
    let read = || {
        let (name, encoded) = text.split_once(' ')?;
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)?;
        let expected = STANDARD.decode(encoded.trim()).ok()?;
        (expected.len() == algorithm.bytes()).then_some(Checksum { algorithm, expected })
    };
    read().ok_or_else(|| invalid(&CHECKSUM, text, "sha1 or sha256, a space, and the checksum as base64"))
}

/// The only value of a header as text.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid(name, "given twice", "one value"));
    }
    let text = value.to_str().map_err(|_| invalid(name, "not ASCII", "ASCII"))?;
    Ok(Some(text.trim()))
}

/// A number of bytes. The database stores it as a signed integer.
fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Refusal> {
    let Some(text) = one(headers, name)? else {
        return Ok(None);
    };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<i64>().ok().filter(|_| digits);
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.map(Some).ok_or_else(|| invalid(name, text, "a number of bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_number_has_only_digits_and_fits_into_the_database() {
        let read = |text: &str| number(&headers(&[(&LENGTH, text)]), &LENGTH);
        assert_eq!(read("0").unwrap(), Some(0));
        assert_eq!(read("9223372036854775807").unwrap(), Some(i64::MAX as u64));
        assert_eq!(number(&HeaderMap::new(), &LENGTH).unwrap(), None);
        for wrong in [
            "",
            "-1",
            "+1",
            "1.5",
            "0x1",
            "1e3",
            "9223372036854775808",
            "99999999999999999999",
            "1, 1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let twice = headers(&[(&LENGTH, "1"), (&LENGTH, "1")]);
        assert!(number(&twice, &LENGTH).is_err());
    }

    #[test]
    fn an_upload_has_a_length_or_defers_it() {
        let new = |lines: &[(&HeaderName, &str)]| creation(&headers(lines)).map(|headers| headers.new.length_bytes);
        assert_eq!(new(&[(&LENGTH, "7")]).unwrap(), Some(7));
        assert_eq!(new(&[(&DEFER_LENGTH, "1")]).unwrap(), None);
        assert!(new(&[]).is_err());
        assert!(new(&[(&DEFER_LENGTH, "0")]).is_err());
        assert!(new(&[(&LENGTH, "7"), (&DEFER_LENGTH, "1")]).is_err());
        assert!(new(&[(&LENGTH, "7"), (&CONCAT, "partial")]).is_err());
    }

    #[test]
    fn a_checksum_has_the_length_of_its_algorithm() {
        let sha1 = checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").unwrap();
        assert_eq!((sha1.algorithm, sha1.expected.len()), (Algorithm::Sha1, 20));
        for wrong in [
            "",
            "sha1",
            "sha1 ",
            "sha1 !",
            "sha1 Kq5sNclPz7QV",
            "crc32 AAAAAA==",
            "sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        ] {
            assert!(checksum(wrong).is_err(), "{wrong}");
        }
    }
}
