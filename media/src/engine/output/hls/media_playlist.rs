//! The media playlist of a rendition (RFC 8216, section 4.3.3): writer and parser.
//!
//! *Problem.* Verification must read a finished stream as a player does: from the playlists alone. A tolerant parser
//! would accept playlists that players reject.
//!
//! *Mechanism.* The parser reads only the text that the writer produces. After parsing, it writes the result again and
//! requires the same text, so unknown tags, another order or other number formats are errors. A general HLS parser was
//! rejected, because it would be larger and would find less.

use crate::engine::mux::segmenter::Rendition;
use domain::plan::Rung;
use std::fmt;
use std::iter::Peekable;
use std::str::{FromStr, Lines};

/// The first lines of both kinds of playlists. Fragmented MP4 needs `EXT-X-MAP`, which requires version 6; FFmpeg and
/// Apple's examples declare version 7.
pub(crate) const HEADER: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n";
const END_TAG: &str = "#EXT-X-ENDLIST";

/// Prefix of the file names of the audio rendition.
pub(crate) const AUDIO_STEM: &str = "audio";

/// Returns the prefix of the file names of a rung, such as `720p`.
pub(crate) fn rung_stem(rung: &Rung) -> String {
    format!("{}p", rung.short_side_px)
}

/// Returns the file name of the media playlist of a rendition.
pub(crate) fn playlist_file(stem: &str) -> String {
    format!("{stem}.m3u8")
}

/// The contents of a media playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaPlaylist {
    /// Target duration in seconds; no segment is longer.
    pub(crate) target_s: u64,
    /// Location of the initialization section (`EXT-X-MAP`).
    pub(crate) init: FileRange,
    pub(crate) segments: Vec<PlaylistSegment>,
}

/// A segment of a media playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlaylistSegment {
    pub(crate) location: FileRange,
    pub(crate) duration_us: u64,
}

/// A file, or a byte range of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRange {
    pub(crate) file: String,
    /// `None` for the whole file.
    pub(crate) range: Option<SubRange>,
}

/// A sub-range of a file, written as `bytes@offset` (RFC 8216, section 4.3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubRange {
    pub(crate) bytes: u64,
    pub(crate) offset: u64,
}

impl fmt::Display for SubRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.bytes, self.offset)
    }
}

impl FromStr for SubRange {
    type Err = UnexpectedText;

    fn from_str(text: &str) -> Result<Self, UnexpectedText> {
        let (bytes, offset) = text.split_once('@').ok_or(UnexpectedText)?;
        Ok(Self {
            bytes: parse_leading_digits(bytes)?,
            offset: parse_leading_digits(offset)?,
        })
    }
}

impl MediaPlaylist {
    /// Describes a rendition. `target_s` is the target duration in seconds.
    pub(crate) fn of(rendition: &Rendition, target_s: u64) -> Self {
        let location = |file: String, offset: u64, bytes: u64| FileRange {
            file,
            range: rendition.single_file.then_some(SubRange { bytes, offset }),
        };
        let mut next_offset = rendition.init_bytes;
        let segments = rendition.segments.iter().enumerate().map(|(index, segment)| {
            let offset = next_offset;
            next_offset += segment.bytes;
            PlaylistSegment {
                location: location(rendition.segment_file(index), offset, segment.bytes),
                duration_us: segment.duration_us,
            }
        });
        Self {
            target_s,
            segments: segments.collect(),
            init: location(rendition.init_file(), 0, rendition.init_bytes),
        }
    }
}

impl fmt::Display for MediaPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{HEADER}#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:{}",
            self.target_s
        )?;
        write!(f, "#EXT-X-MAP:URI=\"{}\"", self.init.file)?;
        match self.init.range {
            Some(range) => writeln!(f, ",BYTERANGE=\"{range}\"")?,
            None => writeln!(f)?,
        }
        for segment in &self.segments {
            let PlaylistSegment { location, duration_us } = segment;
            writeln!(f, "#EXTINF:{}.{:06},", duration_us / 1_000_000, duration_us % 1_000_000)?;
            if let Some(range) = location.range {
                writeln!(f, "#EXT-X-BYTERANGE:{range}")?;
            }
            writeln!(f, "{}", location.file)?;
        }
        writeln!(f, "{END_TAG}")
    }
}

impl FromStr for MediaPlaylist {
    type Err = UnexpectedText;

    fn from_str(text: &str) -> Result<Self, UnexpectedText> {
        let mut lines = strip_header(text)?;
        // The playlist type; the comparison at the end checks it.
        lines.next();
        let target_s = parse_number(lines.next().ok_or(UnexpectedText)?, "TARGETDURATION:")?;
        let map = lines.next().ok_or(UnexpectedText)?;
        let init = FileRange {
            file: after_key(map, "URI=\"")?
                .split('"')
                .next()
                .ok_or(UnexpectedText)?
                .to_owned(),
            range: after_key(map, "BYTERANGE=\"").ok().map(str::parse).transpose()?,
        };
        let mut segments = Vec::new();
        while let Some(line) = lines.next_if(|line| *line != END_TAG) {
            let (seconds, micros) = after_key(line, "#EXTINF:")?.split_once('.').ok_or(UnexpectedText)?;
            let range_tag = lines.next_if(|line| line.starts_with("#EXT-X-BYTERANGE:"));
            let range = range_tag
                .map(|line| after_key(line, "BYTERANGE:").and_then(str::parse))
                .transpose()?;
            let file = lines.next().ok_or(UnexpectedText)?.to_owned();
            segments.push(PlaylistSegment {
                location: FileRange { file, range },
                duration_us: parse_leading_digits::<u64>(seconds)? * 1_000_000 + parse_leading_digits::<u64>(micros)?,
            });
        }
        require_same_text(
            Self {
                target_s,
                init,
                segments,
            },
            text,
        )
    }
}

/// The text of a playlist differs from that of the writer.
#[derive(Debug)]
pub(crate) struct UnexpectedText;

/// Returns the parsed playlist if writing it produces the same text.
pub(crate) fn require_same_text<T: fmt::Display>(parsed: T, text: &str) -> Result<T, UnexpectedText> {
    (parsed.to_string() == text).then_some(parsed).ok_or(UnexpectedText)
}

/// Returns the lines after the header.
pub(crate) fn strip_header(text: &str) -> Result<Peekable<Lines<'_>>, UnexpectedText> {
    Ok(text.strip_prefix(HEADER).ok_or(UnexpectedText)?.lines().peekable())
}

/// Returns the text after a key in a line.
pub(crate) fn after_key<'a>(line: &'a str, key: &str) -> Result<&'a str, UnexpectedText> {
    line.split_once(key).map(|(_, rest)| rest).ok_or(UnexpectedText)
}

/// Parses the number after a key in a line.
pub(crate) fn parse_number(line: &str, key: &str) -> Result<u64, UnexpectedText> {
    parse_leading_digits(after_key(line, key)?)
}

/// Parses the number at the beginning of a text, at most twelve digits: sums of such numbers do not overflow.
pub(crate) fn parse_leading_digits<T: TryFrom<u64>>(text: &str) -> Result<T, UnexpectedText> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text
        .get(..end.min(12))
        .and_then(|digits| digits.parse().ok())
        .ok_or(UnexpectedText)?;
    T::try_from(number).map_err(|_| UnexpectedText)
}
