//! Audio of a source that is read: packets far ahead of the video wait, others are decoded.

use crate::engine::decode::audio_backlog::MAX_BYTES;
use crate::engine::decode::reader::Reader;
use crate::engine::decode::sink::Sink;
use crate::engine::error;
use crate::engine::ffi::frame;
use domain::Failure;
use ffmpeg_next::Packet;
use ffmpeg_next::frame::Audio;

/// Sound that is so far ahead of the pictures waits, in microseconds.
const AHEAD_US: i64 = 30_000_000;

impl Reader {
    /// Where sound is no longer wanted.
    pub(super) fn heard_until(&self) -> Option<i64> {
        self.end_us.map(|end| end.saturating_add(self.overhang_us))
    }

    /// Whether a packet of sound has to wait for the pictures.
    pub(super) fn is_early(&self, packet: &Packet) -> bool {
        let waits = self.video.as_ref().is_some_and(|video| !video.ended);
        waits
            && self.audio_backlog.bytes < MAX_BYTES
            && (!self.audio_backlog.packets.is_empty() || self.is_ahead(packet))
    }

    fn is_ahead(&self, packet: &Packet) -> bool {
        let tracks = self.video.as_ref().zip(self.audio.as_ref());
        tracks.is_some_and(|(video, audio)| {
            let at_us = audio.packet_us(packet).unwrap_or(i64::MIN);
            at_us > video.sent_us.saturating_add(AHEAD_US)
        })
    }

    /// Decodes a packet of sound, after those that came before it.
    pub(super) fn decode_in_order(&mut self, packet: &Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.decode_backlog(sink)?;
        self.decode_audio(packet, sink)
    }

    /// Decodes what waits and is no longer far ahead of the pictures.
    pub(super) fn decode_due_audio(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        while let Some(packet) = self.audio_backlog.packets.front()
            && !self.is_ahead(packet)
            && let Some(packet) = self.audio_backlog.pop()
        {
            self.decode_audio(&packet, sink)?;
        }
        Ok(())
    }

    /// Decodes all that waits.
    fn decode_backlog(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        while let Some(packet) = self.audio_backlog.pop() {
            self.decode_audio(&packet, sink)?;
        }
        Ok(())
    }

    fn decode_audio(&mut self, packet: &Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        if let Some(track) = &mut self.audio {
            track.send(Some(packet));
        }
        self.receive_audio(sink)
    }

    /// Takes all samples that the decoder has ready.
    fn receive_audio(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        let until = self.heard_until();
        while let Some(track) = &mut self.audio {
            let mut audio = Audio::empty();
            if !track.receive(&mut audio)? {
                break;
            }
            if !track.is_valid_audio(&audio) {
                continue;
            }
            let before_us = track.decoded_until_us();
            let (at, duration) = track.audio_time(&audio);
            let missing_us = before_us.map_or(0, |before| at.saturating_sub(before));
            let missing = track.missing_samples(&audio, missing_us);
            if let Some(from_us) =
                before_us.filter(|us| missing > 0 && *us >= self.start_us && until.is_none_or(|end| *us < end))
            {
                let silence = frame::silence_like(&audio, missing).map_err(|error| error::engine("sound", error))?;
                sink.audio(silence, from_us - self.start_us)?;
            }
            if at.saturating_add(duration) > self.start_us && until.is_none_or(|end| at < end) {
                let at_us = at - self.start_us;
                track.reached_us = track.reached_us.max(at_us.saturating_add(duration));
                sink.audio(audio, at_us)?;
            }
        }
        Ok(())
    }

    /// No sound follows.
    pub(super) fn end_audio(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.decode_backlog(sink)?;
        if let Some(track) = self.audio.as_mut().filter(|track| !track.ended) {
            track.send(None);
            self.receive_audio(sink)?;
        }
        if let Some(track) = &mut self.audio {
            track.ended = true;
        }
        Ok(())
    }
}
