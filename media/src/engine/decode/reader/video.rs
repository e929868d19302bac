//! Video of a reader: decoding, deinterlacing, and the frames at both ends of the span.
//!
//! A span rarely begins exactly at a frame. The last frame before it is held: it fills the beginning when the first
//! frame of the span comes late, and the whole span when no frame begins in it. At the end of the source, the last
//! frame is shown as long as the file states and as long as there is audio.

use crate::engine::decode::reader::{Ending, HeldFrame, Reader};
use crate::engine::decode::sink::Sink;
use crate::engine::demux::copy_source::TrackKind;
use crate::engine::video::deinterlace::Deinterlacer;
use domain::Failure;
use ffmpeg_next::Packet;
use ffmpeg_next::frame::Video;

/// Audio that goes on for at most this long after the last frame does not extend it, in microseconds: audio packets do
/// not end at frame boundaries.
const AUDIO_TAIL_US: i64 = 50_000;

impl Reader {
    /// Processes a video packet: passes it to outputs that copy, detects the end of the span, and decodes or checks it.
    pub(super) fn process_video_packet(&mut self, packet: Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        let Some(decoder) = &mut self.video else {
            return Ok(());
        };
        decoder.record_packet(&packet);
        decoder.detect_header_change(&packet);
        sink.packet(&packet, TrackKind::Video)?;
        if decoder.ended {
            // An audio stream without packets after the span must not cause the rest of the file to be read.
            return if decoder.is_far_past(&packet, self.end_us) {
                self.end_audio(sink)
            } else {
                Ok(())
            };
        }
        if decoder.count_packet_past_end(&packet, self.end_us) {
            return self.end_video(Ending::Span, sink);
        }
        if self.sampling.is_some() {
            return self.sample(packet, sink);
        }
        if sink.needs_decoded(TrackKind::Video) {
            decoder.send(Some(&packet))?;
            self.decode_video(sink)?;
            self.decode_due_audio(sink)
        } else {
            // Packets that are only copied are not decoded, but their damage and duration count as well.
            decoder.check_packet(&packet);
            decoder.skip_packet(&packet, self.start_us);
            Ok(())
        }
    }

    /// Delivers all frames that the decoder has ready.
    pub(super) fn decode_video(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        while let Some(decoder) = &mut self.video
            && !decoder.ended
        {
            let mut frame = Video::empty();
            if !decoder.receive(&mut frame)? {
                break;
            }
            decoder.apply_container_facts(&mut frame);
            decoder.detect_alpha(&frame);
            let (at, duration) = decoder.frame_time(&frame);
            match &mut self.deinterlacer {
                Some(deinterlacer) => {
                    let ready = deinterlacer.push(frame, at)?;
                    self.deliver_all(ready, sink)?;
                }
                None => self.deliver(frame, at, duration, sink)?,
            }
        }
        Ok(())
    }

    /// Delivers the frames that the deinterlacer has ready.
    pub(super) fn deliver_all(&mut self, ready: Vec<(Video, i64)>, sink: &mut dyn Sink) -> Result<(), Failure> {
        let duration = self.video.as_ref().map_or(0, |decoder| decoder.interval_us);
        ready
            .into_iter()
            .try_for_each(|(frame, at)| self.deliver(frame, at, duration, sink))
    }

    /// Delivers a frame that is in the span; holds one before it. `at` is in source time.
    fn deliver(&mut self, frame: Video, at: i64, duration: i64, sink: &mut dyn Sink) -> Result<(), Failure> {
        if let Some(sampling) = &mut self.sampling {
            sampling.last_frame_us = at;
        }
        if at < self.start_us {
            let left_us = at.saturating_add(duration).saturating_sub(self.start_us);
            let is_key = frame.is_key();
            self.held_frame = Some(HeldFrame { frame, left_us });
            if let Some(decoder) = self.video.as_mut().filter(|_| self.sampling.is_none()) {
                decoder.record_frame_before_span();
                if is_key {
                    decoder.record_keyframe_before_span(at);
                }
            }
            return Ok(());
        }
        let at_us = at - self.start_us;
        if let Some(decoder) = self
            .video
            .as_mut()
            .filter(|_| self.held_frame.is_none() && self.sampling.is_none())
        {
            decoder.record_first_frame(at);
        }
        self.deliver_held_frame(at_us, sink)?;
        let behind = self.end_us.is_some_and(|end| at >= end);
        if let Some(decoder) = self.video.as_mut().filter(|decoder| !decoder.ended)
            && decoder.count_frame_past_end(behind)
        {
            decoder.ended = true;
            sink.video_end(None)?;
        }
        if behind {
            return Ok(());
        }
        if let Some(decoder) = &mut self.video {
            decoder.reached_us = decoder.reached_us.max(at_us.saturating_add(duration));
        }
        sink.frame(frame, at_us, duration)
    }

