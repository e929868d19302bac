//! Decodes a source. [`timeline`] lists the parts of a plan, [`timeline_reader`] reads them one after the other,
//! [`reader`] reads one part once from its start to its end and delivers frames, samples and packets to a [`sink`].
//!
//! # Times
//!
//! All times are in microseconds.
//!
//! - *source time*: timestamps of a source after the repair of discontinuities;
//! - *origin*: the source time from which a plan counts, usually that of the first frame;
//! - *part time*: counted from the start of the span that is read;
//! - *timeline time*: counted from the start of the joined spans, see [`timeline`].

pub(crate) mod audio_backlog;
pub(crate) mod reader;
pub(crate) mod sampling;
pub(crate) mod seek;
pub(crate) mod sink;
pub(crate) mod source_loss;
pub(crate) mod stream_decoder;
pub(crate) mod threads;
pub(crate) mod timeline;
pub(crate) mod timeline_reader;
