//! The part of a video that the catalog stores as text: what is needed to show it and to send its files; the addresses
//! of a published video; and the names of facets.
//!
//! *Addresses.* They contain the random public id of the video instead of a signature, so they never change and survive
//! a rotation of secrets. They end when the video is made private.

use catalog::{Facet, Video};
use domain::UserId;
use domain::library::Visibility;
use entity::{output, video};
use serde::{Deserialize, Serialize};

/// The text beside the columns of an entry of the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The outputs that are shown, the main one first.
    pub outputs: Vec<Output>,
}

/// An output of a published video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns of the row")]
pub struct Output {
    pub id: i64,
    pub name: String,
    pub kind: String,
    pub media_type: String,
    pub key: String,
    pub bytes: i64,
    pub width_px: Option<i32>,
    pub height_px: Option<i32>,
    pub entry: Option<String>,
}

impl Output {
    /// The path of the output below `files/` of its video.
    #[must_use]
    pub fn path(&self) -> String {
        match &self.entry {
            Some(entry) => format!("{}/{entry}", self.name),
            None => self.name.clone(),
        }
    }

    /// The address of the output of the video with this [`public_url`]: its file, or the entry file of a set. The other
    /// files of the set lie beside it.
    #[must_use]
    pub fn url(&self, public_url: &str) -> String {
        format!("{public_url}/files/{}", self.path())
    }
}

/// The address of a published video. `base_url` has no slash at its end.
#[must_use]
pub fn public_url(base_url: &str, public_id: &str) -> String {
    format!("{base_url}/api/library/{public_id}")
}

/// The address of the player page of a published video. `base_url` has no slash at its end.
#[must_use]
pub fn embed_url(base_url: &str, public_id: &str) -> String {
    format!("{base_url}/embed/{public_id}")
}

/// The name of a facet in requests and replies.
#[must_use]
pub const fn facet_name(facet: Facet) -> &'static str {
    match facet {
        Facet::Tags => "tags",
        Facet::Region => "region",
    }
}

/// The facet with this name.
#[must_use]
pub fn facet_of(name: &str) -> Option<Facet> {
    [Facet::Tags, Facet::Region]
        .into_iter()
        .find(|facet| facet_name(*facet) == name)
}

impl Details {
    /// The details of an entry. A catalog of another version is filled again, so its text can be read.
    #[must_use]
    pub fn of(entry: &Video) -> Self {
        serde_json::from_str(&entry.details).unwrap_or_default()
    }

    /// The output for a player: an adaptive stream, else a file with video, else a file with audio.
    #[must_use]
    pub fn playback(&self) -> Option<&Output> {
        let first = |is_wanted: fn(&Output) -> bool| self.outputs.iter().find(|output| is_wanted(output));
        first(|output| output.kind == "hls")
            .or_else(|| first(|output| output.media_type.starts_with("video/")))
            .or_else(|| first(|output| output.media_type.starts_with("audio/")))
    }

    /// The first poster.
    #[must_use]
    pub fn poster(&self) -> Option<&Output> {
        self.outputs.iter().find(|output| output.kind == "poster")
    }
}

impl From<Vec<output::Model>> for Details {
    fn from(outputs: Vec<output::Model>) -> Self {
        let outputs = outputs.into_iter().map(|output| Output {
            id: output.id,
            name: output.name,
            kind: output.kind,
            media_type: output.media_type,
            key: output.key,
            bytes: output.bytes,
            width_px: output.width_px,
            height_px: output.height_px,
            entry: output.entry,
        });
        Self {
            outputs: outputs.collect(),
        }
    }
}

/// The entry of a video in the catalog.
pub(super) fn entry(row: video::Entry) -> Video {
    let video::Entry {
        video,
        owner,
        source_duration_us,
        outputs,
    } = row;
    let shown = outputs.iter().filter_map(|output| output.duration_ms).max();
    let of_source = source_duration_us.map(|us| us / 1_000);
    Video {
        id: video.id,
        public_id: video.public_id,
        account: UserId(video.user_id),
        owner,
        visibility: Visibility::from(video.visibility),
        title: video.title,
        description: video.description,
        tags: serde_json::from_value(video.tags).unwrap_or_default(),
        region: video.region,
        duration_ms: shown.or(of_source).unwrap_or(0),
        created_at_ms: video.created_at.timestamp_millis(),
        published_at_ms: video.published_at.map(|at| at.timestamp_millis()),
        votes: 0,
        views: 0,
        details: serde_json::to_string(&Details::from(outputs)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(kind: &str, media_type: &str, name: &str, entry: Option<&str>) -> Output {
        Output {
            id: 1,
            name: name.to_owned(),
            kind: kind.to_owned(),
            media_type: media_type.to_owned(),
            key: format!("outputs/7/1/{name}"),
            bytes: 9,
            width_px: None,
            height_px: None,
            entry: entry.map(str::to_owned),
        }
    }

    #[test]
    fn a_player_gets_a_stream_then_video_then_audio_at_an_address_without_a_signature() {
        let poster = output("poster", "image/jpeg", "poster.jpg", None);
        let audio = output("m4a", "audio/mp4", "audio.m4a", None);
        let movie = output("mp4", "video/mp4", "video.mp4", None);
        let stream = output("hls", "application/vnd.apple.mpegurl", "hls", Some("master.m3u8"));
        let public_url = public_url("https://a.example", "c0ffee");
        let mut outputs = vec![poster];
        let mut playback = |next: Option<Output>| {
            outputs.extend(next);
            let details = Details {
                outputs: outputs.clone(),
            };
            details.playback().map(|output| output.url(&public_url))
        };
        assert_eq!(playback(None), None);
        for (next, path) in [(audio, "audio.m4a"), (movie, "video.mp4"), (stream, "hls/master.m3u8")] {
            let expected = format!("https://a.example/api/library/c0ffee/files/{path}");
            assert_eq!(playback(Some(next)), Some(expected));
        }
    }

    #[test]
    fn a_facet_is_found_by_its_name() {
        for facet in [Facet::Tags, Facet::Region] {
            assert_eq!(facet_of(facet_name(facet)), Some(facet));
        }
        assert_eq!(facet_of("owner"), None);
    }
}
