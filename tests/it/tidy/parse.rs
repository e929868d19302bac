//! Parses a Rust file into the facts that the rules judge.

mod comments;
mod module;

use super::source::{Item, Kind, Name, Source};
use module::ModuleReader;
use syn::spanned::Spanned;
use syn::visit::Visit;

/// Parses the text of a file.
pub(super) fn parse(file: &str, crate_name: &str, text: &str) -> Source {
    let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut names = Names::default();
    names.visit_file(&syntax);
    let mut parameters = Parameters::default();
    parameters.visit_file(&syntax);
    let mut attributes = Attributes::default();
    attributes.visit_file(&syntax);
    let mut reader = ModuleReader::default();
    reader.visit_file(&syntax);
    Source {
        file: file.to_owned(),
        crate_name: crate_name.to_owned(),
        names: names.found,
        tuple_parameters: parameters.tuples,
        empty_reasons: attributes.empty_reasons,
        comments: comments::comments(text),
        module: reader.module,
    }
}

/// Collects the identifiers that a file defines.
#[derive(Default)]
struct Names {
    found: Vec<Name>,
}

impl Names {
    fn add(&mut self, name: &syn::Ident, kind: Kind) {
        self.found.push(Name {
            line: name.span().start().line,
            text: name.to_string(),
            kind,
        });
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let last = |attribute: &syn::Attribute| {
        attribute
            .path()
            .segments
            .last()
            .is_some_and(|last| last.ident == "test")
    };
    attributes.iter().any(last)
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        use syn::Item;
        match item {
            Item::Const(item) => self.add(&item.ident, Kind::Other),
            Item::Enum(item) => self.add(&item.ident, Kind::Type),
            Item::Fn(item) if is_test(&item.attrs) => self.add(&item.sig.ident, Kind::Test),
            Item::Fn(item) => self.add(&item.sig.ident, Kind::Other),
            Item::Mod(item) => self.add(&item.ident, Kind::Type),
            Item::Static(item) => self.add(&item.ident, Kind::Other),
            Item::Struct(item) => self.add(&item.ident, Kind::Type),
            Item::Trait(item) => self.add(&item.ident, Kind::Type),
            Item::Type(item) => self.add(&item.ident, Kind::Type),
            _ => {}
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig.ident, Kind::Other);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.add(&item.sig.ident, Kind::Other);
        syn::visit::visit_trait_item_fn(self, item);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let Some(name) = &field.ident {
            self.add(name, Kind::Other);
        }
        syn::visit::visit_field(self, field);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.add(&variant.ident, Kind::Other);
        syn::visit::visit_variant(self, variant);
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.add(&pattern.ident, Kind::Other);
        syn::visit::visit_pat_ident(self, pattern);
    }
}

/// Collects functions with a tuple pattern as a parameter. Closures may have them.
#[derive(Default)]
struct Parameters {
    tuples: Vec<Item>,
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
struct Attributes {
    empty_reasons: Vec<Item>,
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
