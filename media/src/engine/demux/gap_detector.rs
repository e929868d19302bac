//! Detection of packets that a file has lost, by gaps in the timestamps around them.
//!
//! *Problem.* Bytes that are missing in the middle of a file are skipped by the demuxer without an error. A gap in the timestamps alone
//! does not prove a loss: a frame may be shown for an hour, a recorder may be paused, and some encoders send no audio while there is
//! nothing to hear. A false warning costs a needless encode, so each gap needs evidence.
//!
//! *Evidence.* A gap counts as a hole
//! - in audio, when its codec sends packets all the time and video goes on;
//! - in audio and video together, when both have a gap of about the same length at the same position of the file, and the audio codec
//!   sends packets all the time, packets beside the gap are damaged, or elements of a Matroska file do not lead over it;
//! - in video beside packets that do not decode; under audio that goes on only up to [`FORWARD_US`];
//! - where it is longer than [`FORWARD_US`] and therefore handled as a discontinuity of the clock: in Ogg and FLV when page numbers or
//!   tag sizes show that bytes are missing; elsewhere when video goes on without a keyframe and the gap is at most twice as long as
//!   what came before it.
//!
//! *Exception.* A sample table (`stbl`, ISO/IEC 14496-12 §8.5) lists every sample, so no packet of such a file is lost: only audio may
//! have a gap there.

mod missing_bytes;
mod stream_gaps;

use crate::engine::demux::discontinuity::FORWARD_US;
use crate::engine::demux::fragments;
use crate::engine::demux::gap_detector::stream_gaps::{BESIDE_US, Gap, Jump, StreamGaps};
use crate::engine::time::to_us;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::media::Type;
use ffmpeg_next::{Packet, Rational};
use std::fs::File;
use std::ops::Range;

/// Shorter parts of a hole inside of a span are ignored, in microseconds.
const TOUCHED_US: i64 = 50_000;

/// Total length of holes and position of the first one on the clock of the source, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HoleTotal {
    pub(crate) length_us: i64,
    pub(crate) at_us: Option<i64>,
}

impl HoleTotal {
    fn add(&mut self, length_us: i64, at_us: i64) {
        self.length_us = self.length_us.saturating_add(length_us);
        self.at_us = Some(self.at_us.map_or(at_us, |first| first.min(at_us)));
    }
}

/// Holes of a span: those in all of its streams, and those in audio under video that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holes {
    pub(crate) all: HoleTotal,
    pub(crate) audio: HoleTotal,
}

/// The kind of evidence that a format has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ogg,
    Flv,
    Matroska,
    /// An index lists all packets.
    Indexed,
    Other,
}

impl Format {
    fn of((input, source): (&Input, &File), streams: [Option<usize>; 2]) -> Self {
        let indexed = |index: usize| is_indexed((input, source), index);
        match input.format().name() {
            "ogg" => Self::Ogg,
            "flv" => Self::Flv,
            "matroska,webm" => Self::Matroska,
            _ if streams.into_iter().flatten().any(indexed) => Self::Indexed,
            _ => Self::Other,
        }
    }
}

/// Detects holes while a source is read in the order of the file.
#[derive(Debug)]
pub(crate) struct GapDetector {
    video: Option<StreamGaps>,
    audio: Option<StreamGaps>,
    format: Format,
    /// The file, for evidence of missing bytes.
    source: Option<File>,
    span_us: Range<i64>,
    packets: u64,
    found: Holes,
}

impl GapDetector {
    /// Watches one video and one audio stream; holes count inside of a span of the clock of the source.
    pub(crate) fn new(
        (input, source): (&Input, &File),
        [video, audio]: [Option<usize>; 2],
        span_us: Range<i64>,
    ) -> Self {
        let stream = |index: Option<usize>| StreamGaps::of(input, index?);
        Self {
            video: stream(video),
            audio: stream(audio),
            format: Format::of((input, source), [video, audio]),
            source: source.try_clone().ok(),
            span_us,
            packets: 0,
            found: Holes::default(),
        }
    }

