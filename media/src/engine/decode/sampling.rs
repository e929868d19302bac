//! Times of the frames that posters and sprites need, and the packets that may be needed for the next of them. The
//! reader uses them for sampled decoding.

use ffmpeg_next::Packet;
use std::collections::VecDeque;

/// Maximum bytes of waiting packets; beyond it they are decoded even if they may not be needed.
pub(crate) const MAX_HELD_BYTES: usize = 64 << 20;

/// Part time of a frame to sample, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SampleTime {
    pub(crate) at_us: i64,
    /// A keyframe at most this long before `at_us` is good enough, in microseconds.
    pub(crate) tolerance_us: i64,
}

/// Pending sample times, and the packets that may be needed for the next one.
pub(crate) struct SampledDecode {
    pub(crate) times: VecDeque<SampleTime>,
    /// All packets since the last keyframe, or since the last decoded packet.
    pub(crate) held: Vec<Packet>,
    pub(crate) held_bytes: usize,
    /// `true` when the first held packet is a keyframe, so that decoding can begin there.
    pub(crate) starts_with_keyframe: bool,
    /// `true` while every packet is decoded until the frame of the next sample time is out.
    pub(crate) decodes_all: bool,
    /// Source time of the last decoded frame.
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
