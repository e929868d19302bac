//! A request with an idempotency key is executed once.

use crate::fixture::Fixture;
use app::Error;
use app::idempotency::{Fingerprint, KeyGuard, Outcome, Request};
use app::uploads::{self, Upload};
use domain::Code;

impl Fixture {
    fn request(&self, key: &str) -> Request {
        Request {
            user: self.user,
            key: Some(key.to_owned()),
            operation: "create".to_owned(),
        }
    }

    /// Creates a task under a key, unless that was done before.
    async fn create_once(&self, key: &str, content: &str) -> Result<Outcome<i64>, Error> {
        let fingerprint = Fingerprint::of(&content.into());
        let upload = Upload {
            fingerprint: fingerprint.clone(),
            imported: None,
            ..self.upload().await
        };
        let work = async |upload, guard| uploads::finish(&self.app, self.user, upload, guard, |task, _| task.id).await;
        self.request(key)
            .once(&self.app, upload, async |_| Ok(fingerprint), work)
            .await
    }
}

fn refusal(result: Result<Outcome<i64>, Error>) -> Code {
    match result {
        Err(Error::Client(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_reply_and_another_one_is_refused() {
    let fixture = Fixture::new().await;
    let Outcome::Executed(first) = fixture.create_once("k", "a").await.unwrap() else {
        panic!("the first request was not executed")
    };
    let Outcome::Replayed(reply) = fixture.create_once("k", "a").await.unwrap() else {
        panic!("the request was executed twice")
    };
    assert_eq!(reply, first.to_string());
    assert_eq!(refusal(fixture.create_once("k", "b").await), Code::IdempotencyKeyReused);
    assert!(matches!(fixture.create_once("other", "a").await, Ok(Outcome::Executed(id)) if id != first));
}

#[tokio::test]
async fn while_a_request_holds_the_key_others_wait_and_a_failure_releases_it() {
    let fixture = Fixture::new().await;
    let fails = async |(), _: KeyGuard| {
        assert_eq!(refusal(fixture.create_once("k", "a").await), Code::IdempotencyKeyInUse);
        Err::<i64, Error>(Code::TaskTooLarge.into())
    };
    let outcome = fixture
        .request("k")
        .once(&fixture.app, (), async |()| unreachable!(), fails)
        .await;
    assert_eq!(refusal(outcome), Code::TaskTooLarge);
    assert!(matches!(fixture.create_once("k", "a").await, Ok(Outcome::Executed(_))));
}
