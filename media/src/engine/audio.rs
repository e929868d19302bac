//! Audio between decoder and encoder: resampled into a FIFO without gaps, measured (EBU R 128), and normalized to a
//! target loudness with limited true peaks.

pub(crate) mod fifo;
pub(crate) mod filter_graph;
pub(crate) mod limiter;
pub(crate) mod loudness;
pub(crate) mod params;
pub(crate) mod peak_meter;
