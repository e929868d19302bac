//! Timeline of a plan: intro clip, spans of the source, outro clip, in the order of presentation.
//!
//! Timeline time counts in microseconds from the start of the joined spans. Each span begins at a frame boundary of the
//! outputs, so all outputs cut at the same frames. The intro does not shift timeline time: it begins at 0 like the
//! first span. Outputs that show bumpers convert to part times and place the parts one after the other.

use domain::plan::{Bumper, Content, Movie, SourceVideo};
use domain::{Plan, Span};

/// One continuous range of one source, read with decoders of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) role: Role,
    /// Index of its file among the sources.
    pub(crate) source_index: usize,
    pub(crate) video: Option<SourceVideo>,
    pub(crate) audio_stream: Option<usize>,
    /// Range to read, counted from the origin of its file.
    pub(crate) span: Span,
    /// Duration in microseconds as planned; 0 when it is not known.
    pub(crate) duration_us: u64,
    /// Start in timeline time, in microseconds.
    pub(crate) timeline_us: u64,
    /// Audio is read for this long after the end, in microseconds, because the last frame may be extended.
    pub(crate) audio_overhang_us: u64,
    /// Origin of its file in source time, in microseconds; `None` when the plan does not state it.
    pub(crate) origin_us: Option<i64>,
    /// `true` when its timestamps have discontinuities, so that it is read from its beginning.
    pub(crate) has_discontinuity: bool,
}

/// Role of a part in the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The clip before the spans; only outputs with bumpers show it.
    Intro,
    /// A span of the source; outputs without bumpers end after the last one.
    Span { last: bool },
    /// The clip after the spans.
    Outro,
}

impl Part {
    /// Returns `true` for a span of the source, `false` for a bumper.
    pub(crate) const fn is_span(&self) -> bool {
        matches!(self.role, Role::Span { .. })
    }

    /// Converts a timeline time to a time of this part, both in microseconds.
    pub(crate) fn time_in_part_us(&self, at_us: i64) -> i64 {
        at_us.saturating_sub(i64::try_from(self.timeline_us).unwrap_or(i64::MAX))
    }

    /// Number of frames in the outputs; `None` when the span has no planned end.
    pub(crate) fn frames(&self, plan: &Plan) -> Option<u64> {
        self.span.end.map(|_| plan.fps.frames_in(self.duration_us).max(1))
    }
}

/// All parts of a plan in the order of presentation.
pub(crate) fn parts(plan: &Plan) -> Vec<Part> {
    let spans = spans(plan);
    let end_us = spans.last().map_or(0, |part| part.timeline_us + part.duration_us);
    let clip = |bumper: &Option<Bumper>, role, timeline_us| clip(plan, bumper.as_ref()?, role, timeline_us);
    let (intro, outro) = if shows_bumpers(plan) {
        (
            clip(&plan.intro, Role::Intro, 0),
            clip(&plan.outro, Role::Outro, end_us),
        )
    } else {
        (None, None)
    };
    intro.into_iter().chain(spans).chain(outro).collect()
}

/// The spans. With video, the start of each is rounded to a frame boundary of the outputs.
fn spans(plan: &Plan) -> Vec<Part> {
    let source_us = source_us(plan);
    let count = plan.spans.len();
    let (mut frames, mut next_start_us) = (0, 0);
    let spans = plan.spans.iter().enumerate().map(|(index, span)| {
        let duration_us = span_duration_us(span, source_us);
        let start_us = next_start_us;
        frames += plan.fps.frames_in(duration_us).max(1);
        next_start_us = match plan.video {
            Some(_) => plan.fps.duration_us(frames),
            None => next_start_us + duration_us,
        };
        Part {
            role: Role::Span {
                last: index + 1 == count,
            },
            source_index: 0,
            video: plan.video,
            audio_stream: plan.audio_stream,
            span: *span,
            duration_us,
            timeline_us: start_us,
            audio_overhang_us: plan.fps.duration_us(2),
            origin_us: plan.origin_us,
            has_discontinuity: plan.jumps,
        }
    });
    spans.collect()
}

/// A bumper that is a clip: the whole file, with its audio only when the plan has audio. `None` for a still.
fn clip(plan: &Plan, bumper: &Bumper, role: Role, timeline_us: u64) -> Option<Part> {
    let Bumper::Clip {
        file,
        video,
        audio_stream,
        frames,
    } = bumper
    else {
        return None;
    };
    Some(Part {
        role,
        source_index: *file,
        video: Some(*video),
        audio_stream: plan.audio_stream.and(*audio_stream),
        span: Span::default(),
        duration_us: plan.fps.duration_us(*frames),
        timeline_us,
        audio_overhang_us: 0,
        origin_us: None,
        has_discontinuity: false,
    })
}

fn shows_bumpers(plan: &Plan) -> bool {
    plan.outputs.iter().any(|output| match &output.content {
        Content::Movie(Movie { video, .. }) => !video.is_copy(),
        Content::Hls(hls) => hls.rungs.iter().any(|rung| !rung.video.is_copy()),
        Content::Audio { .. } | Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => false,
    })
}

fn span_duration_us(span: &Span, source_us: u64) -> u64 {
    let end_us = span.end.map_or(source_us, domain::Timecode::us);
    end_us.saturating_sub(span.start.us())
}

/// End of the source in microseconds after its origin, derived from the total duration of all spans and those without
/// an end; 0 when it is not known.
fn source_us(plan: &Plan) -> u64 {
    let known_us: u64 = plan.spans.iter().map(|span| span_duration_us(span, 0)).sum();
    let open: Vec<_> = plan.spans.iter().filter(|span| span.end.is_none()).collect();
    let starts_us: u64 = open.iter().map(|span| span.start.us()).sum();
    let open_us = plan.span_us.saturating_sub(known_us);
    let count = u64::try_from(open.len()).unwrap_or(u64::MAX);
    (open_us + starts_us)
        .checked_div(count)
        .filter(|_| open_us > 0)
        .unwrap_or(0)
}
