//! The master playlist of an adaptive stream (RFC 8216): what is written, and the same read again.

use crate::engine::mux::segmenter::{Rendition, Segment};
use crate::engine::output::hls::media_playlist::{HEAD, NotAsWritten, after, body_of, digits, file_of, number, same};
use domain::Rational;
use domain::probe::Size;
use std::fmt;
use std::str::FromStr;

/// The file that names all others.
pub(crate) const MASTER: &str = "master.m3u8";

/// The sound that every variant plays: before its language, and behind it.
const GROUP: &str = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\"";
const GROUP_ATTRIBUTES: &str = ",DEFAULT=YES,AUTOSELECT=YES,URI=\"audio.m3u8\",CHANNELS=";

/// All renditions.
#[derive(Debug)]
pub(crate) struct MasterPlaylist {
    /// Channels of the sound, when there is any.
    pub(crate) channels: Option<u16>,
    /// Its language (RFC 5646), when it is known.
    pub(crate) language: Option<String>,
    /// Largest first. They are written smallest first: a player that knows nothing of its network begins with the first one
    /// (Apple's authoring specification wants one that starts fast there).
    pub(crate) variants: Vec<Variant>,
}

/// One rung, with the sound beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    /// The highest rate of about one segment, and that of the whole, in bits per second.
    pub(crate) peak_bps: u64,
    pub(crate) average_bps: u64,
    pub(crate) codecs: String,
    pub(crate) size: Size,
    /// Frames in a thousand seconds.
    pub(crate) millifps: u64,
    pub(crate) uri: String,
}

impl Variant {
    /// The variant of a rung.
    pub(crate) fn of(
        video: &Rendition,
        audio: Option<&Rendition>,
        (size, fps): (Size, Rational),
        target_s: u64,
    ) -> Self {
        let both = || [Some(video), audio].into_iter().flatten();
        let codecs: Vec<_> = both().map(|rendition| rendition.codec.as_str()).collect();
        Self {
            peak_bps: both()
                .map(|rendition| peak_bps(&rendition.segments, target_s * 1_000_000))
                .sum(),
            average_bps: both().map(|rendition| rate_bps(&rendition.segments)).sum(),
            codecs: codecs.join(","),
            size,
            millifps: (u64::from(fps.num) * 1_000 + u64::from(fps.den) / 2) / u64::from(fps.den.max(1)),
            uri: file_of(&video.stem),
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

impl fmt::Display for MasterPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        if let Some(channels) = self.channels {
            f.write_str(GROUP)?;
            if let Some(language) = &self.language {
                write!(f, ",LANGUAGE=\"{language}\"")?;
            }
            writeln!(f, "{GROUP_ATTRIBUTES}\"{channels}\"")?;
        }
        for variant in self.variants.iter().rev() {
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
            // No captions hide in the video: a player need not look for them.
            writeln!(f, "{group},CLOSED-CAPTIONS=NONE\n{uri}")?;
        }
        Ok(())
    }
}

impl FromStr for MasterPlaylist {
    type Err = NotAsWritten;

    fn from_str(text: &str) -> Result<Self, NotAsWritten> {
        let mut lines = body_of(text)?;
        let audio = lines.next_if(|line| line.starts_with(GROUP));
        let channels = audio.map(|line| number(line, "CHANNELS=\"")).transpose()?;
        let language = audio.and_then(|line| after(line, "LANGUAGE=\"").ok()?.split('"').next());
        let mut variants = Vec::new();
        while let Some(line) = lines.next() {
            let size = after(line, "RESOLUTION=")?.split_once('x').ok_or(NotAsWritten)?;
            let (whole, thousandths) = after(line, "FRAME-RATE=")?.split_once('.').ok_or(NotAsWritten)?;
            variants.push(Variant {
                peak_bps: number(line, ":BANDWIDTH=")?,
                average_bps: number(line, "AVERAGE-BANDWIDTH=")?,
                codecs: after(line, "CODECS=\"")?
                    .split('"')
                    .next()
                    .ok_or(NotAsWritten)?
                    .to_owned(),
                size: Size {
                    width_px: digits(size.0)?,
                    height_px: digits(size.1)?,
                },
                millifps: digits::<u64>(whole)? * 1_000 + digits::<u64>(thousandths)?,
                uri: lines.next().ok_or(NotAsWritten)?.to_owned(),
            });
        }
        variants.reverse();
        same(
            Self {
                language: language.map(str::to_owned),
                channels: channels.map(|channels| u16::try_from(channels).unwrap_or(0)),
                variants,
            },
            text,
        )
    }
}
