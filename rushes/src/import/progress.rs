//! Lines for people: the progress of an import, and messages.

use api::imports::ImportView;
use std::io::{self, IsTerminal, Write};

/// The progress on the standard error output: one line that changes on a terminal, and else a line for each change.
pub(super) struct Progress {
    is_terminal: bool,
    last: String,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            last: String::new(),
        }
    }

    pub(super) fn show(&mut self, import: &ImportView) {
        let line = format!("import {}: {}", import.id, counts(import));
        if line == self.last {
            return;
        }
        if self.is_terminal {
            // Returns to the first column and clears the line.
            write(&format!("\r\x1b[K{line}"));
        } else {
            note(&line);
        }
        self.last = line;
    }

    pub(super) fn end(&self) {
        if self.is_terminal && !self.last.is_empty() {
            write("\n");
        }
    }
}

/// The status and the numbers of rows.
pub(super) fn counts(import: &ImportView) -> String {
    let (rows, status) = (&import.rows, import.status.as_str());
    let dry_run = if import.dry_run { " (dry run)" } else { "" };
    format!(
        "{status}{dry_run}: {} rows, {} pending, {} working, {} created, {} updated, {} duplicate, {} error",
        rows.total, rows.pending, rows.working, rows.created, rows.updated, rows.duplicate, rows.error
    )
}

/// Writes a line to the standard error output.
pub(super) fn note(line: &str) {
    write(&format!("{line}\n"));
}

/// The text without control characters, which could change the terminal.
pub(super) fn shown(text: &str) -> String {
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().map(shown).collect()
}

fn write(text: &str) {
    // If the output is closed, the import goes on.
    let _ = io::stderr().write_all(text.as_bytes());
}
