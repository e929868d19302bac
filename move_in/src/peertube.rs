//! `PeerTube`: `GET /api/v1/videos` and those of a channel or an account, pages by offset; `GET /api/v1/videos/{uuid}`
//! for the files.

use crate::entry::{Entry, Texts, text};
use serde_json::Value;

/// The ids of a page (`None` for an entry that has none) and the number of all videos.
pub(crate) fn page(reply: &Value) -> Option<(Vec<Option<String>>, u64)> {
    let data = reply.get("data")?.as_array()?;
    let is_id = |id: &&str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let id = |video: &Value| text(video, "uuid").filter(is_id).map(str::to_owned);
    let total = reply.get("total").and_then(Value::as_u64)?;
    Some((data.iter().map(id).collect(), total))
}

/// The entry of a video, from its details.
pub(crate) fn entry(id: &str, video: &Value) -> Entry {
    if video.get("isLive").and_then(Value::as_bool) == Some(true) {
        return Entry::skipped(id, "it is a live stream");
    }
    let tags: Vec<String> = video
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect();
    let texts = Texts {
        title: text(video, "name"),
        description: text(video, "description"),
        tags: &tags,
    };
    match file(video) {
        Some(url) => Entry::row("peertube", id, url, texts),
        None => Entry::skipped(
            id,
            "no file to fetch; allow downloads of the video, or wait until it is transcoded",
        ),
    }
}

/// The URL of the largest file: one of the whole video, or else the one of an adaptive stream.
fn file(video: &Value) -> Option<&str> {
    let whole = video.get("files").and_then(Value::as_array);
    let playlists = video.get("streamingPlaylists").and_then(Value::as_array);
    let fragmented = playlists
        .into_iter()
        .flatten()
        .filter_map(|playlist| playlist.get("files")?.as_array());
    let url = |file: &'_ Value| {
        ["fileDownloadUrl", "fileUrl"]
            .iter()
            .any(|field| text(file, field).is_some())
    };
    let height = |file: &&Value| file.get("resolution").and_then(|value| value.get("id")?.as_u64());
    let lists = whole.into_iter().chain(fragmented);
    let mut best = lists.filter_map(|files| files.iter().filter(|file| url(file)).max_by_key(height));
    let best = best.next()?;
    text(best, "fileDownloadUrl").or_else(|| text(best, "fileUrl"))
}
