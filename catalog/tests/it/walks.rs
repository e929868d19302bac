//! Walks through all pages while rows change.

use super::{at, fill, filled, query, search, video};
use catalog::{Catalog, Change, EXACT_HITS, Video};
use domain::library::{Cursor, Filter, PageSize, Query, Scope, Sort};
use domain::search::Search;
use std::collections::BTreeMap;

/// Number of videos before the walk. Every third one changes during it.
const VIDEOS: i64 = 900;

fn entry(id: i64) -> Video {
    let mut entry = video(
        id,
        if id % 2 == 0 {
            "gatos grises"
        } else {
            "los gatos que duermen de dia"
        },
    );
    entry.description = "en casa".into();
    entry.tags = vec![format!("tag{}", id % 7)];
    // Many equal values, so that most pages end among them.
    (entry.votes, entry.views, entry.duration_ms) = (id % 3, id % 5, 1_000 * (id % 4));
    entry.published_at_ms = Some(1_000 + id / 50);
    entry
}

const fn is_stable(id: i64) -> bool {
    id <= VIDEOS && id % 3 != 0
}

/// Changes after a page: new videos, removals, other values, other texts.
fn changes(page: i64) -> Vec<Change> {
    let moving = |step: i64| 3 * (1 + (page * 7 + step) % (VIDEOS / 3));
    let added = (0..5).map(|step| entry(VIDEOS + page * 5 + step));
    let moved = (0..10).map(|step| {
        let mut entry = entry(moving(step));
        (entry.votes, entry.views) = (page % 9, page * 100);
        entry.duration_ms = page * 10;
        if step % 2 == 0 {
            entry.title = format!("gatos nuevos{page}");
        }
        entry
    });
    let mut changes: Vec<Change> = added.chain(moved).map(|entry| Change::Video(Box::new(entry))).collect();
    changes.extend((10..14).map(|step| Change::VideoRemoved(moving(step))));
    changes
}

/// Walks through all pages and changes rows after each. Returns how often each video was returned.
async fn walk(catalog: &Catalog, query: &Query, search: Option<&Search>) -> BTreeMap<i64, u32> {
    let mut seen = BTreeMap::new();
    let mut cursor: Option<Cursor> = None;
    for page in 1.. {
        let (ids, next) = match search {
            None => {
                let page = catalog.list(query, cursor.as_ref()).await.unwrap();
                (page.videos.iter().map(|video| video.id).collect::<Vec<_>>(), page.next)
            }
            Some(search) => {
                let page = catalog.search(search, query, cursor.as_ref(), &[]).await.unwrap();
                (page.hits.iter().map(|hit| hit.video.id).collect(), page.next)
            }
        };
        ids.iter().for_each(|id| *seen.entry(*id).or_default() += 1);
        let Some(next) = next else { break };
        let decoded = Cursor::decode(&next.encode()).unwrap();
        assert_eq!(decoded, next);
        cursor = Some(decoded);
        let seq = catalog.position().await.unwrap().seq + 1;
        catalog.apply(&changes(page), at(seq)).await.unwrap();
        assert!(page < 1_000, "the walk does not end");
    }
    seen
}

#[tokio::test]
async fn rows_that_do_not_change_are_returned_exactly_once() {
    let videos: Vec<Video> = (1..=VIDEOS).map(entry).collect();
    let texts = [None, Some("gatos"), Some("gatos casa"), Some("gatos -perros")];
    for (number, sort) in Sort::ALL.into_iter().enumerate() {
        let scope = if number % 2 == 0 {
            Scope::Public
        } else {
            Scope::Account(domain::UserId(1))
        };
        for text in texts {
            let (_directory, catalog) = filled(&videos).await;
            let query = Query {
                page: PageSize::new(37).unwrap(),
                ..query(scope, sort)
            };
            let search = text.map(super::search);
            let seen = walk(&catalog, &query, search.as_ref()).await;
            for id in (1..=VIDEOS).filter(|id| is_stable(*id)) {
                assert_eq!(seen.get(&id), Some(&1), "{sort:?} {text:?}: video {id}");
            }
        }
    }
}

