//! Lookups of points at a service that the operator names ([`domain::lookup`]).
//!
//! *Problem.* A manifest may have millions of points. The service has a rate limit, fails at times, and its answers are
//! not trusted.
//!
//! *Mechanism.* A process makes at most `CALLS` calls at the same time, and one call in each period of the rate. A
//! call that fails is tried again up to `TRIES` times with growing pauses; `Retry-After` holds for all calls of the
//! process. After many failures in a row, or when a call has failed and no other was answered since it began, the
//! circuit breaker (`breaker.rs`) opens: callers are told to come later (`Outcome::Later`), and one call tries the
//! service now and then.
//!
//! *Bounds.* A reply of `MAX_REPLY_BYTES`, 30 s for a call. A redirect is not followed. The address is that of the
//! setting alone, so a service inside of the network can be used, but nothing else there.

mod breaker;

use breaker::Breaker;
use bytes::Bytes;
use domain::lookup::{Dialect, Point};
use entity::Json;
use outbound::{Client, Headers, Limits, Policy, Post, Target};
use sha2::{Digest, Sha256};
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

/// Calls that a process makes at the same time.
pub(crate) const CALLS: usize = 4;
/// Tries of a call.
const TRIES: u32 = 5;
/// First pause between two tries; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// Time for which a call waits until the service may be asked; a longer wait is [`Outcome::Later`].
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Maximum size of a reply, in bytes.
const MAX_REPLY_BYTES: u64 = 1 << 20;
/// Maximum size of the result for one point as JSON, in bytes, and of its values. It is stored with each row.
const MAX_RESULT_BYTES: usize = 4 << 10;
const MAX_RESULT_VALUES: usize = 200;
const LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(10),
    stall: Duration::from_secs(10),
    whole: Duration::from_secs(30),
    max_bytes: MAX_REPLY_BYTES,
};

/// The lookup service of an installation.
#[derive(Clone, Debug)]
pub struct Settings {
    policy: Policy,
    target: Target,
    dialect: Dialect,
    calls_per_s: NonZeroU32,
}

impl Settings {
    /// Checks the address of the service. Any host is accepted, because the operator names it.
    ///
    /// # Errors
    /// The address is none of HTTP, or has a user name.
    pub fn new(url: &str, dialect: Dialect, calls_per_s: NonZeroU32) -> Result<Self, outbound::Error> {
        let policy = Policy::of_operator(url)?;
        Ok(Self {
            target: Target::parse(&policy, url)?,
            policy,
            dialect,
            calls_per_s,
        })
    }

    /// The beginning of the keys of stored answers. Another service has other answers.
    fn key_prefix(&self) -> String {
        let service = format!("{} {}", self.dialect.as_str(), self.target.url());
        hex::encode(Sha256::digest(service)).chars().take(16).collect()
    }
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The results of the points, in their order; `None` for a point that the service does not know.
    Found(Vec<Option<Json>>),
    /// The answer is none of the dialect, with the reason.
    Invalid(String),
    /// There was no answer after all tries, although other calls were answered.
    Failed,
    /// The service is not asked now.
    Later,
}

/// The lookup service, as a process uses it. A clone shares its limits.
#[derive(Clone)]
pub struct Lookups(Arc<Inner>);

struct Inner {
    settings: Settings,
    key_prefix: String,
    client: Client,
    calls: Semaphore,
    /// Ticks once for each call that may begin.
    rate: Mutex<Interval>,
    breaker: Breaker,
}

