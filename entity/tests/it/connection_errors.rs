//! Errors of connecting contain the reason that the server gave.

use crate::seed::{fresh_postgres, server};
use crate::skip;
use sea_orm::ConnectionTrait;

#[tokio::test]
async fn connecting_beyond_the_connection_limit_reports_the_reason() {
    let Some(server) = server() else {
        return skip::other_setup("SQLite has no connection limit");
    };
    let url = fresh_postgres(&server, "refused").await;
    let admin = entity::connect(&server, 1).await.unwrap();
    let (_, address) = url.rsplit_once('@').unwrap();
    let (_, role) = address.rsplit_once('/').unwrap();
    let statement = format!("CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT 0");
    admin.execute_unprepared(&statement).await.unwrap();
    let error = entity::connect(&format!("postgres://{role}:secret@{address}"), 1)
        .await
        .unwrap_err();
    admin.execute_unprepared(&format!("DROP ROLE {role}")).await.unwrap();
    assert!(entity::is_exhausted(&error), "{error}");
    assert!(error.to_string().contains("too many connections"), "{error}");
}
