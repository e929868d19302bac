//! `Idempotency-Key`: a create request that is sent again does not create a second resource
//! (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! *Problem.* A client that gets no reply cannot tell if its request was executed. It must be able to send the request
//! again.
//!
//! *Mechanism.* The key is a row of `entity::idempotency`, owned by an account. The first request takes a lease on the
//! key ([`IdempotencyKey::acquire`]), renews it in the background, and stores its reply under the key in the
//! transaction that creates the resource ([`KeyGuard::store_reply`]). A later request with the key gets:
//!
//! - the stored reply, when its operation and [`Fingerprint`] are those of the first request;
//! - `idempotency_key_reused`, when they are not;
//! - `idempotency_key_in_use` with `Retry-After`, while the first request holds the lease.
//!
//! *Invariants.* The resource and the stored reply are committed together or not at all. A failed request created
//! nothing and releases the key at once ([`KeyGuard::complete`], or `Drop` when the client disconnects). When the
//! process dies, the lease expires. A request that lost its lease cannot commit, because [`KeyGuard::store_reply`]
//! fails.
//!
//! *Rejected.* Storing the reply after the commit: a crash between the two would let the retry create a second
//! resource.

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
use entity::ConnectionTrait;
use entity::idempotency::{self, CompletedRequest};
use entity::{DatabaseConnection, with_timeout};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use utoipa::IntoParams;
use uuid::Uuid;

/// The request header (draft-ietf-httpapi-idempotency-key-header-07).
pub(crate) const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks a replayed reply.
pub(crate) const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Maximum length of a key in bytes.
const KEY_BYTES: usize = 255;
/// Interval between two renewals of the lease.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Pause after a renewal that failed.
const RENEW_RETRY: Duration = Duration::from_secs(2);
/// Timeout of each query on the key; short enough that several failed renewals fit into one lease.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// `Retry-After` while another request holds the key.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The request header in the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(
    dead_code,
    reason = "describes the header in the OpenAPI document; `read_key` parses it"
)]
pub(crate) struct IdempotencyKeyHeader {
    /// A unique text of your choice for this request, such as a UUID. A request that is sent again with the same key
    /// within 24 hours creates nothing and gets the first reply again.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

/// The idempotency key of a create request, if it has one. It is in the head of the request, so a handler can acquire
/// the key before it reads a long body.
pub(crate) struct IdempotencyKey {
    key: Option<String>,
    /// Method and path of the request.
    operation: String,
}

impl FromRequestParts<AppState> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        Ok(Self {
            key: read_key(&parts.headers)?,
            operation: format!("{} {}", parts.method, parts.uri.path()),
        })
    }
}

/// Reads the header. The draft puts the key in quotes (a structured field string); most clients send it without.
fn read_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut given = headers.get_all(&KEY_HEADER).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let bare = text.trim();
    let key = bare
        .strip_prefix('"')
        .and_then(|key| key.strip_suffix('"'))
        .unwrap_or(bare);
    let is_valid = (1..=KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid && given.next().is_none() {
        return Ok(Some(key.to_owned()));
    }
    let given: String = text.chars().take(100).collect();
    let accepted = format!("accepted: one of 1 to {KEY_BYTES} visible ASCII characters");
    Err(Refusal::new(Code::IdempotencyKeyInvalid).detail(format!("{given:?}; {accepted}")))
}

/// The result of [`IdempotencyKey::acquire`].
pub(crate) enum KeyState {
    /// This request holds the key and has to do the work.
    Acquired(KeyGuard),
    /// An earlier request did the work; its reply is stored.
    Replay(StoredReply),
}

impl IdempotencyKey {
    /// Takes the lease on the key. A request without a key always acquires.
    ///
    /// # Errors
    /// `idempotency_key_in_use` while another request holds the lease.
    pub(crate) async fn acquire(self, state: &AppState, user: UserId) -> Result<KeyState, Error> {
        let Self { key, operation } = self;
        let Some(key) = key else {
            return Ok(KeyState::Acquired(KeyGuard(None)));
        };
        let lease = idempotency::Lease::new(user, key, Uuid::new_v4().to_string());
        // Created before the query: if the client disconnects during the query, dropping this value releases the key.
        let held = HeldKey {
            _renewal: AbortOnDropHandle::new(tokio::spawn(renew_periodically(state.db.clone(), lease.clone()))),
            db: state.db.clone(),
            lease,
            operation,
            released: AtomicBool::new(false),
        };
        let state = match with_timeout(QUERY_TIMEOUT, held.lease.acquire(&held.db)).await? {
            idempotency::LeaseState::Acquired => return Ok(KeyState::Acquired(KeyGuard(Some(Arc::new(held))))),
            idempotency::LeaseState::HeldByOther => Err(in_use().into()),
            idempotency::LeaseState::Completed(done) => Ok(KeyState::Replay(StoredReply {
                done,
                operation: held.operation.clone(),
            })),
        };
        // Another request owns the key, so there is nothing to release.
        held.released.store(true, Ordering::Relaxed);
        state
    }
}

