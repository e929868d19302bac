//! The facts of a Rust file that the rules judge. A syntax tree cannot be shared between threads; plain data can.

use std::collections::{BTreeMap, BTreeSet};

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
    pub(super) module: Module,
}

/// An identifier that a file defines.
pub(super) struct Name {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A type, a trait or a module.
    Type,
    /// A function with the attribute `#[test]` or `#[tokio::test]`.
    Test,
    /// A function, a constant, a field, a variant or a variable.
    Other,
}

/// An item or attribute.
pub(super) struct Item {
    pub(super) line: usize,
    pub(super) name: String,
}

/// One line of a comment.
pub(super) struct Comment {
    pub(super) line: usize,
    /// The text behind the slashes.
    pub(super) text: String,
    /// True for the first line of a doc comment.
    pub(super) opens_doc: bool,
}

/// The items and imports of a file. A path is a list of names and begins with `crate`, `self`, `super`, the name of a
/// module or item of the file, or another crate.
#[derive(Default)]
pub(super) struct Module {
    /// Items that it defines.
    pub(super) defined: BTreeSet<String>,
    /// Modules with files of their own.
    pub(super) children: BTreeSet<String>,
    /// Names that it imports, and the path that each stands for.
    pub(super) imported: BTreeMap<String, Vec<String>>,
    /// Modules all of whose names it imports.
    pub(super) globs: Vec<Vec<String>>,
    /// Paths that it names, and the first line that names each.
    pub(super) named: BTreeMap<Vec<String>, usize>,
}
