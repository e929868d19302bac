//! Reader: reads one part of a source once and delivers its frames, samples and packets to a [`Sink`].
//!
//! *Problem.* A span must begin and end at exact frames, although decoding can only begin at a keyframe, packets come
//! in decoding order, and video and audio are interleaved unevenly. Damage must be reported but must not stop the work.
//!
//! *Mechanism.* The reader opens the demuxer and one decoder per needed stream, seeks to a keyframe at or before the
//! start ([`seek`]) and reads packets in the order of the file. Each packet passes these steps: repair of its
//! timestamps ([`DiscontinuityRepair`]), detection of holes ([`GapDetector`]), delivery to outputs that copy, decoding,
//! deinterlacing, selection of frames in the span.
//! - *Start.* Frames before the span are dropped, but the last one is held: it is shown where the span begins before
//!   its first frame ([`video`]).
//! - *End.* A stream ends after several packets or frames behind the end of the span, because one alone may only have a
//!   wrong timestamp. Audio is read a little longer, because the last frame may be extended.
//! - *Interleaving.* Audio packets far ahead of the video wait undecoded ([`audio`]).
//! - *Stills.* When all outputs sample frames, only the packets for these frames are decoded ([`sampling`]).
//!
//! *Invariants.* The source is read forward only, after one seek. Delivered frames and samples have part times. Each
//! stream ends once. A source with discontinuities is read from its beginning, because a demuxer cannot seek in its
//! timestamps.

mod audio;
mod sampling;
mod video;

use crate::engine::cancel::Cancel;
use crate::engine::decode::audio_backlog::AudioBacklog;
use crate::engine::decode::sampling::{SampleTime, SampledDecode};
use crate::engine::decode::seek;
use crate::engine::decode::sink::Sink;
use crate::engine::decode::source_loss::SourceLoss;
use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::decode::timeline::Part;
use crate::engine::demux::broken_off::BreakCause;
use crate::engine::demux::codec_changes::CodecChanges;
use crate::engine::demux::container::is_matroska;
use crate::engine::demux::copy_source::{CopySource, CopyStream};
use crate::engine::demux::discontinuity::DiscontinuityRepair;
use crate::engine::demux::frame_steps::FrameSteps;
use crate::engine::demux::gap_detector::{self, GapDetector};
use crate::engine::demux::open::OpenedSource;
use crate::engine::demux::packets::MAX_READ_ERRORS;
use crate::engine::demux::stated_length;
use crate::engine::demux::unread_bytes::{UnreadBytes, UnreadTail};
use crate::engine::demux::{early_times, open};
use crate::engine::ffi::packet;
use crate::engine::probe::duration::first_timestamp_us;
use crate::engine::shortage;
use crate::engine::time::signed_us;
use crate::engine::video::deinterlace::Deinterlacer;
use domain::Failure;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Error, Packet};
use std::fs::File;

/// Reason for the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The end of the span; the source continues after it.
    Span,
    /// The end of the source.
    Source,
}

/// The last frame that begins before the span.
struct HeldFrame {
    frame: Video,
    /// Duration of the frame inside of the span when no other frame follows, in microseconds.
    left_us: i64,
}

/// An open source, its decoders, and the span to read.
pub(crate) struct Reader {
    input: Input,
    video: Option<StreamDecoder>,
    audio: Option<StreamDecoder>,
    deinterlacer: Option<Deinterlacer>,
    discontinuities: DiscontinuityRepair,
    /// `true` when the timestamps have discontinuities, so that seeking is impossible.
    has_discontinuity: bool,
    /// Origin of the source, in source time.
    origin_us: i64,
    /// Start of the span, in source time.
    start_us: i64,
    /// End of the span, in source time; `None` is the end of the source.
    end_us: Option<i64>,
    /// Audio is delivered for this long after the end of the span.
    audio_overhang_us: i64,
    /// Duration of the span by the probe; 0 when it is not known.
    probed_duration_us: i64,
    /// Frames to sample; `None` when all frames are needed.
    sampling: Option<SampledDecode>,
    /// Audio packets that are far ahead of the video.
    audio_backlog: AudioBacklog,
    held_frame: Option<HeldFrame>,
    /// Detects lost packets by gaps in the timestamps.
    gaps: GapDetector,
    /// Damage of the video that the gap detector knows.
    known_damage: u32,
    /// Set when frames may be missing in a number that no header states.
    unknown_loss: Option<BreakCause>,
    /// Measures the steps between frames, in containers that store no duration of single frames.
    frame_steps: Option<FrameSteps>,
    unread_bytes: UnreadBytes,
    codec_changes: CodecChanges,
}

