//! Sends what is due: claims, attempts, and their outcomes.
//!
//! Attempts run as tasks of their own, so that they go on while outcomes are written. Outcomes are written in batches,
//! and those that the database did not take are kept. So a fast receiver gets some hundred messages a second.

use super::Secret;
use crate::Error;
use crate::app::Core;
use bytes::Bytes;
use domain::TaskId;
use domain::webhook::pause;
use entity::delivery::{self, Claimed, Outcome, Settled, disabled_by};
use entity::event::{self, New as Event};
use entity::webhook::{self, Reason};
use entity::{DatabaseTransaction, DbErr, task};
use outbound::{Client, Headers, Limits, Post, StatusCode, Target};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::task::JoinSet;

/// Maximum number of attempts at the same time. An attempt waits most of its time.
const PLACES: usize = 256;
/// Those of one endpoint.
const PLACES_OF_ENDPOINT: usize = 32;
/// Those of an endpoint whose latest attempt got no reply.
const PLACES_WITHOUT_REPLY: usize = 1;
/// Due deliveries that are read for each place.
const CANDIDATES: usize = 2;
/// Limits of an attempt. Together with the query that records it, it is shorter than a lease.
const LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(15),
    stall: Duration::from_secs(5),
    whole: Duration::from_secs(15),
    // The reply is read only so that the connection can be used again.
    max_bytes: 4 << 10,
};

/// Turns events into deliveries. Returns `true` if there may be more.
///
/// # Errors
/// Errors of the database.
pub async fn dispatch(app: &Core) -> Result<bool, Error> {
    if !app.with_timeout(delivery::has_events(&app.db)).await? {
        return Ok(false);
    }
    let (events, _) = app.with_timeout(delivery::dispatch(&app.db)).await?;
    Ok(events > 0)
}

/// The attempts of one process.
pub struct Sender {
    app: Core,
    client: Client,
    running: JoinSet<Attempt>,
    /// Number of attempts in progress by endpoint.
    places: HashMap<i64, usize>,
    /// Endpoints whose latest attempt got no reply.
    silent: HashSet<i64>,
    /// Attempts that have ended and are not recorded.
    ended: Vec<Attempt>,
}

/// An attempt that has ended.
struct Attempt {
    claimed: Claimed,
    settled: Settled,
}

impl Attempt {
    fn is_gone(&self) -> bool {
        self.settled.status_code == Some(StatusCode::GONE.as_u16())
    }
}

impl Sender {
    /// A sender without attempts.
    #[must_use]
    pub fn new(app: Core, client: Client) -> Self {
        Self {
            app,
            client,
            running: JoinSet::new(),
            places: HashMap::new(),
            silent: HashSet::new(),
            ended: Vec::new(),
        }
    }

