//! The words of identifiers: a metaphor, or a word that already means something else, is replaced by the term of the
//! field.

use super::rule::{Rule, Violation};
use super::source::{Kind, Name, Source};
use std::collections::BTreeSet;

pub(super) const WORDS: Rule = Rule {
    name: "words of identifiers",
    allowed: &[],
    violations: |sources| sources.iter().flat_map(violations).collect(),
};

/// A word that is not used in identifiers.
struct Word {
    word: &'static str,
    instead: &'static str,
    scope: Scope,
}

/// The identifiers that may not contain a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All.
    Everywhere,
    /// All except those of the listed crates, where the word is the term of the field.
    Except(&'static [&'static str]),
    /// Types, traits and modules that are called so and no more. In a longer name the word has its usual meaning.
    WholeType,
    /// Identifiers of one crate. Names of tests are sentences for users and may contain it.
    Within(&'static str),
}

const fn word(word: &'static str, instead: &'static str) -> Word {
    Word {
        word,
        instead,
        scope: Scope::Everywhere,
    }
}

const fn type_name(word: &'static str, instead: &'static str) -> Word {
    Word {
        word,
        instead,
        scope: Scope::WholeType,
    }
}

const fn in_media(word: &'static str, instead: &'static str) -> Word {
    Word {
        word,
        instead,
        scope: Scope::Within("media"),
    }
}

const TABLE: &[Word] = &[
    Word {
        word: "job",
        instead: "task; a job is one unit of the queue",
        scope: Scope::Except(&["queue", "worker"]),
    },
    word("artifact", "output"),
    word("asset", "video"),
    word("bell", "notification"),
    word("cadence", "constant frame rate"),
    word("crew", "thread pool"),
    word("descent", "scaled frames"),
    word("desk", "what it does: single flight, coalesced query"),
    word("ear", "peak meter"),
    word("film", "video, movie"),
    word("findings", "facts, measurements"),
    word("footage", "media"),
    word("house", "the service, the API"),
    word("imprint", "fingerprint, digest"),
    word("losses", "dropped packets, dropped frames"),
    word("moments", "timestamps"),
    word("originals", "copied packets, source streams"),
    word("patience", "timeout"),
    word("program", "timeline; executable"),
    word("reel", "source, playlist"),
    word("rein", "limit"),
    word("retell", "rewrite"),
    word("scene", "composer"),
    word("seat", "connection slot, permit"),
    word("seats", "connection slots, permits"),
    word("shoot", "render"),
    word("spoilt", "damaged, poisoned"),
    word("strikes", "failures"),
    word("tape", "audio FIFO"),
    word("trail", "access log"),
    word("trouble", "error"),
    word("verdict", "decision, outcome"),
    word("weave", "deinterlace"),
    word("wish", "request, condition, predicate"),
    type_name("card", "bumper"),
    type_name("clock", "discontinuity"),
    type_name("done", "the result by its name: outcome, report"),
    type_name("feed", "fan-out"),
    type_name("gate", "limit, semaphore"),
    type_name("hold", "guard"),
    type_name("life", "lifetime, lifecycle"),
    type_name("lives", "lifetimes"),
    type_name("made", "the result by its name: stored output, encoded file"),
    type_name("mark", "fingerprint"),
    type_name("notes", "report, warnings"),
    type_name("once", "idempotency key"),
    type_name("order", "sort order, request"),
    type_name("overlay", "watermark"),
    type_name("place", "index, position, output path"),
    type_name("room", "capacity"),
    type_name("sample", "cost; audio sample"),
    type_name("syntax", "parser, bitstream"),
    type_name("take", "stream needs"),
    type_name("turn", "guard, permit"),
    in_media("picture", "frame, image"),
    in_media("pictures", "frames, images"),
    in_media("sound", "audio"),
];

/// The violations in a file; one for each name, however often it is used.
fn violations(source: &Source) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for name in &source.names {
        let parts = parts(&name.text);
        for word in TABLE {
            if is_against(word, name, &parts, &source.crate_name) && seen.insert((&name.text, word.word)) {
                found.push(Violation {
                    file: source.file.clone(),
                    line: name.line,
                    message: format!("`{}`: instead of `{}` write {}", name.text, word.word, word.instead),
                });
            }
        }
    }
    found
}

fn is_against(word: &Word, name: &Name, parts: &[String], crate_name: &str) -> bool {
    let contains = parts.iter().any(|part| part == word.word);
    contains
        && match word.scope {
            Scope::Everywhere => true,
            Scope::Except(crates) => !crates.contains(&crate_name),
            Scope::WholeType => name.kind == Kind::Type && parts.len() == 1,
            Scope::Within(only) => only == crate_name && name.kind != Kind::Test,
        }
}

/// The words of an identifier in lower case: `ScaledFrames` and `scaled_frames` are `scaled` and `frames`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = '_';
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() && before.is_lowercase() {
            parts.push(String::new());
        }
        if letter != '_' {
            parts.last_mut().unwrap().extend(letter.to_lowercase());
        }
        before = letter;
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[test]
fn words_are_found_in_the_names_of_items_and_variables() {
    let text = "//! X.\nstruct AudioTape;\nstruct Turn;\nstruct TurnOff;\nfn f() { let jobs = 1; let job = 2; }\n\
                #[test]\nfn no_sound_is_lost() { let sound = 1; }\n";
    let found = |crate_name: &str| {
        let source = super::parse::parse("x.rs", crate_name, text);
        violations(&source).iter().map(|found| found.line).collect::<Vec<_>>()
    };
    assert_eq!(found("domain"), [2, 3, 5]);
    assert_eq!(found("queue"), [2, 3]);
    assert_eq!(found("media"), [2, 3, 5, 7]);
}
