//! Start and end of a source and its streams, in source time and after the origin.
//!
//! *Problem.* The durations in headers are often missing, estimated from the bitrate, or those of only the first of two
//! concatenated files; a truncated file still states its full duration.
//!
//! *Mechanism.* The header counts where it is plausible. The packets of the whole file are surveyed where it is not, or
//! where the format allows discontinuities. In formats to which a second file may be appended, the packets behind the
//! last keyframe of the index are surveyed. All times are source times in microseconds, unless stated otherwise.

use crate::engine::cancel::Cancel;
use crate::engine::demux::container::{is_avi, is_matroska, is_mp4};
use crate::engine::ffi::input;
use crate::engine::ffi::parameters::{self, MediaType};
use crate::engine::probe::survey::{self, Survey};
use crate::engine::time::to_us;
use domain::probe::StreamKind;
use domain::{Failure, Probe};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream as Source;

/// A file whose first frame or sample comes later than this begins late, in microseconds.
const LATE_START_US: i64 = 250_000;

/// Audio that begins at most this long before the video is encoder priming and is cut, in microseconds.
const MAX_AUDIO_PRIMING_US: i64 = 50_000;

/// A file whose streams all end this long before the end that its header states is truncated, in microseconds.
const TRUNCATED_US: i64 = 1_000_000;

/// Returns `true` for containers that are played on when a second file is appended, although their header states the
/// duration of the first one. Their index has the end of the first one.
fn continues_with_second_file(container: &str) -> bool {
    is_matroska(container) || container == "avi"
}

/// First timestamp of the stream, or of the file when `stream` is `None` or has none; 0 when no timestamp is known.
pub(crate) fn first_timestamp_us(input: &Input, stream: Option<usize>) -> i64 {
    let first = stream.and_then(|index| input.stream(index)).and_then(|stream| {
        let start = input::known_timestamp(stream.start_time())?;
        Some(to_us(start, stream.time_base()))
    });
    first.or_else(|| input::start_us(input)).unwrap_or(0)
}

/// Origin of a source: the time of the first frame of the main video, or of the first sample of the main audio if it
/// begins earlier. Audio that is only a little earlier is encoder priming.
pub(crate) fn find_origin_us(probe: &Probe, input: &Input) -> i64 {
    let video = probe.main_video().map(|(stream, _)| stream.index);
    let video_us = first_timestamp_us(input, video);
    let audio = probe.main_audio().and_then(|(stream, _)| input.stream(stream.index));
    let audio_us = audio.filter(|_| video.is_some()).and_then(|stream| {
        let start_us = to_us(input::known_timestamp(stream.start_time())?, stream.time_base());
        let facts = parameters::codec_facts(&stream.parameters());
        let priming_us = i64::from(facts.initial_padding) * 1_000_000 / i64::from(facts.sample_rate_hz.max(1));
        // Containers that hide the priming samples begin at 0 or later.
        Some(if start_us < 0 {
            start_us.saturating_add(priming_us)
        } else {
            start_us
        })
    });
    audio_us
        .filter(|us| us.saturating_add(MAX_AUDIO_PRIMING_US) < video_us)
        .unwrap_or(video_us)
}

/// The end of a source and of its streams.
pub(crate) struct Extent {
    /// End of the last stream.
    pub(crate) end_us: i64,
    /// End of each stream, by index; `None` or missing where it is not known.
    pub(crate) ends: Vec<Option<i64>>,
    /// `true` when the timestamps have a discontinuity.
    pub(crate) has_discontinuity: bool,
}

/// Determines the end of a source from its headers, or from its packets where the headers do not suffice. `survey` is
/// the result when all packets were read before.
pub(crate) fn measure_extent(
    probe: &Probe,
    input: &mut Input,
    survey: Option<Survey>,
    cancel: &Cancel,
) -> Result<Extent, Failure> {
    let header_us = header_us(probe, input);
    if let Some(survey) = survey {
        // MPEG-TS and MPEG-PS have no header with a duration. Others count unless there is a discontinuity.
        let trusted_us = header_us.filter(|_| !survey.has_discontinuity && !probe.container.starts_with("mpeg"));
        let header_end_us = trusted_us.map_or(i64::MIN, |us| input::start_us(input).unwrap_or(0).saturating_add(us));
        return Ok(Extent {
            end_us: header_end_us.max(survey.end_us()),
            has_discontinuity: survey.has_discontinuity,
            ends: ends_if_complete(survey.ends_us, header_end_us),
        });
    }
    let start_us = input::start_us(input).unwrap_or(0);
    let end_us = match header_us {
        // The duration of an MP3 includes the encoder delay, so it is the end.
        Some(duration) if probe.container == "mp3" => duration,
        // The duration of an MP4 includes a delay before the first frame or sample that an edit list makes.
        Some(duration) if is_mp4(&probe.container) && probe.start_us > LATE_START_US => {
            let stated = start_us.saturating_add(duration);
            streams_end_us(input).map_or(stated, |end| end.min(stated))
        }
        Some(duration) => start_us.saturating_add(duration),
        None => {
            let survey = survey::survey_packets(input, cancel)?;
            return Ok(Extent {
                end_us: survey.end_us(),
                has_discontinuity: survey.has_discontinuity,
                ends: survey.ends_us,
            });
        }
    };
    let main = probe.main_video().map(|(stream, _)| stream.index);
    let main = main.or_else(|| probe.main_audio().map(|(stream, _)| stream.index));
    let tail = match main.filter(|_| continues_with_second_file(&probe.container)) {
        Some(main) => survey::survey_tail(input, main, cancel)?,
        None => None,
    };
    let Some(tail) = tail else {
        return Ok(Extent {
            end_us,
            ends: Vec::new(),
            has_discontinuity: false,
        });
    };
    // A discontinuity behind the last keyframe of the index is the start of a second file, no matter how short it is.
    let tolerance_us = if tail.has_discontinuity { 0 } else { TRUNCATED_US };
    let is_continued = tail.end_us() > end_us.saturating_add(tolerance_us);
    Ok(Extent {
        end_us: if is_continued { tail.end_us() } else { end_us },
        has_discontinuity: tail.has_discontinuity,
        // The ends of AVI streams follow from the number of their slots.
        ends: if probe.container == "avi" && !is_continued {
            Vec::new()
        } else {
            ends_if_complete(tail.ends_us, end_us)
        },
    })
}

