//! Sends what is due: claims, attempts, and their outcomes.
//!
//! Attempts run as tasks of their own, so that they go on while outcomes are written. Outcomes are written in batches,
//! and those that the database did not take are kept. So a fast receiver gets some hundred messages a second.
//!
//! A process that cannot open the secret of an endpoint, because it has no key or another one, leaves its deliveries to
//! other processes: they are no failures of the receiver.

use super::Secret;
use crate::Error;
use crate::app::Core;
use bytes::Bytes;
use domain::webhook::pause;
use entity::delivery::{self, Claimed, Outcome, Settled};
use outbound::{Client, Headers, Limits, Post, Reply, StatusCode, Target};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Maximum number of attempts at the same time. An attempt waits most of its time.
const PLACES: usize = 256;
/// Those of one endpoint.
const PLACES_OF_ENDPOINT: usize = 32;
/// Duration of an attempt after which its endpoint counts as slow.
const SLOW: Duration = Duration::from_secs(2);
/// Places of an endpoint whose latest attempt was slow or got no reply: others need them more.
const PLACES_OF_SLOW: usize = 1;
/// Those of the URLs of tasks of an account, if the latest attempt at one of them was slow or got no reply. They may be
/// of many receivers, of which only one is away.
const PLACES_OF_SLOW_TASKS: usize = 8;
/// Time for which the endpoints are left out whose secrets this process cannot open.
const UNSIGNED_PAUSE: Duration = Duration::from_mins(1);
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
    running: JoinSet<(Settled, Duration)>,
    /// Number of attempts in progress by endpoint.
    places: HashMap<i64, usize>,
    /// Endpoints whose latest attempt was slow or got no reply, with the places that they may take.
    slow: HashMap<i64, usize>,
    /// Endpoints whose secrets could not be opened, with the time from which it is tried again.
    unsigned: HashMap<i64, Instant>,
    /// Attempts that have ended and are not recorded.
    ended: Vec<Settled>,
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
            slow: HashMap::new(),
            unsigned: HashMap::new(),
            ended: Vec::new(),
        }
    }

    /// Returns `true` if attempts are in progress.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.running.is_empty()
    }

    /// Begins attempts at deliveries that are due, while there are places. Without a key, this process sends nothing.
    ///
    /// # Errors
    /// Errors of the database.
    pub async fn begin(&mut self) -> Result<(), Error> {
        if self.app.settings.sealer.is_none() {
            return Ok(());
        }
        self.unsigned.retain(|_, until| *until > Instant::now());
        loop {
            let free = PLACES.saturating_sub(self.running.len() + self.ended.len());
            if free == 0 {
                return Ok(());
            }
            let known = self.places.keys().chain(self.unsigned.keys()).copied();
            let full: Vec<i64> = known.filter(|one| self.free(*one) == 0).collect();
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
        if self.unsigned.contains_key(&endpoint) {
            return 0;
        }
        let most = self.slow.get(&endpoint).copied().unwrap_or(PLACES_OF_ENDPOINT);
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
        let written = entity::write(&self.app.db, async |db| delivery::settle(db, &self.ended).await);
        self.app.with_timeout(written).await?;
        for attempt in self.ended.drain(..) {
            count(&attempt.outcome);
        }
        Ok(())
    }

    fn end(&mut self, attempt: Result<(Settled, Duration), tokio::task::JoinError>) {
        let (attempt, took) = match attempt {
            Ok(ended) => ended,
            // A panic: this task begins again, and the delivery is due when its lease has ended.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let (endpoint, is_of_tasks) = (attempt.claimed.endpoint.id, attempt.claimed.endpoint.url.is_none());
        if let Some(places) = self.places.get_mut(&endpoint) {
            *places -= 1;
            if *places == 0 {
                self.places.remove(&endpoint);
            }
        }
        if attempt.outcome == Outcome::Released {
            self.unsigned.insert(endpoint, Instant::now() + UNSIGNED_PAUSE);
        } else if attempt.status_code.is_some() && took < SLOW {
            self.slow.remove(&endpoint);
        } else {
            let places = if is_of_tasks {
                PLACES_OF_SLOW_TASKS
            } else {
                PLACES_OF_SLOW
            };
            self.slow.insert(endpoint, places);
        }
        self.ended.push(attempt);
    }
}

/// Makes an attempt.
async fn attempt(app: Core, client: Client, claimed: Claimed) -> (Settled, Duration) {
    let begun = Instant::now();
    let (status_code, outcome) = match sign(&app, &claimed) {
        Ok(headers) => {
            let sent = send(&client, &claimed, headers).await;
            let status = sent.as_ref().ok().map(|reply| reply.status.as_u16());
            (status, outcome(&claimed, &sent))
        }
        Err(error) => {
            let (delivery, webhook) = (&claimed.delivery.id, claimed.endpoint.id);
            tracing::warn!(
                delivery,
                webhook,
                ?error,
                "failed to sign a message; another worker may have the key"
            );
            (None, Outcome::Released)
        }
    };
    let settled = Settled {
        claimed,
        status_code,
        outcome,
    };
    (settled, begun.elapsed())
}

/// The headers of a message, with a signature of each secret.
fn sign(app: &Core, claimed: &Claimed) -> Result<[(&'static str, String); 3], Error> {
    let Claimed { delivery, endpoint } = claimed;
    let at = unix_seconds();
    let signature = |stored: &str| {
        let secret = Secret::open(app, endpoint.owner(), stored)?;
        secret.sign(&delivery.id, at, delivery.payload.text())
    };
    let mut signatures = vec![signature(&endpoint.secret)?];
    // A secret that was made because the one before cannot be read signs alone.
    signatures.extend(
        endpoint
            .signing_previous()
            .and_then(|previous| signature(previous).ok()),
    );
    Ok([
        ("webhook-id", delivery.id.clone()),
        ("webhook-timestamp", at.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ])
}

async fn send(client: &Client, claimed: &Claimed, headers: [(&str, String); 3]) -> Result<Reply, outbound::Error> {
    let Claimed { delivery, .. } = claimed;
    let post = Post {
        // Checked again, because the setting may have changed.
        target: Target::parse(client.policy(), &delivery.url)?,
        headers: Headers::parse(headers.iter().map(|(name, value)| (*name, value.as_str())))?,
        body: Bytes::copy_from_slice(delivery.payload.text().as_bytes()),
    };
    client.post(post, LIMITS).await
}

fn outcome(claimed: &Claimed, sent: &Result<Reply, outbound::Error>) -> Outcome {
    let (status, retry_after, error) = match sent {
        Ok(reply) if reply.status.is_success() => return Outcome::Delivered,
        Ok(reply) => (Some(reply.status), reply.retry_after, "status"),
        Err(error) => (None, None, error.word()),
    };
    let failures = u32::try_from(claimed.delivery.failures + 1).unwrap_or(u32::MAX);
    tracing::info!(
        delivery = claimed.delivery.id,
        webhook = claimed.endpoint.id,
        error,
        status = status.map(|status| status.as_u16()),
        failures,
        "an attempt to deliver a message failed"
    );
    let pause = pause(failures, random(), retry_after);
    match status {
        Some(StatusCode::GONE) => Outcome::Gone { pause },
        _ => Outcome::Failed { error, pause },
    }
}

fn count(outcome: &Outcome) {
    let outcome = match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Failed { pause: Some(_), .. } => "retried",
        Outcome::Failed { pause: None, .. } | Outcome::Gone { .. } => "failed",
        Outcome::Released => "released",
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
