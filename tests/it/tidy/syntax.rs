//! Rules about the syntax of items: parameters and attributes.

use super::rule::{Rule, Violation};
use super::sources::{Item, Source};
use syn::spanned::Spanned;
use syn::visit::Visit;

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

/// Collects functions with a tuple pattern as a parameter. Closures may have them.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) tuples: Vec<Item>,
}

impl<'ast> Visit<'ast> for Parameters {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        let is_tuple = |input: &syn::FnArg| {
            let syn::FnArg::Typed(typed) = input else { return false };
            matches!(*typed.pat, syn::Pat::Tuple(_))
        };
        if signature.inputs.iter().any(is_tuple) {
            self.tuples.push(Item {
                line: signature.ident.span().start().line,
                name: signature.ident.to_string(),
            });
        }
        syn::visit::visit_signature(self, signature);
    }
}

/// Collects attributes with an empty reason.
#[derive(Default)]
pub(super) struct Attributes {
    pub(super) empty_reasons: Vec<Item>,
}

impl<'ast> Visit<'ast> for Attributes {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let syn::Meta::List(list) = &attribute.meta else { return };
        let arguments = list.tokens.to_string().replace(' ', "");
        if ["", "none"]
            .iter()
            .any(|empty| arguments.contains(&format!("reason=\"{empty}\"")))
        {
            self.empty_reasons.push(Item {
                line: attribute.span().start().line,
                name: list
                    .path
                    .segments
                    .last()
                    .map_or_else(String::new, |last| last.ident.to_string()),
            });
        }
    }
}

#[test]
fn tuples_and_empty_reasons_are_found() {
    let text =
        "//! X.\n#[allow(dead_code, reason = \"none\")]\nfn f((a, b): (u8, u8), c: u8) {}\nfn g(a: (u8, u8)) {}\n";
    let source = Source::parse("domain/src/x.rs", "domain", text);
    let found = |violations: Vec<Violation>| violations.iter().map(|found| found.line).collect::<Vec<_>>();
    assert_eq!(found(tuple_parameters(&source)), [3]);
    assert_eq!(found(empty_reasons(&source)), [2]);
}
