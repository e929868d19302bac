//! The header `Upload-Metadata`: pairs of a key and a value as base64, separated by commas.

use super::names::{METADATA, invalid};
use crate::error::Refusal;
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use domain::{Code, UploadPurpose};

/// Maximum length of the header.
const MAX_BYTES: usize = 8 << 10;

/// Some clients leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The facts that the service uses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The name of the file; empty without one.
    pub(super) file_name: String,
    /// The purpose of the file.
    pub(super) purpose: UploadPurpose,
}

/// Parses the header, and refuses a video whose media type is that of no video and no audio. Its bytes are checked when
/// they arrive, because media types are guesses by the ending of a name.
///
/// # Errors
/// `upload_header_invalid`, `not_media`.
pub(super) fn parse(text: &str) -> Result<Facts, Refusal> {
    if text.len() > MAX_BYTES {
        let given = format!("{} bytes", text.len());
        return Err(invalid(&METADATA, &given, &format!("up to {MAX_BYTES} bytes")));
    }
    let (mut facts, mut keys, mut media_types) = (Facts::default(), Vec::new(), Vec::new());
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
        if keys.contains(&key) {
            return Err(invalid(&METADATA, key, "each key once"));
        }
        keys.push(key);
        let value = BASE64.decode(encoded.trim());
        let value = value.map_err(|_| invalid(&METADATA, pair, "a key, a space, and the value as base64"))?;
        let value = String::from_utf8_lossy(&value).into_owned();
        match key {
            "filename" => facts.file_name = value,
            "name" if facts.file_name.is_empty() => facts.file_name = value,
            "filetype" | "type" => media_types.push(value),
            "purpose" => {
                let purpose = UploadPurpose::from_word(&value);
                facts.purpose = purpose.ok_or_else(|| invalid(&METADATA, pair, "the purpose video or manifest"))?;
            }
            _ => {}
        }
    }
    if facts.purpose == UploadPurpose::Video {
        media_types.iter().try_for_each(|given| check_media_type(given))?;
    }
    Ok(facts)
}

/// Refuses media types of files that are certainly no video and no audio.
///
/// # Errors
/// `not_media`.
pub(crate) fn check_media_type(given: &str) -> Result<(), Refusal> {
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, name) = essence.split_once('/').unwrap_or((&essence, ""));
    let is_other = match kind {
        // The type that some systems give to transport streams (`.ts`).
        "text" => name != "vnd.trolltech.linguist",
        "image" => !["gif", "png", "apng", "vnd.mozilla.apng", "webp"].contains(&name),
        "application" => ["pdf", "zip", "gzip", "json", "xml", "javascript"].contains(&name),
        "font" | "model" => true,
        _ => false,
    };
    if is_other {
        let given: String = given.chars().take(100).collect();
        return Err(
            Refusal::of_field("file", Code::NotMedia).detail(format!("{given}; accepted: video and audio files"))
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_file_is_found_among_other_keys() {
        for (text, name) in [
            ("", ""),
            ("filename Y2xpcC5tcDQ=", "clip.mp4"),
            ("filename Y2xpcC5tcDQ", "clip.mp4"),
            ("relativePath bnVsbA==,name Y2xpcC5tcDQ=,type dmlkZW8vbXA0", "clip.mp4"),
            ("name YQ==, filename Yg==", "b"),
            ("filename Yg==,name YQ==", "b"),
            ("is_confidential, filename Yg==", "b"),
            ("filename w63Dsw==", "íó"),
            ("filename /w==", "\u{fffd}"),
        ] {
            assert_eq!(parse(text).unwrap().file_name, name, "{text}");
        }
    }

    #[test]
    fn a_malformed_header_and_other_files_are_refused() {
        let purpose = |text: &str| parse(text).unwrap().purpose;
        let (manifest, video) = (BASE64.encode("manifest"), BASE64.encode("video"));
        let of_manifest = format!("type {},purpose {manifest}", BASE64.encode("text/csv"));
        assert_eq!(purpose(&of_manifest), UploadPurpose::Manifest);
        assert_eq!(purpose(&format!("purpose {video}")), UploadPurpose::Video);
        for text in [
            "filename a*b",
            "purpose YQ==",
            "a YQ==,a YQ==",
            &format!("a {}", "YWFh".repeat(3_000)),
        ] {
            assert_eq!(parse(text).unwrap_err().code, Code::UploadHeaderInvalid, "{text}");
        }
        let typed = |kind: &str| parse(&format!("filetype {}", BASE64.encode(kind)));
        for kind in ["text/html", "application/pdf", "image/jpeg", "font/woff2"] {
            assert_eq!(typed(kind).unwrap_err().code, Code::NotMedia, "{kind}");
        }
        for kind in [
            "",
            "video/mp4",
            "audio/mpeg; x=y",
            "application/octet-stream",
            "image/gif",
            "application/mxf",
        ] {
            assert!(typed(kind).is_ok(), "{kind}");
        }
    }
}
