//! Facts of every Rust file. A syntax tree cannot be shared between threads, so each file is parsed once and becomes
//! plain data, which the rules read.

use super::circles::{CIRCLES, Module, ModuleReader};
use super::comments::{Comment, OPENINGS, VAGUE_WORDS, comments};
use super::repository::{files, members, read};
use super::rule::Rule;
use super::syntax::{Attributes, EMPTY_REASONS, Parameters, TUPLE_PARAMETERS};
use super::words::{Name, Names, WORDS};
use syn::visit::Visit;

/// One Rust file.
pub(super) struct Source {
    /// From the root of the repository.
    pub(super) file: String,
    pub(super) crate_name: String,
    /// The identifiers that it defines.
    pub(super) names: Vec<Name>,
    /// Functions with a tuple pattern as a parameter.
    pub(super) tuple_parameters: Vec<Item>,
    /// Attributes whose reason says nothing.
    pub(super) empty_reasons: Vec<Item>,
    pub(super) comments: Vec<Comment>,
    /// Its items and imports.
    pub(super) module: Module,
}

/// A name in a file.
pub(super) struct Item {
    pub(super) line: usize,
    pub(super) name: String,
}

impl Source {
    pub(super) fn parse(file: &str, crate_name: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut names = Names::default();
        names.visit_file(&syntax);
        let mut parameters = Parameters::default();
        parameters.visit_file(&syntax);
        let mut attributes = Attributes::default();
        attributes.visit_file(&syntax);
        let mut module = ModuleReader::default();
        module.visit_file(&syntax);
        Self {
            file: file.to_owned(),
            crate_name: crate_name.to_owned(),
            names: names.found,
            tuple_parameters: parameters.tuples,
            empty_reasons: attributes.empty_reasons,
            comments: comments(text),
            module: module.read,
        }
    }
}

/// The files of all members of the workspace.
fn sources() -> Vec<Source> {
    let members = members();
    let sources = files(".rs").into_iter().filter_map(|file| {
        let member = members.iter().find(|member| file.starts_with(&format!("{member}/")))?;
        Some(Source::parse(&file, member, &read(&file)))
    });
    sources.collect()
}

const RULES: [Rule; 6] = [WORDS, OPENINGS, VAGUE_WORDS, TUPLE_PARAMETERS, EMPTY_REASONS, CIRCLES];

/// One test for all rules, because a test runner may start a process per test: so the files are parsed once.
#[test]
fn sources_keep_the_house_rules() {
    let sources = sources();
    let report: String = RULES.iter().map(|rule| rule.judge(&sources)).collect();
    assert!(report.is_empty(), "\n{report}");
}
