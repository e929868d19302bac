//! Files that are damaged, incomplete, of another version, or replaced while queries run.

use super::{at, fill, filled, found, query, video};
use catalog::{Catalog, Change, Error, Opened, Video};
use domain::library::{Scope, Sort};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The files of a directory, without those of the write-ahead log.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".db")).collect();
    names.sort();
    names
}

fn videos(count: i64) -> Vec<Video> {
    (1..=count).map(|id| video(id, &format!("gatos número{id}"))).collect()
}

/// Waits until the connections of a dropped catalog are closed, so that the file has no write-ahead log.
async fn closed(directory: &Path) {
    let is_open = || {
        std::fs::read_dir(directory)
            .unwrap()
            .any(|file| file.unwrap().path().to_string_lossy().ends_with("-wal"))
    };
    while is_open() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_catalog_is_ready_after_a_restart() {
    let (directory, catalog) = filled(&videos(10)).await;
    catalog
        .apply(&[Change::Video(Box::new(video(11, "perros")))], at(5))
        .await
        .unwrap();
    drop(catalog);
    let (catalog, opened) = Catalog::open(directory.path()).await.unwrap();
    assert_eq!(opened, Opened::Ready);
    assert_eq!(catalog.position().await.unwrap(), at(5));
    assert_eq!(found(&catalog, "perros").await, [11]);
    let page = catalog
        .search(&super::search("perors"), &query(Scope::Public, Sort::Newest), None, &[])
        .await
        .unwrap();
    assert_eq!(page.corrections[0].replacements, ["perros"], "the words are read again");
}

#[tokio::test]
async fn a_new_catalog_is_empty_until_it_is_filled() {
    let directory = tempfile::tempdir().unwrap();
    let (catalog, opened) = Catalog::open(&directory.path().join("a/b")).await.unwrap();
    assert_eq!(opened, Opened::Empty);
    let refused = catalog.list(&query(Scope::Public, Sort::Newest), None).await;
    assert!(matches!(refused, Err(Error::NotFilled)));
    assert!(matches!(catalog.apply(&[], at(1)).await, Err(Error::NotFilled)));
    fill(&catalog, &[], 1).await;
    assert!(
        catalog
            .list(&query(Scope::Public, Sort::Newest), None)
            .await
            .unwrap()
            .videos
            .is_empty()
    );
    catalog.discard();
    assert!(matches!(catalog.position().await, Err(Error::NotFilled)));
    assert_eq!(names(&directory.path().join("a/b")).len(), 0);
}

#[tokio::test]
async fn a_file_of_another_version_is_deleted() {
    let (directory, catalog) = filled(&videos(10)).await;
    drop(catalog);
    let path = directory.path().join("catalog-1.db");
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .unwrap();
    sqlx::query("PRAGMA user_version = 99")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let (catalog, opened) = Catalog::open(directory.path()).await.unwrap();
    assert_eq!(opened, Opened::Empty);
    assert_eq!(names(directory.path()).len(), 0);
    fill(&catalog, &videos(3), 1).await;
    assert_eq!(names(directory.path()), ["catalog-2.db"]);
}

#[tokio::test]
async fn a_file_of_an_interrupted_fill_is_deleted_and_the_complete_one_is_kept() {
    let (directory, catalog) = filled(&videos(10)).await;
    let mut filling = catalog.fill().await.unwrap();
    filling.push(&videos(500)).await.unwrap();
    // The process is killed: nothing is dropped.
    std::mem::forget(filling);
    assert_eq!(names(directory.path()), ["catalog-1.db", "catalog-2.db"]);
    drop(catalog);
    let (catalog, opened) = Catalog::open(directory.path()).await.unwrap();
    assert_eq!(opened, Opened::Ready);
    assert_eq!(names(directory.path()), ["catalog-1.db"]);
    assert_eq!(found(&catalog, "número7").await, [7]);
}

#[tokio::test]
async fn a_fill_that_is_given_up_leaves_no_file() {
    let (directory, catalog) = filled(&videos(10)).await;
    let mut filling = catalog.fill().await.unwrap();
    filling.push(&videos(500)).await.unwrap();
    drop(filling);
    let filled = catalog.fill().await.unwrap().finish(at(9)).await.unwrap();
    assert_eq!(names(directory.path()), ["catalog-1.db", "catalog-3.db"]);
    drop(filled);
    assert_eq!(names(directory.path()), ["catalog-1.db"]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_deleted() {
    for content in [
        &b""[..],
        b"not a database, but longer than the header of one: ........................................",
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("catalog-7.db"), content).unwrap();
        std::fs::write(directory.path().join("other.db"), content).unwrap();
        let (catalog, opened) = Catalog::open(directory.path()).await.unwrap();
        assert_eq!(opened, Opened::Empty);
        assert_eq!(names(directory.path()), ["other.db"], "files of others are left alone");
        fill(&catalog, &videos(3), 1).await;
        assert_eq!(found(&catalog, "gatos").await, [3, 2, 1]);
    }
}

/// Overwrites the file, but for its first page with the schema and the version.
fn overwrite(directory: &Path) {
    let path = directory.join("catalog-1.db");
    let length = std::fs::metadata(&path).unwrap().len();
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(4_096)).unwrap();
    let bytes = vec![0xA5; usize::try_from(length - 4_096).unwrap()];
    file.write_all(&bytes).unwrap();
}

/// A torn file: pages in the middle are lost. It is recognized at the first query that reads them, never answered from.
#[tokio::test]
async fn a_damaged_page_leads_to_a_new_fill() {
    let (directory, catalog) = filled(&videos(3_000)).await;
    drop(catalog);
    closed(directory.path()).await;
    overwrite(directory.path());
    let (catalog, opened) = Catalog::open(directory.path()).await.unwrap();
    if opened == Opened::Ready {
        let refused = catalog.list(&query(Scope::Public, Sort::Newest), None).await;
        assert!(matches!(refused, Err(Error::Damaged)), "{refused:?}");
        let refused = catalog.list(&query(Scope::Public, Sort::Newest), None).await;
        assert!(matches!(refused, Err(Error::NotFilled)), "{refused:?}");
    }
    assert_eq!(names(directory.path()).len(), 0);
    fill(&catalog, &videos(3), 1).await;
    assert_eq!(found(&catalog, "gatos").await, [3, 2, 1]);
}

#[tokio::test]
async fn damage_at_run_time_is_reported_once_and_then_a_fill_is_needed() {
    let (directory, catalog) = filled(&videos(20_000)).await;
    overwrite(directory.path());
    let mut seen = Vec::new();
    for id in (1..20_000).step_by(500) {
        match catalog.public(id).await {
            Ok(_) => {}
            Err(error) => seen.push(error),
        }
    }
    assert!(matches!(seen[0], Error::Damaged), "{seen:?}");
    assert!(
        seen[1..].iter().all(|error| matches!(error, Error::NotFilled)),
        "{seen:?}"
    );
    fill(&catalog, &videos(3), 1).await;
    assert_eq!(found(&catalog, "gatos").await, [3, 2, 1]);
    assert_eq!(names(directory.path()), ["catalog-2.db"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_move_to_a_new_file_without_an_error() {
    let (directory, catalog) = filled(&videos(2_000)).await;
    let ends = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (catalog, ends) = (catalog.clone(), ends.clone());
            tokio::spawn(async move {
                let mut answers = 0;
                while !ends.load(Ordering::Relaxed) {
                    let page = catalog
                        .search(
                            &super::search("gatos"),
                            &query(Scope::Public, Sort::Relevance),
                            None,
                            &[],
                        )
                        .await
                        .unwrap();
                    assert_eq!(page.hits.len(), 20);
                    assert!(page.total >= 2_000);
                    catalog.list(&query(Scope::Public, Sort::Votes), None).await.unwrap();
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    for fills in 1..=5 {
        fill(&catalog, &videos(2_000 + fills), fills + 1).await;
    }
    ends.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    assert_eq!(names(directory.path()), ["catalog-6.db"]);
    assert_eq!(found(&catalog, "número2005").await, [2_005]);
}
