//! `Content-Disposition`: the file name under which a browser saves a download.

use std::fmt::Write;

/// The name of the upload with the extension of the output. Outputs other than the main video also have their own name
/// in it.
pub(super) fn file_name(display_name: &str, output: &str) -> String {
    let last = display_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let stem = if stem.is_empty() { "video" } else { stem };
    match output.rsplit_once('.') {
        Some(("video", extension)) => format!("{stem}.{extension}"),
        _ => format!("{stem}-{}", output.replace('/', "-")),
    }
}

/// The header value `attachment`, with an ASCII `filename` for old clients and a UTF-8 `filename*` for others (RFC 6266
/// §4.3, RFC 8187).
pub(super) fn attachment(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%' | '/') || c == ' ' {
            c
        } else {
            '_'
        }
    };
    let fallback: String = name.chars().map(plain).collect();
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_named_after_the_upload() {
        for (display, output, name) in [
            ("clip.mov", "video.mp4", "clip.mp4"),
            ("día 🎬.mov", "video.mp4", "día 🎬.mp4"),
            ("clip.mov", "poster.jpg", "clip-poster.jpg"),
            ("../../x/clip", "video.mp4", "clip.mp4"),
            (".mp4", "video.mp4", "video.mp4"),
            ("", "small.mp4", "video-small.mp4"),
        ] {
            assert_eq!(file_name(display, output), name);
        }
    }

    #[test]
    fn every_name_gives_a_valid_header() {
        for (name, header) in [
            (
                "clip.mp4",
                "attachment; filename=\"clip.mp4\"; filename*=UTF-8''clip.mp4",
            ),
            (
                "a\"b\r\n.mp4",
                "attachment; filename=\"a_b__.mp4\"; filename*=UTF-8''a%22b%0D%0A.mp4",
            ),
            (
                "día 🎬.mp4",
                "attachment; filename=\"d_a _.mp4\"; filename*=UTF-8''d%C3%ADa%20%F0%9F%8E%AC.mp4",
            ),
            (
                "50%.mp4",
                "attachment; filename=\"50_.mp4\"; filename*=UTF-8''50%25.mp4",
            ),
        ] {
            assert_eq!(attachment(name), header);
        }
    }
}