/// Duration that the headers state; `None` when it is missing or implausible.
fn header_us(probe: &Probe, input: &Input) -> Option<i64> {
    // Matroska muxers disagree if the duration of a file that begins late, or before 0, counts from 0 or from its
    // start.
    let is_ambiguous =
        is_matroska(&probe.container) && !(-MAX_AUDIO_PRIMING_US..=LATE_START_US).contains(&probe.start_us);
    let is_estimated = input::is_duration_from_bitrate(input);
    let is_plausible = |us: &i64| *us > 0 && !is_estimated && !is_implausibly_long(*us, probe.bytes) && !is_ambiguous;
    input::known_timestamp(input.duration())
        .max(avi_duration_us(input))
        .filter(is_plausible)
}

/// Duration of the longest stream of an AVI by the number of its frames: FFmpeg reduces the durations of a truncated
/// file to the bytes that are left.
fn avi_duration_us(input: &Input) -> Option<i64> {
    input
        .streams()
        .filter_map(|stream| stream_duration_us(input, &stream))
        .max()
        .filter(|_| is_avi(input))
}

/// End of the last stream by the headers of the streams; `None` unless all of them have a duration.
fn streams_end_us(input: &Input) -> Option<i64> {
    let ends = input.streams().map(|stream| {
        let start = input::known_timestamp(stream.start_time())?;
        let duration = input::known_timestamp(stream.duration())?;
        Some(to_us(start.saturating_add(duration), stream.time_base()))
    });
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Duration of a stream by its header, in microseconds; `None` when the header has none.
pub(crate) fn stream_duration_us(input: &Input, stream: &Source<'_>) -> Option<i64> {
    let stated = input::known_timestamp(stream.duration()).map(|duration| to_us(duration, stream.time_base()));
    let is_counted = is_avi(input) && parameters::codec_facts(&stream.parameters()).kind == MediaType::Video;
    let rate = Some(stream.avg_frame_rate()).filter(|rate| is_counted && rate.numerator() > 0);
    let counted = rate.map(|rate| to_us(stream.frames(), rate.invert()));
    stated.max(counted).filter(|us| *us > 0)
}

/// Returns the ends of the streams of a file that reaches `header_end_us`, the end that its header states. In a
/// truncated file the ends of the packets are not those of the streams: the result is empty.
fn ends_if_complete(ends_us: Vec<Option<i64>>, header_end_us: i64) -> Vec<Option<i64>> {
    let reaches = |us: &i64| us.saturating_add(TRUNCATED_US) > header_end_us;
    if ends_us.iter().flatten().any(reaches) {
        ends_us
    } else {
        Vec::new()
    }
}

/// Sets start and end of each video and audio stream, in microseconds after the origin.
pub(crate) fn set_stream_times(probe: &mut Probe, input: &Input, origin: i64, ends: &[Option<i64>]) {
    for stream in &mut probe.streams {
        let start_us = first_timestamp_us(input, Some(stream.index));
        let measured = ends.get(stream.index).copied().flatten();
        let (start, end) = match &mut stream.kind {
            StreamKind::Video(facts) => (&mut facts.start_us, &mut facts.duration_us),
            StreamKind::Audio(facts) => (&mut facts.start_us, &mut facts.duration_us),
            StreamKind::CoverArt | StreamKind::Subtitle | StreamKind::Data | StreamKind::Attachment => continue,
        };
        *start = after_origin_us(origin, start_us);
        *end = match measured {
            Some(end_us) => Some(after_origin_us(origin, end_us)),
            None => {
                let source = input.stream(stream.index);
                let duration_us = source.and_then(|source| stream_duration_us(input, &source));
                duration_us.map(|us| after_origin_us(origin, start_us.saturating_add(us)))
            }
        };
    }
}

/// Converts a source time to microseconds after the origin; 0 before it.
pub(crate) fn after_origin_us(origin: i64, us: i64) -> u64 {
    u64::try_from(us.saturating_sub(origin)).unwrap_or(0)
}

/// Returns `true` for fewer than 1000 bytes per second over more than ten seconds. Such a duration is usually wrong,
/// and to survey such a file is cheap.
fn is_implausibly_long(duration_us: i64, bytes: u64) -> bool {
    let seconds = u64::try_from(duration_us / 1_000_000).unwrap_or(0);
    seconds > 10 && bytes / seconds < 1_000
}
