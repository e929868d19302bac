//! Reads one part of a source once, from its start to its end, and gives frames, samples and packets to a sink.

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
use crate::engine::demux::broken_off::broken_off;
use crate::engine::demux::copy_source::{CopySource, CopyStream, Medium};
use crate::engine::demux::discontinuity::DiscontinuityRepair;
use crate::engine::demux::frame_steps::FrameSteps;
use crate::engine::demux::gap_detector::{self, GapDetector};
use crate::engine::demux::packets::MAX_READ_ERRORS;
use crate::engine::demux::unread_bytes::UnreadBytes;
use crate::engine::demux::{container, open};
use crate::engine::ffi::packet;
use crate::engine::probe::duration::origin_us;
use crate::engine::time::signed_us;
use crate::engine::video::deinterlace::Deinterlacer;
use domain::Failure;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Error, Packet};
use std::fs::File;

/// Why no picture follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The span is over; the source has more.
    Span,
    /// The source has no more.
    Source,
}

/// The last picture that began before the span.
struct HeldFrame {
    frame: Video,
    /// How long it is shown in the span when no other follows, in microseconds.
    left_us: i64,
}

/// A source being read.
pub(crate) struct Reader {
    input: Input,
    video: Option<StreamDecoder>,
    audio: Option<StreamDecoder>,
    deinterlacer: Option<Deinterlacer>,
    discontinuities: DiscontinuityRepair,
    /// Whether the clock jumps, so that no moment can be looked up.
    jumps: bool,
    /// The moment that counts as 0, start and end of the span, on the source's own clock.
    origin_us: i64,
    start_us: i64,
    end_us: Option<i64>,
    /// For so long after it sound is still wanted.
    overhang_us: i64,
    /// Length of the span as the probe found it; 0 when it did not.
    promised_us: i64,
    /// Which pictures are wanted, when not all are.
    sampling: Option<SampledDecode>,
    /// Packets of sound that stand far ahead of their pictures.
    audio_backlog: AudioBacklog,
    held_frame: Option<HeldFrame>,
    /// Detects lost packets by gaps in the timestamps.
    gaps: GapDetector,
    /// Packets and pictures that did not decode so far.
    broken: u32,
    /// `true` when frames may be missing at the end that nothing tells of.
    open_end: bool,
    /// The steps between frames, in formats whose header tells nothing of single frames.
    steps: Option<FrameSteps>,
    unread_bytes: UnreadBytes,
}

impl Reader {
    /// Opens the streams of a part.
    ///
    /// # Errors
    /// When the source cannot be opened, or a decoder of the plan cannot.
    pub(crate) fn open(source: &File, part: &Part, threads: u32, cancel: &Cancel) -> Result<Self, Failure> {
        let mut input = open::open_source(source, cancel)?;
        let (video_stream, span) = (part.video.map(|video| video.stream), part.span);
        let origin = part.origin_us.unwrap_or_else(|| origin_us(&input, video_stream));
        let watched = gap_detector::watched((&input, source), (video_stream, part.audio_stream));
        let used: Vec<usize> = watched.into_iter().flatten().collect();
        packet::keep_only(&mut input, &used);
        let start_us = origin.saturating_add(signed_us(span.start.us()));
        let end_us = span.end.map(|end| origin.saturating_add(signed_us(end.us())));
        let track = |index: Option<usize>| {
            index
                .map(|index| StreamDecoder::open(&input, index, threads))
                .transpose()
        };
        let (mut video, mut audio) = (track(video_stream)?, track(part.audio_stream)?);
        let broken_off = broken_off(input.format().name(), source);
        let told_us = broken_off.map_or(0, |broken| signed_us(broken.length_us));
        for track in [&mut video, &mut audio].into_iter().flatten() {
            track.wanted_us = start_us;
            track.promised_us = track.promised_us.max(told_us);
        }
        let streams = usize::try_from(input.nb_streams()).unwrap_or(0);
        let has_one_duration = input.format().name() == "matroska,webm";
        let steps = video.as_ref().filter(|_| has_one_duration);
        let video_steps = steps.map(|track| FrameSteps::new(track.base, track.interval_us));
        Ok(Self {
            discontinuities: DiscontinuityRepair::new(container::may_jump(&input), streams),
            jumps: part.jumps,
            origin_us: origin,
            video,
            audio,
            deinterlacer: part
                .video
                .filter(|video| video.deinterlace)
                .map(|_| Deinterlacer::new(threads)),
            start_us,
            end_us,
            overhang_us: signed_us(part.overhang_us),
            promised_us: signed_us(part.length_us),
            sampling: None,
            audio_backlog: AudioBacklog::default(),
            held_frame: None,
            gaps: GapDetector::new((&input, source), watched, start_us..end_us.unwrap_or(i64::MAX)),
            broken: 0,
            open_end: broken_off.is_some_and(|broken| broken.open_end),
            steps: video_steps,
            unread_bytes: UnreadBytes::new(source, input.format().name()),
            input,
        })
    }

