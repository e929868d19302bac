//! Attempts of workers at deliveries: keys that are missing, places, and endpoints that fail.

use crate::fixture::Fixture;
use crate::host::{Host, empty, hang, text};
use app::idempotency::{Fingerprint, KeyGuard};
use app::library::{Bounds, CursorKeys, Library};
use app::sealing::Sealer;
use app::webhooks::{self, NewWebhook, Sender};
use app::{App, Core, Settings};
use entity::delivery::{self, Model, Page};
use entity::webhook::{self, EventTypes};
use entity::{ConnectionTrait, event};
use outbound::{Client, Policy};
use queue::Queue;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Service {
    fixture: Fixture,
    client: Client,
}

impl Service {
    async fn new() -> Self {
        let policy: Policy = "127.0.0.0/8".parse().unwrap();
        let settings = Settings {
            outbound: policy.clone(),
            sealer: Some(Sealer::new(&[1; 32], None)),
            ..Settings::default()
        };
        Self {
            fixture: Fixture::with(settings).await,
            client: Client::new(policy).unwrap(),
        }
    }

    async fn webhook(&self, url: &str) -> webhook::Model {
        let new = NewWebhook {
            url: url.to_owned(),
            event_types: EventTypes::default(),
            fingerprint: Fingerprint::of(&json!(url)),
        };
        let (app, user) = (&self.fixture.app, self.fixture.user);
        let id = webhooks::create(app, user, new, &KeyGuard::default(), |webhook, _| webhook.id).await;
        self.webhook_now(id.unwrap()).await
    }

    async fn webhook_now(&self, id: i64) -> webhook::Model {
        let found = webhook::of_user(&self.fixture.app.db, self.fixture.user, id).await;
        found.unwrap().unwrap()
    }

    async fn send_test(&self, webhook: &webhook::Model) -> String {
        let sent = webhooks::send_test(&self.fixture.app, webhook, &json!({})).await;
        sent.unwrap().id
    }

    /// Inserts a message for the row of the URLs of tasks.
    async fn send_test_to(&self, row: &webhook::Model) {
        let data = serde_json::value::to_raw_value(&json!({})).unwrap();
        let created = entity::write(&self.fixture.app.db, async |db| {
            delivery::create(db, row, "task.created", &data).await
        });
        created.await.unwrap();
    }

    async fn delivery(&self, id: &str) -> Model {
        let found = delivery::of_user(&self.fixture.app.db, self.fixture.user, id).await;
        found.unwrap().unwrap()
    }

    fn sender(&self) -> Sender {
        Sender::new(Core::clone(&self.fixture.app), self.client.clone())
    }

    /// A worker with another key, or with none.
    fn sender_with(&self, sealer: Option<Sealer>) -> Sender {
        let mut worker = Core::clone(&self.fixture.app);
        worker.settings = Arc::new(Settings {
            sealer,
            ..Settings::clone(&worker.settings)
        });
        Sender::new(worker, self.client.clone())
    }

    async fn execute(&self, statement: &str) {
        self.fixture.app.db.execute_unprepared(statement).await.unwrap();
    }

    /// The data of the events of webhooks that were disabled.
    async fn disabled_events(&self) -> Vec<serde_json::Value> {
        let events = event::after(&self.fixture.app.db, 0, 1_000).await.unwrap();
        let disabled = events
            .into_iter()
            .filter(|event| event.event_type == "webhook.disabled");
        disabled
            .map(|event| serde_json::from_str(event.data.text()).unwrap())
            .collect()
    }
}

/// Makes and records the attempts that are due.
async fn attempt(sender: &mut Sender) {
    sender.begin().await.unwrap();
    while sender.is_waiting() {
        sender.wait().await;
    }
    sender.record().await.unwrap();
}

#[tokio::test]
async fn a_worker_without_the_key_leaves_messages_to_one_that_has_it() {
    let service = Service::new().await;
    let host = Host::new(vec![empty()]).await;
    let webhook = service.webhook(&host.url("127.0.0.1")).await;
    let id = service.send_test(&webhook).await;
    for sealer in [None, Some(Sealer::new(&[2; 32], None))] {
        let mut worker = service.sender_with(sealer);
        for _ in 0..2 {
            attempt(&mut worker).await;
            let delivery = service.delivery(&id).await;
            assert!(delivery.run_at_ms.is_some());
            assert_eq!(
                (delivery.failures, delivery.error, delivery.attempted_at),
                (0, None, None)
            );
        }
    }
    assert!(
        service.delivery(&id).await.attempt <= 1,
        "the worker with another key tries it once"
    );
    assert_eq!(host.connections(), 0);
    attempt(&mut service.sender()).await;
    assert!(service.delivery(&id).await.delivered);
    assert_eq!(service.webhook_now(webhook.id).await.failing_since, None);
}

