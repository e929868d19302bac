//! Search texts that try to be something else.

use super::{filled, query, search, video};
use catalog::{Error, Facet};
use domain::library::{Filter, Query, Scope, Sort};
use domain::search::Search;

#[tokio::test]
async fn every_text_is_text_and_never_syntax() {
    let (_directory, catalog) = filled(&[
        video(1, "title a or"),
        video(2, "100% <b>gatos</b> & perros"),
        video(3, "שלום עולם"),
        video(4, "𐐀 🎬 東京"),
        video(5, "a AND NOT NEAR b"),
    ])
    .await;
    let long = "zz ".repeat(64);
    for (text, expected) in [
        ("title:(a OR *)", vec![1]),
        ("\"gatos", vec![2]),
        ("100%", vec![2]),
        ("%", vec![]),
        ("🎬", vec![]),
        ("🎬 東京", vec![4]),
        ("𐐨", vec![4]),
        ("עולם", vec![3]),
        ("a AND NOT NEAR(b)", vec![5]),
        ("a NEAR/2 b", vec![]),
        ("{title} : a", vec![1]),
        ("^a", vec![5, 1]),
        ("gat*", vec![]),
        ("a + b", vec![5]),
        ("'; DROP TABLE videos; --", vec![]),
        ("\\\" OR 1=1", vec![]),
        ("*", vec![]),
        ("\u{F0001}", vec![]),
        ("\u{10FFFD} a", vec![]),
        ("\u{202E}gatos", vec![2]),
        (&long, vec![]),
    ] {
        assert_eq!(super::found(&catalog, text).await, expected, "{text}");
        for is_typing in [false, true] {
            for sort in Sort::ALL {
                let search = Search::parse(text, is_typing).unwrap();
                catalog
                    .search(&search, &query(Scope::Public, sort), None, &[])
                    .await
                    .unwrap();
            }
        }
    }
}

#[tokio::test]
async fn texts_of_a_filter_are_compared_and_not_interpreted() {
    let mut entry = video(1, "gatos");
    entry.tags = vec!["rock".into(), "a'b".into()];
    entry.region = Some("' OR 1=1".into());
    let (_directory, catalog) = filled(&[entry, video(2, "gatos")]).await;
    for (tags, region, expected) in [
        (vec!["rock"], None, 1),
        (vec!["rock", "a'b"], None, 1),
        (vec!["roc"], None, 0),
        (vec!["Rock"], None, 0),
        (vec!["%"], None, 0),
        (vec![], Some("' OR 1=1"), 1),
        (vec![], Some("x' OR '1'='1"), 0),
    ] {
        let filter = Filter {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            region: region.map(str::to_owned),
            ..Filter::default()
        };
        let filtered = Query {
            filter,
            ..query(Scope::Public, Sort::Newest)
        };
        let listed = catalog.list(&filtered, None).await.unwrap().videos.len();
        let total = catalog
            .search(&search("gatos"), &filtered, None, &[])
            .await
            .unwrap()
            .total;
        assert_eq!((listed, total as usize), (expected, expected), "{tags:?} {region:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_query_is_refused() {
    let videos: Vec<_> = (1..=50).map(|id| video(id, "gatos")).collect();
    let (_directory, catalog) = filled(&videos).await;
    let newest = query(Scope::Public, Sort::Newest);
    let cursor = catalog.list(&newest, None).await.unwrap().next.unwrap();
    for other in [
        query(Scope::Public, Sort::Votes),
        query(Scope::Account(domain::UserId(1)), Sort::Newest),
    ] {
        let refused = catalog.list(&other, Some(&cursor)).await;
        assert!(matches!(refused, Err(Error::CursorInvalid)));
    }
    let refused = catalog.search(&search("gatos"), &newest, Some(&cursor), &[]).await;
    assert!(matches!(refused, Err(Error::CursorInvalid)));
    assert!(catalog.list(&newest, Some(&cursor)).await.is_ok());
}

#[tokio::test]
async fn the_characters_of_a_filter_in_a_text_are_not_found_by_the_filter() {
    // The word of the tag "x" in the full-text index.
    let word = "\u{F0000}\u{F0000}\u{F0000}\u{F0000}\u{F0004}\u{FFF78}";
    let mut tagged = video(1, "gatos");
    tagged.tags = vec!["x".into()];
    let mut described = video(3, "gatos");
    described.description = word.into();
    let (_directory, catalog) = filled(&[tagged, video(2, &format!("gatos {word}")), described]).await;
    let filter = Filter {
        tags: vec!["x".into()],
        ..Filter::default()
    };
    let filtered = Query {
        filter,
        ..query(Scope::Public, Sort::Newest)
    };
    let page = catalog
        .search(&search("gatos"), &filtered, None, &[Facet::Tags])
        .await
        .unwrap();
    assert_eq!(page.hits.iter().map(|hit| hit.video.id).collect::<Vec<_>>(), [1]);
    assert_eq!(catalog.list(&filtered, None).await.unwrap().videos.len(), 1);
    assert_eq!(super::found(&catalog, word).await, [3, 2]);
}
