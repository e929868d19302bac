//! The items and imports of a Rust file. Code under `#[cfg(test)]` and arguments of macros are not read.
//!
//! Relations between tables are left out: sea-orm wants `Related` to be implemented on both sides of a relation, so two
//! tables name each other.

use crate::tidy::source::Module;
use syn::visit::Visit;
use syn::{Attribute, Item, UseTree, Visibility};

/// Reads the items and imports of a file.
#[derive(Default)]
pub(super) struct ModuleReader {
    pub(super) module: Module,
    /// The modules inside the file around the item that is read.
    inline: Vec<String>,
}

impl ModuleReader {
    fn import(&mut self, tree: &UseTree, prefix: &[String], is_exported: bool) {
        let below = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &below(&path.ident), is_exported),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix, is_exported);
                }
            }
            UseTree::Glob(_) => self.module.globs.push(self.outside_of_inline(prefix)),
            UseTree::Name(name) if name.ident == "self" => {
                let alias = prefix.last().cloned().unwrap_or_default();
                self.keep_import(alias, prefix, (!is_exported).then(|| line_of(&name.ident)));
            }
            UseTree::Name(name) => {
                let line = (!is_exported).then(|| line_of(&name.ident));
                self.keep_import(name.ident.to_string(), &below(&name.ident), line);
            }
            UseTree::Rename(rename) => {
                let line = (!is_exported).then(|| line_of(&rename.ident));
                self.keep_import(rename.rename.to_string(), &below(&rename.ident), line);
            }
        }
    }

    /// Keeps what an alias stands for. `line` is `None` for a re-export.
    fn keep_import(&mut self, alias: String, path: &[String], line: Option<usize>) {
        let path = self.outside_of_inline(path);
        if let Some(line) = line {
            self.module.named.entry(path.clone()).or_insert(line);
        }
        self.module.imported.insert(alias, path);
    }

    /// The same path from the module of the file, where it was written in a module inside the file.
    fn outside_of_inline(&self, path: &[String]) -> Vec<String> {
        let is_relative = path.first().is_some_and(|first| first == "self" || first == "super");
        if !is_relative {
            return path.to_vec();
        }
        let mut inline = self.inline.clone();
        let mut outside = vec!["self".to_owned()];
        let mut rest = path.iter().filter(|name| *name != "self").peekable();
        while rest.next_if(|name| *name == "super").is_some() {
            if inline.pop().is_none() {
                outside.push("super".to_owned());
            }
        }
        outside.extend(inline);
        outside.extend(rest.cloned());
        outside
    }
}

fn line_of(name: &syn::Ident) -> usize {
    name.span().start().line
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        is_cfg
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

fn is_relation(item: &syn::ItemImpl) -> bool {
    let implemented = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
    implemented.is_some_and(|last| last.ident == "Related")
}

impl<'ast> Visit<'ast> for ModuleReader {
    fn visit_item(&mut self, item: &'ast Item) {
        let (name, attributes) = match item {
            Item::Const(item) => (Some(&item.ident), &item.attrs),
            Item::Enum(item) => (Some(&item.ident), &item.attrs),
            Item::Fn(item) => (Some(&item.sig.ident), &item.attrs),
            Item::Macro(item) => (item.ident.as_ref(), &item.attrs),
            Item::Static(item) => (Some(&item.ident), &item.attrs),
            Item::Struct(item) => (Some(&item.ident), &item.attrs),
            Item::Trait(item) => (Some(&item.ident), &item.attrs),
            Item::Type(item) => (Some(&item.ident), &item.attrs),
            Item::Mod(item) => (item.content.is_some().then_some(&item.ident), &item.attrs),
            Item::Impl(item) if !is_relation(item) => (None, &item.attrs),
            Item::Use(item) => (None, &item.attrs),
            _ => return,
        };
        if is_test(attributes) {
            return;
        }
        if let Some(name) = name {
            self.module.defined.insert(name.to_string());
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_none() {
            self.module.children.insert(item.ident.to_string());
            return;
        }
        self.inline.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.inline.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_exported = !matches!(item.vis, Visibility::Inherited);
        self.import(&item.tree, &[], is_exported);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            let line = line_of(&first.ident);
            self.module.named.entry(self.outside_of_inline(&names)).or_insert(line);
        }
        syn::visit::visit_path(self, path);
    }
}
