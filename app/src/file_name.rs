//! File names of uploads, in two forms: as given, for display, and reduced to characters that are safe in a URL.
//! Neither is ever used as a path.

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
}
