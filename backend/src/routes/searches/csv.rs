//! Rows of a result as CSV (RFC 4180): UTF-8, CRLF, quotes where they are needed.

use crate::spreadsheet::harmless;
use ::csv::{Error, Terminator, Writer, WriterBuilder};
use api::library::LibraryVideo;
use chrono::SecondsFormat;
use std::borrow::Cow;

/// The names of the columns, which are those of the fields in JSON.
const COLUMNS: [&str; 16] = [
    "id",
    "title",
    "description",
    "tags",
    "owner",
    "region",
    "duration_ms",
    "visibility",
    "published_at",
    "votes",
    "views",
    "public_url",
    "embed_url",
    "poster_url",
    "playback_url",
    "playback_type",
];

/// The first row: the names of the columns.
pub(super) fn header() -> Vec<u8> {
    let mut line = COLUMNS.join(",").into_bytes();
    line.extend_from_slice(b"\r\n");
    line
}

/// The row of a video. Tags, which contain no commas, are separated by commas. Absent values are empty.
pub(super) fn row(video: &LibraryVideo) -> Result<Vec<u8>, Error> {
    let published_at = video.published_at;
    let published_at = published_at.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let cells: [Cow<'_, str>; COLUMNS.len()] = [
        video.id.to_string().into(),
        harmless(&video.title),
        harmless(&video.description),
        harmless(&video.tags.join(",")).into_owned().into(),
        harmless(&video.owner),
        harmless(video.region.as_deref().unwrap_or_default()),
        video.duration_ms.to_string().into(),
        video.visibility.as_str().into(),
        published_at.unwrap_or_default().into(),
        video.votes.to_string().into(),
        video.views.to_string().into(),
        text(&video.public_url).into(),
        text(&video.embed_url).into(),
        text(&video.poster_url).into(),
        text(&video.playback_url).into(),
        text(&video.playback_type).into(),
    ];
    let mut writer: Writer<Vec<u8>> = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .buffer_capacity(1 << 10)
        .from_writer(Vec::new());
    writer.write_record(cells.iter().map(|cell| cell.as_bytes()))?;
    writer.into_inner().map_err(|error| Error::from(error.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Visibility;

    #[test]
    fn a_row_is_quoted_where_needed_and_has_no_formula() {
        let video = LibraryVideo {
            id: 7,
            title: "=HYPERLINK(\"http://a\", \"b\")".to_owned(),
            description: "two\r\nlines, ñ".to_owned(),
            tags: vec!["-a".to_owned(), "b".to_owned()],
            owner: "ana".to_owned(),
            region: None,
            duration_ms: 1_500,
            visibility: Visibility::Private,
            published_at: None,
            votes: 0,
            views: 2,
            public_url: None,
            embed_url: None,
            poster_url: None,
            playback_url: None,
            playback_type: None,
        };
        let row = String::from_utf8(row(&video).unwrap()).unwrap();
        let expected = "7,\"'=HYPERLINK(\"\"http://a\"\", \"\"b\"\")\",\"two\r\nlines, ñ\",\"'-a,b\",ana,,1500,private,,0,2,,,,,\r\n";
        assert_eq!(row, expected);
        assert_eq!(
            String::from_utf8(header()).unwrap().matches(',').count(),
            COLUMNS.len() - 1
        );
        for (text, cell) in [
            ("+1", "'+1"),
            ("@a", "'@a"),
            ("\t1", "'\t1"),
            ("\r=1", "'\r'=1"),
            ("＝1", "'＝1"),
            ("a;=1+1;b\n-2", "a;'=1+1;b\n'-2"),
            ("1-1, 2 = 2", "1-1, 2 = 2"),
        ] {
            assert_eq!(harmless(text), cell);
        }
    }
}
