//! Audio of a reader: packets far ahead of the video wait, others are decoded.
//!
//! Outputs mux both streams together, so audio far ahead of the video would pile up in them as decoded samples.
//! Therefore it waits here as packets ([`AudioBacklog`](crate::engine::decode::audio_backlog::AudioBacklog)). Packets
//! are always decoded in their order: while one waits, all later ones wait.

use crate::engine::decode::audio_backlog::MAX_BACKLOG_BYTES;
use crate::engine::decode::reader::{Ending, Reader};
use crate::engine::decode::sink::Sink;
use crate::engine::demux::copy_source::TrackKind;
use crate::engine::error;
use crate::engine::ffi::frame;
use domain::Failure;
use ffmpeg_next::Packet;
use ffmpeg_next::frame::Audio;

/// Audio that is further ahead of the video than this waits, in microseconds.
const MAX_AUDIO_LEAD_US: i64 = 30_000_000;

impl Reader {
    /// Processes an audio packet: passes it to outputs that copy, detects the end of the span, and decodes or checks
    /// it.
    pub(super) fn process_audio_packet(&mut self, packet: Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        let audio_end_us = self.audio_end_us();
        let Some(decoder) = &mut self.audio else {
            return Ok(());
        };
        decoder.record_packet(&packet);
        decoder.detect_header_change(&packet);
        sink.packet(&packet, TrackKind::Audio)?;
        if decoder.ended {
            // A video stream without packets after the span must not cause the rest of the file to be read.
            return if decoder.is_far_past(&packet, self.end_us) {
                self.end_video(Ending::Span, sink)
            } else {
                Ok(())
            };
        }
        if decoder.count_packet_past_end(&packet, audio_end_us) {
            return self.end_audio(sink);
        }
        if sink.needs_decoded(TrackKind::Audio) {
            if sink.needs_decoded(TrackKind::Video) && self.must_wait(&packet) {
                self.audio_backlog.push(packet);
                return Ok(());
            }
            self.decode_audio_in_order(&packet, sink)
        } else {
            decoder.check_packet(&packet);
            decoder.skip_packet(&packet, self.start_us);
            Ok(())
        }
    }

    /// Source time after which no audio is needed; `None` is the end of the source.
    pub(super) fn audio_end_us(&self) -> Option<i64> {
        self.end_us.map(|end| end.saturating_add(self.audio_overhang_us))
    }

    /// Returns `true` when an audio packet must wait for the video.
    pub(super) fn must_wait(&self, packet: &Packet) -> bool {
        let waits = self.video.as_ref().is_some_and(|video| !video.ended);
        waits
            && self.audio_backlog.bytes < MAX_BACKLOG_BYTES
            && (!self.audio_backlog.packets.is_empty() || self.is_ahead(packet))
    }

    fn is_ahead(&self, packet: &Packet) -> bool {
        let decoders = self.video.as_ref().zip(self.audio.as_ref());
        decoders.is_some_and(|(video, audio)| {
            let at_us = audio.packet_us(packet).unwrap_or(i64::MIN);
            at_us > video.last_packet_us.saturating_add(MAX_AUDIO_LEAD_US)
        })
    }

    /// Decodes an audio packet after all that wait.
    pub(super) fn decode_audio_in_order(&mut self, packet: &Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.decode_backlog(sink)?;
        self.decode_audio(packet, sink)
    }

    /// Decodes waiting packets that are no longer far ahead of the video.
    pub(super) fn decode_due_audio(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        while let Some(packet) = self.audio_backlog.packets.front()
            && !self.is_ahead(packet)
            && let Some(packet) = self.audio_backlog.pop()
        {
            self.decode_audio(&packet, sink)?;
        }
        Ok(())
    }

    /// Decodes all waiting packets.
    fn decode_backlog(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        while let Some(packet) = self.audio_backlog.pop() {
            self.decode_audio(&packet, sink)?;
        }
        Ok(())
    }

    fn decode_audio(&mut self, packet: &Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        if let Some(decoder) = &mut self.audio {
            decoder.send(Some(packet))?;
        }
        self.receive_audio(sink)
    }

    /// Delivers all samples that the decoder has ready and that are in the span.
    fn receive_audio(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        let until = self.audio_end_us();
        while let Some(decoder) = &mut self.audio {
            let mut audio = Audio::empty();
            if !decoder.receive(&mut audio)? {
                break;
            }
            if !decoder.is_valid_audio(&audio) {
                continue;
            }
            let decoded_until_us = decoder.decoded_until_us();
            let (at, duration) = decoder.audio_time(&audio);
            let missing_us = decoded_until_us.map_or(0, |before| at.saturating_sub(before));
            let missing = decoder.missing_samples(&audio, missing_us);
            if let Some(from_us) =
                decoded_until_us.filter(|us| missing > 0 && *us >= self.start_us && until.is_none_or(|end| *us < end))
            {
                let silence = frame::silence_like(&audio, missing)
                    .map_err(|error| error::engine_failure("audio frame", error))?;
                sink.audio(silence, from_us - self.start_us)?;
            }
            if at.saturating_add(duration) > self.start_us && until.is_none_or(|end| at < end) {
                let at_us = at - self.start_us;
                decoder.reached_us = decoder.reached_us.max(at_us.saturating_add(duration));
                sink.audio(audio, at_us)?;
            }
        }
        Ok(())
    }

    /// Ends the audio: drains the backlog and the decoder.
    pub(super) fn end_audio(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.decode_backlog(sink)?;
        if let Some(decoder) = self.audio.as_mut().filter(|decoder| !decoder.ended) {
            decoder.send(None)?;
            self.receive_audio(sink)?;
        }
        if let Some(decoder) = &mut self.audio {
            decoder.ended = true;
        }
        Ok(())
    }
}