    /// The time base of a watched stream.
    pub(crate) fn base(&self, stream: usize) -> Option<Rational> {
        let mut gaps = [&self.video, &self.audio].into_iter().flatten();
        gaps.find(|gaps| gaps.index == stream).map(|gaps| gaps.base)
    }

    /// Records a packet; `own` is its DTS, or PTS, as the file has it, before discontinuities are repaired.
    pub(crate) fn note(&mut self, packet: &Packet, own: Option<i64>) {
        self.packets += 1;
        let (position, is_key) = (self.packets, packet.is_key() && !packet.is_corrupt());
        let index = packet.stream();
        let is = |stream: &&mut StreamGaps| stream.index == index;
        if let Some(stream) = self.video.as_mut().filter(is) {
            let own_us = own.map(|own| to_us(own, stream.base));
            let (gap, jump) = stream.note(packet, own_us, position);
            self.jump(jump.filter(|jump| self.is_hole(jump, !is_key)), packet);
            if let Some(mut gap) = gap {
                gap.damaged |= self.is_torn(&gap);
                let before = self.video.as_mut().and_then(|stream| stream.gap.replace(gap));
                self.settle_video(before);
                self.join();
            }
        } else if let Some(stream) = self.audio.as_mut().filter(is) {
            let own_us = own.map(|own| to_us(own, stream.base));
            let (gap, jump) = stream.note(packet, own_us, position);
            let is_alone = self.video.is_none();
            self.jump(jump.filter(|jump| is_alone && self.is_hole(jump, false)), packet);
            if let Some(mut gap) = gap {
                gap.damaged |= self.is_torn(&gap);
                let before = self.audio.as_mut().and_then(|stream| stream.gap.replace(gap));
                self.settle_audio(before);
                self.join();
            }
        }
    }

    /// Records that a video packet at this time, or one shortly before it, did not decode.
    pub(crate) fn damage(&mut self, at_us: i64) {
        if let Some(stream) = &mut self.video {
            stream.damaged_us = Some(at_us);
            if let Some(gap) = &mut stream.gap {
                gap.damaged |= at_us <= gap.until_us.saturating_add(BESIDE_US);
            }
        }
    }

    /// Returns the holes at the end of the source.
    pub(crate) fn finish(&mut self) -> Holes {
        let video = self.video.as_mut().and_then(|stream| stream.gap.take());
        self.settle_video(video);
        let audio = self.audio.as_mut().and_then(|stream| stream.gap.take());
        self.settle_audio(audio);
        self.found
    }

    /// Counts a hole of video and audio once both of its gaps are known.
    fn join(&mut self) {
        let Some((video, audio)) = self.video.as_mut().zip(self.audio.as_mut()) else {
            return;
        };
        if let Some((one, two)) = video.gap.zip(audio.gap)
            && one.matches(&two)
            && (audio.steady || one.damaged || two.damaged)
        {
            (video.gap, audio.gap) = (None, None);
            // The recorder was paused.
            if self.format == Format::Indexed {
                return;
            }
            let [one, two] = [one, two].map(|gap| self.within(&gap));
            // The longer one is the one that viewers notice.
            if let Some((length_us, at_us)) = one.max(two) {
                let first_us = [one, two].into_iter().flatten().map(|(_, at_us)| at_us).min();
                self.found.all.add(length_us, first_us.unwrap_or(at_us));
            }
        }
    }

    fn settle_video(&mut self, gap: Option<Gap>) {
        // Under audio that goes on, a frame may be shown for an hour, beside damage as well.
        let believed = |gap: &Gap| {
            gap.damaged && self.format != Format::Indexed && (self.audio.is_none() || gap.length_us() <= FORWARD_US)
        };
        if let Some((length_us, at_us)) = gap.filter(believed).and_then(|gap| self.within(&gap)) {
            self.found.all.add(length_us, at_us);
        }
    }