    /// The picture stream's decoder and facts, and those of the sound.
    pub(crate) const fn tracks(&self) -> (Option<&StreamDecoder>, Option<&StreamDecoder>) {
        (self.video.as_ref(), self.audio.as_ref())
    }

    /// Decodes only what these moments need.
    pub(crate) fn sample_only(&mut self, times: Vec<SampleTime>) {
        let tracks = [&self.video, &self.audio].into_iter().flatten();
        let used: Vec<_> = tracks.map(|track| track.index).collect();
        packet::keep_only(&mut self.input, &used);
        self.sampling = Some(SampledDecode::new(times));
    }

    /// The streams as the source has them, for outputs that copy.
    pub(crate) fn copy_source(&self) -> CopySource {
        let index = |track: &Option<StreamDecoder>| track.as_ref().map(|track| track.index);
        CopySource {
            video: index(&self.video).and_then(|index| CopyStream::of(&self.input, index)),
            audio: index(&self.audio).and_then(|index| CopyStream::of(&self.input, index)),
            origin_us: self.origin_us,
            start_us: self.start_us,
            end_us: self.end_us,
        }
    }

    /// Goes to a keyframe at or before `us` after the start of the span.
    ///
    /// # Errors
    /// When the work is canceled, or the source cannot be read.
    pub(crate) fn seek(&mut self, us: i64, cancel: &Cancel) -> Result<(), Failure> {
        if self.jumps {
            return Ok(());
        }
        let target = self.start_us.saturating_add(us);
        if let Some(track) = &mut self.video {
            track.from_the_start &= target <= track.origin_us;
        }
        seek::to(&mut self.input, self.video.as_ref(), target, cancel)?;
        self.discontinuities.restart();
        Ok(())
    }