#[tokio::test]
async fn a_walk_with_a_filter_returns_each_row_once() {
    let videos: Vec<Video> = (1..=VIDEOS).map(entry).collect();
    for sort in Sort::ALL {
        let (_directory, catalog) = filled(&videos).await;
        let query = Query {
            filter: Filter {
                tags: vec!["tag3".into()],
                min_duration_ms: Some(1_000),
                ..Filter::default()
            },
            page: PageSize::new(10).unwrap(),
            ..query(Scope::Public, sort)
        };
        let seen = walk(&catalog, &query, None).await;
        for id in (1..=VIDEOS).filter(|id| is_stable(*id) && id % 7 == 3 && id % 4 > 0) {
            assert_eq!(seen.get(&id), Some(&1), "{sort:?}: video {id}");
        }
    }
}

#[tokio::test]
async fn following_pages_of_a_corrected_search_look_for_the_same_words() {
    let videos: Vec<Video> = (1..=VIDEOS).map(entry).collect();
    let (_directory, catalog) = filled(&videos).await;
    let query = query(Scope::Public, Sort::Relevance);
    let search = super::search("gatso");
    let first = catalog.search(&search, &query, None, &[]).await.unwrap();
    assert_eq!(first.corrections[0].replacements, ["gatos"]);
    // From now on the misspelt word has hits, and a more frequent similar one exists.
    let others = (0..1_000).map(|id| video(5_000 + id, "gatso datso"));
    let others: Vec<Change> = others.map(|entry| Change::Video(Box::new(entry))).collect();
    catalog.apply(&others, at(2)).await.unwrap();
    let second = catalog.search(&search, &query, first.next.as_ref(), &[]).await.unwrap();
    assert_eq!(second.corrections, first.corrections);
    assert!(second.hits.iter().all(|hit| hit.video.id <= VIDEOS));
    assert!(
        first
            .hits
            .iter()
            .all(|hit| second.hits.iter().all(|other| other.video.id != hit.video.id))
    );
}

/// More hits than are ranked: the walk ends after those, and newer hits do not push older ones out.
#[tokio::test]
async fn a_walk_by_relevance_covers_the_newest_2000_hits_of_its_beginning() {
    let videos: Vec<Video> = (1..=2_500).map(|id| video(id, "gatos")).collect();
    let (_directory, catalog) = filled(&videos).await;
    let query = Query {
        page: PageSize::new(100).unwrap(),
        ..query(Scope::Public, Sort::Relevance)
    };
    let search = super::search("gatos");
    let (mut cursor, mut ids) = (None, Vec::new());
    for page in 0.. {
        let found = catalog.search(&search, &query, cursor.as_ref(), &[]).await.unwrap();
        ids.extend(found.hits.iter().map(|hit| hit.video.id));
        let newer = (0..50).map(|step| Change::Video(Box::new(video(3_000 + page * 50 + step, "gatos"))));
        catalog.apply(&newer.collect::<Vec<_>>(), at(page + 2)).await.unwrap();
        match found.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(ids, (501..=2_500).rev().collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_walk_goes_on_when_more_hits_than_are_counted_are_new() {
    let all: Vec<Video> = (1..=3_000 + i64::from(EXACT_HITS))
        .map(|id| video(id, "gatos"))
        .collect();
    let (_directory, catalog) = filled(&all[..3_000]).await;
    let relevance = query(Scope::Public, Sort::Relevance);
    let page = catalog.search(&search("gatos"), &relevance, None, &[]).await.unwrap();
    assert_eq!(page.hits.last().unwrap().video.id, 2_981);
    fill(&catalog, &all, 2).await;
    let next = catalog
        .search(&search("gatos"), &relevance, page.next.as_ref(), &[])
        .await
        .unwrap();
    let ids: Vec<i64> = next.hits.iter().map(|hit| hit.video.id).collect();
    assert_eq!(ids, (2_961..=2_980).rev().collect::<Vec<_>>());
    assert!(next.total_at_least);
}
