//! The library of a process that has just started.

use crate::fixture::Fixture;
use app::library::{Bounds, CursorKeys, Library};
use domain::library::{Filter, PageSize, Query, Scope, Sort};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn all(scope: Scope) -> Query {
    Query {
        scope,
        filter: Filter::default(),
        sort: Sort::Newest,
        page: PageSize::default(),
    }
}

#[tokio::test]
async fn requests_wait_for_a_catalog_that_is_filled_in_a_moment() {
    let fixture = Fixture::new().await;
    fixture.task().await;
    let app = &fixture.app;
    let query = all(Scope::Account(fixture.user));
    let shutdown = CancellationToken::new();
    let follow = async {
        // The request is there before its catalog.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!app.library.is_filled());
        app.library.clone().follow(app.db.clone(), shutdown.clone()).await;
    };
    let list = async {
        let page = app.library.list(&query, None).await;
        shutdown.cancel();
        page.unwrap().videos.len()
    };
    let (videos, ()) = tokio::join!(list, follow);
    assert_eq!(videos, 1);
}

#[tokio::test]
async fn requests_do_not_wait_for_long_for_a_catalog_that_is_not_filled() {
    let directory = tempfile::tempdir().unwrap();
    let library = Library::new(directory.path().into(), Bounds::default(), CursorKeys::derive([]));
    let query = all(Scope::Public);
    let page = tokio::time::timeout(Duration::from_secs(20), library.list(&query, None)).await;
    let Err(app::Error::Client(refusal)) = page.unwrap() else {
        panic!("the list is answered");
    };
    assert_eq!(refusal.code, domain::Code::CatalogFilling);
}
