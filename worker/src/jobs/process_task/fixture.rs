//! A worker and a claimed task, for the tests of this job.

use crate::child::ChildSettings;
use crate::env::{Env, Settings};
use crate::scratch::Scratch;
use domain::account::{Email, Username};
use domain::protocol::{SandboxMode, VerifyDepth};
use domain::{ClaimPolicy, Limits};
use entity::task::Claimed;
use entity::{source, task, user};
use outbound::Policy;
use queue::Queue;
use std::path::Path;
use std::time::Duration;
use storage::Storage;

/// A worker on SQLite and a directory below `home`.
pub(crate) async fn env(home: &Path) -> Env {
    let db = format!("sqlite://{}/test.db", home.display());
    let db = entity::connect(&db, 2).await.unwrap();
    migration::run(&db).await.unwrap();
    let files = format!("file://{}/objects", home.display());
    let settings = Settings {
        max_tasks: 1,
        threads: 1,
        limits: Limits::default(),
        sandbox: SandboxMode::BestEffort,
        verify_depth: VerifyDepth::Fast,
        child_memory_bytes: 1 << 30,
        child: ChildSettings::new("/bin/false".into()),
        upload_ttl: Duration::from_hours(24),
        sealer: None,
        outbound: Policy::default(),
        lookups: None,
        watch: None,
        shutdown_grace: Duration::ZERO,
    };
    Env::new(
        db,
        Storage::open(&files, None).await.unwrap(),
        Queue::in_memory(),
        Scratch::open(&home.join("scratch")).unwrap(),
        settings,
    )
    .unwrap()
}

/// A new task, claimed for its first attempt.
pub(crate) async fn claimed(env: &Env) -> Claimed {
    let (name, email) = (
        Username::parse("ana").unwrap(),
        Email::parse("ana@example.com").unwrap(),
    );
    let created = entity::write(&env.db, async |db| {
        let owner = user::create(db, &name, &email, "hash".to_owned()).await?;
        let source = source::New {
            key: "sources/1".to_owned(),
            bytes: 1,
            sha256: "ab".repeat(32),
        };
        let source = source::create(db, owner.user_id(), source).await?;
        let new = task::New {
            source_id: source.id,
            display_name: "a.mp4".to_owned(),
            safe_name: "a.mp4".to_owned(),
            preset: None,
            recipe: serde_json::json!({"outputs": [{"kind": "mp4"}]}),
            webhook_url: None,
        };
        task::create(db, owner.user_id(), new).await
    });
    created.await.unwrap();
    let next = task::claim_next(&env.db, ClaimPolicy::default(), env.scratch.worker());
    next.await.unwrap().unwrap()
}
