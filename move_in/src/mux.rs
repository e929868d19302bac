//! Mux Video: `GET /video/v1/assets`, pages by cursor.
//!
//! A file can be fetched if the master is ready (`master_access` is `temporary`, for 24 hours), or a static rendition
//! is ready and a playback id is public. The URL of a signed playback id would need a key for signatures.

use crate::entry::{Entry, Texts, text};
use serde_json::Value;

/// Host of the static renditions.
const STREAM: &str = "https://stream.mux.com";
const NO_FILE: &str = "no file to fetch; enable a static rendition (\"highest\") with a public playback id, or temporary \
                       master access, and run the command again when it is ready";

/// The entries of a page and the cursor of the next one.
pub(crate) fn page(reply: &Value) -> Option<(Vec<Entry>, Option<String>)> {
    let data = reply.get("data")?.as_array()?;
    let next = text(reply, "next_cursor").map(str::to_owned);
    Some((data.iter().map(entry).collect(), next))
}

fn entry(video: &Value) -> Entry {
    let Some(id) = text(video, "id") else {
        return Entry::skipped("(no id)", "the entry is damaged: it has no id");
    };
    match text(video, "status") {
        Some("ready") => {}
        Some("errored") => return Entry::skipped(id, "Mux could not process it (errored)"),
        _ => return Entry::skipped(id, "Mux still processes it; run the command again later"),
    }
    let meta = video.get("meta").unwrap_or(&Value::Null);
    let texts = Texts {
        title: text(meta, "title").or_else(|| text(video, "passthrough")),
        ..Texts::default()
    };
    match master(video).or_else(|| rendition(video)) {
        Some(url) => Entry::row("mux", id, &url, texts),
        None => Entry::skipped(id, NO_FILE),
    }
}

fn master(video: &Value) -> Option<String> {
    let master = video.get("master")?;
    let is_ready = text(master, "status") == Some("ready");
    text(master, "url").filter(|_| is_ready).map(str::to_owned)
}

fn rendition(video: &Value) -> Option<String> {
    let ids = video.get("playback_ids")?.as_array()?;
    let public = ids.iter().find(|id| text(id, "policy") == Some("public"))?;
    let playback_id = text(public, "id").filter(|id| is_word(id))?;
    let renditions = video.get("static_renditions")?;
    // Until 2025 the status was that of all files.
    let are_ready = text(renditions, "status") == Some("ready");
    let files = renditions.get("files")?.as_array()?;
    let is_ready = |file: &&Value| text(file, "status").map_or(are_ready, |status| status == "ready");
    let is_video = |file: &&Value| text(file, "name").is_some_and(|name| name.ends_with(".mp4") && is_word(name));
    let best = files.iter().filter(is_ready).filter(is_video).max_by_key(|file| {
        let number = |field: &str| file.get(field).and_then(Value::as_u64).unwrap_or(0);
        let is_highest = text(file, "name") == Some("highest.mp4");
        (is_highest, number("height"), number("bitrate"))
    })?;
    Some(format!("{STREAM}/{playback_id}/{}", text(best, "name")?))
}

/// Returns true for a text that is one segment of a path.
fn is_word(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
