//! Adaptive streams: their rungs, and whether the largest one is the source itself.

use super::geometry::{Narrower, fit};
use super::outputs::{Room, frames_u32, step, video_track};
use super::{Content, Done, Hls, Rung, Step, VideoOrder, ladder, language_tag};
use crate::recipe::{self, AudioCodec, TrimMode, VideoCodec};
use std::time::Duration;

/// Streams that begin or end so much apart do so together, in microseconds.
const TOGETHER_US: u64 = 50_000;

impl Room<'_> {
    /// An adaptive stream. Only the largest rung can be the source itself; the others are cut where it is.
    pub(super) fn hls(&self, wish: &recipe::HlsOutput, steps: &mut Vec<Step>) -> Content {
        let segment_us = wish.segment_ms * 1_000;
        let mut rungs = self.rungs(wish);
        let copied = match rungs.as_slice() {
            [(_, order), below @ ..] => self.can_cut(wish, order, !below.is_empty()),
            [] => Err("there are no rungs".to_owned()),
        };
        let is_copy = copied.is_ok();
        match rungs.as_mut_slice() {
            [(side, _), below @ ..] if is_copy && !below.is_empty() => {
                // More than any segment has: no group ends but where one of the copied rung does.
                let most = frames_u32(self.fps, 2 * segment_us).saturating_add(2);
                below.iter_mut().for_each(|(_, order)| order.gop_frames = most);
                steps.push(told(Done::Copy, format!("{side}p is already what was asked")));
                let names: Vec<_> = below.iter().map(|(side, _)| format!("{side}p")).collect();
                steps.push(told(
                    Done::Transcode,
                    format!("smaller than the source: {}", names.join(", ")),
                ));
            }
            _ => steps.push(step("video", copied)),
        }
        let rungs = rungs
            .into_iter()
            .enumerate()
            .map(|(place, (short_side_px, order))| Rung {
                short_side_px,
                video: video_track(order, is_copy && place == 0),
            });
        let rungs: Vec<_> = rungs.collect();
        let first = rungs.first().map(|rung| &rung.video);
        Content::Hls(Hls {
            audio: self.audio_track(AudioCodec::Aac, wish.audio, first.map(|video| (video, true)), steps),
            language: self
                .audio
                .and_then(|(stream, _)| stream.language.as_deref())
                .map(language_tag::tag),
            rungs,
            segment_us,
            single_file: wish.single_file,
        })
    }

    /// The shorter sides of the rungs and their orders, as if nothing could be copied.
    fn rungs(&self, wish: &recipe::HlsOutput) -> Vec<(u32, VideoOrder)> {
        let frame = self.recipe.frame.clone().unwrap_or_default();
        let canvas = fit(self.shown(), &frame, Narrower::default()).canvas;
        let order = |side: u32| {
            let narrower = Narrower {
                max_short_side_px: Some(side),
                ..Narrower::default()
            };
            let mut order = self.order(&wish.video, VideoCodec::H264, narrower);
            order.fixed_gops = true;
            order.gop_frames = frames_u32(self.fps, wish.segment_ms * 1_000);
            order.max_bitrate_bps = Some(ladder::max_bitrate_bps(order.picture.canvas, self.fps));
            (side, order)
        };
        ladder::short_sides(&wish.ladder, canvas)
            .into_iter()
            .map(order)
            .collect()
    }

    /// Whether the largest rung can be the source, cut at its keyframes.
    fn can_cut(&self, wish: &recipe::HlsOutput, order: &VideoOrder, rungs_below: bool) -> Result<(), String> {
        self.can_copy(&wish.video, order, false)?;
        self.can_begin_early((AudioCodec::Aac, wish.audio), false)?;
        self.begins_and_ends_together()?;
        let fast = self
            .recipe
            .trim
            .as_ref()
            .is_some_and(|trim| trim.mode == TrimMode::Fast);
        if rungs_below && fast {
            return Err("rungs below it are encoded, which begin at the picture asked".to_owned());
        }
        if rungs_below && self.drift() >= 0.5 {
            return Err(
                "its frame rate is not quite constant, and rungs below it are encoded at one that is".to_owned(),
            );
        }
        // With the first keyframe after each multiple of their length, no segment then gets twice as long.
        let keyframes = self.video.and_then(|facts| facts.keyframes);
        let apart_us = keyframes.map_or(u64::MAX, |keyframes| keyframes.longest_us);
        if apart_us > wish.segment_ms * 1_000 + self.fps.duration_us(1) {
            let (apart_ms, segment_ms) = (apart_us / 1_000, wish.segment_ms);
            return Err(format!(
                "its keyframes are up to {apart_ms} ms apart, for segments of {segment_ms} ms"
            ));
        }
        Ok(())
    }

    /// Whether sound begins and ends with the pictures: each is a rendition of its own, and nothing stands in for what one
    /// lacks.
    fn begins_and_ends_together(&self) -> Result<(), String> {
        let (Some(video), Some((_, audio))) = (self.video, self.audio) else {
            return Ok(());
        };
        if video.start_us > TOGETHER_US {
            return Err("its sound begins before its pictures: the first one stands meanwhile".to_owned());
        }
        let ends = audio.duration_us.zip(video.duration_us);
        if ends.is_some_and(|(audio, video)| audio > video + TOGETHER_US) {
            return Err("its sound goes on after its pictures: the last one stands meanwhile".to_owned());
        }
        Ok(())
    }

    /// How many frames more or fewer the source has than its span at the rate of the plan.
    fn drift(&self) -> f64 {
        let average = self.video.and_then(|facts| facts.average_fps).unwrap_or(self.fps);
        let seconds = Duration::from_micros(self.span_us).as_secs_f64();
        ((average.as_f64() - self.fps.as_f64()) * seconds).abs()
    }
}

/// What is done with some of the rungs.
fn told(done: Done, reason: String) -> Step {
    Step {
        stream: "video".to_owned(),
        done,
        reason,
    }
}
