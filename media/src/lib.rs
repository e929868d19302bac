//! Executes a plan with FFmpeg in a sandboxed child process.
//!
//! - [`engine`] calls FFmpeg: probe, transcode, verify. It makes no decisions; `domain::plan` makes them.
//! - [`sandbox`] takes rights away from the process before it opens a file of a user.
//! - [`run`] is the main function of the child: it reads requests from standard input and writes events to standard
//!   output.
//! - [`load`] loads the shared libraries of FFmpeg.

pub mod engine;
#[cfg(target_arch = "x86_64")]
mod libraries;
pub mod sandbox;
mod session;

#[cfg(target_arch = "x86_64")]
pub use libraries::load;
pub use session::run;

/// Does nothing: on this architecture the dynamic linker loads FFmpeg before `main`.
///
/// # Errors
/// None.
#[cfg(not(target_arch = "x86_64"))]
pub fn load() -> Result<(), &'static str> {
    Ok(())
}
