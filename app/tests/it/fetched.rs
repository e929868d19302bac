//! Files that are fetched from a URL.

use crate::fixture::Fixture;
use crate::host::{Host, Step, hang, text};
use crate::names::Names;
use app::idempotency::{KeyGuard, Request};
use app::recipe_choice::RecipeChoice;
use app::sealing::Sealer;
use app::uploads::fetched::{self, NewFetch};
use app::uploads::{resumable, show};
use app::{Core, Error, Settings};
use domain::{Code, UploadStatus as Status};
use entity::{ConnectionTrait, fetch, upload};
use futures::TryStreamExt;
use outbound::{Client, Policy};
use std::sync::Arc;
use std::time::Duration;
use storage::Key;
use tokio_util::sync::CancellationToken;

/// Enough bytes of an MP4 to be accepted.
pub(crate) const FILE: &str = "\0\0\0\u{18}ftypisom\0\0\0\0isommp41\0\0\0\u{8}free0123456789";

pub(crate) struct Service {
    pub(crate) fixture: Fixture,
    client: Client,
    stop: CancellationToken,
}

/// A service whose users may use the name `good.test`, although its address is loopback.
pub(crate) async fn service() -> Service {
    service_with(None).await
}

pub(crate) async fn service_with(sealer: Option<Sealer>) -> Service {
    let policy: Policy = "good.test".parse().unwrap();
    let names = Names::default().with("good.test", &["127.0.0.1"]);
    let names = Arc::new(names.with("evil.test", &["127.0.0.1"]));
    let settings = Settings {
        outbound: policy.clone(),
        sealer,
        ..Settings::default()
    };
    Service {
        fixture: Fixture::with(settings).await,
        client: Client::with_resolver(policy, names, Duration::from_secs(60)).unwrap(),
        stop: CancellationToken::new(),
    }
}

impl Service {
    pub(crate) async fn create(&self, url: &str) -> Result<String, Error> {
        let new = NewFetch {
            url: url.to_owned(),
            headers: vec![("Authorization".to_owned(), "Bearer s3cret".to_owned())],
            file_name: None,
            choice: RecipeChoice::Default,
            ..NewFetch::default()
        };
        fetched::create(
            &self.fixture.app,
            self.fixture.user,
            new,
            KeyGuard::default(),
            |upload| upload.id.clone(),
        )
        .await
    }

    /// Makes the next attempt, without the pause before it. Returns `false` if none is due.
    pub(crate) async fn attempt(&self) -> bool {
        self.attempt_of(&self.fixture.app).await
    }

    pub(crate) async fn attempt_of(&self, worker: &Core) -> bool {
        worker
            .db
            .execute_unprepared("UPDATE fetches SET run_at_ms = 0")
            .await
            .unwrap();
        let due = fetched::take_due(worker).await.unwrap();
        let is_due = due.is_some();
        if let Some(due) = due {
            due.attempt(&self.client, &self.stop).await.unwrap();
        }
        is_due
    }

    pub(crate) async fn show(&self, id: &str) -> (upload::Model, fetch::Model) {
        let shown = show(&self.fixture.app, &self.fixture.user.into(), id).await.unwrap();
        (shown.upload, shown.fetch.unwrap())
    }

    pub(crate) async fn status(&self, id: &str) -> Status {
        let (upload, fetch) = self.show(id).await;
        upload.status(Some(&fetch))
    }

    /// The file of the task, which has been created.
    pub(crate) async fn file(&self, id: &str) -> Vec<u8> {
        let (upload, _) = self.show(id).await;
        assert!(upload.task_id.is_some());
        let key = Key::parse(&upload.key).unwrap();
        let pieces = self.fixture.app.storage.get_range(&key, 0..10_000).await.unwrap();
        pieces.try_collect::<Vec<_>>().await.unwrap().concat()
    }
}

pub(crate) fn whole(headers: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\nContent-Length: {}\nConnection: close{headers}\n\n",
        FILE.len()
    )
}

/// A reply with the first `bytes` bytes of the file, which has a validator.
pub(crate) fn cut_at(bytes: usize) -> Vec<Step> {
    reply(&whole("\nETag: \"a\""), &FILE[..bytes])
}

pub(crate) fn reply(head: &str, body: &str) -> Vec<Step> {
    let mut steps = text(head);
    steps.push(Step::Send(body.as_bytes().to_vec()));
    steps
}

