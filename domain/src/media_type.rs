//! Media types of the files of a set.

/// Returns the media type of a file of a set, by its name.
#[must_use]
pub fn media_type_of_file(name: &str) -> &'static str {
    let is_audio = name.starts_with("audio");
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("m4s" | "mp4") if is_audio => "audio/mp4",
        Some("m4s" | "mp4") => "video/mp4",
        Some("vtt") => "text/vtt",
        Some("jpg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}
