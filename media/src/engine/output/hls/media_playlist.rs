//! The playlist of a rendition (RFC 8216): what is written, and the same read again. Nothing but numbers and
//! names of ours is in them, so what reads differently from what is written was not written by us.

use crate::engine::mux::segmenter::Rendition;
use domain::plan::Rung;
use std::fmt;
use std::iter::Peekable;
use std::str::{FromStr, Lines};

/// How both kinds of playlist begin. Version 7 has fragmented MP4.
pub(crate) const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n";
const END: &str = "#EXT-X-ENDLIST";

/// What the files of the sound are named after.
pub(crate) const AUDIO: &str = "audio";

/// What the files of a rung are named after.
pub(crate) fn stem_of(rung: &Rung) -> String {
    format!("{}p", rung.short_side_px)
}

/// The playlist of a rendition.
pub(crate) fn file_of(stem: &str) -> String {
    format!("{stem}.m3u8")
}

/// The playlist of one rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaPlaylist {
    /// No segment is longer, in seconds.
    pub(crate) target_s: u64,
    pub(crate) init: FileRange,
    /// Each segment and its length in microseconds.
    pub(crate) segments: Vec<(FileRange, u64)>,
}

/// A file, or `(bytes, from)` of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRange {
    pub(crate) file: String,
    pub(crate) range: Option<(u64, u64)>,
}

impl MediaPlaylist {
    /// The playlist of a rendition.
    pub(crate) fn of(rendition: &Rendition, target_s: u64) -> Self {
        let part = |file: String, from: u64, bytes: u64| FileRange {
            file,
            range: rendition.single_file.then_some((bytes, from)),
        };
        let mut from = rendition.init_bytes;
        let segments = rendition.segments.iter().enumerate().map(|(place, segment)| {
            let at = from;
            from += segment.bytes;
            (
                part(rendition.segment_file(place), at, segment.bytes),
                segment.duration_us,
            )
        });
        Self {
            target_s,
            segments: segments.collect(),
            init: part(rendition.init_file(), 0, rendition.init_bytes),
        }
    }
}

impl fmt::Display for MediaPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{HEAD}#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:{}",
            self.target_s
        )?;
        write!(f, "#EXT-X-MAP:URI=\"{}\"", self.init.file)?;
        match self.init.range {
            Some((bytes, from)) => writeln!(f, ",BYTERANGE=\"{bytes}@{from}\"")?,
            None => writeln!(f)?,
        }
        for (part, us) in &self.segments {
            writeln!(f, "#EXTINF:{}.{:06},", us / 1_000_000, us % 1_000_000)?;
            if let Some((bytes, from)) = part.range {
                writeln!(f, "#EXT-X-BYTERANGE:{bytes}@{from}")?;
            }
            writeln!(f, "{}", part.file)?;
        }
        writeln!(f, "{END}")
    }
}

impl FromStr for MediaPlaylist {
    type Err = NotAsWritten;

    fn from_str(text: &str) -> Result<Self, NotAsWritten> {
        let mut lines = body_of(text)?;
        lines.next();
        let target_s = number(lines.next().ok_or(NotAsWritten)?, "TARGETDURATION:")?;
        let map = lines.next().ok_or(NotAsWritten)?;
        let init = FileRange {
            file: after(map, "URI=\"")?.split('"').next().ok_or(NotAsWritten)?.to_owned(),
            range: after(map, "BYTERANGE=\"").ok().map(range).transpose()?,
        };
        let mut segments = Vec::new();
        while let Some(line) = lines.next_if(|line| *line != END) {
            let (seconds, micros) = after(line, "#EXTINF:")?.split_once('.').ok_or(NotAsWritten)?;
            let ranged = lines.next_if(|line| line.starts_with("#EXT-X-BYTERANGE:"));
            let range = ranged
                .map(|line| after(line, "BYTERANGE:").and_then(range))
                .transpose()?;
            let file = lines.next().ok_or(NotAsWritten)?.to_owned();
            segments.push((
                FileRange { file, range },
                digits::<u64>(seconds)? * 1_000_000 + digits::<u64>(micros)?,
            ));
        }
        same(
            Self {
                target_s,
                init,
                segments,
            },
            text,
        )
    }
}

/// A playlist that is not as we write it.
#[derive(Debug)]
pub(crate) struct NotAsWritten;

/// What was read, if it is written in just the same way.
pub(crate) fn same<T: fmt::Display>(read: T, text: &str) -> Result<T, NotAsWritten> {
    (read.to_string() == text).then_some(read).ok_or(NotAsWritten)
}

pub(crate) fn body_of(text: &str) -> Result<Peekable<Lines<'_>>, NotAsWritten> {
    Ok(text.strip_prefix(HEAD).ok_or(NotAsWritten)?.lines().peekable())
}

/// What stands behind a key.
pub(crate) fn after<'a>(line: &'a str, key: &str) -> Result<&'a str, NotAsWritten> {
    line.split_once(key).map(|(_, rest)| rest).ok_or(NotAsWritten)
}

/// The number behind a key.
pub(crate) fn number(line: &str, key: &str) -> Result<u64, NotAsWritten> {
    digits(after(line, key)?)
}

/// The number that a text begins with; small enough that sums of such numbers fit.
pub(crate) fn digits<T: TryFrom<u64>>(text: &str) -> Result<T, NotAsWritten> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text
        .get(..end.min(12))
        .and_then(|digits| digits.parse().ok())
        .ok_or(NotAsWritten)?;
    T::try_from(number).map_err(|_| NotAsWritten)
}

/// `bytes@from`.
fn range(text: &str) -> Result<(u64, u64), NotAsWritten> {
    let (bytes, from) = text.split_once('@').ok_or(NotAsWritten)?;
    Ok((digits(bytes)?, digits(from)?))
}
