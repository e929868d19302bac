//! Prefixes, with a list in the index and without, of few words and of many.

use super::{at, filled, query, video};
use catalog::{Catalog, Change, Video};
use domain::library::{Scope, Sort};
use domain::search::Search;

/// More words than are looked for instead of a prefix.
const MANY: i64 = 300;

async fn total(catalog: &Catalog, text: &str) -> u32 {
    let search = Search::parse(text, true).unwrap();
    let mut totals = Vec::new();
    for sort in [Sort::Relevance, Sort::Votes] {
        let page = catalog
            .search(&search, &query(Scope::Public, sort), None, &[])
            .await
            .unwrap();
        totals.push(page.total);
    }
    assert_eq!(totals.first(), totals.last(), "{text}");
    totals.pop().unwrap()
}

fn videos() -> Vec<Video> {
    let many = (1..=MANY).map(|id| video(id, &format!("montaña{id}")));
    let others = ["montar el mar", "monte", "la Móntaña", "montano 東京都庁舎前", "mantel"];
    let others = (MANY + 1..).zip(others).map(|(id, title)| video(id, title));
    many.chain(others).collect()
}

#[tokio::test]
async fn a_prefix_finds_all_words_that_begin_with_it() {
    let (_directory, catalog) = filled(&videos()).await;
    let many = u32::try_from(MANY).unwrap();
    for (text, expected) in [
        ("mo", many + 4),
        ("mon", many + 4),
        ("mont", many + 4),
        ("monta", many + 3),
        ("montañ", many + 2),
        ("montana", many + 1),
        ("MONTAÑA2", 111),
        ("montana29", 11),
        ("montana299", 1),
        ("monte", 1),
        ("monteras", 0),
        ("東京都庁舎", 1),
        ("mar monta", 1),
        ("\"montar el ma", 1),
        ("montar-el", 1),
        ("la -mar monta", 1),
    ] {
        assert_eq!(total(&catalog, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn a_prefix_finds_the_words_of_the_latest_change() {
    let (_directory, catalog) = filled(&videos()).await;
    assert_eq!(total(&catalog, "cordill").await, 0);
    let new = Change::Video(Box::new(video(1_000, "cordillera")));
    catalog.apply(&[new], at(2)).await.unwrap();
    assert_eq!(total(&catalog, "cordill").await, 1);
    catalog.apply(&[Change::VideoRemoved(1_000)], at(3)).await.unwrap();
    assert_eq!(total(&catalog, "cordill").await, 0);
}
