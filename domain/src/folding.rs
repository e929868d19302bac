//! Words of a text in the form in which the search index stores them.
//!
//! *Problem.* The index is an FTS5 table of SQLite. The product must know which words SQLite finds in a text: to mark
//! them in a title, to rank, and to correct typing errors. A second tokenizer that is only similar would mark other
//! words than those that were found.
//!
//! *Mechanism.* [`tokens`] is the tokenizer `unicode61 remove_diacritics 2` of SQLite: a word is a run of letters,
//! digits and private-use characters; combining marks inside of it are dropped; case and diacritics are folded, so
//! `El NIÑO` gives `el nino`. The tables (`tables.rs`) are those of SQLite, which are older than the tables of the
//! standard library and differ from them. A test of the crate `catalog` compares the two.
//!
//! *Invariant.* Folding a folded word changes nothing.

mod tables;

use std::sync::LazyLock;

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The folded word. It is never empty.
    pub text: String,
    /// Offset in bytes of its first character in the text.
    pub start: usize,
    /// Offset in bytes of the end of its last character.
    pub end: usize,
}

/// Returns the words of a text.
pub fn tokens(text: &str) -> impl Iterator<Item = Token> + '_ {
    let mut characters = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, first) = characters.by_ref().find(|(_, character)| is_word(*character))?;
        let mut token = Token {
            text: String::with_capacity(12),
            start,
            end: start + first.len_utf8(),
        };
        token.text.push(fold(first));
        while let Some((index, next)) = characters.next_if(|(_, next)| is_word(*next) || is_mark(*next)) {
            if !is_mark(next) {
                token.text.push(fold(next));
            }
            token.end = index + next.len_utf8();
        }
        Some(token)
    })
}

/// Returns the folded words of a text.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    tokens(text).map(|token| token.text)
}

/// Returns `true` for a character that words consist of.
#[must_use]
pub fn is_word(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric();
    }
    let code = u32::from(character);
    BOUNDARIES.partition_point(|boundary| *boundary <= code) % 2 == 1
}

/// Returns `true` for a combining mark that belongs to the word before it and is dropped from its folded form.
fn is_mark(character: char) -> bool {
    matches!(u32::from(character),
        0x300..=0x304 | 0x306..=0x30C | 0x30F | 0x311 | 0x31B | 0x323..=0x328 | 0x32D..=0x32E | 0x330..=0x331)
}

/// Returns a character of a word without case and diacritics.
fn fold(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    let found = FOLDED.binary_search_by_key(&character, |(from, _)| *from);
    let folded = found.ok().and_then(|index| FOLDED.get(index));
    folded.map_or(character, |(_, to)| *to)
}

/// The code points at which runs of separators and of characters of words end, alternately.
static BOUNDARIES: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let ends = tables::RUNS.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    ends.collect()
});

/// The characters that folding changes, ascending, each with its folded form.
static FOLDED: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
    let mut characters = tables::FOLDED.chars();
    std::iter::from_fn(|| characters.next().zip(characters.next())).collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_accents_and_the_tilde_of_n_are_folded() {
        for (text, expected) in [
            ("El Niño", "el nino"),
            ("CAFÉ über Ångström", "cafe uber angstrom"),
            ("Cafe\u{301}s", "cafes"),
            ("naïve—co-op", "naive co op"),
            ("¡Hola, mundo!", "hola mundo"),
            ("4K@60fps", "4k 60fps"),
            ("Việt Nam", "viet nam"),
            ("ПРИВЕТ Ёж", "привет ёж"),
            ("שלום", "שלום"),
            ("🎬", ""),
            ("東京 2024", "東京 2024"),
            ("Straße", "straße"),
            ("\u{301}a", "a"),
            ("", ""),
        ] {
            let found: Vec<String> = words(text).collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn a_word_knows_its_bytes_in_the_text() {
        let text = "¡El Nin\u{303}o!";
        let found: Vec<&str> = tokens(text)
            .filter_map(|token| text.get(token.start..token.end))
            .collect();
        assert_eq!(found, ["El", "Nin\u{303}o"]);
    }

    #[test]
    fn every_folded_character_is_a_folded_character_of_a_word() {
        for character in (0..=0x0010_FFFF).filter_map(char::from_u32).filter(|c| is_word(*c)) {
            let folded = fold(character);
            assert!(is_word(folded) && fold(folded) == folded, "{character:?}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in any::<String>()) {
            let once: Vec<String> = words(&text).collect();
            let twice: Vec<String> = words(&once.join(" ")).collect();
            prop_assert_eq!(once, twice);
        }
    }
}
