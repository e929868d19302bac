//! `Idempotency-Key`: a request that makes something makes it once, however often it is sent.
//!
//! The first request with a key holds it while it works, and leaves its reply under it in the transaction that makes
//! the thing. The same request gets that reply again; another one under the same key is refused; one that comes
//! meanwhile is told to come back. A refused request made nothing, so its key is free at once; when a process dies, its
//! keys are free after their lease. A handler asks whose turn it is before it reads a long body, and ends with
//! [`Hold::settle`].

use crate::AppState;
use crate::error::{Error, Refusal};
use anyhow::Context;
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::{Code, UserId};
use entity::idempotency::{self, Done};
use entity::{DatabaseConnection, in_time};
use sea_orm::ConnectionTrait;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use utoipa::IntoParams;
use uuid::Uuid;

/// The request header (draft-ietf-httpapi-idempotency-key-header-07).
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The reply header of a reply that was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Longest key.
const KEY_BYTES: usize = 255;
/// How often a lease is renewed.
const BEAT: Duration = Duration::from_secs(10);
/// When to try again where that failed.
const BEAT_AGAIN: Duration = Duration::from_secs(2);
/// How long each of these queries may take: several beats that fail fit into a lease.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// When to ask again about a request that is at work.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The header as the description of the API has it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "only described, never built: the header is read as it comes")]
pub(crate) struct OnceHeader {
    /// A text of your own for this request, such as a UUID. Sent again with the same key within 24 hours, the request
    /// makes nothing new and gets its first reply.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

/// A request that makes something, and the key that it came with.
pub(crate) struct Once {
    key: Option<String>,
    operation: String,
}

impl FromRequestParts<AppState> for Once {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        Ok(Self {
            key: read_key(&parts.headers)?,
            operation: format!("{} {}", parts.method, parts.uri.path()),
        })
    }
}

/// The key; in quotes, as the draft has it, or without, as most clients send it.
fn read_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut given = headers.get_all(&KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let bare = text.trim();
    let key = bare
        .strip_prefix('"')
        .and_then(|key| key.strip_suffix('"'))
        .unwrap_or(bare);
    let sane = (1..=KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if sane && given.next().is_none() {
        return Ok(Some(key.to_owned()));
    }
    let given: String = text.chars().take(100).collect();
    let accepted = format!("accepted: one of 1 to {KEY_BYTES} visible ASCII characters");
    Err(Refusal::new(Code::IdempotencyKeyInvalid).detail(format!("{given:?}; {accepted}")))
}

/// Whose turn it is.
pub(crate) enum Turn {
    /// The caller's.
    First(Hold),
    /// Nobody's: there is a reply.
    Again(Kept),
}

impl Once {
    /// Takes the key for this request. Without a key it is always its turn.
    pub(crate) async fn turn(self, state: &AppState, user: UserId) -> Result<Turn, Error> {
        let Self { key, operation } = self;
        let Some(key) = key else {
            return Ok(Turn::First(Hold(None)));
        };
        let hold = idempotency::Hold::new(user, key, Uuid::new_v4().to_string());
        // Before the key is taken: whoever goes away meanwhile gives it up.
        let held = Held {
            _beats: AbortOnDropHandle::new(tokio::spawn(beat(state.db.clone(), hold.clone()))),
            db: state.db.clone(),
            hold,
            operation,
            settled: AtomicBool::new(false),
        };
        let turn = match in_time(ANSWER_WITHIN, held.hold.take(&held.db)).await? {
            idempotency::Turn::First => return Ok(Turn::First(Hold(Some(Arc::new(held))))),
            idempotency::Turn::Other => Err(at_work().into()),
            idempotency::Turn::Done(done) => Ok(Turn::Again(Kept {
                done,
                operation: held.operation.clone(),
            })),
        };
        // It holds nothing.
        held.settled.store(true, Ordering::Relaxed);
        turn
    }
}

fn at_work() -> Refusal {
    Refusal::new(Code::IdempotencyKeyInUse).retry_after(AGAIN_AFTER)
}

async fn beat(db: DatabaseConnection, hold: idempotency::Hold) {
    let mut pause = BEAT;
    loop {
        tokio::time::sleep(pause).await;
        pause = match in_time(ANSWER_WITHIN, hold.beat(&db)).await {
            Ok(true) => BEAT,
            // Finished, or lost; who does the work will see.
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "failed to renew the hold on an idempotency key");
                BEAT_AGAIN
            }
        }
    }
}

