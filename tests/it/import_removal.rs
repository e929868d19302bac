//! Removal of imports: by their owners, and of the rows of old ones.

use crate::imports::{counts, form, import};
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::Value;
use std::time::{Duration, Instant};
use tests::TestApp;
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_removed_by_its_owner_and_its_rows_after_thirty_days() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    let points = |first: u32| {
        let rows: String = (first..first + 7_000)
            .map(|row| format!("{}.{row},7\n", row % 80))
            .collect();
        form("videos", "points.csv", "lat,lon\n".to_owned() + &rows).text("dry_run", "true")
    };
    let (removed, old) = (import(&caller, points(1)).await, import(&caller, points(2)).await);
    let path = |import: &Value| format!("/api/imports/{}", import["id"]);
    let sql = format!(
        "UPDATE imports SET finished_at = '2026-01-01T00:00:00+00:00' WHERE id = {}",
        old["id"]
    );
    app.db.execute_unprepared(&sql).await.unwrap();
    let delete = caller.request(Method::DELETE, &path(&removed)).send().await.unwrap();
    assert_eq!(delete.status(), 204);
    assert_eq!(caller.get(&path(&removed)).await.code(), "import_not_found");
    assert_eq!(
        caller.get("/api/imports").await.body["data"].as_array().unwrap().len(),
        1
    );

    let begun = Instant::now();
    let rows_of_old = format!("{}/rows", path(&old));
    while caller.get(&rows_of_old).await.status != 410 {
        assert!(begun.elapsed() < Duration::from_secs(90), "the rows are kept");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        caller.get(&format!("{}/result", path(&old))).await.code(),
        "import_rows_expired"
    );
    assert_eq!(counts(&caller.get(&path(&old)).await.body), counts(&old));
    let backend = app.db.get_database_backend();
    loop {
        let left = "SELECT (SELECT COUNT(*) FROM import_rows) + (SELECT COUNT(*) FROM imports)";
        let left = app
            .db
            .query_one_raw(sea_orm::Statement::from_string(backend, left))
            .await;
        if left.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap() == 1 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "rows are left");
        sleep(Duration::from_millis(100)).await;
    }
    // The file of the removed one can be imported again.
    assert_ne!(import(&caller, points(1)).await["id"], removed["id"]);
    app.stop().await;
}
