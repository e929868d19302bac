//! Obeys a plan with FFmpeg, inside its own sandbox.

pub mod engine;
pub mod sandbox;
mod session;

pub use session::run;
