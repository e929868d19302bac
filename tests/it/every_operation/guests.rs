//! The operations that the session of a guest opens.

use super::call;
use super::table::Access::{Account, Named, Public, Resource};
use super::table::OPERATIONS;
use serde_json::json;
use tests::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_a_guest_opens_the_uploads_of_the_session_and_nothing_else() {
    const OF_GUESTS: [&str; 5] = [
        "POST /api/uploads",
        "GET /api/uploads/{id}",
        "HEAD /api/uploads/{id}",
        "PATCH /api/uploads/{id}",
        "DELETE /api/uploads/{id}",
    ];
    let app = TestApp::idle_with_bucket().await;
    let owner = app.caller().await;
    let link = crate::guests::link(&owner, json!({"max_uploads": 9})).await;
    let guest = crate::guests::guest(&app, &link).await;
    let token = format!("Bearer {}", guest.caller.token);
    for (operation, access, body) in OPERATIONS {
        let path = match access {
            Public(_) => continue,
            Account => Vec::new(),
            Named(name) => vec![(*name).to_owned()],
            Resource(kind) => kind.make(&app, &owner).await,
        };
        let before = app.snapshot().await;
        let reply = call(&app, operation, *body, &path, Some(&token)).await;
        if !OF_GUESTS.contains(operation) {
            assert_eq!(reply.status, 401, "{operation}: {reply:?}");
            assert_eq!(app.snapshot().await, before, "{operation}");
        } else if path.is_empty() {
            assert_eq!(reply.status, 201, "{operation}: {reply:?}");
        } else {
            assert_eq!(reply.status, 404, "of the owner: {operation}: {reply:?}");
            assert_eq!(app.snapshot().await, before, "{operation}");
            let own = guest.create("clip.mp4", 1_000).await;
            let own = vec![own.rsplit('/').next().unwrap().to_owned()];
            let reply = call(&app, operation, *body, &own, Some(&token)).await;
            assert!((200..300).contains(&reply.status), "{operation}: {reply:?}");
        }
    }
}
