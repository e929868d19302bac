//! Tests of queries and cursors.

use super::*;
use crate::search::Correction;
use proptest::prelude::*;

fn query() -> Query {
    Query {
        scope: Scope::Public,
        filter: Filter::default(),
        sort: Sort::Newest,
        page: PageSize::default(),
    }
}

#[test]
fn a_page_has_1_to_100_videos() {
    let sizes = [0, 1, 20, 100, 101, 1_001, u64::MAX].map(|size| PageSize::new(size).map(PageSize::get));
    assert_eq!(sizes, [None, Some(1), Some(20), Some(100), None, None, None]);
    assert_eq!(PageSize::default().get(), 20);
}

#[test]
fn words_are_read_as_they_are_written() {
    assert!(
        Sort::ALL
            .iter()
            .all(|sort| Sort::from_word(sort.as_str()) == Some(*sort))
    );
    assert!(
        Visibility::ALL
            .iter()
            .all(|known| Visibility::from_word(known.as_str()) == Some(*known))
    );
    assert_eq!((Sort::from_word("foo"), Visibility::from_word("Public")), (None, None));
}

fn filter(change: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    change(&mut filter);
    filter
}

#[test]
fn a_filter_has_bounds() {
    use FilterInvalid::{Duration, Published, Text, TooManyTags};
    let text = |length: usize| Some("ñ".repeat(length));
    let cases = [
        (filter(|_| ()), Ok(())),
        (filter(|f| f.tags = vec!["a".into(); 10]), Ok(())),
        (filter(|f| f.tags = vec!["a".into(); 11]), Err(TooManyTags)),
        (filter(|f| f.tags = vec![String::new()]), Err(Text)),
        (filter(|f| f.tags = vec!["a\u{1f}b".into()]), Err(Text)),
        (filter(|f| f.region = text(200)), Ok(())),
        (filter(|f| f.owner = text(201)), Err(Text)),
        (filter(|f| f.min_duration_ms = Some(-1)), Err(Duration)),
        (filter(|f| f.max_duration_ms = Some(-1)), Err(Duration)),
        (
            filter(|f| (f.min_duration_ms, f.max_duration_ms) = (Some(2), Some(1))),
            Err(Duration),
        ),
        (
            filter(|f| (f.published_after_ms, f.published_before_ms) = (Some(5), Some(5))),
            Err(Published),
        ),
        (
            filter(|f| (f.published_after_ms, f.published_before_ms) = (Some(5), Some(6))),
            Ok(()),
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(filter.check(), expected, "{filter:?}");
    }
}

#[test]
fn every_part_of_a_query_changes_its_fingerprint_but_the_size_of_the_page() {
    let filters = [
        filter(|f| f.tags = vec!["a".into()]),
        filter(|f| f.tags = vec!["a".into(), "b".into()]),
        filter(|f| f.tags = vec!["ab".into()]),
        filter(|f| f.region = Some("a".into())),
        filter(|f| f.owner = Some("a".into())),
        filter(|f| f.min_duration_ms = Some(0)),
        filter(|f| f.max_duration_ms = Some(0)),
        filter(|f| f.published_after_ms = Some(0)),
        filter(|f| f.published_before_ms = Some(0)),
    ];
    let filtered = filters.map(|filter| Query { filter, ..query() }.fingerprint(None));
    let sorted = Sort::ALL.map(|sort| Query { sort, ..query() }.fingerprint(None));
    let scopes = [Scope::Account(UserId(0)), Scope::Account(UserId(1))];
    let scoped = scopes.map(|scope| Query { scope, ..query() }.fingerprint(None));
    let texts = ["ab", "a b", "\"a b\"", "a -b"].map(|text| (text, false));
    let searched = texts.iter().chain(&[("ab", true)]).map(|(text, is_typing)| {
        let search = Search::parse(text, *is_typing).unwrap();
        query().fingerprint(Some(&search))
    });
    let all: Vec<u64> = searched.chain(filtered).chain(sorted).chain(scoped).collect();
    let different: std::collections::BTreeSet<&u64> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    let page = PageSize::new(1).unwrap();
    assert_eq!(Query { page, ..query() }.fingerprint(None), query().fingerprint(None));
}

fn cursors() -> impl Strategy<Value = Cursor> {
    let ranked = (
        any::<i64>(),
        any::<i64>(),
        proptest::collection::vec(any::<u8>(), 0..16),
    );
    let ranked = ranked.prop_map(|(oldest, newest, weights)| RankedHits {
        oldest,
        newest,
        weights,
    });
    let correction = (0..16_usize, ".{0,10}", proptest::collection::vec(".{0,10}", 0..5));
    let correction = correction.prop_map(|(term, word, replacements)| Correction {
        term,
        word,
        replacements,
    });
    let lists = (
        proptest::option::of(ranked),
        proptest::collection::vec(correction, 0..4),
    );
    (0..5_usize, any::<i64>(), any::<i64>(), any::<u64>(), lists).prop_map(|(sort, value, id, fingerprint, lists)| {
        Cursor {
            sort: Sort::ALL[sort],
            value,
            id,
            fingerprint,
            ranked: lists.0,
            corrections: lists.1,
        }
    })
}

proptest! {
    #[test]
    fn a_cursor_is_decoded_as_it_was_encoded(cursor in cursors()) {
        prop_assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
    }

    #[test]
    fn a_cursor_that_is_cut_or_longer_is_refused(cursor in cursors(), extra in any::<u8>()) {
        let mut bytes = cursor.encode();
        for length in 0..bytes.len() {
            prop_assert_eq!(Cursor::decode(&bytes[..length]), Err(CursorInvalid));
        }
        bytes.push(extra);
        prop_assert_eq!(Cursor::decode(&bytes), Err(CursorInvalid));
    }

    #[test]
    fn other_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Cursor::decode(&bytes);
    }
}
