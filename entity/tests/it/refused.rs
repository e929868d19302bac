//! A database that lets nobody in says why.

use crate::seed::{fresh_postgres, server};
use sea_orm::ConnectionTrait;

#[tokio::test]
async fn a_start_while_all_connections_are_taken_is_told_why() {
    let Some(server) = server() else { return };
    let url = fresh_postgres(&server, "refused").await;
    let admin = entity::connect(&server, 1).await.unwrap();
    for statement in [
        "DROP ROLE IF EXISTS refused",
        "CREATE ROLE refused LOGIN PASSWORD 'refused' CONNECTION LIMIT 0",
    ] {
        admin.execute_unprepared(statement).await.unwrap();
    }
    let (_, place) = url.rsplit_once('@').unwrap();
    let error = entity::connect(&format!("postgres://refused:refused@{place}"), 1)
        .await
        .unwrap_err();
    admin.execute_unprepared("DROP ROLE refused").await.unwrap();
    assert!(entity::is_exhausted(&error), "{error}");
    assert!(error.to_string().contains("too many connections"), "{error}");
}
