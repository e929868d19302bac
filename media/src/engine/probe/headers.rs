//! Facts from the headers of a file and its streams. No packets are read beyond those that FFmpeg reads to open it.

use crate::engine::audio::params::{MAX_CHANNELS, SAMPLE_RATES_HZ};
use crate::engine::demux::container::{is_cover_art, language};
use crate::engine::demux::open;
use crate::engine::ffi::parameters::{self, CodecFacts, MediaType};
use crate::engine::ffi::{frame, input};
use crate::engine::probe::pixel_aspect::{self, HeaderAspect};
use crate::engine::time::to_us;
use crate::engine::video::color::is_hdr;
use domain::probe::{AudioFacts, Size, Stream, StreamKind, VideoFacts};
use domain::{Probe, Rational};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::{Disposition, Stream as Source};

/// AAC Low Complexity (`FF_PROFILE_AAC_LOW`), the profile that every player supports.
const AAC_LC: i32 = 1;

/// Reads the facts of a file of `bytes` bytes that need no packets. `duration_us` is that of the header; 0 when it has
/// none.
pub(crate) fn read_headers(input: &Input, bytes: u64) -> Probe {
    Probe {
        container: input.format().name().to_owned(),
        bytes,
        duration_us: u64::try_from(input.duration()).unwrap_or(0),
        start_us: input::start_us(input).unwrap_or(0),
        origin_us: None,
        jumps: false,
        streams: input.streams().map(|stream| stream_facts(&stream)).collect(),
    }
}

fn stream_facts(stream: &Source<'_>) -> Stream {
    let facts = parameters::codec_facts(&stream.parameters());
    let known = match facts.kind {
        MediaType::Video => facts.width_px > 0 && facts.height_px > 0 && frame::pixel_format(facts.format).is_some(),
        MediaType::Audio => {
            SAMPLE_RATES_HZ.contains(&facts.sample_rate_hz) && (1..=MAX_CHANNELS).contains(&facts.channels)
        }
        MediaType::Subtitle | MediaType::Attachment | MediaType::Data => false,
    };
    Stream {
        index: stream.index(),
        codec: if facts.name == "none" { "unknown" } else { facts.name }.to_owned(),
        decodable: known && open::find_decoder(stream).is_some(),
        default: stream.disposition().contains(Disposition::DEFAULT),
        language: language(stream),
        kind: kind_of(stream, &facts),
    }
}

fn kind_of(stream: &Source<'_>, facts: &CodecFacts) -> StreamKind {
    match facts.kind {
        MediaType::Video if is_cover_art(stream) => StreamKind::CoverArt,
        MediaType::Video => StreamKind::Video(video_facts(stream, facts)),
        MediaType::Audio => StreamKind::Audio(AudioFacts {
            sample_rate_hz: facts.sample_rate_hz,
            channels: facts.channels,
            duration_us: duration_us(stream),
            start_us: 0,
            bitrate_bps: Some(facts.bitrate_bps).filter(|bps| *bps > 0),
            plain: is_widely_supported(facts),
        }),
        MediaType::Subtitle => StreamKind::Subtitle,
        MediaType::Attachment => StreamKind::Attachment,
        MediaType::Data => StreamKind::Data,
    }
}

fn video_facts(stream: &Source<'_>, facts: &CodecFacts) -> VideoFacts {
    let (quarter_turns, mirrored) = input::display_matrix(stream).map_or((0, false), orientation);
    let (pixel_format, bit_depth) = frame::pixel_format(facts.format).unwrap_or(("unknown", 8));
    let (HeaderAspect::Reliable(sample_aspect) | HeaderAspect::Unreliable(sample_aspect)) = header_aspect(stream);
    VideoFacts {
        width_px: facts.width_px,
        height_px: facts.height_px,
        sample_aspect,
        quarter_turns,
        mirrored,
        average_fps: rate(stream.avg_frame_rate()),
        base_fps: rate(stream.rate()),
        regular_fps: None,
        pixel_format: pixel_format.to_owned(),
        bit_depth,
        hdr: is_hdr(facts.color.transfer),
        interlaced: facts.interlaced,
        duration_us: duration_us(stream),
        start_us: 0,
        frames: u64::try_from(stream.frames()).ok().filter(|frames| *frames > 0),
        full_range: facts.color.range == 2,
        bitrate_bps: Some(facts.bitrate_bps).filter(|bps| *bps > 0),
        dolby_only: input::dolby_vision(stream)
            .is_some_and(|(profile, compatibility)| is_dolby_vision_only(profile, compatibility)),
        changes: false,
        spatial: spatial_layout(stream),
        profile: u32::try_from(facts.profile).ok(),
        level: u32::try_from(facts.level).ok(),
        keyframes: None,
    }
}

