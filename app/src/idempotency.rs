//! Idempotency keys: a create request that is sent again does not create a second resource
//! (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! *Problem.* A client that gets no reply cannot tell if its request was executed. It must be able to send the request
//! again.
//!
//! *Mechanism.* The key is a row of `entity::idempotency`, owned by an account. The first request takes a lease on the
//! key ([`Request::once`]), renews it in the background, and stores its reply under the key in the transaction that
//! creates the resource ([`KeyGuard::store_reply`]). A later request with the key gets:
//!
//! - the stored reply, when its operation and [`Fingerprint`] are those of the first request;
//! - `idempotency_key_reused`, when they are not;
//! - `idempotency_key_in_use` with `Retry-After`, while the first request holds the lease.
//!
//! *Invariants.* The resource and the stored reply are committed together or not at all. A failed request created
//! nothing and releases the key at once, also when the client disconnects. When the process dies, the lease expires. A
//! request that lost its lease cannot commit, because [`KeyGuard::store_reply`] fails.
//!
//! *Rejected.* Storing the reply after the commit: a crash between the two would let the retry create a second
//! resource.

use crate::app::App;
use crate::{Error, Refusal};
use anyhow::Context;
use domain::{Code, UserId};
use entity::idempotency::{self, CompletedRequest};
use entity::lease::{LeaseState, Renewal};
use entity::{ConnectionTrait, DatabaseConnection, with_timeout};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Interval between two renewals of the lease.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Pause after a renewal that the database did not confirm.
const RENEW_RETRY: Duration = Duration::from_secs(2);
/// Timeout of each query on the key.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// `Retry-After` while another request holds the key.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A create request of an account.
#[derive(Debug)]
pub struct Request {
    /// The account.
    pub user: UserId,
    /// The key that the client has chosen, if any.
    pub key: Option<String>,
    /// The operation, which a key belongs to.
    pub operation: String,
}

/// The outcome of a request.
#[derive(Debug)]
pub enum Outcome<R> {
    /// The request was executed; its reply.
    Executed(R),
    /// An earlier request with the key was executed; its reply as JSON.
    Replayed(String),
}

impl Request {
    /// Executes the request once: runs `work` on `input`, or returns the stored reply when an earlier request with the
    /// key has been executed. `fingerprint` reads what is needed of `input` to compare the two requests.
    ///
    /// # Errors
    /// Those of `work`; `idempotency_key_in_use` while another request holds the lease; `idempotency_key_reused` when
    /// the earlier request was another one.
    pub async fn once<I, R, E: From<Error>>(
        self,
        app: &App,
        input: I,
        fingerprint: impl AsyncFnOnce(I) -> Result<Fingerprint, E>,
        work: impl AsyncFnOnce(I, KeyGuard) -> Result<R, E>,
    ) -> Result<Outcome<R>, E> {
        match self.acquire(app).await? {
            KeyState::Replay(stored) => Ok(Outcome::Replayed(stored.reply_to(&fingerprint(input).await?)?)),
            KeyState::Acquired(guard) => {
                let result = work(input, guard.clone()).await;
                guard.complete(result.is_ok()).await;
                result.map(Outcome::Executed)
            }
        }
    }

    /// Takes the lease on the key. A request without a key always acquires.
    async fn acquire(self, app: &App) -> Result<KeyState, Error> {
        let Self { user, key, operation } = self;
        let Some(key) = key else {
            return Ok(KeyState::Acquired(KeyGuard(None)));
        };
        let lease = idempotency::KeyLease::new(user, key, Uuid::new_v4().to_string());
        // Created before the query: if the client disconnects during the query, dropping this value releases the key.
        let held = HeldKey {
            _renewal: AbortOnDropHandle::new(tokio::spawn(renew_periodically(app.db.clone(), lease.clone()))),
            db: app.db.clone(),
            lease,
            operation,
            released: AtomicBool::new(false),
        };
        let state = match with_timeout(QUERY_TIMEOUT, held.lease.acquire(&held.db)).await? {
            idempotency::Acquisition::Acquired => return Ok(KeyState::Acquired(KeyGuard(Some(Arc::new(held))))),
            idempotency::Acquisition::HeldByOther => Err(in_use().into()),
            idempotency::Acquisition::Completed(done) => Ok(KeyState::Replay(StoredReply {
                done,
                operation: held.operation.clone(),
            })),
        };
        // Another request owns the key, so there is nothing to release.
        held.released.store(true, Ordering::Relaxed);
        state
    }
}

