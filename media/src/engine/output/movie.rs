//! Encodes a movie: intro, frames of the source at a constant frame rate, outro, and audio of the same duration.
//!
//! The parts of the timeline arrive one after the other. For each part a composer assigns its frames to slots of the
//! constant frame rate and renders them; the encoder gets each frame once per slot, numbered through the whole movie.
//! Audio is encoded as far as the video reaches, or copied, so that the streams are interleaved. If audio is far ahead
//! of the video, because a single frame lasts for minutes, that frame is repeated instead of waiting for the next one.

use crate::engine::audio::limiter::Gain;
use crate::engine::context::OutputContext;
use crate::engine::decode::timeline::Part;
use crate::engine::encode::encoder::Encoder;
use crate::engine::encode::video;
use crate::engine::error::nothing_decoded;
use crate::engine::fanout::channel::{MediaItem, MediaReceiver};
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::{MovieMuxer, Muxer};
use crate::engine::mux::packet_copy::AudioCopy;
use crate::engine::mux::segment_boundaries::SegmentBoundaries;
use crate::engine::mux::segmenter::Rendition;
use crate::engine::output::movie_audio::MovieAudio;
use crate::engine::progress::OutputProgress;
use crate::engine::video::color;
use crate::engine::video::composer::{Composer, PartComposer};
use crate::engine::video::scaled_frames::SharedFrame;
use domain::plan::{AudioTrack, Bumper, VideoEncode};
use domain::protocol::{Copied, DroppedFrames, OutputReport};
use domain::{Failure, Plan};
use ffmpeg_next::Packet;
use ffmpeg_next::frame::{Audio, Video};
use std::ops::Range;

/// Maximum time in microseconds that audio may be ahead of the video. More would have to be buffered, and players
/// expect interleaved streams.
pub(crate) const MAX_AUDIO_LEAD_US: i64 = 30_000_000;

/// The parameters of a movie.
pub(crate) struct MovieSpec<'a> {
    pub(crate) video: &'a VideoEncode,
    pub(crate) audio: Option<AudioTrack>,
    /// Segment boundaries of another rendition, at which this one must have keyframes.
    pub(crate) boundaries: Option<SegmentBoundaries>,
}

/// The result of encoding or remuxing a movie.
pub(crate) struct MovieOutput {
    pub(crate) report: OutputReport,
    /// The video rendition, then the audio rendition; empty for a single file.
    pub(crate) renditions: Vec<Rendition>,
}

/// Encodes the received frames and audio into a single file.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    container: Container,
    spec: &MovieSpec<'_>,
    receiver: &MediaReceiver,
) -> Result<OutputReport, Failure> {
    let muxer = MovieMuxer::new(
        Muxer::create(context.scratch, file, container, context.progress.stage())?,
        None,
    );
    let output = encode_movie(context, muxer, spec, receiver)?;
    Ok(OutputReport {
        file: file.to_owned(),
        ..output.report
    })
}

/// Encodes the received frames and audio with the given muxer. The report has no file name yet.
pub(crate) fn encode_movie(
    context: &OutputContext<'_>,
    muxer: MovieMuxer,
    spec: &MovieSpec<'_>,
    receiver: &MediaReceiver,
) -> Result<MovieOutput, Failure> {
    let mut movie = Movie::open(context, muxer, spec, receiver.progress())?;
    movie.encode_still_bumper(context.plan.intro.as_ref())?;
    for item in receiver {
        context.check()?;
        match item {
            MediaItem::Part(part) => movie.begin_part(part)?,
            MediaItem::Frame {
                frame,
                at_us,
                duration_us,
            } => movie.push_frame(frame, at_us, duration_us)?,
            MediaItem::VideoEnd { until_us } => movie.end_video(until_us)?,
            MediaItem::Audio { audio, at_us } => movie.push_audio(audio, at_us)?,
            MediaItem::Packets(packets) => packets
                .into_iter()
                .try_for_each(|(packet, _)| movie.push_packet(packet))?,
        }
    }
    context.check()?;
    movie.finish()
}

