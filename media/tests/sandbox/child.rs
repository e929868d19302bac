//! A child process of this test program, connected by two pipes.

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
    /// Starts this program with these arguments; the first one is a mode of `main.rs`.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with_stderr(arguments, Stdio::null())
    }

    /// The same with another standard error.
    pub(crate) fn start_with_stderr(arguments: &[&str], stderr: Stdio) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
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

    /// Kills the process itself and not its children.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends a message as one line of JSON.
    pub(crate) fn send(&mut self, message: &impl Serialize) {
        self.send_line(&serde_json::to_string(message).unwrap());
    }

    pub(crate) fn send_line(&mut self, line: &str) {
        // Fails when the child has exited. Tests look at its last event and its exit code instead.
        let _ = self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes());
    }

    /// Reads the next line; `None` at the end of output.
    pub(crate) fn receive_line(&mut self) -> Option<String> {
        self.output.next().map(Result::unwrap)
    }

    /// Reads the next event.
    pub(crate) fn receive(&mut self) -> Event {
        serde_json::from_str(&self.receive_line().expect("an event")).unwrap()
    }

    /// Waits for the process; returns the signal that killed it, if any.
    pub(crate) fn wait_for_signal(mut self) -> Option<i32> {
        self.process.wait().unwrap().signal()
    }

    /// Closes its standard input, waits for the process, and returns its exit code; `None` after a signal.
    pub(crate) fn close(mut self) -> Option<i32> {
        self.input = None;
        self.process.wait().unwrap().code()
    }
}

/// Starts a media child that inherits the pipes of this process, and waits for it. The test kills this process.
pub(crate) fn run_parent() -> std::process::ExitCode {
    let child = Command::new(std::env::current_exe().unwrap())
        .arg("mode:media")
        .status();
    std::process::ExitCode::from(u8::from(child.is_err()))
}
