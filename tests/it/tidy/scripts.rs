//! Shell scripts: each function that a script calls is defined in one of them. `bash -n` does not check this.

use super::repository::{files, read};
use std::collections::BTreeSet;

#[test]
fn scripts_call_functions_that_exist() {
    let all = files("");
    let texts: Vec<(String, String)> = all
        .into_iter()
        .filter(|file| file.ends_with(".sh") || !file.rsplit('/').next().unwrap().contains('.'))
        .filter_map(|file| Some((file.clone(), shell_script(&file)?)))
        .collect();
    assert!(texts.len() >= 8, "only {} scripts found", texts.len());
    let defined: BTreeSet<&str> = texts.iter().flat_map(|(_, text)| definitions(text)).collect();
    for (file, text) in &texts {
        for (number, line) in text.lines().enumerate() {
            for name in calls(line) {
                assert!(defined.contains(name), "{file}:{}: `{name}` is not defined", number + 1);
            }
        }
    }
}

/// The text of a file that is a shell script, by its first line.
fn shell_script(file: &str) -> Option<String> {
    let text = read(file);
    let first = text.lines().next().unwrap_or_default();
    let is_shell = file.ends_with(".sh") || first.starts_with("#!") && first.ends_with("sh");
    is_shell.then_some(text)
}

fn definitions(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| Some(line.split_once("()")?.0).filter(|name| is_function_name(name)))
}

/// The names with an underscore where a command is expected. No program that the scripts use has one.
fn calls(line: &str) -> impl Iterator<Item = &str> {
    const BEFORE: [&str; 8] = ["&&", "||", "!", "if", "then", "do", "else", "{"];
    // `record "NAME" COMMAND` runs the command.
    let mut parts = line.split('"');
    let recorded = parts.next().is_some_and(|first| first.ends_with("record "));
    let line = if recorded {
        parts.nth(1).unwrap_or_default()
    } else {
        line
    };
    let mut words = line.split_whitespace();
    let mut expects_command = true;
    std::iter::from_fn(move || {
        let word = words.next()?;
        let is_command = expects_command;
        let ends_pattern = word.ends_with(')') && !word.contains('(');
        expects_command = BEFORE.contains(&word) || word.ends_with(';') || ends_pattern;
        let opened = word.rsplit_once("$(").map(|(_, name)| name);
        let name = opened.or_else(|| is_command.then_some(word)).unwrap_or_default();
        Some(name.trim_end_matches([';', ')', '"']))
    })
    .filter(|name| is_function_name(name))
}

fn is_function_name(name: &str) -> bool {
    name.contains('_') && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[test]
fn calls_are_found_and_nothing_else() {
    let called = |line| calls(line).collect::<Vec<_>>();
    assert_eq!(called("    clean_up_at_exit"), ["clean_up_at_exit"]);
    assert_eq!(called("  --version) print_version && return ;;"), ["print_version"]);
    assert_eq!(called("    record \"all tests\" run_tests all"), ["run_tests"]);
    assert_eq!(called("ready || start_again; then_stop"), ["start_again", "then_stop"]);
    assert_eq!(
        called("port=$(free_port) other=$(next_one 3)"),
        ["free_port", "next_one"]
    );
    assert_eq!(called("local which=all a_name=3 b_name"), [] as [&str; 0]);
}
