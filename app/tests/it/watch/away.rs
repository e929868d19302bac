//! Files that are away for a time, that fail again and again, and that were moved long ago.

use super::{Watched, scans};
use crate::fixture::MP4;
use app::watch::{Watch, Watcher, describe};
use domain::account::{Email, Username};
use entity::watched_file;
use std::fs;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use storage::Folder;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_file_that_is_away_while_its_task_runs_waits_for_the_end_of_the_task() {
    let (watched, outside) = (Watched::new().await, tempfile::tempdir().unwrap());
    let (inside, away) = (watched.path("clip.mp4"), outside.path().join("clip.mp4"));
    watched.put("clip.mp4", MP4);
    let mut watcher = watched.watcher();
    scans(&mut watcher, 2).await;
    for mut watcher in [watcher, watched.watcher()] {
        fs::rename(&inside, &away).unwrap();
        scans(&mut watcher, 2).await;
        fs::rename(&away, &inside).unwrap();
        scans(&mut watcher, 3).await;
        assert_eq!(watched.listed(""), ["clip.mp4", "done", "failed"]);
    }
    watched.end_tasks("processed").await;
    scans(&mut watched.watcher(), 2).await;
    assert_eq!(watched.listed(""), ["done", "failed"]);
    assert_eq!((watched.listed("done").len(), watched.listed("failed").len()), (1, 0));
    assert_eq!(watched.names().await, ["clip.mp4"]);
}

#[tokio::test]
async fn a_file_that_is_put_back_waits_for_its_task_that_runs_again() {
    let watched = Watched::new().await;
    watched.put("clip.mp4", MP4);
    let mut watcher = watched.watcher();
    scans(&mut watcher, 2).await;
    watched.end_tasks("failed").await;
    scans(&mut watcher, 1).await;
    fs::rename(watched.path("failed/clip.mp4"), watched.path("clip.mp4")).unwrap();
    watched.end_tasks("uploaded").await;
    scans(&mut watcher, 3).await;
    assert!(watched.path("clip.mp4").exists());
    watched.end_tasks("processed").await;
    scans(&mut watcher, 1).await;
    assert_eq!(watched.listed("done"), ["clip.mp4"]);
    assert_eq!(watched.names().await, ["clip.mp4"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_moved_is_named_keeps_no_other_and_is_tried_again_later() {
    let watched = Watched::new().await;
    let mut watcher = watched.watcher();
    let obstacle = watched.path("failed/letter.mp4.error.json.tmp");
    fs::create_dir(&obstacle).unwrap();
    for name in ["letter.mp4", "other.mp4"] {
        watched.put(name, "no media");
    }
    scans(&mut watcher, 2).await;
    let stop = CancellationToken::new();
    let failed = watcher.scan(&stop).await.unwrap();
    let keys: Vec<_> = failed.iter().map(|failed| failed.key.as_str()).collect();
    assert_eq!(keys, ["letter.mp4"], "{failed:?}");
    assert!(watched.path("failed/other.mp4").exists());
    scans(&mut watcher, 1).await;
    later(3).await;
    assert_eq!(watcher.scan(&stop).await.unwrap().len(), 1);
    later(3).await;
    scans(&mut watcher, 1).await;
    fs::remove_dir(&obstacle).unwrap();
    later(2).await;
    scans(&mut watcher, 1).await;
    assert_eq!(watched.listed(""), ["done", "failed"]);
    assert_eq!(watched.error_of("letter.mp4")["code"], "not_media");
}

#[tokio::test]
async fn a_file_that_another_watcher_has_moved_since_the_list_is_left_alone() {
    let watched = Watched::new().await;
    for polls in 0..40 {
        let name = format!("letter{polls}.mp4");
        watched.put(&name, &format!("no media{polls}"));
        let (mut one, mut other) = (watched.watcher(), watched.watcher());
        scans(&mut one, 2).await;
        scans(&mut other, 1).await;
        let (stop, mut left) = (CancellationToken::new(), polls);
        let mut late = pin!(other.scan(&stop));
        let has_ended = poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(false);
            }
            left -= 1;
            late.as_mut().poll(context).map(|_| true)
        });
        let has_ended = has_ended.await;
        scans(&mut one, 1).await;
        if !has_ended {
            assert_eq!(late.await.unwrap(), []);
        }
        assert!(!watched.path(&name).exists());
        assert_eq!(
            watched.listed("failed").len(),
            2 * (polls + 1),
            "{polls}: {:?}",
            watched.listed("failed")
        );
    }
}