fn in_use() -> Refusal {
    Refusal::new(Code::IdempotencyKeyInUse).retry_after(RETRY_AFTER)
}

async fn renew_periodically(db: DatabaseConnection, lease: idempotency::Lease) {
    let mut pause = RENEW_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        pause = match with_timeout(QUERY_TIMEOUT, lease.renew(&db)).await {
            Ok(true) => RENEW_EVERY,
            // The reply is stored, or the lease is lost. In the second case `store_reply` fails.
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "failed to renew the lease on an idempotency key");
                RENEW_RETRY
            }
        }
    }
}

/// The SHA-256 of the content of a request, in hexadecimal. Two requests with the same operation and the same
/// fingerprint are the same request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a JSON body. White space and the order of fields make no difference.
    pub(crate) fn of(body: &serde_json::Value) -> Self {
        Self::from(Sha256::new_with_prefix(body.to_string()))
    }

    /// The text that is stored under the key.
    fn with_operation(&self, operation: &str) -> String {
        format!("{operation} {}", self.0)
    }
}

impl From<Sha256> for Fingerprint {
    fn from(hash: Sha256) -> Self {
        Self(hex::encode(hash.finalize()))
    }
}

/// The stored reply of the first request with a key.
pub(crate) struct StoredReply {
    done: CompletedRequest,
    operation: String,
}

impl StoredReply {
    /// Answers with the stored reply and `Idempotent-Replayed: true`.
    ///
    /// # Errors
    /// `idempotency_key_reused` when this request has another operation or fingerprint than the first one.
    pub(crate) fn replay(self, fingerprint: &Fingerprint) -> Result<Response, Error> {
        if self.done.request != fingerprint.with_operation(&self.operation) {
            return Err(Code::IdempotencyKeyReused.into());
        }
        tracing::info!(operation = self.operation, "replayed the reply of an idempotency key");
        let headers = [(CONTENT_TYPE, "application/json"), (REPLAYED_HEADER, "true")];
        Ok((StatusCode::CREATED, headers, self.done.reply).into_response())
    }
}

/// The lease of this request on its key; empty for a request without a key. Dropping the last clone without
/// [`KeyGuard::complete`] releases the key.
#[derive(Clone)]
pub(crate) struct KeyGuard(Option<Arc<HeldKey>>);

struct HeldKey {
    db: DatabaseConnection,
    lease: idempotency::Lease,
    operation: String,
    /// `Drop` has nothing to release.
    released: AtomicBool,
    _renewal: AbortOnDropHandle<()>,
}

impl KeyGuard {
    /// Checks and renews the lease at the start of the transaction that creates the resource. Without this check, a
    /// request that lost its lease would report the name that the other request took as a conflict.
    ///
    /// # Errors
    /// `idempotency_key_in_use` when the lease is lost.
    pub(crate) async fn renew(&self, db: &impl ConnectionTrait) -> Result<(), Error> {
        match &self.0 {
            Some(held) if !held.lease.renew(db).await? => Err(in_use().into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Stores the reply under the key, in the transaction that creates the resource.
    ///
    /// # Errors
    /// `idempotency_key_in_use` when the lease is lost: another request does the work or has done it.
    pub(crate) async fn store_reply(
        &self,
        db: &impl ConnectionTrait,
        fingerprint: &Fingerprint,
        reply: &impl Serialize,
    ) -> Result<(), Error> {
        let Some(held) = &self.0 else { return Ok(()) };
        let done = CompletedRequest {
            request: fingerprint.with_operation(&held.operation),
            reply: serde_json::to_string(reply).context("failed to serialize a reply")?,
        };
        let is_ours = held.lease.store_reply(db, done).await?;
        is_ours.then_some(()).ok_or_else(|| in_use().into())
    }

    /// Turns the result of the work into the reply, and releases the key after an error.
    pub(crate) async fn complete<T: Serialize>(self, result: Result<T, Error>) -> Result<Response, Error> {
        if let Some(held) = &self.0 {
            if result.is_err() {
                // If the commit succeeded but its acknowledgment was lost, the stored reply stays: only keys without a
                // reply are released.
                release(&held.db, &held.lease).await;
            }
            held.released.store(true, Ordering::Relaxed);
        }
        result.map(|reply| (StatusCode::CREATED, Json(reply)).into_response())
    }
}

impl Drop for HeldKey {
    fn drop(&mut self) {
        if self.released.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (db, lease) = (self.db.clone(), self.lease.clone());
            runtime.spawn(async move { release(&db, &lease).await });
        }
    }
}

async fn release(db: &DatabaseConnection, lease: &idempotency::Lease) {
    if let Err(error) = with_timeout(QUERY_TIMEOUT, lease.release(db)).await {
        tracing::warn!(%error, "failed to release an idempotency key; its lease will expire");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Result<Option<String>, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY_HEADER, value.parse().unwrap());
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
