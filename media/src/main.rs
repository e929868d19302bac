//! The executable `rushes-media`, which a worker starts. It enters the sandbox before anything else is started in its
//! process: no runtime, no other thread, no settings.
//!
//! - `rushes-media fork-server` starts media children on request ([`media::serve_forks`]). Workers use this one.
//! - `rushes-media` is a single media child ([`media::run`]).

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mode = std::env::args_os().nth(1);
    match mode.as_deref().and_then(std::ffi::OsStr::to_str) {
        None if mode.is_none() => media::run(),
        Some("fork-server") => media::serve_forks(),
        _ => {
            let _ = writeln!(
                std::io::stderr(),
                "rushes-media is started by `rushes worker` and `rushes up`."
            );
            ExitCode::from(2)
        }
    }
}
