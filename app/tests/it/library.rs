//! The library of a process that has just started.

use crate::fixture::Fixture;
use app::library::{Bounds, CursorKeys, Library};
use domain::library::{Filter, PageSize, Query, Scope, Sort};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The time for which a request waits.
const FILL_TIMEOUT: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);

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
        let begun = Instant::now();
        let mut page = app.library.list(&query, None).await;
        // Only a slow machine needs longer to fill a catalog with one video than a request waits.
        while page.is_err() && begun.elapsed() >= FILL_TIMEOUT && begun.elapsed() < LIMIT {
            page = app.library.list(&query, None).await;
        }
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
    let mut times = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        let Err(app::Error::Client(refusal)) = library.list(&query, None).await else {
            panic!("the list is answered");
        };
        assert_eq!(refusal.code, domain::Code::CatalogFilling);
        times.push(begun.elapsed());
    }
    // The first request has waited for nothing.
    assert!(times[0] >= FILL_TIMEOUT, "{times:?}");
    assert!(times[1..].iter().min() < Some(&(FILL_TIMEOUT / 10)), "{times:?}");
}