    /// Returns `true` if attempts are in progress.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.running.is_empty()
    }

    /// Begins attempts at deliveries that are due, while there are places.
    ///
    /// # Errors
    /// Errors of the database.
    pub async fn begin(&mut self) -> Result<(), Error> {
        loop {
            let free = PLACES.saturating_sub(self.running.len() + self.ended.len());
            if free == 0 {
                return Ok(());
            }
            let full: Vec<i64> = self.places.keys().copied().filter(|one| self.free(*one) == 0).collect();
            let limit = CANDIDATES * free;
            let due = delivery::due(&self.app.db, &full, limit as u64);
            let due = self.app.with_timeout(due).await?;
            let (is_last, mut taken, mut chosen) = (due.len() < limit, HashMap::new(), Vec::new());
            for (id, endpoint) in due {
                let places = taken.entry(endpoint).or_insert(0);
                if *places < self.free(endpoint) && chosen.len() < free {
                    *places += 1;
                    chosen.push(id);
                }
            }
            if chosen.is_empty() {
                return Ok(());
            }
            let claimed = self.app.with_timeout(delivery::claim(&self.app.db, chosen)).await?;
            for claimed in claimed {
                *self.places.entry(claimed.endpoint.id).or_default() += 1;
                self.running
                    .spawn(attempt(self.app.clone(), self.client.clone(), claimed));
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// The places that an endpoint may take now.
    fn free(&self, endpoint: i64) -> usize {
        let most = if self.silent.contains(&endpoint) {
            PLACES_WITHOUT_REPLY
        } else {
            PLACES_OF_ENDPOINT
        };
        most.saturating_sub(self.places.get(&endpoint).copied().unwrap_or_default())
    }

    /// Waits for the end of an attempt. May be dropped at any time.
    pub async fn wait(&mut self) {
        if let Some(attempt) = self.running.join_next().await {
            self.end(attempt);
        }
    }

    /// Records the attempts that have ended. Those that are not recorded stay.
    ///
    /// # Errors
    /// Errors of the database.
    pub async fn record(&mut self) -> Result<(), Error> {
        while let Some(attempt) = self.running.try_join_next() {
            self.end(attempt);
        }
        if self.ended.is_empty() {
            return Ok(());
        }
        let settled: Vec<_> = self.ended.iter().map(|one| one.settled.clone()).collect();
        let gone: Vec<&Claimed> = self
            .ended
            .iter()
            .filter(|one| one.is_gone())
            .map(|one| &one.claimed)
            .collect();
        let written = entity::write(&self.app.db, async |db| {
            delivery::settle(db, &settled).await?;
            disable(db, &gone).await
        });
        self.app.with_timeout(written).await?;
        for attempt in self.ended.drain(..) {
            count(&attempt);
        }
        Ok(())
    }

    fn end(&mut self, attempt: Result<Attempt, tokio::task::JoinError>) {
        let attempt = match attempt {
            Ok(attempt) => attempt,
            // A panic: this task begins again, and the delivery is due when its lease has ended.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let endpoint = attempt.claimed.endpoint.id;
        if let Some(places) = self.places.get_mut(&endpoint) {
            *places -= 1;
            if *places == 0 {
                self.places.remove(&endpoint);
            }
        }
        if attempt.settled.status_code.is_some() {
            self.silent.remove(&endpoint);
        } else {
            self.silent.insert(endpoint);
        }
        self.ended.push(attempt);
    }
}

/// Sends a message.
async fn attempt(app: Core, client: Client, claimed: Claimed) -> Attempt {
    let delivery = &claimed.delivery;
    let (status, retry_after, error) = match send(&app, &client, &claimed).await {
        Ok(Ok(reply)) if reply.status.is_success() => (Some(reply.status), None, None),
        Ok(Ok(reply)) => (Some(reply.status), reply.retry_after, Some("status")),
        Ok(Err(error)) => (None, None, Some(error.word())),
        Err(error) => {
            tracing::error!(delivery = delivery.id, ?error, "failed to sign a message");
            (None, None, Some("internal"))
        }
    };
    let outcome = match error {
        None => Outcome::Delivered,
        Some(error) => {
            let failures = u32::try_from(delivery.failures + 1).unwrap_or(u32::MAX);
            let is_gone = status == Some(StatusCode::GONE);
            let pause = pause(failures, random(), retry_after).filter(|_| !is_gone);
            tracing::info!(
                delivery = delivery.id,
                webhook = claimed.endpoint.id,
                error,
                status = status.map(|status| status.as_u16()),
                failures,
                "an attempt to deliver a message failed"
            );
            Outcome::Failed { error, pause }
        }
    };
    let settled = Settled {
        id: delivery.id.clone(),
        attempt: delivery.attempt,
        status_code: status.map(|status| status.as_u16()),
        outcome,
    };
    Attempt { claimed, settled }
}

async fn send(
    app: &Core,
    client: &Client,
    claimed: &Claimed,
) -> Result<Result<outbound::Reply, outbound::Error>, Error> {
    let Claimed { delivery, endpoint } = claimed;
    let (at, body) = (unix_seconds(), delivery.payload.text());
    let mut signatures = Vec::new();
    for stored in [Some(endpoint.secret.as_str()), endpoint.signing_previous()]
        .into_iter()
        .flatten()
    {
        signatures.push(Secret::open(app, endpoint.owner(), stored)?.sign(&delivery.id, at, body)?);
    }
    let (at, signatures) = (at.to_string(), signatures.join(" "));
    let headers = Headers::parse([
        ("webhook-id", delivery.id.as_str()),
        ("webhook-timestamp", at.as_str()),
        ("webhook-signature", signatures.as_str()),
    ]);
    // Checked again, because the setting may have changed.
    let post = Target::parse(client.policy(), &delivery.url).and_then(|target| {
        Ok(Post {
            target,
            headers: headers?,
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    });
    Ok(match post {
        Ok(post) => client.post(post, LIMITS).await,
        Err(error) => Err(error),
    })
}

/// Disables the endpoints whose receivers have answered with 410, and removes the URLs of tasks.
async fn disable(db: &DatabaseTransaction, gone: &[&Claimed]) -> Result<(), DbErr> {
    let mut events = Vec::new();
    for Claimed { delivery, endpoint } in gone {
        let disabled = if endpoint.url.is_some() {
            let disabled = webhook::disable(db, endpoint.id, Reason::Gone).await?;
            delivery::end_waiting(db, endpoint.id, None).await?;
            disabled
        } else if let Some(task) = delivery.task_id {
            let was_set = task::forget_webhook(db, TaskId(task)).await?;
            delivery::end_waiting(db, endpoint.id, Some(TaskId(task))).await?;
            was_set.then(|| endpoint.clone())
        } else {
            None
        };
        if let Some(endpoint) = disabled {
            events.push(Event::of_disabled_webhook(&disabled_by(delivery, &endpoint))?);
        }
    }
    event::append(db, events).await
}

fn count(attempt: &Attempt) {
    let outcome = match &attempt.settled.outcome {
        Outcome::Delivered => "delivered",
        Outcome::Failed { pause: Some(_), .. } => "retried",
        Outcome::Failed { pause: None, .. } => "failed",
    };
    metrics::counter!("rushes_webhook_attempts_total", "outcome" => outcome).increment(1);
}

/// The time in seconds since 1970.
fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A random number from 0 to 1.
fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX)
}
