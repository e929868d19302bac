//! Rules about parameters of functions and about attributes.

use super::rule::{Rule, Violation};
use super::source::Source;

pub(super) const TUPLE_PARAMETERS: Rule = Rule {
    name: "tuple patterns as parameters",
    allowed: &[],
    violations: |sources| sources.iter().flat_map(tuple_parameters).collect(),
};

pub(super) const EMPTY_REASONS: Rule = Rule {
    name: "attributes without a reason",
    allowed: &[],
    violations: |sources| sources.iter().flat_map(empty_reasons).collect(),
};

fn tuple_parameters(source: &Source) -> Vec<Violation> {
    let violations = source.tuple_parameters.iter().map(|function| Violation {
        file: source.file.clone(),
        line: function.line,
        message: format!(
            "`{}` has a tuple as a parameter: write two parameters, a struct with a name, or a method",
            function.name
        ),
    });
    violations.collect()
}

fn empty_reasons(source: &Source) -> Vec<Violation> {
    let violations = source.empty_reasons.iter().map(|attribute| Violation {
        file: source.file.clone(),
        line: attribute.line,
        message: format!(
            "the reason of `{}` says nothing: say why the lint is wrong here",
            attribute.name
        ),
    });
    violations.collect()
}

#[test]
fn tuples_and_empty_reasons_are_found() {
    let text =
        "//! X.\n#[allow(dead_code, reason = \"none\")]\nfn f((a, b): (u8, u8), c: u8) {}\nfn g(a: (u8, u8)) {}\n";
    let source = super::parse::parse("domain/src/x.rs", "domain", text);
    let found = |violations: Vec<Violation>| violations.iter().map(|found| found.line).collect::<Vec<_>>();
    assert_eq!(found(tuple_parameters(&source)), [3]);
    assert_eq!(found(empty_reasons(&source)), [2]);
}
