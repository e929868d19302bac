//! Sources and outputs that several tasks share.

use crate::seed::{an_output, claimed, database, new_task, succeed};
use entity::task::{self, Claim, Model, TaskStatus};
use entity::{DatabaseConnection, Json, output, source, trace, trash};
use serde_json::json;

#[tokio::test]
async fn a_shared_source_is_removed_with_its_last_task() {
    let (db, _directory) = database("shared").await;
    let first = new_task(&db).await;
    let second = entity::write(&db, async |db| task::create_retry(db, &first).await)
        .await
        .unwrap();
    assert_eq!(
        (second.source_id, second.status),
        (first.source_id, TaskStatus::Uploaded)
    );
    assert!(second.file_path.ends_with(&format!("/{}_d_a_1.mov", second.id)));
    let keys = entity::write(&db, async |db| task::remove(db, &first).await)
        .await
        .unwrap()
        .unwrap();
    assert!(keys.is_empty(), "the second task still needs the source");
    let keys = entity::write(&db, async |db| task::remove(db, &second).await)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(trash::due(&db, 9).await.unwrap(), keys);
    trash::remove_key(&db, &keys[0]).await.unwrap();
    assert!(trash::due(&db, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn shared_outputs_are_removed_with_their_last_task() {
    let (db, _directory) = database("reuse").await;
    let claimed = async |task: &Model| claimed(&db, task.task_id()).await.claim();
    let reuse = async |claim: Claim, fingerprint: &str| {
        entity::write(&db, async |db| claim.reuse(db, fingerprint).await)
            .await
            .unwrap()
    };
    let first = new_task(&db).await;
    let claim = claimed(&first).await;
    assert_eq!(
        reuse(claim, "f").await,
        None,
        "no task with this fingerprint is processed"
    );
    let outputs = vec![
        an_output("outputs/1/1/video.mp4"),
        output::New {
            name: "hls".to_owned(),
            entry: Some("master.m3u8"),
            ..an_output("outputs/1/1/hls/")
        },
    ];
    assert!(succeed(&db, claim, outputs).await);
    let facts = json!({ "container": "mp4" });
    source::set_probe(&db, first.source_id, facts.clone()).await.unwrap();

    let second = same_task_with_its_own_source(&db, &first).await;
    let claim = claimed(&second).await;
    assert_eq!(reuse(claim, "other").await, None);
    assert_eq!(reuse(claim, "f").await, Some(first.task_id()));
    assert_eq!(reuse(claim, "f").await, None, "the claim has ended");
    let whole = task::by_id(&db, second.task_id()).await.unwrap().unwrap();
    assert_eq!(whole.status, TaskStatus::Processed);
    assert_eq!(
        whole.report.unwrap().read::<Json>().unwrap(),
        json!({ "cpu_ms": 7, "reused_from": first.id })
    );
    let source = source::of_task(&db, &second).await.unwrap();
    assert_ne!(source.id, first.source_id);
    assert_eq!(source.probe.unwrap().read::<Json>().unwrap(), facts);
    let trace = trace::of_task(&db, second.id).await.unwrap().unwrap();
    assert_eq!(trace.plan, Some(json!({ "fps": 25 })));
    let keys = |outputs: Vec<output::Model>| outputs.into_iter().map(|o| (o.key, o.entry)).collect::<Vec<_>>();
    let (theirs, ours) = (
        output::of_task(&db, first.id).await.unwrap(),
        output::of_task(&db, second.id).await.unwrap(),
    );
    assert_eq!(keys(theirs), keys(ours));

    let mut gone = remove_concurrently(&db, [first, second]).await;
    gone.sort();
    // Each file is removed exactly once.
    assert_eq!(gone[..2], ["outputs/1/1/hls/", "outputs/1/1/video.mp4"]);
    assert_eq!(gone.len(), 4, "with the two sources: {gone:?}");
    assert_eq!(trash::due(&db, 9).await.unwrap().len(), 4);
}

/// Removes two tasks as two concurrent requests do; returns the keys of all removed files.
async fn remove_concurrently(db: &DatabaseConnection, tasks: [Model; 2]) -> Vec<String> {
    let remove = |task: Model| {
        let db = db.clone();
        tokio::spawn(async move {
            entity::write(&db, async |db| task::remove(db, &task).await)
                .await
                .unwrap()
                .unwrap()
        })
    };
    let [one, other] = tasks.map(remove);
    let mut gone = one.await.unwrap();
    gone.extend(other.await.unwrap());
    gone
}

#[tokio::test]
async fn the_outputs_of_another_account_are_never_reused() {
    let (db, _directory) = database("other_account").await;
    let (ours, theirs) = (new_task(&db).await, new_task(&db).await);
    let claim = claimed(&db, theirs.task_id()).await.claim();
    assert!(succeed(&db, claim, vec![an_output("k")]).await);
    let claim = claimed(&db, ours.task_id()).await.claim();
    let reused = entity::write(&db, async |db| claim.reuse(db, "f").await).await.unwrap();
    assert_eq!(reused, None);
}

/// A task with the recipe of `first` and a source of its own with the same bytes.
async fn same_task_with_its_own_source(db: &DatabaseConnection, first: &Model) -> Model {
    entity::write(db, async |db| {
        let same = source::of_task(db, first).await?;
        let new = source::New {
            key: format!("{}-again", same.key),
            bytes: 7,
            sha256: same.sha256,
        };
        let source = source::create(db, first.owner(), new).await?;
        let new = task::New {
            source_id: source.id,
            display_name: first.display_name.clone(),
            safe_name: "again.mov".to_owned(),
            preset: first.preset.clone(),
            recipe: first.recipe.clone(),
            webhook_url: None,
        };
        task::create(db, first.owner(), new).await
    })
    .await
    .unwrap()
}
