//! Cloudflare Stream: `GET /accounts/{id}/stream`, at most 1,000 videos in order of their creation.
//!
//! There is no cursor: the next page begins at the time of the last video, which is on both pages. A video can be
//! fetched once a download of it exists, which `POST …/{uid}/downloads` makes.

use crate::entry::{Entry, Texts, text};
use serde_json::Value;

const NO_DOWNLOAD: &str = "it has no download; enable MP4 downloads of the video, or run the command with --prepare";
const IN_PROGRESS: &str = "Cloudflare still makes its download; run the command again in some minutes";
const SIGNED: &str = "it requires signed URLs; allow access without them while you move, and run the command again";

/// A video of the list.
pub(crate) struct Listed {
    pub(crate) uid: String,
    pub(crate) created: String,
    pub(crate) title: Option<String>,
    /// The reason why it has no download, if the list tells it.
    pub(crate) obstacle: Option<&'static str>,
}

/// The videos of a page; `None` for an entry that is damaged.
pub(crate) fn page(reply: &Value) -> Option<Vec<Option<Listed>>> {
    let result = reply.get("result")?.as_array()?;
    Some(result.iter().map(listed).collect())
}

fn listed(video: &Value) -> Option<Listed> {
    let uid = text(video, "uid").filter(|uid| uid.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
    let is = |field: &str| video.get(field).and_then(Value::as_bool);
    let obstacle = if is("readyToStream") == Some(false) {
        Some("Cloudflare has not processed it, or could not; look at its status there")
    } else if is("requireSignedURLs") == Some(true) {
        Some(SIGNED)
    } else {
        None
    };
    Some(Listed {
        uid: uid.to_owned(),
        created: text(video, "created")?.to_owned(),
        title: video.get("meta").and_then(|meta| text(meta, "name")).map(str::to_owned),
        obstacle,
    })
}

/// The entry of a video, from the reply about its downloads.
pub(crate) fn entry(video: &Listed, downloads: &Value) -> Entry {
    let texts = Texts {
        title: video.title.as_deref(),
        ..Texts::default()
    };
    let Some(download) = downloads.get("result").and_then(|result| result.get("default")) else {
        return Entry::skipped(&video.uid, NO_DOWNLOAD);
    };
    match (text(download, "status"), text(download, "url")) {
        (Some("ready"), Some(url)) => Entry::row("cloudflare", &video.uid, url, texts),
        (Some("inprogress"), _) => Entry::skipped(&video.uid, IN_PROGRESS),
        _ => Entry::skipped(&video.uid, "Cloudflare could not make its download"),
    }
}

/// Returns true if a reply tells of no download.
pub(crate) fn has_none(downloads: &Value) -> bool {
    downloads
        .get("result")
        .and_then(|result| result.get("default"))
        .is_none()
}
