//! The executable. `rushes media` is the sandboxed child, which enters its sandbox before anything else is started in
//! its process: no runtime, no other thread, no settings.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|command| command == "media") {
        return media::run();
    }
    rushes::main()
}