/// What a request says, hashed: of two with the same operation and the same mark, one is the other sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Mark {
    /// That of a body of JSON: neither white space nor the order of fields counts.
    pub(crate) fn of(body: &serde_json::Value) -> Self {
        Self::from(Sha256::new_with_prefix(body.to_string()))
    }

    fn after(&self, operation: &str) -> String {
        format!("{operation} {}", self.0)
    }
}

impl From<Sha256> for Mark {
    fn from(hash: Sha256) -> Self {
        Self(hex::encode(hash.finalize()))
    }
}

/// What was answered to a request that was done.
pub(crate) struct Kept {
    done: Done,
    operation: String,
}

impl Kept {
    /// The first reply again, if this request is the first one again.
    pub(crate) fn replay(self, mark: &Mark) -> Result<Response, Error> {
        if self.done.request != mark.after(&self.operation) {
            return Err(Code::IdempotencyKeyReused.into());
        }
        tracing::info!(operation = self.operation, "answered again");
        let headers = [(CONTENT_TYPE, "application/json"), (REPLAYED, "true")];
        Ok((StatusCode::CREATED, headers, self.done.reply).into_response())
    }
}

/// The right to do what was asked for. Dropped unsettled, it gives the key up.
#[derive(Clone)]
pub(crate) struct Hold(Option<Arc<Held>>);

struct Held {
    db: DatabaseConnection,
    hold: idempotency::Hold,
    operation: String,
    settled: AtomicBool,
    _beats: AbortOnDropHandle<()>,
}

impl Hold {
    /// Whether this request still has its key: the first question of the transaction that makes the thing, so that the
    /// loser of a lease is not told of the name that the winner took.
    pub(crate) async fn renew(&self, db: &impl ConnectionTrait) -> Result<(), Error> {
        match &self.0 {
            Some(held) if !held.hold.beat(db).await? => Err(at_work().into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Leaves the reply under the key, in the transaction that makes the thing.
    pub(crate) async fn finish(
        &self,
        db: &impl ConnectionTrait,
        mark: &Mark,
        reply: &impl Serialize,
    ) -> Result<(), Error> {
        let Some(held) = &self.0 else { return Ok(()) };
        let done = Done {
            request: mark.after(&held.operation),
            reply: serde_json::to_string(reply).context("a reply cannot be written down")?,
        };
        // The lease was lost: another request does it, or did it.
        let mine = held.hold.finish(db, done).await?;
        mine.then_some(()).ok_or_else(|| at_work().into())
    }

    /// The reply of what was done; what was not done leaves the key to the next request.
    pub(crate) async fn settle<T: Serialize>(self, made: Result<T, Error>) -> Result<Response, Error> {
        if let Some(held) = &self.0 {
            if made.is_err() {
                // A commit whose answer got lost left a reply, and that stays.
                release(&held.db, &held.hold).await;
            }
            held.settled.store(true, Ordering::Relaxed);
        }
        made.map(|reply| (StatusCode::CREATED, Json(reply)).into_response())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.settled.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (db, hold) = (self.db.clone(), self.hold.clone());
            runtime.spawn(async move { release(&db, &hold).await });
        }
    }
}

async fn release(db: &DatabaseConnection, hold: &idempotency::Hold) {
    if let Err(error) = in_time(ANSWER_WITHIN, hold.release(db)).await {
        tracing::warn!(%error, "an idempotency key is held until its lease ends");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Result<Option<String>, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY, value.parse().unwrap());
        }
        read_key(&headers).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_key_is_one_visible_word_with_or_without_quotes() {
        assert_eq!(key(&[]), Ok(None));
        for given in ["a-1", "\"a-1\"", "  a-1 "] {
            assert_eq!(key(&[given]), Ok(Some("a-1".to_owned())), "{given}");
        }
        assert!(key(&[&"x".repeat(255)]).is_ok());
        for wrong in [
            &["" as &str] as &[_],
            &["\"\""],
            &["a b"],
            &["é"],
            &["a", "a"],
            &[&"x".repeat(256)],
        ] {
            assert_eq!(key(wrong), Err(Code::IdempotencyKeyInvalid), "{wrong:?}");
        }
    }
}
