//! Obeys a plan with FFmpeg, inside its own sandbox.

pub mod engine;
#[cfg(target_arch = "x86_64")]
mod libraries;
pub mod sandbox;
mod session;

#[cfg(target_arch = "x86_64")]
pub use libraries::load;
pub use session::run;

/// FFmpeg is there: on this processor the dynamic linker loads it before `main`.
///
/// # Errors
/// None.
#[cfg(not(target_arch = "x86_64"))]
pub fn load() -> Result<(), &'static str> {
    Ok(())
}