    /// Delivers the held frame when the first frame of the span, at part time `first_us`, comes later than one and a
    /// half frame intervals, or only after the span.
    fn deliver_held_frame(&mut self, first_us: i64, sink: &mut dyn Sink) -> Result<(), Failure> {
        let usual_us = self.video.as_ref().map_or(0, |decoder| decoder.interval_us);
        let span_us = self.end_us.map_or(i64::MAX, |end| end.saturating_sub(self.start_us));
        match (self.held_frame.take(), &mut self.video) {
            (Some(HeldFrame { frame, .. }), Some(decoder)) if first_us > usual_us * 3 / 2 || first_us >= span_us => {
                let duration_us = first_us.min(span_us);
                decoder.reached_us = decoder.reached_us.max(duration_us);
                sink.frame(frame, 0, duration_us)
            }
            _ => Ok(()),
        }
    }

    /// Delivers the held frame when no frame begins in the span. It is shown until part time `until_us`; `None` is the
    /// end of the span.
    fn deliver_only_held_frame(&mut self, until_us: Option<i64>, sink: &mut dyn Sink) -> Result<(), Failure> {
        let span_us = self.end_us.map_or(0, |end| end.saturating_sub(self.start_us));
        let duration_us = until_us.unwrap_or(span_us);
        let held_frame = self.held_frame.take().filter(|_| duration_us > 0);
        let Some((HeldFrame { frame, .. }, decoder)) = held_frame.zip(self.video.as_mut()) else {
            return Ok(());
        };
        decoder.reached_us = decoder.reached_us.max(duration_us);
        sink.frame(frame, 0, duration_us)
    }

    /// Delivers the remaining frames of a drained decoder and of the deinterlacer.
    pub(super) fn deliver_drained(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.decode_video(sink)?;
        let ready = self
            .deinterlacer
            .as_mut()
            .map_or(Ok(Vec::new()), Deinterlacer::finish)?;
        self.deliver_all(ready, sink)
    }

    /// Ends the video: drains the decoder and the deinterlacer, and delivers the held frame if no other was delivered.
    pub(super) fn end_video(&mut self, ending: Ending, sink: &mut dyn Sink) -> Result<(), Failure> {
        if self.video.as_ref().is_some_and(|decoder| !decoder.ended) {
            self.end_sampling(sink)?;
        }
        if let Some(decoder) = self.video.as_mut().filter(|decoder| !decoder.ended) {
            decoder.send(None)?;
            self.deliver_drained(sink)?;
        }
        if self.video.as_ref().is_some_and(|decoder| !decoder.ended) {
            let until_us = self.last_frame_end_us(ending);
            self.deliver_only_held_frame(until_us, sink)?;
            if let Some(decoder) = &mut self.video {
                decoder.ended = true;
                decoder.reached_us = decoder.reached_us.max(until_us.unwrap_or(0));
            }
            sink.video_end(until_us)?;
        }
        Ok(())
    }

    /// End of the last frame in part time: the end of the video in the file, or that of the audio if it is later.
    /// `None` is the end of the span.
    fn last_frame_end_us(&self, ending: Ending) -> Option<i64> {
        let decoder = self.video.as_ref().filter(|_| ending == Ending::Source)?;
        let video_us = match decoder.end_by_index(&self.input) {
            Some(end_us) => end_us.saturating_sub(self.start_us),
            None => match &self.held_frame {
                Some(held_frame) => held_frame.left_us,
                None => decoder.reached_us,
            },
        };
        let audio_us = self.audio.as_ref().map_or(0, |decoder| {
            // The last audio packet is padded: it is longer than the audio that the container states.
            let stated = decoder.end_by_index(&self.input);
            let stated_us = stated.map_or(i64::MAX, |end_us| end_us.saturating_sub(self.start_us));
            decoder.reached_us.min(stated_us)
        });
        let until_us = if audio_us > video_us.saturating_add(AUDIO_TAIL_US) {
            audio_us
        } else {
            video_us
        };
        let span_us = self.end_us.map_or(i64::MAX, |end| end.saturating_sub(self.start_us));
        Some(until_us.min(span_us))
    }
}