#[tokio::test]
async fn after_a_change_of_the_key_a_new_secret_signs_alone() {
    let service = Service::new().await;
    let host = Host::new(vec![empty()]).await;
    let webhook = service.webhook(&host.url("127.0.0.1")).await;
    let (before, user) = (&service.fixture.app, service.fixture.user);
    webhooks::secret_for_tasks(before, user).await.unwrap();
    let library = Library::new(
        tempfile::tempdir().unwrap().path().into(),
        Bounds::default(),
        CursorKeys::derive([]),
    );
    let settings = Settings {
        sealer: Some(Sealer::new(&[2; 32], None)),
        ..Settings::clone(&before.settings)
    };
    let app = &App::new(
        before.db.clone(),
        before.storage.clone(),
        Queue::in_memory(),
        library,
        settings,
    );
    let refused = webhooks::secret_for_tasks(app, user).await.unwrap_err();
    assert!(
        matches!(&refused, app::Error::Client(refusal) if refusal.code == domain::Code::SealingUnavailable),
        "{refused:?}"
    );
    webhooks::rotate_secret_for_tasks(app, user).await.unwrap();
    webhooks::secret_for_tasks(app, user).await.unwrap();
    webhooks::rotate_secret(app, &webhook).await.unwrap();
    let id = service.send_test(&webhook).await;
    attempt(&mut service.sender_with(Some(Sealer::new(&[2; 32], None)))).await;
    assert!(service.delivery(&id).await.delivered);
}

#[tokio::test]
async fn an_endpoint_whose_attempts_have_all_failed_for_more_than_five_days_is_disabled() {
    let service = Service::new().await;
    let failure = "HTTP/1.1 500 Oops\nContent-Length: 0\nConnection: close\n\n";
    let host = Host::new(vec![text(failure), empty(), text(failure)]).await;
    let mut worker = service.sender();
    let webhook = service.webhook(&host.url("127.0.0.1")).await;
    let first = service.send_test(&webhook).await;
    attempt(&mut worker).await;
    assert!(service.webhook_now(webhook.id).await.failing_since.is_some());
    service.send_test(&webhook).await;
    attempt(&mut worker).await;
    assert_eq!(
        service.webhook_now(webhook.id).await.failing_since,
        None,
        "one was delivered"
    );
    service.send_test(&webhook).await;
    attempt(&mut worker).await;
    let long_ago = "UPDATE webhook_endpoints SET failing_since = '2026-01-01 00:00:00+00:00'";
    service.execute(long_ago).await;
    assert!(service.webhook_now(webhook.id).await.disabled_at.is_none());
    let reason = service.send_test(&webhook).await;
    attempt(&mut worker).await;
    let disabled = service.webhook_now(webhook.id).await;
    assert_eq!(disabled.disabled_reason.as_deref(), Some("failing"));
    let waiting = service.delivery(&first).await;
    assert_eq!((waiting.run_at_ms, waiting.error.as_deref()), (None, Some("disabled")));
    let events = service.disabled_events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (
            &events[0]["webhook_id"],
            &events[0]["disabled_reason"],
            &events[0]["delivery_id"]
        ),
        (&webhook.id.into(), &"failing".into(), &reason.into())
    );
}

#[tokio::test]
async fn a_url_of_a_task_that_does_not_answer_holds_no_other_url_of_the_account_back() {
    let service = Service::new().await;
    let (silent, good) = (Host::new(vec![vec![hang()]]).await, Host::new(vec![empty()]).await);
    let of_tasks = webhooks::secret_for_tasks(&service.fixture.app, service.fixture.user).await;
    let of_tasks = of_tasks.unwrap().0;
    let send = async |url: String| {
        let row = webhook::Model {
            url: Some(url),
            ..of_tasks.clone()
        };
        service.send_test_to(&row).await;
    };
    let mut worker = service.sender();
    // A port that nothing listens on.
    send("http://127.0.0.1:1/".to_owned()).await;
    attempt(&mut worker).await;
    send(silent.url("127.0.0.1")).await;
    worker.begin().await.unwrap();
    let begun = Instant::now();
    send(good.url("127.0.0.1")).await;
    worker.begin().await.unwrap();
    worker.wait().await;
    assert!(begun.elapsed() < Duration::from_secs(14), "it waited for the other one");
    assert_eq!((silent.connections(), good.connections()), (1, 1));
}

#[tokio::test]
async fn a_message_that_finds_no_place_for_days_ends_and_one_that_is_sent_again_does_not() {
    let service = Service::new().await;
    let webhook = service.webhook("http://127.0.0.1:1/").await;
    let (old, again, new) = (
        service.send_test(&webhook).await,
        service.send_test(&webhook).await,
        service.send_test(&webhook).await,
    );
    let age = format!("UPDATE webhook_deliveries SET created_at = '2026-01-01 00:00:00+00:00' WHERE id <> '{new}'");
    service.execute(&age).await;
    let (app, user) = (&service.fixture.app, service.fixture.user);
    webhooks::send_again(app, user, &again).await.unwrap();
    let ended = delivery::end_overdue(&app.db, Duration::from_hours(120), 10).await;
    assert_eq!(ended.unwrap(), 1);
    let page = Page {
        limit: 10,
        ..Page::default()
    };
    let ended = delivery::list(&app.db, user, page).await.unwrap();
    let ended: Vec<_> = ended.into_iter().filter(|one| one.run_at_ms.is_none()).collect();
    assert_eq!(
        (ended.len(), ended[0].id.as_str(), ended[0].error.as_deref()),
        (1, old.as_str(), Some("expired"))
    );
}