#[tokio::test]
async fn a_file_becomes_a_task_and_a_video() {
    let service = service().await;
    let chunked = "HTTP/1.1 200 OK\nConnection: close\n\n".to_owned();
    for head in [whole(""), chunked] {
        let host = Host::new(vec![reply(&head, FILE)]).await;
        let id = service.create(&host.url("good.test")).await.unwrap();
        assert_eq!(service.status(&id).await, Status::Waiting);
        assert!(service.attempt().await);
        assert_eq!(service.status(&id).await, Status::Finished);
        assert_eq!(service.file(&id).await, FILE.as_bytes());
        assert!(host.requests()[0].contains("authorization: bearer s3cret"));
        let (_, fetch) = service.show(&id).await;
        assert_eq!(fetch.request, "", "it may contain secrets");
        assert!(!service.attempt().await, "a finished fetch is not due");
    }
}

#[tokio::test]
async fn a_download_that_was_cut_is_continued_by_the_next_attempt() {
    let service = service().await;
    let rest = format!(
        "HTTP/1.1 206 OK\nContent-Range: bytes 20-{}/{}\nConnection: close\n\n",
        FILE.len() - 1,
        FILE.len()
    );
    let host = Host::new(vec![cut_at(20), reply(&rest, &FILE[20..])]).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    service.attempt().await;
    let (upload, fetch) = service.show(&id).await;
    assert_eq!(
        (upload.received(), fetch.validator.as_deref(), fetch.failures),
        (20, Some("\"a\""), 1)
    );
    assert_eq!(upload.status(Some(&fetch)), Status::Waiting);
    service.attempt().await;
    assert_eq!(service.file(&id).await, FILE.as_bytes());
    assert!(host.requests()[1].contains("range: bytes=20-"));
}

#[tokio::test]
async fn failures_have_codes_and_only_those_that_may_pass_are_tried_again() {
    let service = service().await;
    for (answer, code) in [
        (
            "HTTP/1.1 404 Not Found\nContent-Length: 0\n\n".to_owned(),
            Code::SourceUrlStatus,
        ),
        (
            "HTTP/1.1 302 Found\nLocation: http://127.0.0.1/\nContent-Length: 0\n\n".to_owned(),
            Code::SourceUrlForbidden,
        ),
        (
            "HTTP/1.1 200 OK\nContent-Encoding: gzip\n\n".to_owned(),
            Code::SourceUrlReply,
        ),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n".to_owned(), Code::FileEmpty),
        (
            "HTTP/1.1 200 OK\nContent-Length: 9\n\n<!DOCTYPE".to_owned(),
            Code::NotMedia,
        ),
        (
            "HTTP/1.1 200 OK\nContent-Length: 99999999999999\n\n".to_owned(),
            Code::UploadTooLarge,
        ),
    ] {
        let host = Host::new(vec![text(&answer)]).await;
        let id = service.create(&host.url("good.test")).await.unwrap();
        assert!(service.attempt().await);
        let (upload, fetch) = service.show(&id).await;
        assert_eq!(fetch.error_code.as_deref(), Some(code.as_str()), "{answer}");
        assert_eq!(
            (upload.status(Some(&fetch)), fetch.request.as_str()),
            (Status::Failed, "")
        );
        assert_eq!(service.fixture.stored_sources(), 0, "{answer}");
        assert!(!service.attempt().await, "{answer}");
    }
    let host = Host::new(vec![text("HTTP/1.1 503 Busy\nRetry-After: 1\nContent-Length: 0\n\n")]).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    for _ in 0..12 {
        assert_eq!(service.status(&id).await, Status::Waiting);
        assert!(service.attempt().await);
    }
    assert_eq!(
        service.show(&id).await.1.error_code.as_deref(),
        Some("source_url_status")
    );
    assert_eq!(host.connections(), 12);
}

#[tokio::test]
async fn a_fetch_ends_with_its_deadline() {
    let service = service().await;
    let id = service.create("http://good.test:1/").await.unwrap();
    service
        .fixture
        .app
        .db
        .execute_unprepared("UPDATE fetches SET deadline_ms = 1")
        .await
        .unwrap();
    assert!(service.attempt().await);
    assert_eq!(service.status(&id).await, Status::Failed);
}

