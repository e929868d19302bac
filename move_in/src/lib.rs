//! Manifests of the videos of another video service: Mux, Cloudflare Stream, `PeerTube` and `MediaCMS`.
//!
//! [`Lister::write`] asks the published API of the service for one page after the other, and writes one line of JSON
//! for each video, as an import of kind `videos` reads it. Only one page is in memory. Each asset of the service is
//! either a line or is reported as [`Skipped`] with the reason; none is left out without a word.
//!
//! The `external_id` of a line is the name of the service and the id there, such as `mux:ID`. So a second manifest of
//! the same service imports nothing twice.
//!
//! The functions from a reply to its entries are pure (`mux.rs`, `cloudflare.rs`, `peertube.rs`, `mediacms.rs`). The
//! requests are in `http.rs`, with their bounds: time, size, and repetition.

mod cloudflare;
mod entry;
mod error;
mod http;
mod lister;
mod mediacms;
mod mux;
mod peertube;

pub use entry::Skipped;
pub use error::Error;
pub use lister::{Counts, Lister, Options, Service};
