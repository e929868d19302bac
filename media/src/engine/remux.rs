//! Makes a file from packets of the source as they are, with its sound encoded where the plan says so.

use super::av::packets;
use super::copied::{Pictures, Sounds};
use super::feed::{Inbox, Piece};
use super::hls::Rendition;
use super::movie::AHEAD_US;
use super::mux::{self, Container, Mux, Reel};
use super::originals::{Cut, Medium};
use super::reader::nothing_decoded;
use super::soundtrack::Soundtrack;
use super::transcode::Job;
use super::{edit_list, fault};
use domain::Failure;
use domain::plan::{AudioTrack, Content};
use domain::protocol::{Copied, Made};
use ffmpeg_next::Packet;
use ffmpeg_next::frame::Audio;

/// Sound that ends so shortly after the pictures, in microseconds, ends with them.
const TOGETHER_US: u64 = 50_000;

/// What the plan orders.
pub(super) struct Order {
    pub(super) container: Container,
    /// Whether there are pictures, which are copied.
    pub(super) pictures: bool,
    pub(super) audio: Option<AudioTrack>,
}

impl Order {
    /// What the plan orders for an output that begins with copied packets; `None` for all others.
    pub(super) fn of(content: &Content) -> Option<Self> {
        match content {
            Content::Movie(movie) if movie.video.is_copy() => Some(Self {
                container: movie.container.into(),
                pictures: true,
                audio: movie.audio,
            }),
            Content::Audio { format, audio } if audio.is_copy() => Some(Self {
                container: (*format).into(),
                pictures: false,
                audio: Some(*audio),
            }),
            _ => None,
        }
    }
}

/// Makes the file from the pieces that come.
pub(super) fn run(job: &Job<'_>, file: &str, order: &Order, from: &Inbox) -> Result<Made, Failure> {
    let Some(first) = from.recv() else {
        job.check()?;
        return Err(nothing_decoded("the packets"));
    };
    // MP3 tells the samples that its encoder put before the sound only with the first packet.
    let padding = match &first {
        Piece::Packets(taken) if order.container == Container::Mp3 => {
            taken.first().map_or(0, |(packet, _)| packets::skipped_samples(packet))
        }
        _ => 0,
    };
    let reel = Reel::new(
        Mux::create(job.scratch, file, order.container, job.meter.stage())?,
        None,
    );
    let mut remux = Remux::open(job, reel, order, padding)?;
    for piece in std::iter::once(first).chain(from) {
        job.check()?;
        remux.take(piece)?;
    }
    job.check()?;
    remux.finish(file).map(|(made, _)| made)
}

/// What becomes of the sound.
enum Sound {
    Copied(Sounds),
    Encoded(Box<Soundtrack>),
}

/// Packets on their way into a file, or into the renditions of an adaptive stream.
pub(super) struct Remux<'a> {
    job: &'a Job<'a>,
    reel: Reel,
    cut: Cut,
    pictures: Option<Pictures>,
    sound: Option<Sound>,
    /// How long the pictures are so far.
    reached_us: u64,
    /// Until when the last picture stands, counted from the start of the span, when the source has no more.
    until_us: Option<i64>,
}

impl<'a> Remux<'a> {
    /// Opens the streams of a reel. `padding` samples at the beginning of copied sound are not heard.
    pub(super) fn open(job: &'a Job<'_>, mut reel: Reel, order: &Order, padding: u32) -> Result<Self, Failure> {
        let originals = &job.originals;
        let cut = originals.cut(reel.pictures().hides());
        let pictures = if order.pictures {
            Some(Pictures::open(originals.pictures()?, cut, reel.pictures())?)
        } else {
            None
        };
        let sound = match order.audio.zip(job.sound()) {
            None => None,
            Some((AudioTrack::Copy { .. }, _)) => {
                let sounds = Sounds::open(originals.sound()?, cut, padding, reel.sound())?;
                Some(Sound::Copied(sounds))
            }
            Some((AudioTrack::Encode { bitrate_bps, .. }, sound)) => {
                let mut track = Soundtrack::open(sound, bitrate_bps, job.language(), reel.sound())?;
                track.begin(0, job.level)?;
                Some(Sound::Encoded(Box::new(track)))
            }
        };
        reel.start()?;
        Ok(Self {
            job,
            reel,
            cut,
            pictures,
            sound,
            reached_us: 0,
            until_us: None,
        })
    }

    /// What of the source's clock is 0 in the file, once it is known.
    fn zero_us(&self) -> Option<i64> {
        match &self.pictures {
            Some(pictures) => pictures.zero_us(),
            None => Some(self.cut.start_us),
        }
    }