/// Advances the clock by seconds.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn rows_of_files_that_were_moved_long_ago_are_removed_unless_the_file_is_here() {
    let watched = Watched::new().await;
    for name in ["here.mp4", "gone.mp4", "new.mp4"] {
        watched.put(name, MP4);
    }
    let mut watcher = watched.watcher();
    scans(&mut watcher, 2).await;
    watched.end_tasks("processed").await;
    scans(&mut watcher, 1).await;
    watched
        .execute("UPDATE watched_files SET moved_at = '2020-01-02 03:04:05+00:00' WHERE key <> 'new.mp4'")
        .await;
    fs::rename(watched.path("done/here.mp4"), watched.path("here.mp4")).unwrap();
    scans(&mut watched.watcher(), 1).await;
    let source = fs::canonicalize(watched.root()).unwrap();
    let db = &watched.fixture.app.db;
    let rows = watched_file::long_moved(db, source.to_str().unwrap(), Duration::ZERO, 10).await;
    let keys: Vec<_> = rows.unwrap().into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["here.mp4", "new.mp4"]);
}

#[tokio::test]
async fn a_refused_file_that_is_put_back_is_tried_anew() {
    let watched = Watched::new().await;
    let mut watcher = watched.watcher();
    watched.put("letter.mp4", "no media");
    scans(&mut watcher, 3).await;
    assert_eq!(watched.error_of("letter.mp4")["code"], "not_media");
    watched
        .execute("UPDATE watched_files SET error_code = 'upload_too_large'")
        .await;
    for _ in 0..2 {
        fs::rename(watched.path("failed/letter.mp4"), watched.path("letter.mp4")).unwrap();
        fs::remove_file(watched.path("failed/letter.mp4.error.json")).unwrap();
        scans(&mut watcher, 4).await;
        assert_eq!(watched.error_of("letter.mp4")["code"], "not_media");
    }
    assert_eq!(watched.listed(""), ["done", "failed"]);
}

#[tokio::test]
async fn files_stay_while_an_image_of_the_recipe_is_missing() {
    let watched = Watched::new().await;
    let recipe = r#"{"watermark": {"image": "absent"}, "outputs": [{"kind": "mp4"}]}"#;
    let watch = Watch {
        folder: Folder::open(watched.root().to_str().unwrap(), None).unwrap(),
        user: None,
        preset: String::new(),
        recipe: Some(recipe.to_owned()),
        settle: Duration::ZERO,
    };
    let error = watch.check(&watched.fixture.app).await.unwrap_err();
    assert!(describe(&error).contains("absent"), "{error:?}");
    watched.put("clip.mp4", MP4);
    let mut watcher = Watcher::new((*watched.fixture.app).clone(), watch);
    let failed = async |watcher: &mut Watcher| watcher.scan(&CancellationToken::new()).await.unwrap();
    failed(&mut watcher).await;
    assert!(failed(&mut watcher).await[0].reason.contains("absent"));
    assert_eq!(watched.listed(""), ["clip.mp4", "done", "failed"]);
}

#[tokio::test]
async fn a_second_account_does_not_stop_the_folder_of_the_first() {
    let watched = Watched::new().await;
    let mut watcher = watched.watcher();
    watched.put("a.mp4", MP4);
    scans(&mut watcher, 2).await;
    let (name, email) = (
        Username::parse("bea").unwrap(),
        Email::parse("bea@example.com").unwrap(),
    );
    let another = entity::write(&watched.fixture.app.db, async |db| {
        entity::user::create(db, &name, &email, "hash".to_owned()).await
    });
    another.await.unwrap();
    watched.put("b.mp4", MP4);
    scans(&mut watcher, 2).await;
    assert_eq!(watched.names().await.len(), 2);
}
