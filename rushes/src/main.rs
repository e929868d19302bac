//! The one binary. `rushes media` is the sandboxed child: it locks itself in before anything else exists in its process.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|command| command == "media") {
        return media::run();
    }
    rushes::main()
}