/// A movie that is being encoded.
struct Movie<'a> {
    plan: &'a Plan,
    progress: &'a OutputProgress,
    composer: Composer<'a>,
    muxer: MovieMuxer,
    encoder: Encoder,
    boundaries: Option<&'a SegmentBoundaries>,
    /// Encoded audio.
    track: Option<MovieAudio>,
    /// Gain of the loudness normalization; bumpers have none.
    gain: Option<Gain>,
    /// Copied audio, instead of encoded audio.
    audio_copy: Option<AudioCopy>,
    /// Start of the span in microseconds of the source's timestamps.
    start_us: i64,
    /// The part of the timeline that is being read.
    current: Option<CurrentPart<'a>>,
    /// Number of frames given to the encoder.
    frames: u64,
    /// Number of them that belong to spans of the source.
    source_frames: u64,
    dropped: Option<DroppedFrames>,
}

struct CurrentPart<'a> {
    part: Part,
    composer: PartComposer<'a>,
}

impl<'a> Movie<'a> {
    fn open(
        context: &'a OutputContext<'_>,
        mut muxer: MovieMuxer,
        spec: &'a MovieSpec<'a>,
        progress: &'a OutputProgress,
    ) -> Result<Self, Failure> {
        let (_, coded_size, color_numbers) = context.video()?;
        let color = color::output_color(&color_numbers, coded_size);
        let mut encoder = video::open_video(spec.video, context.plan.fps, color, context.threads)?;
        encoder.add_stream_to(muxer.video())?;
        let (mut track, mut audio_copy) = (None, None);
        match spec.audio.zip(context.audio()) {
            Some((AudioTrack::Encode { bitrate_bps, .. }, audio)) => {
                track = Some(MovieAudio::open(audio, bitrate_bps, context.language(), muxer.audio())?);
            }
            Some((AudioTrack::Copy { .. }, _)) => {
                let muxer = muxer.audio();
                let span = context.copy_source.span(muxer.has_edit_list());
                audio_copy = Some(AudioCopy::open(context.copy_source.audio()?, span, 0, muxer)?);
            }
            None => {}
        }
        muxer.write_headers()?;
        Ok(Self {
            plan: context.plan,
            progress,
            composer: Composer::new(context.plan, spec.video, context.images, color, context.threads)?,
            muxer,
            encoder,
            boundaries: spec.boundaries.as_ref(),
            track,
            gain: context.gain,
            audio_copy,
            start_us: context.copy_source.start_us,
            current: None,
            frames: 0,
            source_frames: 0,
            dropped: None,
        })
    }

    /// Encodes a bumper that is a still image, for its number of frames. Does nothing for a clip.
    fn encode_still_bumper(&mut self, bumper: Option<&Bumper>) -> Result<(), Failure> {
        if let Some((still, frames)) = self.composer.still_bumper(bumper)? {
            self.encode_frame(still, frames)?;
        }
        Ok(())
    }

    /// Begins a part at the end of the previous one.
    fn begin_part(&mut self, part: Part) -> Result<(), Failure> {
        self.end_part()?;
        if let Some(track) = &mut self.track {
            let gain = self.gain.filter(|_| part.is_span());
            track.begin_part(self.plan.fps.duration_us(self.frames), gain)?;
        }
        self.current = Some(CurrentPart {
            part,
            composer: self.composer.part_composer(&part, self.source_frames)?,
        });
        Ok(())
    }

    /// Counts the frames of the current part.
    ///
    /// # Errors
    /// The part is the clip of a bumper without any frame. Spans may be empty, as long as one of them is not.
    fn end_part(&mut self) -> Result<(), Failure> {
        let Some(CurrentPart { part, composer }) = self.current.take() else {
            return Ok(());
        };
        let slots = composer.constant_rate.slot_count();
        if part.is_span() {
            let from_us = self.plan.fps.duration_us(self.frames.saturating_sub(slots));
            let dropped = composer.constant_rate.dropped_frames();
            self.dropped = DroppedFrames::joined(self.dropped, dropped, from_us);
            self.source_frames += slots;
        } else if slots == 0 {
            return Err(nothing_decoded("the clip of a bumper"));
        }
        Ok(())
    }

    fn push_frame(&mut self, frame: SharedFrame, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        let Some(CurrentPart { part, composer }) = &mut self.current else {
            return Ok(());
        };
        let ready = composer
            .constant_rate
            .push(frame, part.time_in_part_us(at_us), duration_us);
        self.encode_ready(ready)
    }

    fn end_video(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        let ready = self.current.as_mut().and_then(|CurrentPart { part, composer }| {
            let until_us = until_us.map(|us| part.time_in_part_us(us));
            composer.constant_rate.finish(until_us)
        });
        self.encode_ready(ready)
    }

