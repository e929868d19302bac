//! The master playlist of an adaptive stream (RFC 8216, section 4.3.4): writer and parser.
//!
//! The parser is for verification alone. It accepts exactly the text that the writer produces; see
//! [`super::media_playlist`].

use crate::engine::mux::segmenter::{Rendition, Segment};
use crate::engine::output::hls::media_playlist::{
    HEADER, UnexpectedText, after_key, parse_leading_digits, parse_number, playlist_file, require_same_text,
    strip_header,
};
use domain::Rational;
use domain::probe::Size;
use std::fmt;
use std::str::FromStr;

/// File name of the master playlist, the entry file of the output.
pub(crate) const MASTER: &str = "master.m3u8";

/// The `EXT-X-MEDIA` tag of the audio rendition of all variants: the part before the optional `LANGUAGE` attribute.
const AUDIO_TAG: &str = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\"";
/// The part after the optional `LANGUAGE` attribute.
const AUDIO_TAG_END: &str = ",DEFAULT=YES,AUTOSELECT=YES,URI=\"audio.m3u8\",CHANNELS=";

/// The contents of a master playlist.
#[derive(Debug)]
pub(crate) struct MasterPlaylist {
    /// Number of audio channels; `None` without audio.
    pub(crate) channels: Option<u16>,
    /// Language of the audio (RFC 5646); `None` if unknown.
    pub(crate) language: Option<String>,
    /// The variants, largest first. They are written smallest first: players begin with the first variant before they
    /// know the bandwidth, and Apple's HLS Authoring Specification recommends one there that starts fast.
    pub(crate) variants: Vec<Variant>,
}

/// The `EXT-X-STREAM-INF` tag of a rung, with the audio that is played with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    /// `BANDWIDTH`: peak segment bit rate in bits per second.
    pub(crate) peak_bps: u64,
    /// `AVERAGE-BANDWIDTH`: average bit rate of the whole rendition in bits per second.
    pub(crate) average_bps: u64,
    /// Codec strings (RFC 6381), separated by commas.
    pub(crate) codecs: String,
    pub(crate) size: Size,
    /// Frame rate in frames per 1000 seconds; the attribute has three decimals.
    pub(crate) millifps: u64,
    /// File name of the media playlist.
    pub(crate) uri: String,
}

/// Size and frame rate of the video of a variant.
#[derive(Clone, Copy)]
pub(crate) struct VideoFormat {
    pub(crate) size: Size,
    pub(crate) fps: Rational,
}

impl Variant {
    /// Describes a rung. `target_s` is the target duration of all playlists in seconds.
    pub(crate) fn of(video: &Rendition, audio: Option<&Rendition>, format: VideoFormat, target_s: u64) -> Self {
        let VideoFormat { size, fps } = format;
        let both = || [Some(video), audio].into_iter().flatten();
        let codecs: Vec<_> = both().map(|rendition| rendition.codec.as_str()).collect();
        Self {
            peak_bps: both()
                .map(|rendition| peak_bps(&rendition.segments, target_s * 1_000_000))
                .sum(),
            average_bps: both().map(|rendition| average_bps(&rendition.segments)).sum(),
            codecs: codecs.join(","),
            size,
            millifps: (u64::from(fps.num) * 1_000 + u64::from(fps.den) / 2) / u64::from(fps.den.max(1)),
            uri: playlist_file(&video.stem),
        }
    }
}

/// Returns the average bit rate of consecutive segments in bits per second, rounded up.
fn average_bps(segments: &[Segment]) -> u64 {
    let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let us: u64 = segments.iter().map(|segment| segment.duration_us).sum();
    (bytes * 8 * 1_000_000).div_ceil(us.max(1))
}

/// Returns the peak segment bit rate (RFC 8216, section 4.1): the highest average of any consecutive segments that last
/// between 0.5 and 1.5 target durations; the average of the whole rendition if it is shorter.
fn peak_bps(segments: &[Segment], target_us: u64) -> u64 {
    let mut peak = None;
    for from in 0..segments.len() {
        let mut us = 0;
        for (to, segment) in segments.iter().enumerate().skip(from) {
            us += segment.duration_us;
            if us > target_us * 3 / 2 {
                break;
            }
            if us >= target_us / 2 {
                peak = peak.max(segments.get(from..=to).map(average_bps));
            }
        }
    }
    peak.unwrap_or_else(|| average_bps(segments))
}

impl fmt::Display for MasterPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        if let Some(channels) = self.channels {
            f.write_str(AUDIO_TAG)?;
            if let Some(language) = &self.language {
                write!(f, ",LANGUAGE=\"{language}\"")?;
            }
            writeln!(f, "{AUDIO_TAG_END}\"{channels}\"")?;
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
            // Without this attribute, players must look for CEA-608 captions in the video.
            writeln!(f, "{group},CLOSED-CAPTIONS=NONE\n{uri}")?;
        }
        Ok(())
    }
}

impl FromStr for MasterPlaylist {
    type Err = UnexpectedText;

    fn from_str(text: &str) -> Result<Self, UnexpectedText> {
        let mut lines = strip_header(text)?;
        let audio = lines.next_if(|line| line.starts_with(AUDIO_TAG));
        let channels = audio.map(|line| parse_number(line, "CHANNELS=\"")).transpose()?;
        let language = audio.and_then(|line| after_key(line, "LANGUAGE=\"").ok()?.split('"').next());
        let mut variants = Vec::new();
        while let Some(line) = lines.next() {
            let size = after_key(line, "RESOLUTION=")?.split_once('x').ok_or(UnexpectedText)?;
            let (whole, thousandths) = after_key(line, "FRAME-RATE=")?.split_once('.').ok_or(UnexpectedText)?;
            variants.push(Variant {
                peak_bps: parse_number(line, ":BANDWIDTH=")?,
                average_bps: parse_number(line, "AVERAGE-BANDWIDTH=")?,
                codecs: after_key(line, "CODECS=\"")?
                    .split('"')
                    .next()
                    .ok_or(UnexpectedText)?
                    .to_owned(),
                size: Size {
                    width_px: parse_leading_digits(size.0)?,
                    height_px: parse_leading_digits(size.1)?,
                },
                millifps: parse_leading_digits::<u64>(whole)? * 1_000 + parse_leading_digits::<u64>(thousandths)?,
                uri: lines.next().ok_or(UnexpectedText)?.to_owned(),
            });
        }
        variants.reverse();
        require_same_text(
            Self {
                language: language.map(str::to_owned),
                channels: channels.map(|channels| u16::try_from(channels).unwrap_or(0)),
                variants,
            },
            text,
        )
    }
}