    /// Takes what is copied, and the sound that is not.
    pub(super) fn take(&mut self, piece: Piece) -> Result<(), Failure> {
        match piece {
            Piece::Packets(taken) => taken.into_iter().try_for_each(|(packet, medium)| match medium {
                Medium::Pictures => self.see(packet),
                Medium::Sound => self.hear_packet(packet),
            }),
            Piece::Sound { sound, at_us } => self.hear(sound, at_us),
            Piece::PicturesEnd { until_us } => {
                self.until_us = until_us;
                Ok(())
            }
            Piece::Part(_) | Piece::Picture { .. } => Ok(()),
        }
    }

    fn see(&mut self, packet: Packet) -> Result<(), Failure> {
        if let Some(pictures) = &mut self.pictures {
            let before = pictures.frames();
            pictures.push(packet, self.reel.pictures())?;
            self.job.meter.add_frames(pictures.frames() - before);
            self.reached_us = pictures.length_us();
            self.job.meter.reached(self.reached_us);
        }
        self.sound_on()
    }

    fn hear_packet(&mut self, packet: Packet) -> Result<(), Failure> {
        if let Some(Sound::Copied(sounds)) = &mut self.sound {
            sounds.hear(packet);
        }
        self.sound_on()
    }

    fn hear(&mut self, sound: Audio, at_us: i64) -> Result<(), Failure> {
        if let Some(Sound::Encoded(track)) = &mut self.sound {
            track.hear(sound, at_us);
        }
        self.sound_on()
    }

    /// Writes the sound that is there.
    fn sound_on(&mut self) -> Result<(), Failure> {
        let zero_us = self.zero_us();
        match &mut self.sound {
            Some(Sound::Copied(sounds)) => {
                sounds.release(zero_us, self.reel.sound())?;
                if self.pictures.is_none() {
                    self.job.meter.reached(sounds.length_us());
                }
                Ok(())
            }
            Some(Sound::Encoded(track)) => {
                track.release(zero_us.map(|zero_us| zero_us.saturating_sub(self.cut.start_us)))?;
                // A picture may stand for an hour; where files are apart, sound is cut with the pictures.
                let ahead_us = track.reached_us().saturating_sub(AHEAD_US.unsigned_abs());
                let until_us = self.reached_us.max(if self.reel.is_apart() { 0 } else { ahead_us });
                track.encode_until(until_us, self.reel.sound())
            }
            None => Ok(()),
        }
    }

    /// Completes the files; tells what they became, and the renditions where they are some.
    pub(super) fn finish(mut self, file: &str) -> Result<(Made, Vec<Rendition>), Failure> {
        self.finish_pictures()?;
        self.sound_on()?;
        let mut duration_us = self.reached_us;
        let (mut loudest, mut lost_sound) = (None, None);
        let mut copied = Copied {
            pictures: self.pictures.as_ref().map(Pictures::imprint),
            sound: None,
        };
        match &mut self.sound {
            Some(Sound::Encoded(track)) => {
                if !self.reel.is_apart() {
                    let sound_us = track.reached_us().min(self.cut.length_us().unwrap_or(u64::MAX));
                    if sound_us > duration_us.saturating_add(TOGETHER_US) {
                        duration_us = sound_us;
                    }
                }
                loudest = track.finish(duration_us, self.reel.sound())?;
                lost_sound = track.lost();
            }
            Some(Sound::Copied(sounds)) => {
                // Where files are apart, the length is that of the pictures.
                if !self.reel.is_apart() {
                    duration_us = duration_us.max(sounds.length_us());
                }
                copied.sound = Some(sounds.imprint());
            }
            None => {}
        }
        if duration_us == 0 {
            return Err(nothing_decoded("the sound"));
        }
        let renditions = self.reel.finish()?;
        if self.pictures.as_ref().is_some_and(Pictures::has_hidden_tail) && self.cut.hides {
            let ended =
                mux::place(self.job.scratch, file).map(|path| edit_list::end_first_track(&path, self.reached_us))?;
            ended.map_err(|error| fault::disk(file, &error))?;
        }
        let originals = &self.job.originals;
        let made = Made {
            file: file.to_owned(),
            frames: self.pictures.as_ref().map_or(0, Pictures::frames),
            duration_us,
            packets_from_us: self
                .pictures
                .as_ref()
                .and_then(|pictures| originals.after_origin_us(pictures.key_us())),
            loudest,
            copied,
            lost_sound,
            // Every picture is taken over.
            dropped: None,
        };
        Ok((made, renditions))
    }

    /// Completes the pictures.
    fn finish_pictures(&mut self) -> Result<(), Failure> {
        if let Some(pictures) = &mut self.pictures {
            let before = pictures.frames();
            let until_us = self.until_us.filter(|_| !self.reel.is_apart());
            pictures.finish(until_us, self.reel.pictures())?;
            self.job.meter.add_frames(pictures.frames() - before);
            self.reached_us = pictures.length_us();
            if pictures.frames() == 0 {
                return Err(nothing_decoded("the pictures"));
            }
        }
        Ok(())
    }
}
