//! File names of uploads, in two forms: as given, for display, and reduced to characters that are safe in a URL.
//! Neither is ever used as a path.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_DISPOSITION;

/// Maximum length of a display name.
const DISPLAY_BYTES: usize = 255;
/// Maximum length of a safe name.
const SAFE_BYTES: usize = 100;

/// The name as given, cut between characters to at most 255 bytes. Only NUL, which Postgres does not accept in text, is
/// replaced.
pub(crate) fn display(given: &str) -> String {
    let given = given.replace('\0', "\u{fffd}");
    let mut end = given.len().min(DISPLAY_BYTES);
    while !given.is_char_boundary(end) {
        end -= 1;
    }
    given.get(..end).unwrap_or_default().to_owned()
}

/// The last path component of the name, reduced to `[A-Za-z0-9._-]` and at most 100 bytes. The extension is kept; the
/// name is never empty.
pub(crate) fn safe(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name = String::with_capacity(last.len());
    for c in last.chars() {
        match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '-' => name.push(c),
            // A run of other characters becomes one underscore.
            _ if !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    let punctuation = ['.', '_', '-'];
    let name = name.trim_end_matches(punctuation);
    match (name.trim_start_matches(punctuation), name.strip_prefix("_.")) {
        ("", _) => "video".to_owned(),
        // Only the extension is left.
        (extension, Some(_)) => shortened(&format!("video.{extension}")),
        (name, None) => shortened(name),
    }
}

/// Cuts an ASCII name to [`SAFE_BYTES`] and keeps an extension of at most 10 bytes.
fn shortened(name: &str) -> String {
    if name.len() <= SAFE_BYTES {
        return name.to_owned();
    }
    let extension = name
        .rfind('.')
        .and_then(|dot| name.get(dot..))
        .filter(|extension| extension.len() <= 10)
        .unwrap_or_default();
    let stem = name.get(..SAFE_BYTES - extension.len()).unwrap_or_default();
    format!("{}{extension}", stem.trim_end_matches(['.', '_', '-']))
}

/// The file name of a form part. Browsers encode `"`, CR and LF as `%22`, `%0D` and `%0A` (WHATWG HTML, multipart form
/// data). Other clients escape `"` and `\\` with `\\` (RFC 9110 §5.6.4), send `filename*` (RFC 5987), or send bytes
/// that are not UTF-8.
pub(crate) fn from_part_headers(headers: &HeaderMap) -> Option<String> {
    let header = String::from_utf8_lossy(headers.get(CONTENT_DISPOSITION)?.as_bytes()).into_owned();
    let parameters = parameters(&header);
    let named = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    };
    if let Some(value) = named("filename*") {
        let encoded = value.splitn(3, '\'').nth(2).unwrap_or(value);
        return Some(percent_decoded(encoded));
    }
    let name = named("filename")?;
    Some(name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"))
}

/// The parameters of a header in order; quoted values without their quotes.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = header;
    while let Some((_, behind)) = rest.split_once(';') {
        rest = behind;
        let Some((name, value)) = behind.split_once('=').filter(|(name, _)| !name.contains(';')) else {
            continue;
        };
        let value = value.trim_start();
        let value = match value.strip_prefix('"') {
            Some(open) => {
                let (value, behind) = quoted(open);
                rest = behind;
                value
            }
            None => value.split(';').next().unwrap_or_default().trim_end().to_owned(),
        };
        parameters.push((name.trim().to_owned(), value));
    }
    parameters
}

/// Splits a text behind an opening quote into the quoted string and the rest behind its closing quote. Browsers on
/// Windows send `C:\x` unescaped, so a backslash escapes only `"` and `\\`, and a backslash before the last quote of
/// the text escapes nothing.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c, chars.peek()) {
            ('"', _) => return (value, text.get(at + 1..).unwrap_or_default()),
            ('\\', Some((_, next @ ('"' | '\\')))) => {
                value.push(*next);
                chars.next();
            }
            _ => value.push(c),
        }
    }
    match text.rsplit_once('"') {
        Some((value, behind)) => (value.to_owned(), behind),
        None => (text.to_owned(), ""),
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_name_has_no_characters_with_a_meaning_in_urls_or_paths() {
        let long = format!("{}.mp4", "a".repeat(255));
        for (given, expected) in [
            ("clip.mp4", "clip.mp4"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Videos\\mi clip.MOV", "mi_clip.MOV"),
            ("..", "video"),
            ("", "video"),
            ("🎬", "video"),
            ("🎬🎉.mp4", "video.mp4"),
            ("🎬..mp4", "video.mp4"),
            (&format!("🎬.{}", "a".repeat(200)), &format!("video.{}", "a".repeat(94))),
            ("día de campo 🎬.mp4", "d_a_de_campo_.mp4"),
            (".hidden.mp4", "hidden.mp4"),
            ("-rf.mp4", "rf.mp4"),
            ("a\"b\r\nc.mp4", "a_b_c.mp4"),
            ("a%2e%2e.mp4", "a_2e_2e.mp4"),
            (&long, &format!("{}.mp4", "a".repeat(96))),
        ] {
            assert_eq!(safe(given), expected, "{given}");
        }
    }

    #[test]
    fn a_display_name_is_kept_as_given() {
        for name in ["../../x", "a\"b\r\nc.mp4", "🎬.mp4", &"n".repeat(255)] {
            assert_eq!(display(name), name);
        }
        assert_eq!(display(&"🎬".repeat(64)), "🎬".repeat(63));
        assert_eq!(display("a\0b"), "a\u{fffd}b");
    }

    #[test]
    fn every_encoding_of_a_file_name_is_read() {
        for (header, name) in [
            (
                r#"form-data; name="file"; filename="a%22b%0D%0Ac 100%.mp4""#,
                Some("a\"b\r\nc 100%.mp4"),
            ),
            (
                r#"form-data; name="file"; filename="a\"b;c.mp4"; x=y"#,
                Some("a\"b;c.mp4"),
            ),
            (
                r#"form-data; name="file"; filename="C:\\x\\y.mp4""#,
                Some(r"C:\x\y.mp4"),
            ),
            (r#"form-data; name="file"; filename="C:\x\y.mp4""#, Some(r"C:\x\y.mp4")),
            (r#"form-data; filename=plain.mp4; name=file"#, Some("plain.mp4")),
            (r#"form-data; name="filename="; filename="x.mp4""#, Some("x.mp4")),
            ("form-data; name=file; filename=\"día 🎬.mp4\"", Some("día 🎬.mp4")),
            (
                "form-data; name=file; filename*=utf-8''d%C3%ADa%20%F0%9F%8E%AC.mp4",
                Some("día 🎬.mp4"),
            ),
            (
                r#"form-data; name="file"; filename="my filename*=evil.mp4""#,
                Some("my filename*=evil.mp4"),
            ),
            (
                r#"form-data; name="file"; filename="a; filename*=utf-8''b.mp4""#,
                Some("a; filename*=utf-8''b.mp4"),
            ),
            (r#"form-data; name="file"; filename="tail\""#, Some(r"tail\")),
            (r#"form-data; name="file"; Filename = "X.mp4""#, Some("X.mp4")),
            (r#"form-data; name="file"; filename="""#, Some("")),
            ("form-data; name=file", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                CONTENT_DISPOSITION,
                axum::http::HeaderValue::from_bytes(header.as_bytes()).unwrap(),
            );
            assert_eq!(from_part_headers(&headers).as_deref(), name, "{header}");
        }
    }
}
