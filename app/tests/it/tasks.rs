//! A task from its upload to its removal.

use crate::fixture::{Fixture, MP4, stream};
use app::idempotency::KeyGuard;
use app::uploads::Upload;
use app::{Error, Settings, tasks, uploads};
use domain::Code;
use entity::task;

fn code(error: &Error) -> Option<Code> {
    match error {
        Error::Client(refusal) => Some(refusal.code),
        Error::Internal(_) => None,
    }
}

#[tokio::test]
async fn three_lines_create_a_task_without_http() {
    let Fixture { app, user, .. } = &Fixture::new().await;
    let file = uploads::store(app, stream(&[MP4]), None).await.unwrap();
    let upload = Upload::new("mi clip.mp4", file);
    let path = uploads::finish(app, *user, upload, KeyGuard::default(), |task, _| {
        task.file_path.clone()
    })
    .await;
    assert!(path.unwrap().ends_with("/1_mi_clip.mp4"));
}

#[tokio::test]
async fn only_media_within_the_limit_is_stored_and_a_refusal_leaves_nothing() {
    let max_upload_bytes = 20;
    let mut settings = Settings::default();
    settings.limits.max_upload_bytes = max_upload_bytes;
    let fixture = Fixture::with(settings).await;
    let app = &fixture.app;
    let store = async |chunks: &[&'static str]| uploads::store(app, stream(chunks), None).await;
    // The first box arrives in pieces.
    let (first, rest) = MP4.split_at(3);
    let file = store(&[first, rest, "data"]).await.unwrap();
    assert_eq!(file.stored().bytes, max_upload_bytes);
    file.discard().await;
    for (chunks, refusal) in [
        (&[][..], Code::FileEmpty),
        (&["#EXTM3U\n", "/etc/passwd\n"], Code::NotMedia),
        (&[MP4, "data", "!"], Code::UploadTooLarge),
    ] {
        let Err(error) = store(chunks).await else {
            panic!("{chunks:?} was stored")
        };
        assert_eq!(code(&error), Some(refusal), "{chunks:?}");
    }
    assert_eq!(fixture.stored_sources(), 0);
}

#[tokio::test]
async fn a_canceled_task_can_be_retried_and_a_removed_one_is_gone() {
    let fixture = Fixture::new().await;
    let (app, user, id) = (&fixture.app, fixture.user, fixture.task().await);
    let retry = async || tasks::retry(app, user, id, &KeyGuard::default(), |details| details.task.id).await;
    assert_eq!(code(&retry().await.unwrap_err()), Some(Code::TaskNotRetryable));
    tasks::cancel(app, user, id).await.unwrap();
    let error = tasks::cancel(app, user, id).await.unwrap_err();
    assert_eq!(code(&error), Some(Code::TaskFinished));
    assert_ne!(retry().await.unwrap(), id.0);
    let task = task::of_user(&app.db, user, id).await.unwrap().unwrap();
    tasks::remove(app, &task).await.unwrap();
    let error = tasks::remove(app, &task).await.unwrap_err();
    assert_eq!(code(&error), Some(Code::TaskNotFound));
}

#[tokio::test]
async fn a_page_names_the_next_one() {
    let fixture = Fixture::new().await;
    let (first, second) = (fixture.task().await, fixture.task().await);
    let list = async |limit| {
        let page = task::Page {
            limit: Some(limit),
            ..task::Page::default()
        };
        tasks::list(&fixture.app, fixture.user, page).await.unwrap()
    };
    let page = list(1).await;
    assert_eq!((page.tasks[0].id, page.next), (first.0, Some(first)));
    let page = list(2).await;
    assert_eq!((page.tasks[1].id, page.next), (second.0, None));
}
