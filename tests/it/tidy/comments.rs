//! Rules about comments: how a doc comment begins, and words that name no client, row or thread.

use super::rule::{Rule, Violation};
use super::source::Source;

pub(super) const OPENINGS: Rule = Rule {
    name: "openings of doc comments",
    allowed: &[],
    violations: |sources| sources.iter().flat_map(openings).collect(),
};

pub(super) const VAGUE_WORDS: Rule = Rule {
    name: "vague words in comments",
    allowed: &[],
    violations: |sources| sources.iter().flat_map(vague_words).collect(),
};

/// First words of a doc comment, and how it begins instead.
const FIRST_WORDS: &[(&str, &str)] = &[
    ("What", "begin with the noun: `The result of …`"),
    ("Who", "begin with the noun: `The account that …`"),
    ("Whoever", "begin with the noun: `The client that …`"),
    ("Whatever", "begin with the noun: `Any output …`"),
    ("Whether", "begin with `True if …` or `Returns true if …`"),
    ("How", "begin with the noun: `The method …`, `The number of …`"),
    ("Where", "begin with the noun: `The directory of …`, `The address of …`"),
];

const WORDS: &[(&str, &str)] = &[
    ("nobody", "name the client, process or thread: `no client`, `no thread`"),
    ("whoever", "name the client, process or thread: `the client that`"),
    ("whatever", "write `any`, `every` or `regardless of`"),
    ("everybody", "name them: `all clients`, `every thread`"),
    ("somebody", "name the client, process or thread: `another client`"),
    ("meanwhile", "say during what: `while the upload runs`"),
];

fn openings(source: &Source) -> Vec<Violation> {
    let first_word = |text: &str| {
        let mut words = text.split(|letter: char| !letter.is_alphanumeric());
        words.find(|word| !word.is_empty()).unwrap_or_default().to_owned()
    };
    let opening = source.comments.iter().filter(|comment| comment.opens_doc);
    let violations = opening.filter_map(|comment| {
        let word = first_word(&comment.text);
        let (word, instead) = FIRST_WORDS.iter().find(|(first, _)| *first == word)?;
        Some(Violation {
            file: source.file.clone(),
            line: comment.line,
            message: format!("begins with `{word}`: {instead}"),
        })
    });
    violations.collect()
}

fn vague_words(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for comment in &source.comments {
        let text = comment.text.to_lowercase();
        for word in text.split(|letter: char| !letter.is_alphabetic()) {
            if let Some((word, instead)) = WORDS.iter().find(|(vague, _)| *vague == word) {
                violations.push(Violation {
                    file: source.file.clone(),
                    line: comment.line,
                    message: format!("`{word}`: {instead}"),
                });
            }
        }
    }
    violations
}

#[test]
fn openings_and_vague_words_are_found() {
    let text = "//! Where files are.\n\n/// The file.\n/// What it holds.\nstruct F; // for whoever reads it\n";
    let source = super::parse::parse("domain/src/x.rs", "domain", text);
    let lines = |violations: Vec<Violation>| violations.iter().map(|found| found.line).collect::<Vec<_>>();
    assert_eq!(lines(openings(&source)), [1]);
    assert_eq!(lines(vague_words(&source)), [5]);
}