    /// Reads and decodes everything between here and the end of the span.
    ///
    /// # Errors
    /// What the sink says, or [`domain::Code::Unavailable`] when the work is canceled. Damage is no error here.
    pub(crate) fn run(&mut self, sink: &mut dyn Sink, cancel: &Cancel) -> Result<SourceLoss, Failure> {
        let (mut errors, mut wanted, mut at_end) = (0, sink.goes_on(), false);
        while errors < MAX_READ_ERRORS && wanted && !self.is_done() {
            cancel.check()?;
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) => {
                    errors = 0;
                    self.unread_bytes.note(&packet);
                    self.take(packet, sink)?;
                }
                Err(Error::Eof) => {
                    at_end = true;
                    break;
                }
                Err(_) => errors += 1,
            }
            wanted = sink.goes_on();
        }
        cancel.check()?;
        self.end_audio(sink)?;
        self.end_video(Ending::Source, sink)?;
        let tracks: Vec<_> = [&self.video, &self.audio].into_iter().flatten().collect();
        // Who stops early has no complaint about the rest.
        let span_us = if wanted { self.promised_us } else { 0 };
        let mut loss = SourceLoss::of(&tracks, (self.origin_us, self.start_us), span_us);
        // Of packets without timestamps, any may be the missing ones.
        let broken_us = tracks.iter().map(|track| track.broken_us()).max().unwrap_or(0);
        let is_placed = gap_detector::has_timestamps(&self.input) || broken_us >= loss.lost_us;
        loss.from_us = loss.from_us.filter(|_| is_placed);
        loss.open_end = self.open_end && at_end;
        if (at_end || errors == MAX_READ_ERRORS) && self.sampling.is_none() {
            loss.unread_bytes = self.unread_bytes.count(errors > 0).unwrap_or(0);
        }
        loss.uneven_steps = self.steps.as_mut().is_some_and(|steps| steps.are_uneven(at_end));
        self.look_for_damage();
        Ok(loss.with_holes(self.gaps.finish(), self.origin_us))
    }

    /// Whether every stream has passed the end of the span.
    fn is_done(&self) -> bool {
        let ended = |track: &Option<StreamDecoder>| track.as_ref().is_none_or(|track| track.ended);
        ended(&self.video) && ended(&self.audio)
    }

    fn take(&mut self, mut packet: Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        let heard_until = self.heard_until();
        let index = packet.stream();
        self.repair_times(&mut packet);
        let is = |track: &&mut StreamDecoder| track.index == index;
        if let Some(track) = self.video.as_mut().filter(is) {
            track.note(&packet);
            track.look_at_headers(&packet);
            self.steps.iter_mut().for_each(|steps| steps.note(&packet));
            sink.packet(&packet, Medium::Video)?;
            if track.ended {
                return if track.is_far_past(&packet, self.end_us) {
                    self.end_audio(sink)
                } else {
                    Ok(())
                };
            }
            if track.ends_with(&packet, self.end_us) {
                return self.end_video(Ending::Span, sink);
            }
            if self.sampling.is_some() {
                return self.sample(packet, sink);
            }
            if sink.decodes(Medium::Video) {
                track.send(Some(&packet));
                self.decode_video(sink)?;
                self.decode_due_audio(sink)
            } else {
                track.look_at(&packet);
                track.pass(&packet, self.start_us);
                Ok(())
            }
        } else if let Some(track) = self.audio.as_mut().filter(is) {
            track.note(&packet);
            track.look_at_headers(&packet);
            sink.packet(&packet, Medium::Audio)?;
            if track.ended {
                return if track.is_far_past(&packet, self.end_us) {
                    self.end_video(Ending::Span, sink)
                } else {
                    Ok(())
                };
            }
            if track.ends_with(&packet, heard_until) {
                return self.end_audio(sink);
            }
            if sink.decodes(Medium::Audio) {
                if sink.decodes(Medium::Video) && self.is_early(&packet) {
                    self.audio_backlog.push(packet);
                    return Ok(());
                }
                self.decode_in_order(&packet, sink)
            } else {
                track.look_at(&packet);
                track.pass(&packet, self.start_us);
                Ok(())
            }
        } else {
            Ok(())
        }
    }

    /// Repairs the times of a packet and looks for a hole before it.
    fn repair_times(&mut self, packet: &mut Packet) {
        let Some(base) = self.gaps.base(packet.stream()) else {
            return;
        };
        let own = packet.dts().or_else(|| packet.pts());
        self.discontinuities.repair(packet, base);
        // Stills are searched, not read in order.
        if self.sampling.is_none() {
            self.look_for_damage();
            self.gaps.note(packet, own);
        }
    }

    /// Tells the watch of what did not decode since the last time.
    fn look_for_damage(&mut self) {
        if let Some(track) = &self.video {
            if track.broken() > self.broken {
                self.gaps.damage(track.sent_us);
            }
            self.broken = track.broken();
        }
    }
}