impl Reader {
    /// Opens a source and the decoders for a part.
    ///
    /// # Errors
    /// When the source or a decoder cannot be opened.
    pub(crate) fn open(source: &File, part: &Part, threads: u32, cancel: &Cancel) -> Result<Self, Failure> {
        let OpenedSource { mut input, structure } = open::open_source(source, cancel)?;
        let (video_stream, span) = (part.video.map(|video| video.stream), part.span);
        let origin = part
            .origin_us
            .unwrap_or_else(|| first_timestamp_us(&input, video_stream));
        let watched = gap_detector::watched_streams(&input, source, video_stream, part.audio_stream);
        let used: Vec<usize> = watched.into_iter().flatten().collect();
        packet::discard_other_streams(&mut input, &used);
        let start_us = origin.saturating_add(signed_us(span.start.us()));
        let end_us = span.end.map(|end| origin.saturating_add(signed_us(end.us())));
        let decoder = |index: Option<usize>| {
            index
                .map(|index| StreamDecoder::open(&input, index, threads))
                .transpose()
        };
        let (mut video, mut audio) = (decoder(video_stream)?, decoder(part.audio_stream)?);
        let stated = stated_length::find(input.format().name(), source, &structure, cancel);
        let is_from_start = span.start.us() == 0;
        for decoder in [&mut video, &mut audio].into_iter().flatten() {
            decoder.span_start_us = start_us;
            decoder.header_duration_us = decoder.header_duration_us.max(signed_us(stated.length_us));
        }
        let mut discontinuities = DiscontinuityRepair::of(&input);
        for early in early_times::find(source, &input) {
            discontinuities.begin_with(early);
        }
        let has_default_duration_only = is_matroska(input.format().name());
        let frame_steps = video
            .as_ref()
            .filter(|_| has_default_duration_only)
            .map(|decoder| FrameSteps::new(decoder.time_base, decoder.interval_us));
        let breaks = structure.boxes().map_or(&[][..], |chain| &chain.breaks);
        Ok(Self {
            discontinuities,
            has_discontinuity: part.has_discontinuity,
            origin_us: origin,
            video,
            audio,
            deinterlacer: part
                .video
                .filter(|video| video.deinterlace)
                .map(|_| Deinterlacer::new(threads)),
            start_us,
            end_us,
            audio_overhang_us: signed_us(part.audio_overhang_us),
            probed_duration_us: signed_us(part.duration_us),
            sampling: None,
            audio_backlog: AudioBacklog::default(),
            held_frame: None,
            gaps: GapDetector::new(&input, source, watched, start_us..end_us.unwrap_or(i64::MAX), breaks),
            known_damage: 0,
            unknown_loss: stated
                .unknown_loss
                .filter(|cause| !cause.is_anywhere() || is_from_start),
            frame_steps,
            unread_bytes: UnreadBytes::new(source, input.format().name(), &structure),
            codec_changes: CodecChanges::of(&input, source),
            input,
        })
    }

    /// The decoders of video and audio.
    pub(crate) const fn decoders(&self) -> (Option<&StreamDecoder>, Option<&StreamDecoder>) {
        (self.video.as_ref(), self.audio.as_ref())
    }

    /// Restricts decoding to the frames shown at these times.
    pub(crate) fn sample_only(&mut self, times: Vec<SampleTime>) {
        let decoders = [&self.video, &self.audio].into_iter().flatten();
        let used: Vec<_> = decoders.map(|decoder| decoder.index).collect();
        packet::discard_other_streams(&mut self.input, &used);
        self.sampling = Some(SampledDecode::new(times));
    }

    /// The streams of the source, for outputs that copy packets.
    pub(crate) fn copy_source(&self) -> CopySource {
        let index = |decoder: &Option<StreamDecoder>| decoder.as_ref().map(|decoder| decoder.index);
        CopySource {
            video: index(&self.video).and_then(|index| CopyStream::of(&self.input, index)),
            audio: index(&self.audio).and_then(|index| CopyStream::of(&self.input, index)),
            origin_us: self.origin_us,
            start_us: self.start_us,
            end_us: self.end_us,
        }
    }

    /// Seeks to a keyframe at or before the part time `us`.
    ///
    /// # Errors
    /// When the work is canceled, or the source cannot be read.
    pub(crate) fn seek(&mut self, us: i64, cancel: &Cancel) -> Result<(), Failure> {
        if self.has_discontinuity {
            return Ok(());
        }
        let target = self.start_us.saturating_add(us);
        if let Some(decoder) = &mut self.video {
            decoder.reads_from_start &= target <= decoder.start_us;
        }
        seek::seek_to_keyframe(&mut self.input, self.video.as_ref(), target, cancel)?;
        self.discontinuities.reset();
        Ok(())
    }

