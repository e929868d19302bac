//! Remuxes: copies packets of the source into a new container, and encodes the audio if the plan asks for it.
//!
//! Video is copied, or the file has audio alone. The source timestamp that becomes 0 in the file is known only when the
//! first keyframe is chosen (see [`VideoCopy`]); audio is held until then. Encoded audio is written as far as the video
//! reaches, so that the streams are interleaved.

use crate::engine::context::OutputContext;
use crate::engine::demux::copy_source::{CopySpan, TrackKind};
use crate::engine::error::{self, nothing_decoded};
use crate::engine::fanout::channel::{MediaItem, MediaReceiver};
use crate::engine::ffi::packet;
use crate::engine::mux::container::Container;
use crate::engine::mux::edit_list;
use crate::engine::mux::muxer::{MovieMuxer, Muxer};
use crate::engine::mux::packet_copy::{AudioCopy, VideoCopy};
use crate::engine::output::movie::{MAX_AUDIO_LEAD_US, MovieOutput};
use crate::engine::output::movie_audio::MovieAudio;
use crate::engine::paths;
use domain::Failure;
use domain::plan::{AudioTrack, Content};
use domain::protocol::{Copied, OutputReport};
use ffmpeg_next::Packet;
use ffmpeg_next::frame::Audio;

/// Encoded audio that ends less than this after the video, in microseconds, is cut at the end of the video.
const AUDIO_TAIL_TOLERANCE_US: u64 = 50_000;

/// The parameters of a remux.
pub(crate) struct RemuxSpec {
    pub(crate) container: Container,
    /// Set if the output has video, which is copied.
    pub(crate) video: bool,
    pub(crate) audio: Option<AudioTrack>,
}

impl RemuxSpec {
    /// Returns the parameters of an output whose main stream is copied; `None` for all others.
    pub(crate) fn of(content: &Content) -> Option<Self> {
        match content {
            Content::Movie(movie) if movie.video.is_copy() => Some(Self {
                container: movie.container.into(),
                video: true,
                audio: movie.audio,
            }),
            Content::Audio { format, audio } if audio.is_copy() => Some(Self {
                container: (*format).into(),
                video: false,
                audio: Some(*audio),
            }),
            _ => None,
        }
    }
}

/// Writes the received packets and audio into a file.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    spec: &RemuxSpec,
    receiver: &MediaReceiver,
) -> Result<OutputReport, Failure> {
    let Some(first) = receiver.recv() else {
        context.check()?;
        return Err(nothing_decoded("the packets"));
    };
    // The header of an MP3 does not give the encoder delay; its first packet does, as skipped samples.
    let padding = match &first {
        MediaItem::Packets(packets) if spec.container == Container::Mp3 => {
            packets.first().map_or(0, |(packet, _)| packet::skipped_samples(packet))
        }
        _ => 0,
    };
    let muxer = MovieMuxer::new(
        Muxer::create(context.scratch, file, spec.container, context.progress.stage())?,
        None,
    );
    let mut remux = Remux::open(context, muxer, spec, padding)?;
    for item in std::iter::once(first).chain(receiver) {
        context.check()?;
        remux.push(item)?;
    }
    context.check()?;
    remux.finish(file).map(|output| output.report)
}

/// The audio of a remux.
enum RemuxAudio {
    Copied(AudioCopy),
    Encoded(Box<MovieAudio>),
}

/// A remux that is being written: into a file, or into the renditions of an adaptive stream.
pub(crate) struct Remux<'a> {
    context: &'a OutputContext<'a>,
    muxer: MovieMuxer,
    span: CopySpan,
    video: Option<VideoCopy>,
    audio: Option<RemuxAudio>,
    /// End of the video so far in microseconds of the output.
    video_us: u64,
    /// End of the last frame in microseconds after the start of the span; `None` if unknown.
    video_end_us: Option<i64>,
}

impl<'a> Remux<'a> {
    /// Adds the streams and writes the headers. The first `padding` samples of copied audio are encoder delay.
    pub(crate) fn open(
        context: &'a OutputContext<'_>,
        mut muxer: MovieMuxer,
        spec: &RemuxSpec,
        padding: u32,
    ) -> Result<Self, Failure> {
        let copy_source = &context.copy_source;
        let span = copy_source.span(muxer.video().has_edit_list());
        let video = if spec.video {
            Some(VideoCopy::open(copy_source.video()?, span, muxer.video())?)
        } else {
            None
        };
        let audio = match spec.audio.zip(context.audio()) {
            None => None,
            Some((AudioTrack::Copy { .. }, _)) => {
                let audio = AudioCopy::open(copy_source.audio()?, span, padding, muxer.audio())?;
                Some(RemuxAudio::Copied(audio))
            }
            Some((AudioTrack::Encode { bitrate_bps, .. }, audio)) => {
                let mut track = MovieAudio::open(audio, bitrate_bps, context.language(), muxer.audio())?;
                track.begin_part(0, context.gain)?;
                Some(RemuxAudio::Encoded(Box::new(track)))
            }
        };
        muxer.write_headers()?;
        Ok(Self {
            context,
            muxer,
            span,
            video,
            audio,
            video_us: 0,
            video_end_us: None,
        })
    }

    /// Returns the source timestamp that becomes 0 in the file, in microseconds; `None` until it is known.
    fn zero_us(&self) -> Option<i64> {
        match &self.video {
            Some(video) => video.zero_us(),
            None => Some(self.span.start_us),
        }
    }

