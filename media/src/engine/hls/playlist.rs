//! The playlists of an adaptive stream (RFC 8216): what is written, and the same read again. Nothing but numbers and
//! names of ours is in them, so what reads differently from what is written was not written by us.

use super::segments::{Rendition, Segment};
use domain::Rational;
use domain::probe::Size;
use std::fmt;
use std::iter::Peekable;
use std::str::{FromStr, Lines};

/// The file that names all others.
pub(super) const MASTER: &str = "master.m3u8";

/// How both kinds of playlist begin. Version 7 has fragmented MP4.
const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n";
const END: &str = "#EXT-X-ENDLIST";

/// The sound that every variant plays.
const GROUP: &str =
    "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",DEFAULT=YES,AUTOSELECT=YES,URI=\"audio.m3u8\",CHANNELS=";

/// The playlist of a rendition.
pub(super) fn file_of(stem: &str) -> String {
    format!("{stem}.m3u8")
}

/// All renditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Master {
    /// Channels of the sound, when there is any.
    pub(super) channels: Option<u16>,
    /// Largest first.
    pub(super) variants: Vec<Variant>,
}

/// One rung, with the sound beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// The highest rate of about one segment, and that of the whole, in bits per second.
    pub(super) peak_bps: u64,
    pub(super) average_bps: u64,
    pub(super) codecs: String,
    pub(super) size: Size,
    /// Frames in a thousand seconds.
    pub(super) millifps: u64,
    pub(super) uri: String,
}

impl Variant {
    /// The variant of a rung.
    pub(super) fn of(
        pictures: &Rendition,
        sound: Option<&Rendition>,
        (size, fps): (Size, Rational),
        target_s: u64,
    ) -> Self {
        let both = || [Some(pictures), sound].into_iter().flatten();
        let codecs: Vec<_> = both().map(|rendition| rendition.codec.as_str()).collect();
        Self {
            peak_bps: both()
                .map(|rendition| peak_bps(&rendition.segments, target_s * 1_000_000))
                .sum(),
            average_bps: both().map(|rendition| rate_bps(&rendition.segments)).sum(),
            codecs: codecs.join(","),
            size,
            millifps: (u64::from(fps.num) * 1_000 + u64::from(fps.den) / 2) / u64::from(fps.den.max(1)),
            uri: file_of(&pictures.stem),
        }
    }
}

/// Bits per second of a run of segments, rounded up.
fn rate_bps(segments: &[Segment]) -> u64 {
    let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let us: u64 = segments.iter().map(|segment| segment.duration_us).sum();
    (bytes * 8 * 1_000_000).div_ceil(us.max(1))
}

/// The highest rate of any run of segments that lasts between half and one and a half of the target (RFC 8216, section
/// 4.1); of the whole, when it is shorter.
fn peak_bps(segments: &[Segment], target_us: u64) -> u64 {
    let mut peak = None;
    for from in 0..segments.len() {
        let mut us = 0;
        for (place, segment) in segments.iter().enumerate().skip(from) {
            us += segment.duration_us;
            if us > target_us * 3 / 2 {
                break;
            }
            if us >= target_us / 2 {
                peak = peak.max(segments.get(from..=place).map(rate_bps));
            }
        }
    }
    peak.unwrap_or_else(|| rate_bps(segments))
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        if let Some(channels) = self.channels {
            writeln!(f, "{GROUP}\"{channels}\"")?;
        }
        for variant in &self.variants {
            let Variant {
                peak_bps,
                average_bps,
                codecs,
                size,
                millifps,
                uri,
            } = variant;
            let Size { width_px, height_px } = size;
            write!(
                f,
                "#EXT-X-STREAM-INF:BANDWIDTH={peak_bps},AVERAGE-BANDWIDTH={average_bps},CODECS=\"{codecs}\""
            )?;
            write!(
                f,
                ",RESOLUTION={width_px}x{height_px},FRAME-RATE={}.{:03}",
                millifps / 1_000,
                millifps % 1_000
            )?;
            let group = if self.channels.is_some() {
                ",AUDIO=\"audio\""
            } else {
                ""
            };
            writeln!(f, "{group}\n{uri}")?;
        }
        Ok(())
    }
}