    /// Reads and decodes from the current position to the end of the span, or until the sink needs no more.
    ///
    /// # Errors
    /// Errors of the sink, or [`domain::Code::Unavailable`] when the work is canceled. Damage is not an error; it is
    /// part of the returned loss.
    pub(crate) fn run(&mut self, sink: &mut dyn Sink, cancel: &Cancel) -> Result<SourceLoss, Failure> {
        let (mut errors, mut needs_more, mut at_end) = (0, sink.wants_more(), false);
        while errors < MAX_READ_ERRORS && needs_more && !self.has_ended() {
            cancel.check()?;
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) => {
                    errors = 0;
                    self.unread_bytes.record_packet(&packet);
                    self.process_packet(packet, sink)?;
                }
                Err(Error::Eof) => {
                    at_end = true;
                    break;
                }
                Err(error) => {
                    shortage::check_error(error);
                    errors += 1;
                }
            }
            needs_more = sink.wants_more();
        }
        cancel.check()?;
        self.end_audio(sink)?;
        self.end_video(Ending::Source, sink)?;
        let decoders: Vec<_> = [&self.video, &self.audio].into_iter().flatten().collect();
        // Media that was not needed is not lost.
        let span_us = if needs_more { self.probed_duration_us } else { 0 };
        let mut loss = SourceLoss::new(&decoders, self.origin_us, self.start_us, span_us);
        if !gap_detector::has_timestamps(&self.input) {
            loss = loss.without_position_of_missing();
        }
        loss.unknown_loss = self.unknown_loss.filter(|_| at_end);
        if (at_end || errors == MAX_READ_ERRORS) && self.sampling.is_none() {
            match self.unread_bytes.tail(errors > 0) {
                UnreadTail::None => {}
                UnreadTail::Cut => loss.unknown_loss = Some(BreakCause::End),
                UnreadTail::Bytes(count) => loss.unread_bytes = count,
            }
        }
        let steps = self.frame_steps.as_mut();
        loss.has_variable_frame_rate = steps.is_some_and(|steps| steps.are_uneven(at_end));
        self.report_damage();
        let span_us = self.start_us..self.end_us.unwrap_or(i64::MAX);
        let used = [&self.video, &self.audio].map(|decoder| decoder.as_ref().map(|decoder| decoder.index));
        let left_out = self.codec_changes.holes(used, &span_us);
        Ok(loss
            .with_left_out(left_out, self.origin_us)
            .with_holes(self.gaps.finish(), self.origin_us))
    }

    /// Returns `true` when every stream has ended.
    fn has_ended(&self) -> bool {
        let ended = |decoder: &Option<StreamDecoder>| decoder.as_ref().is_none_or(|decoder| decoder.ended);
        ended(&self.video) && ended(&self.audio)
    }

    /// Repairs a packet and passes it to the stream that it belongs to.
    fn process_packet(&mut self, mut packet: Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        if self.codec_changes.is_other_codec(&packet) {
            if let Some(base) = self.gaps.base(packet.stream()) {
                self.discontinuities.repair(&mut packet, base);
                self.codec_changes.record_packet(&packet, base);
            }
            return Ok(());
        }
        let is_undecodable = self.discontinuities.is_undecodable(&packet);
        self.repair_timestamps(&mut packet);
        if is_undecodable {
            return Ok(());
        }
        let is_of =
            |decoder: &Option<StreamDecoder>| decoder.as_ref().is_some_and(|decoder| decoder.index == packet.stream());
        if is_of(&self.video) {
            self.frame_steps
                .iter_mut()
                .for_each(|steps| steps.record_packet(&packet));
            self.process_video_packet(packet, sink)
        } else if is_of(&self.audio) {
            self.process_audio_packet(packet, sink)
        } else {
            // A stream that only the gap detector watches.
            Ok(())
        }
    }

    /// Repairs the timestamps of a packet and looks for a hole before it.
    fn repair_timestamps(&mut self, packet: &mut Packet) {
        let Some(base) = self.gaps.base(packet.stream()) else {
            return;
        };
        let own = self.discontinuities.repair(packet, base);
        self.codec_changes.record_packet(packet, base);
        // Sampled decoding needs single frames only, so holes between them do not matter.
        if self.sampling.is_none() {
            self.report_damage();
            self.gaps.record_packet(packet, own);
        }
    }

    /// Reports new damage of the video to the gap detector.
    fn report_damage(&mut self) {
        if let Some(decoder) = &self.video {
            if decoder.damage_count() > self.known_damage {
                self.gaps.record_damage(decoder.last_packet_us);
            }
            self.known_damage = decoder.damage_count();
        }
    }
}
