//! `MediaCMS`: `GET /api/v1/media`, pages by the link `next`; `GET /api/v1/media/{token}` for the file.

use crate::entry::{Entry, Texts, text};
use serde_json::Value;
use url::Url;

/// The tokens of a page (`None` for an entry that has none) and the link of the next page.
pub(crate) fn page(reply: &Value) -> Option<(Vec<Option<String>>, Option<String>)> {
    let results = reply.get("results")?.as_array()?;
    let is_id = |id: &&str| {
        id.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let id = |media: &Value| text(media, "friendly_token").filter(is_id).map(str::to_owned);
    Some((results.iter().map(id).collect(), text(reply, "next").map(str::to_owned)))
}

/// The entry of a medium, from its details. The address of its file may be relative to the service.
pub(crate) fn entry(base: &Url, id: &str, media: &Value) -> Entry {
    if !matches!(text(media, "media_type"), None | Some("video" | "audio")) {
        return Entry::skipped(id, "it is no video and no audio");
    }
    let tags: Vec<String> = media
        .get("tags_info")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|tag| text(tag, "title").map(str::to_owned))
        .collect();
    let texts = Texts {
        title: text(media, "title"),
        description: text(media, "description"),
        tags: &tags,
    };
    match text(media, "original_media_url").and_then(|url| base.join(url).ok()) {
        Some(url) => Entry::row("mediacms", id, url.as_str(), texts),
        None => Entry::skipped(
            id,
            "no file to fetch; allow downloads of the original, or use the token of its owner",
        ),
    }
}
