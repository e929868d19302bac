//! Start and end of a source and its streams, on the source's clock and after its first moment.

use crate::engine::cancel::Cancel;
use crate::engine::demux::container::is_avi;
use crate::engine::ffi::input;
use crate::engine::ffi::parameters::{self, MediaType};
use crate::engine::probe::survey::{self, Survey};
use crate::engine::time::to_us;
use domain::probe::StreamKind;
use domain::{Failure, Probe};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream as Source;

/// A file whose first picture or sample comes later than this begins late, in microseconds.
const LATE_US: i64 = 250_000;

/// Sound that begins less than this before the pictures is cut to them, in microseconds.
const EARLY_US: i64 = 50_000;

/// A file whose streams all end so long before the end that its header tells breaks off, in microseconds.
const BROKEN_OFF_US: i64 = 1_000_000;

/// Containers whose length is that of their first header, though they are played on where a second file follows. Their index tells
/// where the first one ends.
const JOINABLE: [&str; 2] = ["matroska,webm", "avi"];

/// The moment that counts as zero: the first picture, or the first sample when there is none.
pub(crate) fn origin_us(input: &Input, video: Option<usize>) -> i64 {
    let first_frame = video.and_then(|index| input.stream(index)).and_then(|stream| {
        let start = input::known_timestamp(stream.start_time())?;
        Some(to_us(start, stream.time_base()))
    });
    first_frame.or_else(|| input::start_us(input)).unwrap_or(0)
}

/// The moment that counts as zero: the first main picture, or the first sample where the main sound begins earlier. Sound
/// that is a little early is only its encoder's run-up.
pub(crate) fn origin_of(probe: &Probe, input: &Input) -> i64 {
    let video = probe.main_video().map(|(stream, _)| stream.index);
    let video_us = origin_us(input, video);
    let audio = probe.main_audio().and_then(|(stream, _)| input.stream(stream.index));
    let audio_us = audio.filter(|_| video.is_some()).and_then(|stream| {
        let start_us = to_us(input::known_timestamp(stream.start_time())?, stream.time_base());
        let facts = parameters::codec_facts(&stream.parameters());
        let run_up = i64::from(facts.initial_padding) * 1_000_000 / i64::from(facts.sample_rate_hz.max(1));
        // Containers that hide the run-up begin at 0 or later.
        Some(if start_us < 0 {
            start_us.saturating_add(run_up)
        } else {
            start_us
        })
    });
    audio_us
        .filter(|us| us.saturating_add(EARLY_US) < video_us)
        .unwrap_or(video_us)
}

/// The end of a source and of its streams.
pub(crate) struct Extent {
    /// On its own clock, in microseconds.
    pub(crate) end_us: i64,
    /// The end of each of its streams, as far as that is known.
    pub(crate) ends: Vec<Option<i64>>,
    /// `true` when its timestamps jump.
    pub(crate) jumped: bool,
}

/// Determines the end of a source from its headers, or from its packets where the headers do not suffice; `survey` has those when
/// they were read before.
pub(crate) fn find_extent(
    probe: &Probe,
    input: &mut Input,
    survey: Option<Survey>,
    cancel: &Cancel,
) -> Result<Extent, Failure> {
    let header_us = header_us(probe, input);
    if let Some(survey) = survey {
        // Multiplexes of MPEG have no header; what others promise counts unless their clock jumps.
        let promised = header_us.filter(|_| !survey.jumped && !probe.container.starts_with("mpeg"));
        let told_us = promised.map_or(i64::MIN, |us| input::start_us(input).unwrap_or(0).saturating_add(us));
        return Ok(Extent {
            end_us: told_us.max(survey.end_us()),
            jumped: survey.jumped,
            ends: whole(survey.ends_us, told_us),
        });
    }
    let start_us = input::start_us(input).unwrap_or(0);
    let end_us = match header_us {
        // The length of an MP3 counts the silence that its encoder put before the sound.
        Some(length) if probe.container == "mp3" => length,
        // That of an MP4 counts the delay before its first picture or sample where an edit list makes one.
        Some(length) if probe.container.starts_with("mov") && probe.start_us > LATE_US => {
            let told = start_us.saturating_add(length);
            streams_end_us(input).map_or(told, |end| end.min(told))
        }
        Some(length) => start_us.saturating_add(length),
        None => {
            let survey = survey::survey_packets(input, cancel)?;
            return Ok(Extent {
                end_us: survey.end_us(),
                jumped: survey.jumped,
                ends: survey.ends_us,
            });
        }
    };
    let main = probe.main_video().map(|(stream, _)| stream.index);
    let main = main.or_else(|| probe.main_audio().map(|(stream, _)| stream.index));
    let tail = match main.filter(|_| JOINABLE.contains(&probe.container.as_str())) {
        Some(main) => survey::survey_tail(input, main, cancel)?,
        None => None,
    };
    let Some(tail) = tail else {
        return Ok(Extent {
            end_us,
            ends: Vec::new(),
            jumped: false,
        });
    };
    // A clock that begins anew behind the last keyframe of the index is that of a second file, however short.
    let beyond_us = if tail.jumped { 0 } else { BROKEN_OFF_US };
    let goes_on = tail.end_us() > end_us.saturating_add(beyond_us);
    Ok(Extent {
        end_us: if goes_on { tail.end_us() } else { end_us },
        jumped: tail.jumped,
        // Writers of AVI count slots.
        ends: if probe.container == "avi" && !goes_on {
            Vec::new()
        } else {
            whole(tail.ends_us, end_us)
        },
    })
}