    /// Adds packets, or decoded audio that is to be encoded.
    pub(crate) fn push(&mut self, item: MediaItem) -> Result<(), Failure> {
        match item {
            MediaItem::Packets(packets) => packets.into_iter().try_for_each(|(packet, kind)| match kind {
                TrackKind::Video => self.push_video_packet(packet),
                TrackKind::Audio => self.push_audio_packet(packet),
            }),
            MediaItem::Audio { audio, at_us } => self.push_audio(audio, at_us),
            MediaItem::VideoEnd { until_us } => {
                self.video_end_us = until_us;
                Ok(())
            }
            MediaItem::Part(_) | MediaItem::Frame { .. } => Ok(()),
        }
    }

    fn push_video_packet(&mut self, packet: Packet) -> Result<(), Failure> {
        if let Some(video) = &mut self.video {
            let before = video.frames();
            video.push(packet, self.muxer.video())?;
            self.context.progress.add_frames(video.frames() - before);
            self.video_us = video.duration_us();
            self.context.progress.advance_to(self.video_us);
        }
        self.write_audio()
    }

    fn push_audio_packet(&mut self, packet: Packet) -> Result<(), Failure> {
        if let Some(RemuxAudio::Copied(audio)) = &mut self.audio {
            audio.push(packet);
        }
        self.write_audio()
    }

    fn push_audio(&mut self, audio: Audio, at_us: i64) -> Result<(), Failure> {
        if let Some(RemuxAudio::Encoded(track)) = &mut self.audio {
            track.push(audio, at_us);
        }
        self.write_audio()
    }

    /// Writes the audio that is ready.
    fn write_audio(&mut self) -> Result<(), Failure> {
        let zero_us = self.zero_us();
        match &mut self.audio {
            Some(RemuxAudio::Copied(audio)) => {
                audio.write_pending(zero_us, self.muxer.audio())?;
                if self.video.is_none() {
                    self.context.progress.advance_to(audio.duration_us());
                }
                Ok(())
            }
            Some(RemuxAudio::Encoded(track)) => {
                track.write_held(zero_us.map(|zero_us| zero_us.saturating_sub(self.span.start_us)))?;
                // A single frame may last for an hour. Audio must not wait for it in a file, because containers limit
                // how far streams are apart. A separate audio rendition must wait for the segment boundaries of the
                // video.
                let max_lead_us = track.reached_us().saturating_sub(MAX_AUDIO_LEAD_US.unsigned_abs());
                let until_us = if self.muxer.has_separate_audio() {
                    self.video_us
                } else {
                    self.video_us.max(max_lead_us)
                };
                track.encode_until(until_us, self.muxer.audio())
            }
            None => Ok(()),
        }
    }

    /// Finishes the output. Returns its report, and the renditions of an adaptive stream.
    pub(crate) fn finish(mut self, file: &str) -> Result<MovieOutput, Failure> {
        self.finish_video()?;
        self.write_audio()?;
        let mut duration_us = self.video_us;
        let (mut audio_peak, mut lost_audio) = (None, None);
        let mut copied = Copied {
            video: self.video.as_ref().map(VideoCopy::digest),
            audio: None,
        };
        match &mut self.audio {
            Some(RemuxAudio::Encoded(track)) => {
                if !self.muxer.has_separate_audio() {
                    let audio_us = track.reached_us().min(self.span.length_us().unwrap_or(u64::MAX));
                    if audio_us > duration_us.saturating_add(AUDIO_TAIL_TOLERANCE_US) {
                        duration_us = audio_us;
                    }
                }
                audio_peak = track.finish(duration_us, self.muxer.audio())?;
                lost_audio = track.lost_audio();
            }
            Some(RemuxAudio::Copied(audio)) => {
                // Renditions of an adaptive stream have the duration of the video.
                if !self.muxer.has_separate_audio() {
                    duration_us = duration_us.max(audio.duration_us());
                }
                copied.audio = Some(audio.digest());
            }
            None => {}
        }
        if duration_us == 0 {
            return Err(nothing_decoded("the audio"));
        }
        let renditions = self.muxer.finish()?;
        if self.video.as_ref().is_some_and(VideoCopy::has_hidden_tail) && self.span.has_edit_list {
            let patched = paths::output_path(self.context.scratch, file)
                .map(|path| edit_list::set_first_track_duration(&path, self.video_us))?;
            patched.map_err(|error| error::io_failure(file, &error))?;
        }
        let copy_source = &self.context.copy_source;
        let report = OutputReport {
            file: file.to_owned(),
            frames: self.video.as_ref().map_or(0, VideoCopy::frames),
            duration_us,
            packets_from_us: self
                .video
                .as_ref()
                .and_then(|video| copy_source.after_origin_us(video.first_keyframe_us())),
            audio_peak,
            copied,
            lost_audio,
            // A copy keeps every frame.
            dropped: None,
        };
        Ok(MovieOutput { report, renditions })
    }

    /// Writes the remaining video packets.
    fn finish_video(&mut self) -> Result<(), Failure> {
        if let Some(video) = &mut self.video {
            let before = video.frames();
            // The segments of an adaptive stream have the durations of their packets.
            let end_us = self.video_end_us.filter(|_| !self.muxer.has_separate_audio());
            video.finish(end_us, self.muxer.video())?;
            self.context.progress.add_frames(video.frames() - before);
            self.video_us = video.duration_us();
            if video.frames() == 0 {
                return Err(nothing_decoded("the video"));
            }
        }
        Ok(())
    }
}
