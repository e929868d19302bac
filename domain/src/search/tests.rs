//! Tests of the search language.

use super::*;
use crate::folding::tokens;
use proptest::prelude::*;

/// The search in a short form: `+` before a term, `-` before an exclusion, `*` after a prefix, `"` around quoted terms.
fn short(text: &str, is_typing: bool) -> Result<String, Refusal> {
    let search = Search::parse(text, is_typing)?;
    let form = |sign: char, term: &Term| {
        let quote = if term.is_quoted { "\"" } else { "" };
        let star = if term.is_prefix { "*" } else { "" };
        format!("{sign}{quote}{}{quote}{star}", term.words.join("."))
    };
    let terms = search.terms.iter().map(|term| form('+', term));
    let excluded = search.excluded.iter().map(|term| form('-', term));
    Ok(terms.chain(excluded).collect::<Vec<_>>().join(" "))
}

#[test]
fn words_phrases_and_exclusions_are_read() {
    for (text, expected) in [
        ("Gatos en Bogotá", "+gatos +en +bogota"),
        ("  gatos\t perros\n", "+gatos +perros"),
        ("\"El Niño\" 2024", "+\"el.nino\" +2024"),
        ("gatos -perros", "+gatos -perros"),
        ("gatos -\"perros grandes\"", "+gatos -\"perros.grandes\""),
        ("co-op", "+co.op"),
        ("gatos --perros", "+gatos -perros"),
        ("gatos - perros", "+gatos +perros"),
        ("\"sin cerrar", "+\"sin.cerrar\""),
        ("a\"b c\"d", "+a +\"b.c\" +d"),
        ("\"\" gatos", "+gatos"),
        ("title:(a OR *)", "+title.a +or"),
        ("a AND NOT NEAR(b)", "+a +and +not +near.b"),
        ("100%", "+100"),
        ("'; DROP TABLE videos; --", "+drop +table +videos"),
        ("שלום עולם", "+שלום +עולם"),
        ("𐐀bc", "+𐐨bc"),
        ("🎬 gatos", "+gatos"),
        ("🎬", ""),
        ("-", ""),
        ("* ^ : ( ) { }", ""),
        ("%", ""),
    ] {
        assert_eq!(short(text, false).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn a_text_without_words_to_look_for_is_refused() {
    let long = "a".repeat(201);
    for (text, refusal) in [
        ("", Refusal::Empty),
        (" \t\n", Refusal::Empty),
        (long.as_str(), Refusal::TooLong),
        ("-gatos", Refusal::NoWord),
        ("-gatos -\"perros\"", Refusal::NoWord),
        ("\"", Refusal::NoWord),
        ("\"\"", Refusal::NoWord),
        ("\" \"", Refusal::NoWord),
        ("-\"", Refusal::NoWord),
        ("a\0b", Refusal::Nul),
    ] {
        assert_eq!(short(text, false), Err(refusal), "{text:?}");
    }
    assert!(
        Search::parse(&"ñ".repeat(200), false).is_ok(),
        "characters are counted, not bytes"
    );
}

#[test]
fn the_last_word_is_a_prefix_while_typing() {
    for (text, expected) in [
        ("gatos bog", "+gatos +bog*"),
        ("gatos bog ", "+gatos +bog"),
        ("gatos b", "+gatos"),
        ("gatos b ", "+gatos +b"),
        ("b", "+b"),
        ("\"el n", "+\"el\""),
        ("gatos -bog", "+gatos -bog"),
        ("\"el ni", "+\"el.ni\"*"),
        ("\"el ni\"", "+\"el.ni\""),
        ("\"el ni ", "+\"el.ni\""),
        ("co-op", "+co.op*"),
        ("東京", "+東京*"),
    ] {
        assert_eq!(short(text, true).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn at_most_16_words_count() {
    let text = |count: usize| (0..count).map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ");
    assert_eq!(Search::parse(&text(40), true).map(|search| search.terms.len()), Ok(16));
    let search = Search::parse(&text(40), true).unwrap();
    assert!(
        search.terms.iter().all(|term| !term.is_prefix),
        "the last word is not among them"
    );
    let search = Search::parse(&format!("\"{}\" a -b", text(15)), false).unwrap();
    assert_eq!((search.terms.len(), search.excluded.len()), (2, 0));
    let search = Search::parse(&format!("\"{}\"", text(20)), false).unwrap();
    assert_eq!(search.terms[0].words.len(), 16);
}

#[test]
fn a_highlight_counts_characters_and_does_not_overlap() {
    let marked = |text: &str, title: &str| {
        let search = Search::parse(text, true).unwrap();
        let words: Vec<Token> = tokens(title).collect();
        let letters: Vec<char> = title.chars().collect();
        let ranges = search.highlight(title, &words);
        let parts = ranges
            .iter()
            .map(|range| letters[range.clone()].iter().collect::<String>());
        parts.collect::<Vec<_>>().join("|")
    };
    assert_eq!(marked("nino ", "¡El Niño y el niño!"), "Niño|niño");
    assert_eq!(marked("\"el nino\" nino ", "¡El Niño y niño!"), "El Niño|niño");
    assert_eq!(marked("caf", "Cafetería 🎬 CAFÉ"), "Cafetería|CAFÉ");
    assert_eq!(marked("\"a a\" ", "a a a"), "a a a");
    assert_eq!(marked("gatos ", "perros"), "");
    assert_eq!(marked("b ", "<b>&</b>"), "b|b");
}

#[test]
fn a_corrected_word_matches_as_well_as_its_replacements() {
    let correction = Correction {
        term: 0,
        word: "gatso".into(),
        replacements: vec!["gatos".into(), "gates".into()],
    };
    let search = Search::parse("gatso", false).unwrap().corrected(&[correction]);
    let title = "gatos, gatso y gates";
    let words: Vec<Token> = tokens(title).collect();
    assert_eq!(search.highlight(title, &words), [0..5, 7..12, 15..20]);
}

proptest! {
    #[test]
    fn every_text_is_parsed_within_the_bounds(text in any::<String>(), is_typing in any::<bool>()) {
        if let Ok(search) = Search::parse(&text, is_typing) {
            let terms = || search.terms.iter().chain(&search.excluded);
            let count: usize = terms().map(|term| term.words.len()).sum();
            prop_assert!(count <= MAX_WORDS);
            prop_assert!(terms().all(|term| !term.words.is_empty()));
            let folded = |word: &String| words(word).eq([word.clone()]);
            prop_assert!(terms().flat_map(|term| &term.words).all(folded));
        }
    }

    #[test]
    fn pieces_with_quotes_and_signs_lose_no_word(text in "[ab \"-]{1,30}") {
        let pieces: Vec<String> = pieces(&text).iter().flat_map(|piece| words(piece.text)).collect();
        let all: Vec<String> = words(&text).collect();
        prop_assert_eq!(pieces, all);
    }

    #[test]
    fn highlights_lie_inside_the_title(title in any::<String>(), text in "[a-c ]{1,8}") {
        let words: Vec<Token> = tokens(&title).collect();
        if let Ok(search) = Search::parse(&text, true) {
            let ranges = search.highlight(&title, &words);
            prop_assert!(ranges.iter().all(|range| range.start < range.end));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
            prop_assert!(ranges.last().is_none_or(|last| last.end <= title.chars().count()));
        }
    }
}
