//! Videos: publication, removal, the entries of catalogs, and sources without a video.

use crate::seed::{an_output, claimed, database, new_task, new_user, succeed, task_of};
use domain::{UserId, Visibility};
use entity::task::{self, Model};
use entity::{ConnectionTrait, DatabaseConnection, DbErr, is_duplicate, output, source, video, write};
use sea_orm::Statement;

async fn video_of(db: &DatabaseConnection, task: &Model) -> video::Model {
    let created = write(db, async |db| {
        video::create(db, task.owner(), task.source_id, "A day".to_owned()).await
    });
    created.await.unwrap()
}

async fn processed(db: &DatabaseConnection, task: &Model) {
    let claim = claimed(db, task.task_id()).await.claim();
    let poster = output::New {
        name: "poster.jpg".to_owned(),
        kind: "poster",
        ..an_output(&format!("outputs/{}/poster.jpg", task.id))
    };
    let outputs = vec![an_output(&format!("outputs/{}/video.mp4", task.id)), poster];
    assert!(succeed(db, claim, outputs).await);
}

async fn publish(db: &DatabaseConnection, video: &video::Model, task: &Model) -> video::Model {
    let published = entity::user::write(db, video.owner(), async |db| {
        video::publish(db, video.clone(), task.task_id(), Visibility::Public).await
    });
    published.await.unwrap()
}

async fn removed(db: &DatabaseConnection, task: &Model) {
    let removed = write(db, async |db| task::remove(db, task).await).await.unwrap();
    assert!(removed.is_some());
}

async fn present(db: &DatabaseConnection, video: &video::Model) -> Option<video::Model> {
    video::of_user(db, video.owner(), video.video_id()).await.unwrap()
}

async fn changes(db: &DatabaseConnection) -> i64 {
    let query = "SELECT count(*) AS rows FROM library_changes WHERE subject = 'video'";
    let query = Statement::from_string(db.get_database_backend(), query);
    let row = db.query_one_raw(query).await.unwrap().unwrap();
    row.try_get("", "rows").unwrap()
}

#[tokio::test]
async fn a_published_video_shows_the_outputs_of_its_task_until_that_task_is_removed() {
    let (db, _directory) = database("published").await;
    let first = new_task(&db).await;
    let second = entity::user::write(&db, first.owner(), async |db| task::create_retry(db, &first).await);
    let second = second.await.unwrap();
    let video = video_of(&db, &first).await;
    processed(&db, &first).await;
    processed(&db, &second).await;
    assert_eq!(
        task::newest_processed(&db, &video).await.unwrap().unwrap().id,
        second.id
    );

    let published = publish(&db, &video, &first).await;
    assert!(published.published_at.is_some());
    let entry = video::entries_after(&db, 0, 9).await.unwrap().pop().unwrap();
    assert_eq!(entry.video, published);
    assert!(entry.owner.starts_with("ana"));
    let names: Vec<_> = entry.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["video.mp4", "poster.jpg"]);

    let again = publish(&db, &published, &second).await;
    assert_eq!(
        again.published_at, published.published_at,
        "the time of publication stays"
    );
    removed(&db, &first).await;
    assert_eq!(present(&db, &video).await.unwrap(), again);
    assert_eq!(changes(&db).await, 3, "two tasks were processed, and one removed");
    // Its last task goes with the source, and so does the video.
    removed(&db, &second).await;
    assert!(present(&db, &video).await.is_none());
    assert!(video::entries_of(&db, &[video.id]).await.unwrap().is_empty());
    assert_eq!(changes(&db).await, 4);
}

#[tokio::test]
async fn removing_the_shown_task_makes_its_video_private() {
    let (db, _directory) = database("hidden").await;
    let first = new_task(&db).await;
    let second = entity::user::write(&db, first.owner(), async |db| task::create_retry(db, &first).await);
    second.await.unwrap();
    let video = video_of(&db, &first).await;
    processed(&db, &first).await;
    publish(&db, &video, &first).await;
    removed(&db, &first).await;
    let hidden = present(&db, &video).await.unwrap();
    assert_eq!(Visibility::from(hidden.visibility), Visibility::Private);
    assert_eq!((hidden.task_id, hidden.published_at), (None, None));
}

#[tokio::test]
async fn removing_a_video_removes_its_tasks_and_names_all_files() {
    let (db, _directory) = database("removed_video").await;
    let first = new_task(&db).await;
    let second = entity::user::write(&db, first.owner(), async |db| task::create_retry(db, &first).await);
    let second = second.await.unwrap();
    let video = video_of(&db, &first).await;
    processed(&db, &first).await;
    let remove = || entity::user::write(&db, video.owner(), async |db| task::remove_video(db, &video).await);
    let (mut keys, seq) = remove().await.unwrap().unwrap();
    keys.sort();
    let output = |name: &str| format!("outputs/{}/{name}", first.id);
    assert_eq!(keys[..2], [output("poster.jpg"), output("video.mp4")]);
    assert!(keys[2].starts_with("sources/") && keys.len() == 3, "{keys:?}");
    assert!(seq > 0);
    for task in [&first, &second] {
        assert!(task::by_id(&db, task.task_id()).await.unwrap().is_none());
    }
    assert!(source::find(&db, &first).await.unwrap().is_none());
    assert!(remove().await.unwrap().is_none(), "removed once");
}

#[tokio::test]
async fn an_external_id_is_unique_within_an_account() {
    let (db, _directory) = database("external_ids").await;
    let (ana, eva) = (new_user(&db).await, new_user(&db).await);
    let named = async |owner: UserId| {
        let task = task_of(&db, owner).await;
        let video = video_of(&db, &task).await;
        let changes = video::Changes {
            external_id: Some(Some("cms-1".to_owned())),
            ..video::Changes::default()
        };
        write(&db, async |db| video::update(db, video, changes).await).await
    };
    named(ana).await.unwrap();
    named(eva).await.unwrap();
    let refused: DbErr = named(ana).await.unwrap_err();
    assert!(is_duplicate(&refused), "{refused}");
}

#[tokio::test]
async fn sources_without_a_video_get_one_and_only_one() {
    let (db, _directory) = database("missing_videos").await;
    let (old, new) = (new_task(&db).await, new_task(&db).await);
    video_of(&db, &new).await;
    assert_eq!(task::create_missing_videos(&db, 0).await.unwrap(), (1, new.source_id));
    assert_eq!(task::create_missing_videos(&db, 0).await.unwrap(), (0, new.source_id));
    let created = video::of_source(&db, old.source_id).await.unwrap().unwrap();
    assert_eq!(created.title, "día 1");
    assert_eq!(created.owner(), old.owner());
    assert_eq!(changes(&db).await, 1);
}
