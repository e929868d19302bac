//! The comments of a Rust file. syn drops them, so this reads the text: it skips string and character literals, in
//! which slashes open no comment.

use crate::tidy::source::Comment;

/// The comments, line by line.
pub(super) fn comments(text: &str) -> Vec<Comment> {
    let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
    let mut doc_ended_at = None;
    while let Some(first) = rest.chars().next() {
        let literal_length = || match first {
            '\'' => Some(character_length(rest)),
            _ => string_length(rest),
        };
        let length = if let Some(length) = comment_length(rest) {
            let comment = &rest[..length];
            let is_doc = is_doc(comment);
            let opens_doc = is_doc && doc_ended_at != Some(line - 1);
            let lines = comment.lines().enumerate();
            found.extend(lines.map(|(index, text)| Comment {
                line: line + index,
                text: text.trim_start_matches([' ', '/', '*', '!']).to_owned(),
                opens_doc: opens_doc && index == 0,
            }));
            if is_doc {
                doc_ended_at = Some(line);
            }
            length
        } else {
            literal_length().unwrap_or_else(|| word_length(rest).max(first.len_utf8()))
        };
        let (token, after) = rest.split_at(length);
        line += token.matches('\n').count();
        rest = after;
    }
    found
}

fn is_doc(comment: &str) -> bool {
    let starts = ["///", "//!", "/**", "/*!"];
    starts.iter().any(|start| comment.starts_with(start)) && !comment.starts_with("////") && comment != "/**/"
}

fn comment_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    let block = rest.strip_prefix("/*")?;
    Some(block.find("*/").map_or(rest.len(), |end| end + 4))
}

/// The length of the string literal at the beginning of a text: `"…"`, `b"…"`, `r#"…"#` and their combinations.
fn string_length(rest: &str) -> Option<usize> {
    let prefix = rest.find(|letter| !matches!(letter, 'b' | 'c' | 'r'))?;
    let is_raw = rest[..prefix].contains('r');
    let after_prefix = &rest[prefix..];
    let hashes = after_prefix.len() - after_prefix.trim_start_matches('#').len();
    let body = after_prefix[hashes..].strip_prefix('"')?;
    let begin = rest.len() - body.len();
    if is_raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(body.find(&end).map_or(rest.len(), |at| begin + at + end.len()));
    }
    if hashes > 0 {
        return None;
    }
    let mut is_escaped = false;
    for (at, letter) in body.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(begin + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// The length of the character literal at the beginning of a text; 1 for the quote of a lifetime.
fn character_length(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    let is_escaped = letters.next().is_some_and(|(_, letter)| letter == '\\');
    if is_escaped {
        return rest[3..].find('\'').map_or(1, |end| end + 4);
    }
    letters
        .next()
        .filter(|(_, letter)| *letter == '\'')
        .map_or(1, |(at, _)| at + 1)
}

/// The length of the word at the beginning of a text, so that the `r` of `for` opens no raw string.
fn word_length(rest: &str) -> usize {
    rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .unwrap_or(rest.len())
}

#[test]
fn comments_are_distinguished_from_literals() {
    let text = r##"
//! A header.
//! Second line.
const A: &str = "// no"; // yes
const B: &str = r#"" // no"#; const C: char = '"'; // quote
fn f<'a>() {} /* block */
const D: char = '\''; const E: char = '\\'; // escaped
/// A doc comment.
const F: u8 = b'"'; // byte
"##;
    let found = comments(text);
    let texts: Vec<&str> = found.iter().map(|comment| comment.text.trim()).collect();
    let expected = [
        "A header.",
        "Second line.",
        "yes",
        "quote",
        "block */",
        "escaped",
        "A doc comment.",
        "byte",
    ];
    assert_eq!(texts, expected);
    let opening: Vec<usize> = found
        .iter()
        .filter(|comment| comment.opens_doc)
        .map(|comment| comment.line)
        .collect();
    assert_eq!(opening, [2, 8]);
    assert!(comments("//! First line.")[0].opens_doc);
}
