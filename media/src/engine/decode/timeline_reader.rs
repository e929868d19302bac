//! Reads all parts of the timeline one after the other, each with a [`Reader`] of its own.

use crate::engine::context::TranscodeContext;
use crate::engine::decode::reader::Reader;
use crate::engine::decode::sampling::SampleTime;
use crate::engine::decode::sink::Sink;
use crate::engine::decode::source_loss::SourceLoss;
use crate::engine::decode::timeline::{self, Part, Role};
use crate::engine::error::plan_mismatch;
use crate::engine::fanout::FanOut;
use domain::plan::Content;
use domain::{Failure, Plan};

/// The parts of a plan, and an open reader of the first span, from whose decoders the outputs get the facts that they
/// are opened with.
pub(crate) struct TimelineReader<'a> {
    context: &'a TranscodeContext<'a>,
    parts: Vec<Part>,
    /// Index of the first span that an output needs.
    first: usize,
    reader: Reader,
}

impl<'a> TimelineReader<'a> {
    /// Opens the source at the first span that an output needs.
    ///
    /// # Errors
    /// When the source or a decoder cannot be opened.
    pub(crate) fn open(context: &'a TranscodeContext<'a>) -> Result<Self, Failure> {
        let mut parts = timeline::parts(context.plan);
        let needed_us = first_needed_us(context.plan);
        let over = |part: &Part| {
            let end_us = part.timeline_us + part.duration_us + part.audio_overhang_us;
            part.role == Role::Span { last: false } && part.duration_us > 0 && end_us <= needed_us
        };
        // Spans that end before the first needed time are not read: a poster may need only the last one.
        let skipped = parts.iter().take_while(|part| over(part)).count();
        parts.drain(..skipped);
        let first = parts.iter().position(Part::is_span);
        let found = first.and_then(|first| parts.get(first).map(|part| (first, *part)));
        let (first, part) = found.ok_or_else(|| plan_mismatch("a span"))?;
        let mut reader = open(context, &part)?;
        let from_us = i64::try_from(needed_us.saturating_sub(part.timeline_us)).unwrap_or(0);
        reader.seek(from_us, context.cancel)?;
        sample_stills(context.plan, &part, &mut reader);
        Ok(Self {
            context,
            parts,
            first,
            reader,
        })
    }

    /// The reader of the first span.
    pub(crate) const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Reads the parts in order, until no output needs more.
    ///
    /// # Errors
    /// As [`Reader::run`], and when a clip cannot be opened.
    pub(crate) fn run(&mut self, fan_out: &mut FanOut) -> Result<SourceLoss, Failure> {
        let mut loss = SourceLoss::default();
        for (index, part) in self.parts.iter().enumerate() {
            if !fan_out.wants_more() {
                break;
            }
            fan_out.begin_part(*part)?;
            if index == self.first {
                loss += self.reader.run(fan_out, self.context.cancel)?;
            } else {
                let mut reader = open(self.context, part)?;
                reader.seek(0, self.context.cancel)?;
                sample_stills(self.context.plan, part, &mut reader);
                loss += reader.run(fan_out, self.context.cancel)?;
            }
        }
        fan_out.end();
        Ok(loss)
    }
}

fn open(context: &TranscodeContext<'_>, part: &Part) -> Result<Reader, Failure> {
    let source = context
        .sources
        .get(part.source_index)
        .ok_or_else(|| plan_mismatch("a file"))?;
    Reader::open(source, part, context.threads, context.cancel)
}

/// Switches the reader to sampled decoding when all outputs are stills.
fn sample_stills(plan: &Plan, part: &Part, reader: &mut Reader) {
    let mut times = Vec::new();
    for output in &plan.outputs {
        let (first_us, every_us, count) = match output.content {
            Content::Poster { at_us, .. } => (at_us, 0, 1),
            Content::Sprite { every_us, count, .. } => (0, every_us, count),
            Content::Movie(_) | Content::Hls(_) | Content::Audio { .. } | Content::Gif { .. } => return,
        };
        times.extend((0..count).filter_map(|index| sample_time(part, first_us + index * every_us, every_us / 2)));
    }
    reader.sample_only(times);
}

/// Converts a timeline time to a sample time of a part; `None` when the part does not show it. The tolerance is cut at
/// the start of the part, because a keyframe before it is not one of its frames.
fn sample_time(part: &Part, timeline_us: u64, tolerance_us: u64) -> Option<SampleTime> {
    let part_us = timeline_us.checked_sub(part.timeline_us)?;
    let last = part.role == (Role::Span { last: true });
    (last || part_us < part.duration_us).then_some(())?;
    // A time after the end samples the last frame of the span, not one behind it.
    let part_us = if part.duration_us > 0 {
        part_us.min(part.duration_us - 1)
    } else {
        part_us
    };
    Some(SampleTime {
        at_us: i64::try_from(part_us).ok()?,
        tolerance_us: i64::try_from(tolerance_us.min(part_us)).ok()?,
    })
}

/// First timeline time that an output needs, in microseconds.
fn first_needed_us(plan: &Plan) -> u64 {
    let needed = plan.outputs.iter().map(|output| match output.content {
        Content::Poster { at_us, .. } => at_us.min(plan.span_us.saturating_sub(1)),
        Content::Gif { start_us, .. } => start_us,
        Content::Movie(_) | Content::Hls(_) | Content::Audio { .. } | Content::Sprite { .. } => 0,
    });
    needed.min().unwrap_or(0)
}
