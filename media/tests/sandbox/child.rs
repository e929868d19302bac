//! A child on the other end of two pipes.

use domain::protocol::Event;
use serde::Serialize;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program anew.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            input: process.stdin.take(),
            output: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it, and it alone.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn say(&mut self, message: &impl Serialize) {
        self.say_line(&serde_json::to_string(message).unwrap());
    }

    pub(crate) fn say_line(&mut self, line: &str) {
        // A child that has said its last word does not listen any more.
        let _ = self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes());
    }

    /// The next line; `None` at the end.
    pub(crate) fn hear_line(&mut self) -> Option<String> {
        self.output.next().map(Result::unwrap)
    }

    /// The next event.
    pub(crate) fn hear(&mut self) -> Event {
        serde_json::from_str(&self.hear_line().expect("an event")).unwrap()
    }

    /// Waits for the signal that ends it.
    pub(crate) fn signal(mut self) -> Option<i32> {
        self.process.wait().unwrap().signal()
    }

    /// Ends the input and waits for the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.input = None;
        self.process.wait().unwrap().code()
    }
}

/// Between a story and a child: starts one that uses the same pipes, and waits.
pub(crate) fn wait_with_a_child() -> std::process::ExitCode {
    let child = Command::new(std::env::current_exe().unwrap()).arg("as:media").status();
    std::process::ExitCode::from(u8::from(child.is_err()))
}