impl FromStr for Master {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Self, Foreign> {
        let mut lines = body_of(text)?;
        let channels = lines.next_if(|line| line.starts_with(GROUP));
        let channels = channels.map(|line| number(line, "CHANNELS=\"")).transpose()?;
        let mut variants = Vec::new();
        while let Some(line) = lines.next() {
            let size = after(line, "RESOLUTION=")?.split_once('x').ok_or(Foreign)?;
            let (whole, thousandths) = after(line, "FRAME-RATE=")?.split_once('.').ok_or(Foreign)?;
            variants.push(Variant {
                peak_bps: number(line, ":BANDWIDTH=")?,
                average_bps: number(line, "AVERAGE-BANDWIDTH=")?,
                codecs: after(line, "CODECS=\"")?.split('"').next().ok_or(Foreign)?.to_owned(),
                size: Size {
                    width_px: digits(size.0)?,
                    height_px: digits(size.1)?,
                },
                millifps: digits::<u64>(whole)? * 1_000 + digits::<u64>(thousandths)?,
                uri: lines.next().ok_or(Foreign)?.to_owned(),
            });
        }
        same(
            Self {
                channels: channels.map(|channels| u16::try_from(channels).unwrap_or(0)),
                variants,
            },
            text,
        )
    }
}

/// The playlist of one rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Media {
    /// No segment is longer, in seconds.
    pub(super) target_s: u64,
    pub(super) init: Part,
    /// Each segment and its length in microseconds.
    pub(super) segments: Vec<(Part, u64)>,
}

/// A file, or `(bytes, from)` of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) file: String,
    pub(super) range: Option<(u64, u64)>,
}

impl Media {
    /// The playlist of a rendition.
    pub(super) fn of(rendition: &Rendition, target_s: u64) -> Self {
        let part = |file: String, from: u64, bytes: u64| Part {
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

impl fmt::Display for Media {
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

impl FromStr for Media {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Self, Foreign> {
        let mut lines = body_of(text)?;
        lines.next();
        let target_s = number(lines.next().ok_or(Foreign)?, "TARGETDURATION:")?;
        let map = lines.next().ok_or(Foreign)?;
        let init = Part {
            file: after(map, "URI=\"")?.split('"').next().ok_or(Foreign)?.to_owned(),
            range: after(map, "BYTERANGE=\"").ok().map(range).transpose()?,
        };
        let mut segments = Vec::new();
        while let Some(line) = lines.next_if(|line| *line != END) {
            let (seconds, micros) = after(line, "#EXTINF:")?.split_once('.').ok_or(Foreign)?;
            let ranged = lines.next_if(|line| line.starts_with("#EXT-X-BYTERANGE:"));
            let range = ranged
                .map(|line| after(line, "BYTERANGE:").and_then(range))
                .transpose()?;
            let file = lines.next().ok_or(Foreign)?.to_owned();
            segments.push((
                Part { file, range },
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign;

/// What was read, if it is written in just the same way.
fn same<T: fmt::Display>(read: T, text: &str) -> Result<T, Foreign> {
    (read.to_string() == text).then_some(read).ok_or(Foreign)
}

fn body_of(text: &str) -> Result<Peekable<Lines<'_>>, Foreign> {
    Ok(text.strip_prefix(HEAD).ok_or(Foreign)?.lines().peekable())
}

/// What stands behind a key.
fn after<'a>(line: &'a str, key: &str) -> Result<&'a str, Foreign> {
    line.split_once(key).map(|(_, rest)| rest).ok_or(Foreign)
}

/// The number behind a key.
fn number(line: &str, key: &str) -> Result<u64, Foreign> {
    digits(after(line, key)?)
}

/// The number that a text begins with; small enough that sums of such numbers fit.
fn digits<T: TryFrom<u64>>(text: &str) -> Result<T, Foreign> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text
        .get(..end.min(12))
        .and_then(|digits| digits.parse().ok())
        .ok_or(Foreign)?;
    T::try_from(number).map_err(|_| Foreign)
}

/// `bytes@from`.
fn range(text: &str) -> Result<(u64, u64), Foreign> {
    let (bytes, from) = text.split_once('@').ok_or(Foreign)?;
    Ok((digits(bytes)?, digits(from)?))
}
