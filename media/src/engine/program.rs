//! Reads all parts of a plan, one after the other.

use super::feed::Feeds;
use super::losses::Losses;
use super::parts::{self, Part, Role};
use super::reader::{Moment, Reader};
use super::sink::Sink;
use super::transcode::{Work, out_of_step};
use domain::plan::Content;
use domain::{Failure, Plan};

/// The parts, and a reader on the first span: what it finds there is what the outputs are opened with.
pub(super) struct Program<'a> {
    work: &'a Work<'a>,
    parts: Vec<Part>,
    /// The place of the first span that any output looks at.
    first: usize,
    reader: Reader,
}

impl<'a> Program<'a> {
    /// Opens the source.
    ///
    /// # Errors
    /// When it cannot be opened, or a decoder of the plan cannot.
    pub(super) fn open(work: &'a Work<'a>) -> Result<Self, Failure> {
        let mut parts = parts::of(work.plan);
        let wanted_us = first_wanted_us(work.plan);
        let over = |part: &Part| {
            let end_us = part.at_us + part.length_us + part.overhang_us;
            part.role == Role::Span { last: false } && part.length_us > 0 && end_us <= wanted_us
        };
        // What ends before anybody looks is not read.
        let skipped = parts.iter().take_while(|part| over(part)).count();
        parts.drain(..skipped);
        let first = parts.iter().position(Part::is_span);
        let found = first.and_then(|first| parts.get(first).map(|part| (first, *part)));
        let (first, part) = found.ok_or_else(|| out_of_step("a span"))?;
        let mut reader = open(work, &part)?;
        let from_us = i64::try_from(wanted_us.saturating_sub(part.at_us)).unwrap_or(0);
        reader.seek(from_us, work.cancel)?;
        skim(work.plan, &part, &mut reader);
        Ok(Self {
            work,
            parts,
            first,
            reader,
        })
    }

    /// The reader on the first span.
    pub(super) const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Reads the parts from first to last, as long as anybody wants more.
    ///
    /// # Errors
    /// As [`Reader::run`], and when a clip cannot be opened.
    pub(super) fn run(&mut self, feeds: &mut Feeds) -> Result<Losses, Failure> {
        let mut losses = Losses::default();
        for (place, part) in self.parts.iter().enumerate() {
            if !feeds.goes_on() {
                break;
            }
            feeds.begin(*part)?;
            if place == self.first {
                losses += self.reader.run(feeds, self.work.cancel)?;
            } else {
                let mut reader = open(self.work, part)?;
                reader.seek(0, self.work.cancel)?;
                skim(self.work.plan, part, &mut reader);
                losses += reader.run(feeds, self.work.cancel)?;
            }
        }
        feeds.end();
        Ok(losses)
    }
}

fn open(work: &Work<'_>, part: &Part) -> Result<Reader, Failure> {
    let source = work.sources.get(part.file).ok_or_else(|| out_of_step("a file"))?;
    Reader::open(source, part, work.threads, work.cancel)
}

/// Where all outputs are stills, only their moments are wanted.
fn skim(plan: &Plan, part: &Part, reader: &mut Reader) {
    let mut moments = Vec::new();
    for output in &plan.outputs {
        let (first_us, every_us, count) = match output.content {
            Content::Poster { at_us, .. } => (at_us, 0, 1),
            Content::Sprite { every_us, count, .. } => (0, every_us, count),
            Content::Movie(_) | Content::Hls(_) | Content::Audio { .. } | Content::Gif { .. } => return,
        };
        moments.extend((0..count).filter_map(|place| moment(part, first_us + place * every_us, every_us / 2)));
    }
    reader.want_only(moments);
}

/// A moment of the joined spans as one of a part, if it does not come before it. A keyframe from before the part is
/// none of its pictures.
fn moment(part: &Part, joined_us: u64, tolerance_us: u64) -> Option<Moment> {
    let own_us = joined_us.checked_sub(part.at_us)?;
    let last = part.role == (Role::Span { last: true });
    (last || own_us < part.length_us).then_some(())?;
    // When a moment comes too late, the last picture of the span is wanted, not one behind it.
    let own_us = if part.length_us > 0 {
        own_us.min(part.length_us - 1)
    } else {
        own_us
    };
    Some(Moment {
        at_us: i64::try_from(own_us).ok()?,
        tolerance_us: i64::try_from(tolerance_us.min(own_us)).ok()?,
    })
}

/// The first moment of the joined spans that any output looks at.
fn first_wanted_us(plan: &Plan) -> u64 {
    let wanted = plan.outputs.iter().map(|output| match output.content {
        Content::Poster { at_us, .. } => at_us.min(plan.span_us.saturating_sub(1)),
        Content::Gif { start_us, .. } => start_us,
        Content::Movie(_) | Content::Hls(_) | Content::Audio { .. } | Content::Sprite { .. } => 0,
    });
    wanted.min().unwrap_or(0)
}
