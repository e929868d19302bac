//! The test of all rules about the content of Rust files.

use super::circles::CIRCLES;
use super::comments::{OPENINGS, VAGUE_WORDS};
use super::items::{EMPTY_REASONS, TUPLE_PARAMETERS};
use super::parse::parse;
use super::repository::{files, members, read};
use super::rule::Rule;
use super::source::Source;
use super::words::WORDS;

const RULES: [Rule; 6] = [WORDS, OPENINGS, VAGUE_WORDS, TUPLE_PARAMETERS, EMPTY_REASONS, CIRCLES];

/// One test for all rules, so that the files are parsed once even if the test runner starts a process per test.
#[test]
fn rust_files_follow_the_project_rules() {
    let sources = sources();
    let report: String = RULES.iter().map(|rule| rule.judge(&sources)).collect();
    assert!(report.is_empty(), "\n{report}");
}

/// Parses the files of all members of the workspace, on all processors.
fn sources() -> Vec<Source> {
    let (files, members) = (files(".rs"), members());
    let parse_file = |file: &String| {
        let member = members.iter().find(|member| file.starts_with(&format!("{member}/")))?;
        Some(parse(file, member, &read(file)))
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parse_every = |first: usize| {
        files
            .iter()
            .skip(first)
            .step_by(threads)
            .filter_map(parse_file)
            .collect()
    };
    std::thread::scope(|scope| {
        let parsers: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || -> Vec<Source> { parse_every(first) }))
            .collect();
        let parsed = parsers.into_iter().flat_map(|parser| parser.join().unwrap());
        let mut sources: Vec<Source> = parsed.collect();
        sources.sort_by(|one, other| one.file.cmp(&other.file));
        sources
    })
}
