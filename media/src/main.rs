//! The executable `rushes-media`, which a worker starts as a fork server of media children ([`media::serve_forks`]). It
//! is hardened before anything else is started in its process: no runtime, no other thread, no settings. Each child
//! confines itself.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|mode| mode == "fork-server") {
        return media::serve_forks();
    }
    let _ = writeln!(
        std::io::stderr(),
        "rushes-media is started by `rushes worker` and `rushes up`."
    );
    ExitCode::from(2)
}
