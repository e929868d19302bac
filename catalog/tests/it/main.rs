//! Tests of the catalog on files.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod changes;
mod files;
mod folding;
mod hostile;
mod model;
mod oracle;
mod prefixes;
mod privacy;
mod walks;

use catalog::{Catalog, Position, Video};
use domain::UserId;
use domain::library::{Filter, PageSize, Query, Scope, Sort, Visibility};
use domain::search::Search;
use tempfile::TempDir;

/// A catalog with these videos, at position 1.
async fn filled(entries: &[Video]) -> (TempDir, Catalog) {
    let directory = tempfile::tempdir().unwrap();
    let (catalog, _) = Catalog::open(directory.path()).await.unwrap();
    fill(&catalog, entries, 1).await;
    (directory, catalog)
}

async fn fill(catalog: &Catalog, entries: &[Video], seq: i64) {
    let mut filling = catalog.fill().await.unwrap();
    for page in entries.chunks(5_000) {
        filling.push(page).await.unwrap();
    }
    filling.finish(at(seq)).await.unwrap().publish().await.unwrap();
}

fn at(seq: i64) -> Position {
    Position {
        seq,
        token: seq,
        as_of_ms: seq * 1_000,
    }
}

/// A public video of account 1.
fn video(id: i64, title: &str) -> Video {
    Video {
        id,
        public_id: format!("public-{id}"),
        account: UserId(1),
        owner: "ana".into(),
        visibility: Visibility::Public,
        title: title.into(),
        description: String::new(),
        tags: Vec::new(),
        region: None,
        duration_ms: 1_000,
        created_at_ms: id,
        published_at_ms: Some(id),
        votes: 0,
        views: 0,
        details: "{}".into(),
    }
}

fn query(scope: Scope, sort: Sort) -> Query {
    Query {
        scope,
        filter: Filter::default(),
        sort,
        page: PageSize::default(),
    }
}

fn search(text: &str) -> Search {
    Search::parse(text, false).unwrap()
}

/// The ids of the first page of a public search.
async fn found(catalog: &Catalog, text: &str) -> Vec<i64> {
    let page = catalog
        .search(&search(text), &query(Scope::Public, Sort::Newest), None, &[])
        .await
        .unwrap();
    page.hits.iter().map(|hit| hit.video.id).collect()
}
