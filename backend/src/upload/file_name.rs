//! The file name of a form part.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_DISPOSITION;

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