/// The length that the headers tell, when it can be believed.
fn header_us(probe: &Probe, input: &Input) -> Option<i64> {
    // Writers of Matroska disagree on whether the length of a file that begins late, or before 0, counts from its beginning.
    let is_vague = probe.container.starts_with("matroska") && !(-EARLY_US..=LATE_US).contains(&probe.start_us);
    let is_guessed = input::length_is_guessed(input);
    let believable = |us: &i64| *us > 0 && !is_guessed && !is_absurd(*us, probe.bytes) && !is_vague;
    input::known_timestamp(input.duration())
        .max(counted_us(input))
        .filter(believable)
}

/// How long the pictures of an AVI are by their number: where a file breaks off, FFmpeg cuts every length of its header
/// down to what is there.
pub(crate) fn counted_us(input: &Input) -> Option<i64> {
    input
        .streams()
        .filter_map(|stream| promised_us(input, &stream))
        .max()
        .filter(|_| is_avi(input))
}

/// Where the last of the streams ends by their headers, when all of them say.
pub(crate) fn streams_end_us(input: &Input) -> Option<i64> {
    let ends = input.streams().map(|stream| {
        let start = input::known_timestamp(stream.start_time())?;
        let length = input::known_timestamp(stream.duration())?;
        Some(to_us(start.saturating_add(length), stream.time_base()))
    });
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// How long a stream is by its header, in microseconds, when it says.
pub(crate) fn promised_us(input: &Input, stream: &Source<'_>) -> Option<i64> {
    let told = input::known_timestamp(stream.duration()).map(|length| to_us(length, stream.time_base()));
    let is_counted = is_avi(input) && parameters::codec_facts(&stream.parameters()).kind == MediaType::Video;
    let rate = Some(stream.avg_frame_rate()).filter(|rate| is_counted && rate.numerator() > 0);
    let counted = rate.map(|rate| to_us(stream.frames(), rate.invert()));
    told.max(counted).filter(|us| *us > 0)
}

/// The ends of the streams of a file that goes on to the end that its header tells: one that breaks off has none.
fn whole(ends_us: Vec<Option<i64>>, told_us: i64) -> Vec<Option<i64>> {
    let reaches = |us: &i64| us.saturating_add(BROKEN_OFF_US) > told_us;
    if ends_us.iter().flatten().any(reaches) {
        ends_us
    } else {
        Vec::new()
    }
}

/// Notes where the streams begin and end, in microseconds after the origin.
pub(crate) fn place_streams(probe: &mut Probe, input: &Input, origin: i64, ends: &[Option<i64>]) {
    for stream in &mut probe.streams {
        let own_us = origin_us(input, Some(stream.index));
        let measured = ends.get(stream.index).copied().flatten();
        let (start_us, duration_us) = match &mut stream.kind {
            StreamKind::Video(facts) => (&mut facts.start_us, &mut facts.duration_us),
            StreamKind::Audio(facts) => (&mut facts.start_us, &mut facts.duration_us),
            StreamKind::CoverArt | StreamKind::Subtitle | StreamKind::Data | StreamKind::Attachment => continue,
        };
        *start_us = after_origin_us(origin, own_us);
        *duration_us = match measured {
            Some(end_us) => Some(after_origin_us(origin, end_us)),
            None => {
                let source = input.stream(stream.index);
                let length_us = source.and_then(|source| promised_us(input, &source));
                length_us.map(|us| after_origin_us(origin, own_us.saturating_add(us)))
            }
        };
    }
}

/// How long after the origin a moment is; 0 before it.
pub(crate) fn after_origin_us(origin: i64, us: i64) -> u64 {
    u64::try_from(us.saturating_sub(origin)).unwrap_or(0)
}

/// Fewer than a thousand bytes a second over more than ten seconds: reading such a file through is cheap.
fn is_absurd(length_us: i64, bytes: u64) -> bool {
    let seconds = u64::try_from(length_us / 1_000_000).unwrap_or(0);
    seconds > 10 && bytes / seconds < 1_000
}
