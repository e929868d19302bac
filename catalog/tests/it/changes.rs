//! Changes of the feed.

use super::files::names;
use super::{at, filled, found, query, video};
use catalog::{Account, Applied, Change, Video};
use domain::UserId;
use domain::library::{Scope, Sort, Visibility};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use std::path::Path;

fn changed(entry: Video) -> Change {
    Change::Video(Box::new(entry))
}

#[tokio::test]
async fn a_changed_text_is_found_by_its_new_words_only() {
    let (_directory, catalog) = filled(&[video(1, "gatos"), video(2, "perros")]).await;
    let mut entry = video(1, "caballos");
    entry.description = "corren mucho".into();
    catalog
        .apply(&[changed(entry), changed(video(3, "perros grises"))], at(2))
        .await
        .unwrap();
    assert_eq!(found(&catalog, "gatos").await, Vec::<i64>::new());
    assert_eq!(found(&catalog, "caballos mucho").await, [1]);
    assert_eq!(found(&catalog, "perros").await, [3, 2]);
    catalog
        .apply(&[Change::VideoRemoved(2), Change::VideoRemoved(77)], at(3))
        .await
        .unwrap();
    assert_eq!(found(&catalog, "perros").await, [3]);
    assert!(catalog.public(2).await.unwrap().is_none());
}

#[tokio::test]
async fn the_last_change_of_a_video_in_a_batch_counts() {
    let (_directory, catalog) = filled(&[]).await;
    let changes = [
        changed(video(1, "uno")),
        changed(video(1, "dos")),
        Change::VideoRemoved(2),
        changed(video(2, "tres")),
        changed(video(3, "cuatro")),
        Change::VideoRemoved(3),
    ];
    for _ in 0..2 {
        catalog.apply(&changes, at(2)).await.unwrap();
        assert_eq!(found(&catalog, "uno").await, Vec::<i64>::new());
        assert_eq!(found(&catalog, "dos").await, [1]);
        assert_eq!(found(&catalog, "tres").await, [2]);
        assert_eq!(found(&catalog, "cuatro").await, Vec::<i64>::new());
    }
}

#[tokio::test]
async fn more_changes_than_a_batch_are_applied_up_to_the_position() {
    let (_directory, catalog) = filled(&[]).await;
    let changes: Vec<Change> = (1..=1_001).map(|id| changed(video(id, "gatos"))).collect();
    assert_eq!(catalog.apply(&changes, at(1_001)).await.unwrap(), Applied::Moved);
    assert_eq!(catalog.position().await.unwrap(), at(1_001));
    let page = catalog
        .search(&super::search("gatos"), &query(Scope::Public, Sort::Votes), None, &[])
        .await
        .unwrap();
    assert_eq!(page.total, 1_001);
}

#[tokio::test]
async fn the_position_never_moves_back() {
    let (directory, catalog) = filled(&[video(1, "gatos")]).await;
    assert_eq!(catalog.apply(&[], at(10)).await.unwrap(), Applied::Moved);
    let outdated = catalog.apply(&[changed(video(1, "perros"))], at(9)).await.unwrap();
    assert_eq!(outdated, Applied::Outdated);
    assert_eq!(catalog.position().await.unwrap(), at(10));
    assert_eq!(found(&catalog, "gatos").await, [1]);
    assert_eq!(
        catalog.apply(&[changed(video(1, "perros"))], at(10)).await.unwrap(),
        Applied::Moved
    );
    assert_eq!(found(&catalog, "perros").await, [1]);

    let filling = catalog.fill().await.unwrap();
    let behind = filling.finish(at(9)).await.unwrap().publish().await;
    assert!(matches!(behind, Err(catalog::Error::Behind)));
    assert_eq!(found(&catalog, "perros").await, [1]);

    let filling = catalog.fill().await.unwrap();
    let filled = filling.finish(at(9)).await.unwrap();
    filled.apply(&[changed(video(5, "caballos"))], at(12)).await.unwrap();
    filled.publish().await.unwrap();
    assert_eq!(catalog.position().await.unwrap(), at(12));
    assert_eq!(found(&catalog, "caballos").await, [5]);
    assert_eq!(
        super::files::names(directory.path()).len(),
        1,
        "files that are not in use are deleted"
    );
}

#[tokio::test]
async fn accounts_are_known_until_they_are_removed() {
    let (_directory, catalog) = filled(&[]).await;
    let account = |tokens_valid_after_ms, is_disabled| Account {
        id: UserId(7),
        tokens_valid_after_ms,
        is_disabled,
    };
    for known in [account(5, false), account(6, true)] {
        catalog.apply(&[Change::Account(known)], at(2)).await.unwrap();
        assert_eq!(catalog.account(UserId(7)).await.unwrap(), Some(known));
    }
    catalog
        .apply(&[Change::AccountRemoved(UserId(7))], at(3))
        .await
        .unwrap();
    assert_eq!(catalog.account(UserId(7)).await.unwrap(), None);
}

#[tokio::test]
async fn a_video_is_returned_as_it_was_written() {
    let mut entry = video(1, "¡El Niño! <b>");
    entry.visibility = Visibility::Unlisted;
    entry.tags = vec!["ñandú".into(), "b c".into()];
    entry.region = Some("Bogotá".into());
    entry.description = "x".repeat(10_000);
    entry.published_at_ms = None;
    entry.details = "{\"a\":1}".into();
    let (_directory, catalog) = filled(std::slice::from_ref(&entry)).await;
    assert_eq!(catalog.of_link("public-1").await.unwrap(), Some(entry.clone()));
    entry.votes = 5;
    catalog.apply(&[changed(entry.clone())], at(2)).await.unwrap();
    assert_eq!(catalog.of_link("public-1").await.unwrap(), Some(entry));
}

/// The segments of the index of public videos: number and pages, the largest first.
async fn segments(directory: &Path) -> Vec<(i64, i64)> {
    let file = directory.join(names(directory).pop().unwrap());
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}?mode=ro", file.display()))
        .await
        .unwrap();
    // The number of the segment is in the upper bits of the ids of its pages.
    let query = "SELECT id >> 37, count(*) FROM public_fts_data WHERE id > 10 GROUP BY 1 ORDER BY 2 DESC";
    sqlx::query_as(query).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn changes_do_not_write_the_segment_of_the_fill_again() {
    let library = catalog::synthetic::Library::new(2_000);
    let videos: Vec<Video> = (1..=2_000).map(|id| library.video(id)).collect();
    let (directory, catalog) = filled(&videos).await;
    let filled = segments(directory.path()).await;
    assert_eq!(filled.len(), 1);
    for seq in 2..100 {
        let mut old = library.video(seq);
        old.title = format!("gatos {seq}");
        let changes = [changed(old), changed(library.video(10_000 + seq))];
        catalog.apply(&changes, at(seq)).await.unwrap();
    }
    let changed = segments(directory.path()).await;
    assert_eq!(changed.first(), filled.first());
    // Sixteen small ones are merged at the latest.
    assert!((2..=18).contains(&changed.len()), "{changed:?}");
}
