//! Makes a file from packets of the source, with audio encoded where the plan says so.

use crate::engine::context::OutputContext;
use crate::engine::demux::copy_source::{CopySpan, Medium};
use crate::engine::error::{self, nothing_decoded};
use crate::engine::fanout::channel::{Inbox, Piece};
use crate::engine::ffi::packet;
use crate::engine::mux::container::Container;
use crate::engine::mux::edit_list;
use crate::engine::mux::muxer::{MovieMuxer, Muxer};
use crate::engine::mux::packet_copy::{AudioCopy, VideoCopy};
use crate::engine::mux::segmenter::Rendition;
use crate::engine::output::movie::AHEAD_US;
use crate::engine::output::movie_audio::MovieAudio;
use crate::engine::paths;
use domain::Failure;
use domain::plan::{AudioTrack, Content};
use domain::protocol::{Copied, Made};
use ffmpeg_next::Packet;
use ffmpeg_next::frame::Audio;

/// Sound that ends so shortly after the pictures, in microseconds, ends with them.
const TOGETHER_US: u64 = 50_000;

/// What the plan orders.
pub(crate) struct RemuxSpec {
    pub(crate) container: Container,
    /// Whether there are pictures, which are copied.
    pub(crate) video: bool,
    pub(crate) audio: Option<AudioTrack>,
}

impl RemuxSpec {
    /// What the plan orders for an output that begins with copied packets; `None` for all others.
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

/// Makes the file from the pieces that come.
pub(crate) fn run(context: &OutputContext<'_>, file: &str, order: &RemuxSpec, from: &Inbox) -> Result<Made, Failure> {
    let Some(first) = from.recv() else {
        context.check()?;
        return Err(nothing_decoded("the packets"));
    };
    // MP3 tells the samples that its encoder put before the sound only with the first packet.
    let padding = match &first {
        Piece::Packets(taken) if order.container == Container::Mp3 => {
            taken.first().map_or(0, |(packet, _)| packet::skipped_samples(packet))
        }
        _ => 0,
    };
    let muxer = MovieMuxer::new(
        Muxer::create(context.scratch, file, order.container, context.meter.stage())?,
        None,
    );
    let mut remux = Remux::open(context, muxer, order, padding)?;
    for piece in std::iter::once(first).chain(from) {
        context.check()?;
        remux.take(piece)?;
    }
    context.check()?;
    remux.finish(file).map(|(made, _)| made)
}

/// What becomes of the sound.
enum RemuxAudio {
    Copied(AudioCopy),
    Encoded(Box<MovieAudio>),
}

/// Packets on their way into a file, or into the renditions of an adaptive stream.
pub(crate) struct Remux<'a> {
    context: &'a OutputContext<'a>,
    muxer: MovieMuxer,
    cut: CopySpan,
    video: Option<VideoCopy>,
    audio: Option<RemuxAudio>,
    /// How long the pictures are so far.
    reached_us: u64,
    /// Until when the last picture stands, counted from the start of the span, when the source has no more.
    until_us: Option<i64>,
}

impl<'a> Remux<'a> {
    /// Opens the streams of a reel. `padding` samples at the beginning of copied sound are not heard.
    pub(crate) fn open(
        context: &'a OutputContext<'_>,
        mut muxer: MovieMuxer,
        order: &RemuxSpec,
        padding: u32,
    ) -> Result<Self, Failure> {
        let copy_source = &context.copy_source;
        let cut = copy_source.cut(muxer.video().hides());
        let video = if order.video {
            Some(VideoCopy::open(copy_source.video()?, cut, muxer.video())?)
        } else {
            None
        };
        let audio = match order.audio.zip(context.audio()) {
            None => None,
            Some((AudioTrack::Copy { .. }, _)) => {
                let audio = AudioCopy::open(copy_source.audio()?, cut, padding, muxer.audio())?;
                Some(RemuxAudio::Copied(audio))
            }
            Some((AudioTrack::Encode { bitrate_bps, .. }, audio)) => {
                let mut track = MovieAudio::open(audio, bitrate_bps, context.language(), muxer.audio())?;
                track.begin(0, context.level)?;
                Some(RemuxAudio::Encoded(Box::new(track)))
            }
        };
        muxer.start()?;
        Ok(Self {
            context,
            muxer,
            cut,
            video,
            audio,
            reached_us: 0,
            until_us: None,
        })
    }

    /// What of the source's clock is 0 in the file, once it is known.
    fn zero_us(&self) -> Option<i64> {
        match &self.video {
            Some(video) => video.zero_us(),
            None => Some(self.cut.start_us),
        }
    }

