//! Decodes no more of a source than some moments need: what lies between them is only read.

use super::Reader;
use super::Sink;
use crate::engine::facts::to_us;
use crate::engine::weave::Weave;
use domain::Failure;
use ffmpeg_next::Packet;
use std::collections::VecDeque;

/// Most bytes of packets that wait for a moment; beyond it they are decoded, needed or not.
const MAX_HELD_BYTES: usize = 64 << 20;

/// A moment whose picture is wanted, in microseconds from the start of the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct Moment {
    pub(in crate::engine) at_us: i64,
    /// A keyframe that comes at most so long before it will do.
    pub(in crate::engine) tolerance_us: i64,
}

/// The moments to come, and the packets that may be needed for the next one.
pub(super) struct Skim {
    moments: VecDeque<Moment>,
    /// All packets since the last keyframe, or since what was decoded last.
    held: Vec<Packet>,
    held_bytes: usize,
    /// Whether the first of them is a keyframe, before which nothing is needed.
    fresh: bool,
    /// Whether every packet is decoded until the next moment is seen.
    runs: bool,
    /// The time of the last picture that came out, on the source's clock.
    pub(super) shown_us: i64,
}

impl Skim {
    pub(super) fn new(mut moments: Vec<Moment>) -> Self {
        moments.sort_unstable();
        Self {
            moments: moments.into(),
            held: Vec::new(),
            held_bytes: 0,
            fresh: true,
            runs: false,
            shown_us: i64::MIN,
        }
    }

    fn drop_held(&mut self) {
        self.held.clear();
        self.held_bytes = 0;
    }
}

impl Reader {
    /// Takes the next packet of pictures.
    pub(super) fn skim(&mut self, packet: Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        let start_us = self.start_us;
        let (Some(track), Some(skim)) = (&mut self.video, &mut self.skim) else {
            return Ok(());
        };
        track.pass(&packet, start_us);
        let Some(moment) = skim.moments.front().copied() else {
            return Ok(());
        };
        let wanted_us = start_us.saturating_add(moment.at_us);
        let us = |time: Option<i64>| time.map(|time| to_us(time, track.base));
        let shown_us = us(packet.pts().or_else(|| packet.dts()));
        let decoded_us = us(packet.dts().or_else(|| packet.pts()));
        let enters = track.whole_after_us(&packet) == Some(0);
        if enters && !skim.runs && shown_us.is_some_and(|us| us <= wanted_us) {
            skim.drop_held();
            skim.fresh = true;
        }
        skim.held_bytes += packet.size();
        skim.held.push(packet);
        // No keyframe that is shown before the moment follows what is decoded after it.
        let reached = decoded_us.is_some_and(|us| us > wanted_us);
        if skim.runs || reached || skim.held_bytes > MAX_HELD_BYTES {
            self.serve(reached, sink)?;
        }
        Ok(())
    }

    /// Decodes what the next moment needs of the packets that wait.
    fn serve(&mut self, reached: bool, sink: &mut dyn Sink) -> Result<(), Failure> {
        let start_us = self.start_us;
        while let (Some(track), Some(skim)) = (&mut self.video, &mut self.skim) {
            let Some(moment) = skim.moments.front().copied() else {
                return Ok(());
            };
            let wanted_us = start_us.saturating_add(moment.at_us);
            let key = skim.held.first().filter(|_| skim.fresh);
            let key_us = key.and_then(Packet::pts).map(|time| to_us(time, track.base));
            let will_do = |us: i64| us <= wanted_us && wanted_us - us <= moment.tolerance_us;
            if !reached || !key_us.is_some_and(will_do) {
                return self.run_on(sink);
            }
            self.decode_key(sink)?;
            if let Some(skim) = &mut self.skim {
                skim.moments.pop_front();
                let next_us = skim
                    .moments
                    .front()
                    .map_or(i64::MAX, |next| start_us.saturating_add(next.at_us));
                let last = skim.held.last().and_then(|last| last.dts().or_else(|| last.pts()));
                let base = self.video.as_ref().map(|track| track.base);
                if last.zip(base).is_none_or(|(last, base)| to_us(last, base) <= next_us) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Decodes the keyframe that waits, and nothing else.
    fn decode_key(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.leap()?;
        if let (Some(track), Some(skim)) = (&mut self.video, &self.skim) {
            track.send(skim.held.first());
            track.send(None);
        }
        self.pictures(sink)?;
        let ready = self.weave.as_mut().map_or(Ok(Vec::new()), Weave::finish)?;
        self.give_all(ready, sink)?;
        self.leap()
    }

    /// What is decoded next does not follow on what was decoded last.
    fn leap(&mut self) -> Result<(), Failure> {
        if let Some(track) = &mut self.video {
            track.restart();
        }
        self.weave.as_mut().map_or(Ok(Vec::new()), Weave::finish).map(drop)
    }

    /// Decodes all packets that wait, and those that come until the moment is seen.
    fn run_on(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        if self.skim.as_mut().is_some_and(|skim| std::mem::take(&mut skim.fresh)) {
            self.leap()?;
        }
        let held = self.skim.as_mut().map_or(Vec::new(), |skim| {
            skim.runs = true;
            skim.held_bytes = 0;
            std::mem::take(&mut skim.held)
        });
        for packet in &held {
            if let Some(track) = &mut self.video {
                track.send(Some(packet));
            }
            self.pictures(sink)?;
        }
        let start_us = self.start_us;
        if let Some(skim) = &mut self.skim {
            let shown_us = skim.shown_us;
            let seen = |moment: &Moment| start_us.saturating_add(moment.at_us) <= shown_us;
            while skim.moments.front().is_some_and(seen) {
                skim.moments.pop_front();
                skim.runs = false;
            }
        }
        Ok(())
    }

    /// Decodes what the last moments need, when no packet follows.
    pub(super) fn end_skim(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        if self.skim.as_ref().is_some_and(|skim| !skim.moments.is_empty()) {
            self.run_on(sink)?;
        }
        Ok(())
    }
}