#[tokio::test]
async fn a_private_address_is_refused_at_once_or_by_its_name_at_the_attempt() {
    let service = service().await;
    let host = Host::new(vec![text(&whole(""))]).await;
    for (url, code) in [
        (host.url("127.1"), Code::SourceUrlForbidden),
        ("ftp://good.test/".to_owned(), Code::SourceUrlInvalid),
        ("http://a:b@good.test/".to_owned(), Code::SourceUrlInvalid),
    ] {
        let refused = service.create(&url).await;
        assert!(
            matches!(&refused, Err(Error::Client(refusal)) if refusal.code == code),
            "{refused:?}"
        );
    }
    let id = service.create(&host.url("evil.test")).await.unwrap();
    service.attempt().await;
    assert_eq!(
        service.show(&id).await.1.error_code.as_deref(),
        Some("source_url_forbidden")
    );
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn a_user_who_deletes_the_upload_ends_the_attempt() {
    let service = service().await;
    let mut slow = cut_at(20);
    slow.push(hang());
    let host = Host::new(vec![slow]).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    let (attempt, removed) = tokio::join!(service.attempt(), async {
        while host.connections() == 0 {
            tokio::task::yield_now().await;
        }
        resumable::remove(&service.fixture.app, &service.fixture.user.into(), &id).await
    });
    assert!(attempt);
    removed.unwrap();
    assert!(
        show(&service.fixture.app, &service.fixture.user.into(), &id)
            .await
            .is_err()
    );
    assert!(!service.attempt().await);
}

#[tokio::test]
async fn a_repeated_request_creates_one_fetch() {
    let service = service().await;
    let host = Host::new(vec![reply(&whole(""), FILE)]).await;
    for _ in 0..2 {
        let request = Request {
            user: service.fixture.user,
            key: Some("key".to_owned()),
            operation: "create_task".to_owned(),
        };
        let new = NewFetch {
            url: host.url("good.test"),
            ..NewFetch::default()
        };
        let work = async |new: NewFetch, guard| {
            fetched::create(&service.fixture.app, service.fixture.user, new, guard, |upload| {
                upload.id.clone()
            })
            .await
        };
        let fingerprint = async |new: NewFetch| Ok::<_, Error>(new.fingerprint);
        request
            .once(&service.fixture.app, new, fingerprint, work)
            .await
            .unwrap();
    }
    assert!(service.attempt().await);
    assert!(!service.attempt().await);
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn two_workers_make_one_attempt_and_one_task() {
    let service = service().await;
    let host = Host::new(vec![reply(&whole(""), FILE)]).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    let outcomes = tokio::join!(service.attempt(), service.attempt());
    assert!(outcomes.0 || outcomes.1);
    assert_eq!((host.connections(), service.status(&id).await), (1, Status::Finished));
    assert_eq!(service.fixture.stored_sources(), 1);
}

#[tokio::test]
async fn an_attempt_that_a_dead_process_has_not_finished_is_repeated_without_the_download() {
    let service = service().await;
    let host = Host::new(vec![reply(&whole(""), FILE)]).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    // A recipe that cannot be read stands for a process that dies when the file is complete.
    let recipe = service.show(&id).await.1.recipe.to_string();
    let set_recipe = async |recipe: &str| {
        let update = format!("UPDATE fetches SET recipe = '{recipe}'");
        service.fixture.app.db.execute_unprepared(&update).await.unwrap();
    };
    set_recipe("1").await;
    assert!(service.attempt().await);
    let (upload, fetch) = service.show(&id).await;
    assert_eq!(
        (upload.status(Some(&fetch)), upload.is_received()),
        (Status::Complete, true)
    );
    set_recipe(&recipe).await;
    assert!(service.attempt().await);
    assert_eq!(
        (host.connections(), service.file(&id).await),
        (1, FILE.as_bytes().to_vec())
    );
}

#[tokio::test]
async fn a_process_that_shuts_down_releases_the_upload_for_the_next_one() {
    let service = service().await;
    let mut slow = cut_at(20);
    slow.push(hang());
    let host = Host::new(vec![slow, reply(&whole("\nETag: \"a\""), FILE)]).await;
    let id = service.create(&host.url("good.test")).await.unwrap();
    let receiving = async {
        while service.show(&id).await.1.validator.is_none() {
            tokio::task::yield_now().await;
        }
        // Long enough for the bytes, which come at once; too short for a checkpoint.
        tokio::time::sleep(Duration::from_secs(1)).await;
        service.stop.cancel();
    };
    let (attempt, ()) = tokio::join!(service.attempt(), receiving);
    assert!(attempt);
    let (upload, fetch) = service.show(&id).await;
    assert_eq!((upload.status(Some(&fetch)), fetch.failures), (Status::Waiting, 0));
    assert_eq!(upload.received(), 20, "its bytes are stored");
    let next = fetched::take_due(&service.fixture.app).await.unwrap().unwrap();
    next.attempt(&service.client, &CancellationToken::new()).await.unwrap();
    assert_eq!(service.file(&id).await, FILE.as_bytes());
}