impl Lookups {
    /// A client of the service.
    ///
    /// # Errors
    /// The TLS library finds no root certificates.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let mut rate = interval(Duration::from_secs(1) / settings.calls_per_s.get());
        // Calls that were not made are not made up for: the service would get more than the rate.
        rate.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self(Arc::new(Inner {
            key_prefix: settings.key_prefix(),
            client: Client::new(settings.policy.clone()).map_err(io::Error::other)?,
            settings,
            calls: Semaphore::new(CALLS),
            rate: Mutex::new(rate),
            breaker: Breaker::default(),
        })))
    }

    /// The key under which the answer for a point is stored.
    pub(crate) fn key(&self, point: Point) -> String {
        format!("{} {point}", self.0.key_prefix)
    }

    /// Returns `true` if the service is not asked now.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.breaker.wait() > MAX_WAIT
    }

    /// Asks for up to [`domain::lookup::POINTS`] points, with tries that begin until `until`. Dropping the future ends
    /// the call.
    pub(crate) async fn ask(&self, points: &[Point], until: Instant) -> Outcome {
        // Never closed.
        let _call = self.0.calls.acquire().await;
        let (begun, breaker) = (Instant::now(), &self.0.breaker);
        let body: Bytes = self.0.settings.dialect.request(points).to_string().into();
        let mut tries = 0;
        while tries < TRIES {
            if !self.is_admitted(until).await {
                return Outcome::Later;
            }
            let retry_after = match self.call(body.clone()).await {
                Ok(answer) => {
                    breaker.succeed();
                    return self.read(&answer, points.len());
                }
                Err(Fault::Invalid(reason)) => {
                    breaker.succeed();
                    return invalid(reason);
                }
                Err(Fault::Passing(retry_after)) => retry_after,
            };
            count("retried");
            breaker.fail(retry_after);
            // A service that tells when it wants to be called has not failed.
            if retry_after.is_none() {
                tries += 1;
                sleep(pause(tries)).await;
            }
        }
        if breaker.has_answered_since(begun) {
            count("failed");
            return Outcome::Failed;
        }
        // Nothing speaks for a fault of this call.
        breaker.open();
        Outcome::Later
    }

    /// Waits until a call may begin. Returns `false` if that takes too long.
    async fn is_admitted(&self, until: Instant) -> bool {
        loop {
            self.0.rate.lock().await.tick().await;
            if Instant::now() >= until {
                return false;
            }
            match self.0.breaker.admit() {
                Ok(()) => return true,
                Err(wait) if wait > MAX_WAIT => return false,
                Err(wait) => sleep(wait).await,
            }
        }
    }

    async fn call(&self, body: Bytes) -> Result<Bytes, Fault> {
        let post = Post {
            target: self.0.settings.target.clone(),
            headers: Headers::default(),
            body,
        };
        let answer = self.0.client.ask(post, LIMITS).await?;
        let status = answer.reply.status;
        if status.is_success() {
            return Ok(answer.body);
        }
        let error = outbound::Error::Status {
            status,
            retry_after: answer.reply.retry_after,
        };
        Err(error.into())
    }

    fn read(&self, answer: &[u8], count_of_points: usize) -> Outcome {
        let results = match self.0.settings.dialect.results(answer, count_of_points) {
            Ok(results) => results,
            Err(error) => return invalid(error.to_string()),
        };
        let is_too_large =
            |result: &Json| values(result) > MAX_RESULT_VALUES || result.to_string().len() > MAX_RESULT_BYTES;
        if results.iter().flatten().any(is_too_large) {
            return invalid(format!(
                "a result over {MAX_RESULT_BYTES} bytes or {MAX_RESULT_VALUES} values"
            ));
        }
        count("answered");
        Outcome::Found(results)
    }
}

/// The number of values in JSON. Each takes memory, also an empty one.
fn values(json: &Json) -> usize {
    match json {
        Json::Array(list) => 1 + list.iter().map(values).sum::<usize>(),
        Json::Object(fields) => 1 + fields.values().map(values).sum::<usize>(),
        _ => 1,
    }
}

fn invalid(reason: String) -> Outcome {
    tracing::warn!(reason, "the lookup service gave an invalid answer");
    count("invalid");
    Outcome::Invalid(reason)
}

fn count(outcome: &'static str) {
    metrics::counter!("rushes_lookup_calls_total", "outcome" => outcome).increment(1);
}

/// A call without an answer.
enum Fault {
    /// The next try may succeed; the service wants to be asked after this time.
    Passing(Option<Duration>),
    /// Another try is of no use, with the reason.
    Invalid(String),
}

impl From<outbound::Error> for Fault {
    fn from(error: outbound::Error) -> Self {
        match error {
            outbound::Error::Status { status, retry_after } if error.is_transient() => {
                tracing::debug!(%status, "the lookup service failed; trying again");
                Self::Passing(retry_after)
            }
            error if error.is_transient() => Self::Passing(None),
            error => Self::Invalid(error.to_string()),
        }
    }
}

/// The pause before a try: half of it is random, so that calls that failed together do not return together.
fn pause(number: u32) -> Duration {
    let longest = PAUSE * 2_u32.pow(number);
    let random = getrandom::u32().unwrap_or_default();
    longest / 2 + longest.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}
