//! A task from its upload to its removal.

use crate::fixture::Fixture;
use app::idempotency::KeyGuard;
use app::{Error, tasks, uploads};
use domain::Code;
use entity::task;

fn code(error: &Error) -> Option<Code> {
    match error {
        Error::Client(refusal) => Some(refusal.code),
        Error::Internal(_) => None,
    }
}

#[tokio::test]
async fn a_stored_file_becomes_a_task() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload().await;
    let finished = uploads::finish(&fixture.app, fixture.user, upload, KeyGuard::default(), |task| {
        task.file_path.clone()
    });
    assert!(finished.await.unwrap().ends_with("/1_mi_clip.mp4"));
}

#[tokio::test]
async fn a_canceled_task_can_be_retried_and_a_removed_one_is_gone() {
    let fixture = Fixture::new().await;
    let (app, user, id) = (&fixture.app, fixture.user, fixture.task().await);
    let retry = async || tasks::retry(app, user, id, &KeyGuard::default(), |task, _| task.id).await;
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
