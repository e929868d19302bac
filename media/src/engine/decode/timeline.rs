//! The timeline of a plan: intro clip, spans of the source, outro clip, in the order of showing.

use domain::plan::{Card, Content, Movie, SourceVideo};
use domain::{Plan, Span};

/// What is read in one go, with decoders of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) role: Role,
    /// The place of its file among the sources.
    pub(crate) source_index: usize,
    pub(crate) video: Option<SourceVideo>,
    pub(crate) audio_stream: Option<usize>,
    /// Counted from the first moment of its file.
    pub(crate) span: Span,
    /// How long that is in microseconds, as far as the plan can tell, or 0.
    pub(crate) duration_us: u64,
    /// Where it begins: microseconds after the start of the joined spans.
    pub(crate) timeline_us: u64,
    /// For so long after its end its sound may still be wanted, because the last frame may last longer.
    pub(crate) audio_overhang_us: u64,
    /// What counts as moment 0 on the clock of its file, in microseconds, when the plan tells.
    pub(crate) origin_us: Option<i64>,
    /// Whether its clock jumps, so that it is read from its beginning.
    pub(crate) has_discontinuity: bool,
}

/// What a part is to the video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The clip before; only outputs with cards show it.
    Intro,
    /// A span of the source; the last one ends what outputs without cards show.
    Span { last: bool },
    /// The clip after.
    Outro,
}

impl Part {
    /// Whether it is a span of the source, not a card.
    pub(crate) const fn is_span(&self) -> bool {
        matches!(self.role, Role::Span { .. })
    }

    /// A time of the joined spans, counted from where this part begins.
    pub(crate) fn time_in_part_us(&self, at_us: i64) -> i64 {
        at_us.saturating_sub(i64::try_from(self.timeline_us).unwrap_or(i64::MAX))
    }

    /// Frames that it becomes, when the plan says where it ends.
    pub(crate) fn frames(&self, plan: &Plan) -> Option<u64> {
        self.span.end.map(|_| plan.fps.frames_in(self.duration_us).max(1))
    }
}

/// All parts of a plan in the order of showing.
pub(crate) fn parts(plan: &Plan) -> Vec<Part> {
    let spans = spans(plan);
    let end_us = spans.last().map_or(0, |part| part.timeline_us + part.duration_us);
    let clip = |card: &Option<Card>, role, at_us| clip(plan, card.as_ref()?, role, at_us);
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

/// The spans; where there are pictures, each begins with a frame, so that every output counts time alike.
fn spans(plan: &Plan) -> Vec<Part> {
    let source_us = source_us(plan);
    let count = plan.spans.len();
    let (mut frames, mut joined_us) = (0, 0);
    let spans = plan.spans.iter().enumerate().map(|(place, span)| {
        let duration_us = span_duration_us(span, source_us);
        let at_us = joined_us;
        frames += plan.fps.frames_in(duration_us).max(1);
        joined_us = match plan.video {
            Some(_) => plan.fps.duration_us(frames),
            None => joined_us + duration_us,
        };
        Part {
            role: Role::Span {
                last: place + 1 == count,
            },
            source_index: 0,
            video: plan.video,
            audio_stream: plan.audio_stream,
            span: *span,
            duration_us,
            timeline_us: at_us,
            audio_overhang_us: plan.fps.duration_us(2),
            origin_us: plan.origin_us,
            has_discontinuity: plan.jumps,
        }
    });
    spans.collect()
}

/// A clip is whole; it is heard where the source is.
fn clip(plan: &Plan, card: &Card, role: Role, at_us: u64) -> Option<Part> {
    let Card::Clip {
        file,
        video,
        audio_stream,
        frames,
    } = card
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
        timeline_us: at_us,
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

/// Where the source ends: what the spans without an end add to the length of all; 0 when nobody knows.
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