/// The result of [`Request::acquire`].
enum KeyState {
    /// This request holds the key and has to do the work.
    Acquired(KeyGuard),
    /// An earlier request did the work; its reply is stored.
    Replay(StoredReply),
}

fn in_use() -> Refusal {
    Refusal::new(Code::IdempotencyKeyInUse).retry_after(RETRY_AFTER)
}

/// Renews the lease until the reply is stored or another request has the key. A request goes on after its lease has
/// ended: if no other one takes the key, it can still store its reply.
async fn renew_periodically(db: DatabaseConnection, lease: idempotency::KeyLease) {
    let (mut renewal, mut pause) = (Renewal::begin(), RENEW_EVERY);
    loop {
        tokio::time::sleep(pause).await;
        pause = match renewal.renew(lease.renew(&db)).await {
            LeaseState::Held => RENEW_EVERY,
            LeaseState::Unconfirmed | LeaseState::Ended => RENEW_RETRY,
            LeaseState::Lost => return,
        };
    }
}

/// The SHA-256 of the content of a request, in hexadecimal. Two requests with the same operation and the same
/// fingerprint are the same request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a JSON body. White space and the order of fields make no difference.
    #[must_use]
    pub fn of(body: &serde_json::Value) -> Self {
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
struct StoredReply {
    done: CompletedRequest,
    operation: String,
}

impl StoredReply {
    /// The stored reply as JSON.
    ///
    /// # Errors
    /// `idempotency_key_reused` when this request has another operation or fingerprint than the first one.
    fn reply_to(self, fingerprint: &Fingerprint) -> Result<String, Error> {
        if self.done.request != fingerprint.with_operation(&self.operation) {
            return Err(Code::IdempotencyKeyReused.into());
        }
        tracing::info!(operation = self.operation, "replayed the reply of an idempotency key");
        Ok(self.done.reply)
    }
}

/// The lease of this request on its key; empty for a request without a key. Dropping the last clone before the work has
/// ended releases the key.
#[derive(Clone, Default)]
pub struct KeyGuard(Option<Arc<HeldKey>>);

struct HeldKey {
    db: DatabaseConnection,
    lease: idempotency::KeyLease,
    operation: String,
    /// `true` when there is nothing to release.
    released: AtomicBool,
    _renewal: AbortOnDropHandle<()>,
}

impl KeyGuard {
    /// Checks and renews the lease at the start of the transaction that creates the resource. Without this check, a
    /// request that lost its lease would report the name that the other request took as a conflict.
    ///
    /// # Errors
    /// `idempotency_key_in_use` when the lease is lost.
    pub async fn renew(&self, db: &impl ConnectionTrait) -> Result<(), Error> {
        match &self.0 {
            Some(held) if !held.lease.renew(db).await? => Err(in_use().into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Stores the reply under the key, in the transaction that creates the resource.
    ///
    /// # Errors
    /// `idempotency_key_in_use` when the lease is lost: another request does the work or has done it.
    pub async fn store_reply(
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

    /// Ends the work, and releases the key when it has failed.
    async fn complete(self, succeeded: bool) {
        if let Some(held) = &self.0 {
            if !succeeded {
                // If the commit succeeded but its acknowledgment was lost, the stored reply stays: only keys without a
                // reply are released.
                release(&held.db, &held.lease).await;
            }
            held.released.store(true, Ordering::Relaxed);
        }
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

async fn release(db: &DatabaseConnection, lease: &idempotency::KeyLease) {
    if let Err(error) = with_timeout(QUERY_TIMEOUT, lease.release(db)).await {
        tracing::warn!(%error, "failed to release an idempotency key; its lease will expire");
    }
}