    /// Renders and encodes a frame whose slots are known, then the audio up to its end.
    fn encode_ready(&mut self, ready: Option<(SharedFrame, Range<u64>)>) -> Result<(), Failure> {
        if let Some((frame, slots)) = ready
            && let Some(mut current) = self.current.take()
        {
            current
                .composer
                .render_slots(&frame, slots, &mut |rendered, times| self.encode_frame(rendered, times))?;
            self.current = Some(current);
        }
        self.encode_audio()
    }

    /// Encodes a frame several times in a row.
    fn encode_frame(&mut self, mut frame: Video, times: u64) -> Result<(), Failure> {
        for _ in 0..times {
            let is_keyframe = self
                .boundaries
                .is_some_and(|boundaries| boundaries.is_at_frame(self.frames, self.plan.fps));
            let packets = self
                .encoder
                .encode_frame(&mut frame, self.frames, is_keyframe, self.muxer.video())?;
            self.frames += 1;
            self.progress.add_frames(packets);
            self.progress.advance_to(self.reached_us());
        }
        Ok(())
    }

    fn push_audio(&mut self, audio: Audio, at_us: i64) -> Result<(), Failure> {
        if let Some((track, current)) = self.track.as_mut().zip(self.current.as_ref()) {
            track.push(audio, current.part.time_in_part_us(at_us));
        }
        self.repeat_frame(at_us)?;
        self.encode_audio()
    }

    /// Repeats the current frame if audio is far ahead of the video: the next frame may come in an hour.
    fn repeat_frame(&mut self, audio_us: i64) -> Result<(), Failure> {
        let ready = self.current.as_mut().and_then(|CurrentPart { part, composer }| {
            let until_us = part.time_in_part_us(audio_us).saturating_sub(MAX_AUDIO_LEAD_US);
            composer.constant_rate.hold_until(until_us)
        });
        if ready.is_some() {
            self.encode_ready(ready)
        } else {
            Ok(())
        }
    }

    fn push_packet(&mut self, packet: Packet) -> Result<(), Failure> {
        if let Some(audio_copy) = &mut self.audio_copy {
            audio_copy.push(packet);
        }
        self.encode_audio()
    }

    /// Encodes or copies the audio up to the end of the video so far.
    fn encode_audio(&mut self) -> Result<(), Failure> {
        let zero_us = self
            .current
            .as_ref()
            .and_then(|current| current.composer.constant_rate.first_slot_us());
        let reached_us = self.reached_us();
        if let Some(audio_copy) = &mut self.audio_copy {
            let source_zero_us = zero_us.map(|us| us.saturating_add(self.start_us));
            audio_copy.write_pending(source_zero_us, self.muxer.audio())?;
        }
        let Some(track) = &mut self.track else {
            return Ok(());
        };
        track.write_held(zero_us)?;
        track.encode_until(reached_us, self.muxer.audio())
    }

    /// Returns the duration of the video so far in microseconds.
    fn reached_us(&self) -> u64 {
        self.plan.fps.duration_us(self.frames)
    }

    fn finish(mut self) -> Result<MovieOutput, Failure> {
        self.end_part()?;
        if self.source_frames == 0 {
            return Err(nothing_decoded("the video"));
        }
        if let Some(track) = &mut self.track {
            track.begin_part(self.plan.fps.duration_us(self.frames), None)?;
        }
        self.encode_still_bumper(self.plan.outro.as_ref())?;
        let packets = self.encoder.finish(self.muxer.video())?;
        self.progress.add_frames(packets);
        let duration_us = self.reached_us();
        let audio_peak = match &mut self.track {
            Some(track) => track.finish(duration_us, self.muxer.audio())?,
            None => None,
        };
        let report = OutputReport {
            frames: self.frames,
            duration_us,
            audio_peak,
            lost_audio: self.track.as_ref().and_then(MovieAudio::lost_audio),
            // A user who asks for a frame rate expects that frames are dropped.
            dropped: self.dropped.filter(|_| !self.plan.fps_asked),
            copied: Copied {
                video: None,
                audio: self.audio_copy.as_ref().map(AudioCopy::digest),
            },
            ..OutputReport::default()
        };
        Ok(MovieOutput {
            report,
            renditions: self.muxer.finish()?,
        })
    }
}
