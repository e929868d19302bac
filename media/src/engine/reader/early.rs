//! Packets of sound that stand far ahead of their pictures in the file, or under a picture that stands for long. They wait
//! as packets: decoded, an hour of them would take more than a gigabyte.

use super::{Reader, Sink};
use domain::Failure;
use ffmpeg_next::Packet;
use std::collections::VecDeque;

/// Sound that is so far ahead of the pictures waits, in microseconds.
const AHEAD_US: i64 = 30_000_000;

/// Most bytes that wait.
const MAX_BYTES: usize = 64 << 20;

/// What waits, in its order.
#[derive(Default)]
pub(super) struct Early {
    packets: VecDeque<Packet>,
    bytes: usize,
}

impl Early {
    pub(super) fn push(&mut self, packet: Packet) {
        self.bytes += packet.size();
        self.packets.push_back(packet);
    }

    fn pop(&mut self) -> Option<Packet> {
        let packet = self.packets.pop_front()?;
        self.bytes = self.bytes.saturating_sub(packet.size());
        Some(packet)
    }
}

impl Reader {
    /// Whether a packet of sound has to wait for the pictures.
    pub(super) fn is_early(&self, packet: &Packet) -> bool {
        let waits = self.video.as_ref().is_some_and(|video| !video.ended);
        waits && self.early.bytes < MAX_BYTES && (!self.early.packets.is_empty() || self.is_ahead(packet))
    }

    fn is_ahead(&self, packet: &Packet) -> bool {
        let tracks = self.video.as_ref().zip(self.audio.as_ref());
        tracks.is_some_and(|(video, audio)| {
            let at_us = audio.packet_us(packet).unwrap_or(i64::MIN);
            at_us > video.sent_us.saturating_add(AHEAD_US)
        })
    }

    /// Decodes a packet of sound, after those that came before it.
    pub(super) fn hear(&mut self, packet: &Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.hear_all(sink)?;
        self.decode_sound(packet, sink)
    }

    /// Decodes what waits and is no longer far ahead of the pictures.
    pub(super) fn hear_early(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        while let Some(packet) = self.early.packets.front()
            && !self.is_ahead(packet)
            && let Some(packet) = self.early.pop()
        {
            self.decode_sound(&packet, sink)?;
        }
        Ok(())
    }

    /// Decodes all that waits.
    pub(super) fn hear_all(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        while let Some(packet) = self.early.pop() {
            self.decode_sound(&packet, sink)?;
        }
        Ok(())
    }

    fn decode_sound(&mut self, packet: &Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        if let Some(track) = &mut self.audio {
            track.send(Some(packet));
        }
        self.sounds(sink)
    }
}