/// Description of the layout of 360° and stereoscopic video, such as `360° equirectangular, 3D side by side`.
fn spatial_layout(stream: &Source<'_>) -> Option<String> {
    let projection = input::projection(stream).map(|number| match number {
        0 | 2 => "360° equirectangular",
        1 => "360° cubemap",
        _ => "360°",
    });
    let layout = input::stereo_layout(stream).map(|number| match number {
        1 => "3D side by side",
        2 => "3D top and bottom",
        _ => "3D",
    });
    let words: Vec<_> = projection.into_iter().chain(layout).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Returns `true` when only Dolby Vision decoders show the right colors: profile 5, and profiles whose base layer has
/// compatibility ID 0 (Dolby Vision Profiles and Levels 1.4).
const fn is_dolby_vision_only(profile: u8, compatibility: u8) -> bool {
    matches!((profile, compatibility), (5, _) | (10 | 20, 0))
}

/// Sample aspect ratio of a video stream by its headers.
pub(crate) fn header_aspect(stream: &Source<'_>) -> HeaderAspect {
    let facts = parameters::codec_facts(&stream.parameters());
    let size = Size {
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    pixel_aspect::from_headers(input::container_sample_aspect(stream), facts.sample_aspect, size)
}

fn rate(rate: ffmpeg_next::Rational) -> Option<Rational> {
    let num = u32::try_from(rate.numerator()).ok()?;
    Rational::new(num, u32::try_from(rate.denominator()).ok()?)
}

fn duration_us(stream: &Source<'_>) -> Option<u64> {
    let length = input::known_timestamp(stream.duration()).filter(|length| *length > 0)?;
    u64::try_from(to_us(length, stream.time_base())).ok()
}

/// Clockwise quarter turns, and mirroring before the turn, that are nearest to a display matrix (ISO/IEC 14496-12
/// §8.3.2, as `AV_FRAME_DATA_DISPLAYMATRIX`).
fn orientation(matrix: [i32; 9]) -> (u8, bool) {
    let [a, b, _, c, d, ..] = matrix.map(i64::from);
    // The matrix maps (x, y) to (ax + cy, bx + dy), with y pointing down. Mirroring changes the sign of x before that.
    let turns: [(u8, [i64; 4]); 4] = [
        (0, [1, 0, 0, 1]),
        (1, [0, 1, -1, 0]),
        (2, [-1, 0, 0, -1]),
        (3, [0, -1, 1, 0]),
    ];
    let mut best = (0, (0, false));
    for (turn, [ta, tb, tc, td]) in turns {
        for (mirrored, sign) in [(false, 1), (true, -1)] {
            let similarity = sign * (a * ta + b * tb) + c * tc + d * td;
            if similarity > best.0 {
                best = (similarity, (turn, mirrored));
            }
        }
    }
    best.1
}

/// Returns `true` when every player that supports the codec can play this audio.
pub(crate) fn is_widely_supported(facts: &CodecFacts) -> bool {
    match facts.name {
        "aac" => facts.profile == AAC_LC && facts.extradata_first_byte.is_some(),
        "opus" => facts.extradata_first_byte.is_some(),
        name => name == "mp3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_matrix_becomes_mirroring_and_quarter_turns() {
        let one = 1 << 16;
        for (abcd, turns, mirrored) in [
            ([one, 0, 0, one], 0, false),
            ([0, one, -one, 0], 1, false),
            ([-one, 0, 0, -one], 2, false),
            ([0, -one, one, 0], 3, false),
            ([-one, 0, 0, one], 0, true),
            ([one, 0, 0, -one], 2, true),
            ([0, one, one, 0], 3, true),
            ([0, -one, -one, 0], 1, true),
            ([0, 0, 0, 0], 0, false),
        ] {
            let [a, b, c, d] = abcd;
            assert_eq!(
                orientation([a, b, 0, c, d, 0, 0, 0, 1 << 30]),
                (turns, mirrored),
                "{abcd:?}"
            );
        }
    }
}
