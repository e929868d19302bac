//! Times of frames that posters and sprites need, and the packets that wait for the next of them.

use ffmpeg_next::Packet;
use std::collections::VecDeque;

/// Most bytes of packets that wait for a moment; beyond it they are decoded, needed or not.
pub(crate) const MAX_HELD_BYTES: usize = 64 << 20;

/// A moment whose picture is wanted, in microseconds from the start of the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SampleTime {
    pub(crate) at_us: i64,
    /// A keyframe that comes at most so long before it will do.
    pub(crate) tolerance_us: i64,
}

/// The moments to come, and the packets that may be needed for the next one.
pub(crate) struct SampledDecode {
    pub(crate) times: VecDeque<SampleTime>,
    /// All packets since the last keyframe, or since what was decoded last.
    pub(crate) held: Vec<Packet>,
    pub(crate) held_bytes: usize,
    /// Whether the first of them is a keyframe, before which nothing is needed.
    pub(crate) starts_with_keyframe: bool,
    /// Whether every packet is decoded until the next moment is seen.
    pub(crate) decodes_all: bool,
    /// The time of the last picture that came out, on the source's clock.
    pub(crate) last_frame_us: i64,
}

impl SampledDecode {
    pub(crate) fn new(mut times: Vec<SampleTime>) -> Self {
        times.sort_unstable();
        Self {
            times: times.into(),
            held: Vec::new(),
            held_bytes: 0,
            starts_with_keyframe: true,
            decodes_all: false,
            last_frame_us: i64::MIN,
        }
    }

    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
        self.held_bytes = 0;
    }
}
