//! Sampled decoding: decodes only the packets that posters and sprites need. Packets between them are read but not
//! decoded.
//!
//! Packets wait from one keyframe to the next. When reading has passed the next sample time, there are two cases:
//! - The last keyframe is within the tolerance of the sample time: only this keyframe is decoded. This is the usual
//!   case of sprites.
//! - Otherwise all waiting packets are decoded, and the packets that follow, until the frame at the sample time is out.

use crate::engine::decode::reader::Reader;
use crate::engine::decode::sampling::{MAX_HELD_BYTES, SampleTime};
use crate::engine::decode::sink::Sink;
use crate::engine::time::to_us;
use crate::engine::video::deinterlace::Deinterlacer;
use domain::Failure;
use ffmpeg_next::Packet;

impl Reader {
    /// Processes the next video packet.
    pub(super) fn sample(&mut self, packet: Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        let start_us = self.start_us;
        let (Some(decoder), Some(sampling)) = (&mut self.video, &mut self.sampling) else {
            return Ok(());
        };
        decoder.skip_packet(&packet, start_us);
        let Some(sample) = sampling.times.front().copied() else {
            return Ok(());
        };
        let sample_us = start_us.saturating_add(sample.at_us);
        let us = |time: Option<i64>| time.map(|time| to_us(time, decoder.time_base));
        let shown_us = us(packet.pts().or_else(|| packet.dts()));
        let decoded_us = us(packet.dts().or_else(|| packet.pts()));
        let is_entry_point = decoder.recovery_us(&packet) == Some(0);
        if is_entry_point && !sampling.decodes_all && shown_us.is_some_and(|us| us <= sample_us) {
            sampling.drop_held();
            sampling.starts_with_keyframe = true;
        }
        sampling.held_bytes += packet.size();
        sampling.held.push(packet);
        // A packet is never shown before it is decoded. Once decoding times are past the sample time, no better
        // keyframe can follow.
        let reached = decoded_us.is_some_and(|us| us > sample_us);
        if sampling.decodes_all || reached || sampling.held_bytes > MAX_HELD_BYTES {
            self.decode_next_sample(reached, sink)?;
        }
        Ok(())
    }

    /// Decodes the waiting packets that the next sample time needs. `reached` is `true` when reading has passed it.
    fn decode_next_sample(&mut self, reached: bool, sink: &mut dyn Sink) -> Result<(), Failure> {
        let start_us = self.start_us;
        while let (Some(decoder), Some(sampling)) = (&mut self.video, &mut self.sampling) {
            let Some(sample) = sampling.times.front().copied() else {
                return Ok(());
            };
            let sample_us = start_us.saturating_add(sample.at_us);
            let key = sampling.held.first().filter(|_| sampling.starts_with_keyframe);
            let key_us = key.and_then(Packet::pts).map(|time| to_us(time, decoder.time_base));
            let is_close_enough = |us: i64| us <= sample_us && sample_us - us <= sample.tolerance_us;
            if !reached || !key_us.is_some_and(is_close_enough) {
                return self.decode_held(sink);
            }
            self.decode_keyframe(sink)?;
            // The same keyframe may serve several sample times that reading has passed.
            if let Some(sampling) = &mut self.sampling {
                sampling.times.pop_front();
                let next_us = sampling
                    .times
                    .front()
                    .map_or(i64::MAX, |next| start_us.saturating_add(next.at_us));
                let last = sampling.held.last().and_then(|last| last.dts().or_else(|| last.pts()));
                let base = self.video.as_ref().map(|decoder| decoder.time_base);
                if last.zip(base).is_none_or(|(last, base)| to_us(last, base) <= next_us) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Decodes only the waiting keyframe.
    fn decode_keyframe(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.reset_video()?;
        if let (Some(decoder), Some(sampling)) = (&mut self.video, &self.sampling) {
            decoder.send(sampling.held.first())?;
            // Draining returns the frame at once, without packets after it. The decoder must be flushed afterwards.
            decoder.send(None)?;
        }
        self.deliver_drained(sink)?;
        self.reset_video()
    }

    /// Flushes the decoder and drops the frames that the deinterlacer holds, before a packet that does not follow the
    /// last decoded one.
    fn reset_video(&mut self) -> Result<(), Failure> {
        if let Some(decoder) = &mut self.video {
            decoder.flush();
        }
        self.deinterlacer
            .as_mut()
            .map_or(Ok(Vec::new()), Deinterlacer::finish)
            .map(drop)
    }

    /// Decodes all waiting packets; packets that follow are decoded as well until the frame at the sample time is out.
    fn decode_held(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        if self
            .sampling
            .as_mut()
            .is_some_and(|sampling| std::mem::take(&mut sampling.starts_with_keyframe))
        {
            self.reset_video()?;
        }
        let held = self.sampling.as_mut().map_or(Vec::new(), |sampling| {
            sampling.decodes_all = true;
            sampling.held_bytes = 0;
            std::mem::take(&mut sampling.held)
        });
        for packet in &held {
            if let Some(decoder) = &mut self.video {
                decoder.send(Some(packet))?;
            }
            self.decode_video(sink)?;
        }
        let start_us = self.start_us;
        if let Some(sampling) = &mut self.sampling {
            let last_frame_us = sampling.last_frame_us;
            let is_out = |sample: &SampleTime| start_us.saturating_add(sample.at_us) <= last_frame_us;
            // The frame at a sample time is known once a frame at or after it is out.
            while sampling.times.front().is_some_and(is_out) {
                sampling.times.pop_front();
                sampling.decodes_all = false;
            }
        }
        Ok(())
    }

    /// Decodes the packets that the remaining sample times need, after the last packet.
    pub(super) fn end_sampling(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        if self
            .sampling
            .as_ref()
            .is_some_and(|sampling| !sampling.times.is_empty())
        {
            self.decode_held(sink)?;
        }
        Ok(())
    }
}