    /// Takes what is copied, and the sound that is not.
    pub(crate) fn take(&mut self, piece: Piece) -> Result<(), Failure> {
        match piece {
            Piece::Packets(taken) => taken.into_iter().try_for_each(|(packet, medium)| match medium {
                Medium::Video => self.push_video_packet(packet),
                Medium::Audio => self.push_audio_packet(packet),
            }),
            Piece::Audio { audio, at_us } => self.push_audio(audio, at_us),
            Piece::VideoEnd { until_us } => {
                self.until_us = until_us;
                Ok(())
            }
            Piece::Part(_) | Piece::Frame { .. } => Ok(()),
        }
    }

    fn push_video_packet(&mut self, packet: Packet) -> Result<(), Failure> {
        if let Some(video) = &mut self.video {
            let before = video.frames();
            video.push(packet, self.muxer.video())?;
            self.context.meter.add_frames(video.frames() - before);
            self.reached_us = video.length_us();
            self.context.meter.reached(self.reached_us);
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

    /// Writes the sound that is there.
    fn write_audio(&mut self) -> Result<(), Failure> {
        let zero_us = self.zero_us();
        match &mut self.audio {
            Some(RemuxAudio::Copied(audio)) => {
                audio.release(zero_us, self.muxer.audio())?;
                if self.video.is_none() {
                    self.context.meter.reached(audio.length_us());
                }
                Ok(())
            }
            Some(RemuxAudio::Encoded(track)) => {
                track.release(zero_us.map(|zero_us| zero_us.saturating_sub(self.cut.start_us)))?;
                // A picture may stand for an hour; where files are apart, sound is cut with the pictures.
                let ahead_us = track.reached_us().saturating_sub(AHEAD_US.unsigned_abs());
                let until_us = self.reached_us.max(if self.muxer.is_apart() { 0 } else { ahead_us });
                track.encode_until(until_us, self.muxer.audio())
            }
            None => Ok(()),
        }
    }

    /// Completes the files; tells what they became, and the renditions where they are some.
    pub(crate) fn finish(mut self, file: &str) -> Result<(Made, Vec<Rendition>), Failure> {
        self.finish_video()?;
        self.write_audio()?;
        let mut duration_us = self.reached_us;
        let (mut loudest, mut lost_audio) = (None, None);
        let mut copied = Copied {
            pictures: self.video.as_ref().map(VideoCopy::digest),
            sound: None,
        };
        match &mut self.audio {
            Some(RemuxAudio::Encoded(track)) => {
                if !self.muxer.is_apart() {
                    let audio_us = track.reached_us().min(self.cut.length_us().unwrap_or(u64::MAX));
                    if audio_us > duration_us.saturating_add(TOGETHER_US) {
                        duration_us = audio_us;
                    }
                }
                loudest = track.finish(duration_us, self.muxer.audio())?;
                lost_audio = track.lost();
            }
            Some(RemuxAudio::Copied(audio)) => {
                // Where files are apart, the length is that of the pictures.
                if !self.muxer.is_apart() {
                    duration_us = duration_us.max(audio.length_us());
                }
                copied.sound = Some(audio.digest());
            }
            None => {}
        }
        if duration_us == 0 {
            return Err(nothing_decoded("the sound"));
        }
        let renditions = self.muxer.finish()?;
        if self.video.as_ref().is_some_and(VideoCopy::has_hidden_tail) && self.cut.hides {
            let ended = paths::output_path(self.context.scratch, file)
                .map(|path| edit_list::end_first_track(&path, self.reached_us))?;
            ended.map_err(|error| error::disk(file, &error))?;
        }
        let copy_source = &self.context.copy_source;
        let made = Made {
            file: file.to_owned(),
            frames: self.video.as_ref().map_or(0, VideoCopy::frames),
            duration_us,
            packets_from_us: self
                .video
                .as_ref()
                .and_then(|video| copy_source.after_origin_us(video.key_us())),
            loudest,
            copied,
            lost_sound: lost_audio,
            // Every picture is taken over.
            dropped: None,
        };
        Ok((made, renditions))
    }

    /// Completes the pictures.
    fn finish_video(&mut self) -> Result<(), Failure> {
        if let Some(video) = &mut self.video {
            let before = video.frames();
            let until_us = self.until_us.filter(|_| !self.muxer.is_apart());
            video.finish(until_us, self.muxer.video())?;
            self.context.meter.add_frames(video.frames() - before);
            self.reached_us = video.length_us();
            if video.frames() == 0 {
                return Err(nothing_decoded("the pictures"));
            }
        }
        Ok(())
    }
}
