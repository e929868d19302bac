//! Circles between the files of a crate. Files that import each other can be neither read nor moved one by one; the
//! cure is to move the shared definition below its users.
//!
//! A file depends on another when it names an item that the other one defines. A re-export alone is no dependency, and
//! a name that comes through one leads to the file that defines it.

use super::rule::{Rule, Violation};
use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(super) const CIRCLES: Rule = Rule {
    name: "imports in a circle",
    allowed: &[],
    violations: circles,
};

/// The modules of one target by their paths; the root is the empty path.
type Tree<'a> = BTreeMap<Vec<String>, &'a Source>;

/// A file that another one depends on, and the line that says so.
type Dependencies<'a> = BTreeMap<&'a str, BTreeMap<&'a str, usize>>;

/// One violation for each import that belongs to a circle.
fn circles(sources: &[Source]) -> Vec<Violation> {
    let by_file: BTreeMap<&str, &Source> = sources.iter().map(|source| (source.file.as_str(), source)).collect();
    let roots = sources.iter().filter(|source| is_root(source));
    let mut found = BTreeMap::new();
    for root in roots {
        let mut tree = Tree::new();
        load(root, Vec::new(), &by_file, &mut tree);
        let edges = dependencies(&tree);
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            edges.keys().map(|from| (*from, reachable(from, &edges))).collect();
        for (from, targets) in &edges {
            for (to, line) in targets {
                if reached.get(to).is_some_and(|reached| reached.contains(from)) {
                    found.insert((*from, *to), *line);
                }
            }
        }
    }
    let violations = found.into_iter().map(|((from, to), line)| Violation {
        file: from.to_owned(),
        line,
        message: format!("depends on {to}, which depends on this file: move the shared definition below both"),
    });
    violations.collect()
}

/// True for the file from which a target is compiled.
fn is_root(source: &Source) -> bool {
    let path = source.file.strip_prefix(&format!("{}/", source.crate_name));
    let path = path.unwrap_or_default();
    let is_test_file = path.strip_prefix("tests/").is_some_and(|name| !name.contains('/'));
    path == "src/lib.rs" || path.ends_with("/main.rs") || is_test_file
}

fn load<'a>(source: &'a Source, path: Vec<String>, by_file: &BTreeMap<&str, &'a Source>, tree: &mut Tree<'a>) {
    let file = Path::new(&source.file);
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let directory = if path.is_empty() || stem == Some("mod") {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    };
    for child in &source.module.children {
        let files = [
            directory.join(format!("{child}.rs")),
            directory.join(child).join("mod.rs"),
        ];
        let child_source = files.iter().find_map(|file| by_file.get(file.to_str()?));
        // A module with `#[path]` belongs to another target, where it is read.
        if let Some(child_source) = child_source {
            load(
                child_source,
                [&path[..], std::slice::from_ref(child)].concat(),
                by_file,
                tree,
            );
        }
    }
    tree.insert(path, source);
}

fn dependencies<'a>(tree: &Tree<'a>) -> Dependencies<'a> {
    let mut edges = Dependencies::new();
    for (module, source) in tree {
        for (named, line) in &source.module.named {
            let target = defining_file(tree, module, &absolute(named, module), &mut BTreeSet::new());
            if let Some(target) = target.filter(|target| *target != source.file) {
                let first_line = edges.entry(&source.file).or_default().entry(target).or_insert(*line);
                *first_line = (*first_line).min(*line);
            }
        }
    }
    edges
}

/// The files that a file depends on, directly and through others.
fn reachable<'a>(from: &'a str, edges: &Dependencies<'a>) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        for next in edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(*next) {
                open.push(next);
            }
        }
    }
    seen
}

/// A path from the root of the target, where it begins with `crate`, `self` or `super`; other paths as they are.
fn absolute(path: &[String], module: &[String]) -> Vec<String> {
    let mut base = match path.first().map(String::as_str) {
        Some("crate") => Vec::new(),
        Some("self" | "super") => module.to_vec(),
        _ => return path.to_vec(),
    };
    for name in path {
        match name.as_str() {
            "crate" | "self" => {}
            "super" => {
                base.pop();
            }
            _ => base.push(name.clone()),
        }
    }
    [vec!["crate".to_owned()], base].concat()
}

/// The file that defines the item of a path written in the module `from`. `None` for items of other crates.
fn defining_file<'a>(
    tree: &Tree<'a>,
    from: &[String],
    path: &[String],
    asked: &mut BTreeSet<Vec<String>>,
) -> Option<&'a str> {
    let from = if path.first().is_some_and(|first| first == "crate") {
        &[]
    } else {
        from
    };
    let path = path.strip_prefix(&["crate".to_owned()][..]).unwrap_or(path);
    // Without this, modules that glob-import each other would be asked again without end.
    if !asked.insert([from, &[String::new()], path].concat()) {
        return None;
    }
    let source = *tree.get(from)?;
    let (first, rest) = path.split_first()?;
    let child = [from, std::slice::from_ref(first)].concat();
    if tree.contains_key(&child) {
        return defining_file(tree, &child, rest, asked);
    }
    if source.module.defined.contains(first) {
        return Some(&source.file);
    }
    // An import from another crate leads out of the tree.
    let is_ours = |path: &Vec<String>| path[0] == "crate" || tree.contains_key(&[from, &path[..1]].concat());
    if let Some(target) = source.module.imported.get(first) {
        let target = Some(absolute(target, from)).filter(is_ours)?;
        return defining_file(tree, from, &[&target[..], rest].concat(), asked);
    }
    let globs = source.module.globs.iter().map(|glob| absolute(glob, from));
    globs
        .filter(is_ours)
        .find_map(|glob| defining_file(tree, from, &[&glob[..], path].concat(), asked))
}

#[test]
fn a_circle_is_found_through_re_exports_and_globs() {
    let files = [
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\npub use b::B;\n"),
        ("src/a.rs", "use super::B;\npub struct A(B);\n"),
        ("src/b.rs", "use crate::c::*;\npub struct B;\nfn f() { A::new(); }\n"),
        ("src/c.rs", "pub use crate::a::A;\n"),
        (
            "src/d.rs",
            "use crate::a::A;\n#[cfg(test)]\nmod tests { use super::super::b::B; }\n",
        ),
    ];
    let parse = |(file, text): (&str, &str)| super::parse::parse(&format!("domain/{file}"), "domain", text);
    let sources: Vec<Source> = files.into_iter().map(parse).collect();
    let found = circles(&sources);
    let found: Vec<(&str, usize)> = found.iter().map(|found| (found.file.as_str(), found.line)).collect();
    assert_eq!(found, [("domain/src/a.rs", 1), ("domain/src/b.rs", 3)]);
}
