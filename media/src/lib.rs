//! Obeys a plan with FFmpeg, inside its own sandbox.

pub mod engine;