    fn settle_audio(&mut self, gap: Option<Gap>) {
        let is_steady = self.audio.as_ref().is_some_and(|stream| stream.steady);
        // A chained logical stream may begin at any granule position (RFC 7845 §4.5).
        let believed = |gap: &Gap| match self.format {
            Format::Ogg => is_steady && self.misses(gap.bytes, missing_bytes::in_ogg),
            _ => is_steady || self.is_torn(gap),
        };
        if let Some((length_us, at_us)) = gap.filter(believed).and_then(|gap| self.within(&gap)) {
            let amount = if self.video.is_some() || self.format == Format::Indexed {
                &mut self.found.audio
            } else {
                &mut self.found.all
            };
            amount.add(length_us, at_us);
        }
    }

    /// Returns `true` when packets are lost at a discontinuity; `mid_group`: video goes on there without a keyframe. A joined file may
    /// begin so as well, at any time, so that a hole is believed only up to twice the length of what came before it.
    fn is_hole(&self, jump: &Jump, mid_group: bool) -> bool {
        match self.format {
            Format::Ogg => self.misses(jump.bytes, missing_bytes::in_ogg),
            Format::Flv => self.misses(jump.bytes, missing_bytes::in_flv),
            Format::Indexed => false,
            Format::Matroska | Format::Other => mid_group && jump.length_us / 2 <= jump.shown_us,
        }
    }

    /// Returns `true` when the elements of a Matroska file do not lead over a gap.
    fn is_torn(&self, gap: &Gap) -> bool {
        self.format == Format::Matroska && self.misses(gap.bytes, missing_bytes::in_matroska)
    }

    /// Returns `true` when bytes of the file are missing between two positions.
    fn misses(&self, bytes: Option<(u64, u64)>, look: fn(&File, u64, u64) -> bool) -> bool {
        let position = self.source.as_ref().zip(bytes);
        position.is_some_and(|(source, (from, to))| look(source, from, to))
    }

    /// Counts a hole at a discontinuity of the clock.
    fn jump(&mut self, jump: Option<Jump>, packet: &Packet) {
        let time = packet.dts().or_else(|| packet.pts());
        let at_us = time
            .zip(self.base(packet.stream()))
            .map(|(time, base)| to_us(time, base));
        if let Some((jump, at_us)) = jump.zip(at_us.filter(|us| self.span_us.contains(us))) {
            self.found.all.add(jump.length_us, at_us);
        }
    }

    /// Length and position of the part of a gap that lies in the span.
    fn within(&self, gap: &Gap) -> Option<(i64, i64)> {
        let from_us = gap.from_us.max(self.span_us.start);
        let length_us = gap.until_us.min(self.span_us.end).saturating_sub(from_us);
        (length_us >= TOUCHED_US).then_some((length_us, from_us))
    }
}

/// Formats whose packets carry no timestamps, so that they show no gap.
const TIMELESS: [&str; 5] = ["avi", "mp3", "aac", "wav", "mxf"];

/// The streams to watch: those that outputs use, and beside them the best video or audio stream as a witness, unless the format has no
/// timestamps or an index lists its packets already.
pub(crate) fn watched(
    (input, source): (&Input, &File),
    (video, audio): (Option<usize>, Option<usize>),
) -> [Option<usize>; 2] {
    let tells = has_timestamps(input);
    let best = |kind: Type| {
        let stream = input.streams().best(kind).filter(|_| tells)?;
        let is_cover = stream.disposition().contains(Disposition::ATTACHED_PIC);
        (!is_cover && !is_indexed((input, source), stream.index())).then(|| stream.index())
    };
    [video.or_else(|| best(Type::Video)), audio.or_else(|| best(Type::Audio))]
}

/// Returns `true` when packets of the format carry timestamps.
pub(crate) fn has_timestamps(input: &Input) -> bool {
    !TIMELESS.contains(&input.format().name())
}

/// Returns `true` when an index lists all packets of a stream; a fragmented MP4 has none.
fn is_indexed((input, source): (&Input, &File), index: usize) -> bool {
    let frames = input.stream(index).map_or(0, |stream| stream.frames());
    // The index may list only the samples before the first fragment.
    input.format().name().starts_with("mov") && frames > 0 && !fragments::is_fragmented(source)
}
