//! Executes a plan with FFmpeg in a sandboxed child process.
//!
//! - [`engine`] calls FFmpeg: probe, transcode, verify. It makes no decisions; `domain::plan` makes them.
//! - [`sandbox`] takes rights away from the process before it opens a file of a user.
//! - [`run`] is the main function of the child: it reads requests from standard input and writes events to standard
//!   output.
//! - [`serve_forks`] is the main function of the fork server, which starts children.
//!
//! The executable is `rushes-media`, the only one that links FFmpeg. It is the fork server.

pub mod engine;
mod fork_server;
pub mod sandbox;
mod session;

pub use fork_server::serve_forks;
pub use session::run;
