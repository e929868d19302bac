//! A rule with an allow-list: the number of violations per crate that still stand. The numbers are exact, so they only
//! shrink: a commit that removes a violation lowers the number.

use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// A violation of a rule.
pub(super) struct Violation {
    /// From the root of the repository.
    pub(super) file: String,
    pub(super) line: usize,
    /// The word or item at fault, and what to write instead.
    pub(super) message: String,
}

pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Violations that are tolerated, by crate. A crate that is not listed has none.
    pub(super) allowed: &'static [(&'static str, usize)],
    pub(super) violations: fn(&[Source]) -> Vec<Violation>,
}

impl Rule {
    /// Judges all sources. Returns one paragraph for each crate whose number of violations is not the allowed one; an
    /// empty text if the rule is kept.
    pub(super) fn judge(&self, sources: &[Source]) -> String {
        let mut by_crate: BTreeMap<&str, Vec<Violation>> = BTreeMap::new();
        for violation in (self.violations)(sources) {
            let source = sources.iter().find(|source| source.file == violation.file).unwrap();
            by_crate.entry(&source.crate_name).or_default().push(violation);
        }
        let allowed: BTreeMap<&str, usize> = self.allowed.iter().copied().collect();
        let crates: BTreeSet<&str> = by_crate.keys().chain(allowed.keys()).copied().collect();
        let paragraphs = crates.into_iter().map(|name| {
            let found = by_crate.get(name).map_or(&[][..], Vec::as_slice);
            paragraph(self.name, name, found, allowed.get(name).copied().unwrap_or(0))
        });
        paragraphs.collect()
    }
}

fn paragraph(rule: &str, crate_name: &str, found: &[Violation], allowed: usize) -> String {
    let count = found.len();
    if count == allowed {
        return String::new();
    }
    let mut text = format!("{rule}: {count} in {crate_name}, {allowed} allowed.\n");
    if count < allowed {
        text.push_str(&format!(
            "  Lower the number of {crate_name} in the allow-list of this rule to {count}.\n"
        ));
        return text;
    }
    for Violation { file, line, message } in found {
        text.push_str(&format!("  {file}:{line}: {message}\n"));
    }
    text
}

#[test]
fn the_allowed_number_of_violations_is_exact() {
    let violation = || Violation {
        file: "domain/src/lib.rs".to_owned(),
        line: 7,
        message: "`tape`: write audio FIFO".to_owned(),
    };
    assert_eq!(paragraph("words", "domain", &[violation()], 1), "");
    assert_eq!(
        paragraph("words", "domain", &[violation()], 0),
        "words: 1 in domain, 0 allowed.\n  domain/src/lib.rs:7: `tape`: write audio FIFO\n"
    );
    assert!(paragraph("words", "domain", &[violation()], 2).contains("Lower the number of domain"));
}
