//! Guest links: an account issues a link, with which others upload files to it without an account.
//!
//! *Problem.* A person without an account shall send a file. Neither the link nor anything that it gives may open more
//! than that: no other upload, no task, no fact about the account.
//!
//! *Mechanism.* A link is a random token of 256 bits, of which the database has the hash. It has a largest size, a
//! number of uploads, an expiry, a recipe, and possibly a password. A guest exchanges the token for a session
//! ([`begin_session`]), whose own token is limited to the uploads of this session ([`Uploader`]). The uploads are the
//! resumable uploads of accounts (`uploads::resumable`). When a file is complete, its task is created in the account of
//! the owner (`uploads::guests`).
//!
//! *Invariants.* An upload takes a place of the link in the transaction that inserts it (`entity::guest_link`). Each
//! request reads the link, so a revoked link ends its sessions at once. An expired link begins no uploads; those that
//! have begun go on. A token that is unknown and one that is malformed get the same reply.
//!
//! *Rejected.* Uploads by the token of the link itself: two guests with one link would see each other's uploads, and
//! the password would be sent with each request.

use crate::accounts::password::PasswordCheck;
use crate::accounts::pool::Priority;
use crate::accounts::{hasher_busy, rate_limited};
use crate::app::{App, Core};
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::recipe_choice::{RecipeChoice, check_names};
use crate::uploads::Uploader;
use crate::{Error, Refusal};
use anyhow::Context as _;
use domain::account::Password;
use domain::{Code, UserId};
use entity::guest_link::{self, Changes, Model};
use entity::upload;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::time::{Instant, SystemTime};
use uuid::Uuid;

/// Maximum number of links of an account.
const MAX_LINKS: u64 = 100;
const TOKEN_BYTES: usize = 32;

/// The token of a link. `Debug` does not print it.
#[derive(Clone)]
pub struct LinkToken(String);

impl LinkToken {
    /// A new random token.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes).context("failed to generate a token")?;
        Ok(Self(hex::encode(bytes)))
    }

    /// The token in an address. Any text is a token; it is not checked, because only its hash is compared.
    #[must_use]
    pub const fn given(text: String) -> Self {
        Self(text)
    }

    /// The text for the address.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> String {
        hex::encode(Sha256::digest(&self.0))
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

/// A checked new link.
pub struct NewLink {
    /// Its token.
    pub token: LinkToken,
    /// A line for the guests.
    pub title: Option<String>,
    /// The largest length of a file.
    pub max_bytes: i64,
    /// The number of uploads.
    pub max_uploads: i64,
    /// The expiry in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// The password.
    pub password: Option<Password>,
    /// The recipe of the tasks.
    pub choice: RecipeChoice,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
}

/// Creates a link. `reply` gets its token; the reply that is stored for a repeated request gets it sealed, or none
/// without a key for that ([`open_token`]).
///
/// # Errors
/// `guest_links_too_many`, `recipe_invalid`, `rate_limited`, `idempotency_key_in_use`; errors of the database.
pub async fn create<R: Serialize>(
    app: &App,
    user: UserId,
    new: NewLink,
    guard: &KeyGuard,
    reply: impl Fn(&Model, Option<String>) -> R,
) -> Result<R, Error> {
    let password_hash = match new.password {
        Some(password) => {
            let slot = app.hasher.reserve(Priority::Other).map_err(hasher_busy)?;
            Some(app.hasher.hash(slot, password).await?)
        }
        None => None,
    };
    let token = new.token.secret();
    let sealer = app.settings.sealer.as_ref();
    let sealed = sealer.map(|sealer| sealer.seal(&purpose(user), token.as_bytes()));
    let sealed = sealed.transpose()?;
    let resolved = new.choice.resolve(&app.settings.default_preset)?;
    let written = entity::user::write(&app.db, user, async |db| {
        guard.renew(db).await?;
        check_names(db, user, &resolved.recipe).await?;
        Refusal::unless_below(MAX_LINKS, guest_link::count(db, user).await?, Code::GuestLinksTooMany)?;
        let row = guest_link::New {
            token_hash: new.token.hash(),
            title: new.title,
            max_bytes: new.max_bytes,
            max_uploads: new.max_uploads,
            expires_at_ms: new.expires_at_ms,
            password_hash,
            preset: resolved.preset,
            recipe: serde_json::to_value(resolved.recipe).context("failed to serialize a recipe")?,
        };
        let link = guest_link::create(db, user, row).await?;
        let stored = reply(&link, sealed);
        guard.store_reply(db, &new.fingerprint, &stored).await?;
        Ok(reply(&link, Some(token.to_owned())))
    });
    written.await
}

/// The purpose of a sealed token: nothing else, and no other account, can use it.
fn purpose(UserId(owner): UserId) -> String {
    format!("guest_links/{owner}")
}

/// Opens the token of a reply that [`create`] has stored.
///
/// # Errors
/// `sealing_unavailable`; an internal error if the key of the operator is another one.
pub fn open_token(app: &Core, user: UserId, sealed: &str) -> Result<LinkToken, Error> {
    let opened = app.sealer()?.open_text(&purpose(user), sealed);
    Ok(LinkToken(opened.context("the token of a guest link cannot be opened")?))
}

/// Changes a link.
///
/// # Errors
/// `guest_link_not_found` when another request has removed it; errors of the database.
pub async fn update(app: &App, link: &Model, mut changes: Changes) -> Result<Model, Error> {
    let limit = i64::try_from(app.settings.limits.max_upload_bytes).unwrap_or(i64::MAX);
    changes.max_bytes = changes.max_bytes.map(|bytes| bytes.min(limit));
    let changed = guest_link::update(&app.db, link.owner(), link.id, changes);
    let changed = app.with_timeout(changed).await?;
    changed.ok_or_else(|| Code::GuestLinkNotFound.into())
}

/// Removes a link. Its uploads that are no task yet expire at once; the tasks of the others stay.
///
/// # Errors
/// `guest_link_not_found` when another request has removed it; errors of the database.
pub async fn remove(app: &App, link: &Model) -> Result<(), Error> {
    let removed = entity::write(&app.db, async |db| {
        let removed = guest_link::remove(db, link.owner(), link.id).await?;
        upload::expire_of_guests(db, link.id).await?;
        Ok::<_, Error>(removed)
    });
    let removed = app.with_timeout(removed).await?;
    removed.then_some(()).ok_or_else(|| Code::GuestLinkNotFound.into())
}

/// The link of a token that a guest may use.
///
/// # Errors
/// `guest_link_not_found`, `guest_link_revoked`, `guest_link_expired`; errors of the database.
pub async fn show(app: &Core, token: &LinkToken) -> Result<Model, Error> {
    let link = find(app, token).await?;
    check(&link, true)?;
    Ok(link)
}

async fn find(app: &Core, token: &LinkToken) -> Result<Model, Error> {
    let found = app
        .with_timeout(guest_link::by_token_hash(&app.db, &token.hash()))
        .await?;
    found.ok_or_else(|| Code::GuestLinkNotFound.into())
}

/// Refuses a link that is revoked or, for new uploads, has expired.
fn check(link: &Model, begins: bool) -> Result<(), Error> {
    if link.revoked {
        return Err(Code::GuestLinkRevoked.into());
    }
    // The clock of the database decides when an upload takes its place.
    if begins && link.expires_at() <= SystemTime::now() {
        return Err(Code::GuestLinkExpired.into());
    }
    Ok(())
}

/// A session of a guest.
#[derive(Clone, Debug)]
pub struct Session {
    /// The id of the link.
    pub link: i64,
    /// The id of the session.
    pub id: String,
}

/// Begins a session with the password of the link, or renews `known`, a valid session of it. `address` is that of the
/// client.
///
/// # Errors
/// `guest_link_not_found`, `guest_link_revoked`, `guest_link_expired`, `guest_password_wrong`, `rate_limited`; errors
/// of the database.
pub async fn begin_session(
    app: &App,
    token: &LinkToken,
    password: String,
    known: Option<Session>,
    address: IpAddr,
) -> Result<Session, Error> {
    let link = find(app, token).await?;
    if let Some(session) = known.filter(|session| session.link == link.id) {
        check(&link, false)?;
        return Ok(session);
    }
    check(&link, true)?;
    if link.password_hash.is_some() {
        check_password(app, &link, password, address).await?;
    }
    Ok(Session {
        link: link.id,
        id: Uuid::new_v4().to_string(),
    })
}

/// Checks the password of a link within the limits of logins. The hash of the token stands for the name of an account:
/// logins cannot use up its allowance, because it cannot be guessed.
async fn check_password(app: &App, link: &Model, given: String, address: IpAddr) -> Result<(), Error> {
    let attempt = app
        .limiter
        .login(&link.token_hash, address, Instant::now())
        .map_err(rate_limited)?;
    let checked = async {
        let slot = app.hasher.reserve(attempt.priority()).map_err(hasher_busy)?;
        Ok::<_, Error>(
            app.hasher
                .verify(slot, given.into_bytes(), link.password_hash.clone())
                .await?,
        )
    };
    match checked.await {
        Ok(PasswordCheck::Correct | PasswordCheck::Outdated(_)) => {
            app.limiter.record_success(&attempt, Instant::now());
            Ok(())
        }
        Ok(PasswordCheck::Wrong) => Err(Code::GuestPasswordWrong.into()),
        Err(error) => {
            app.limiter.cancel_attempt(&attempt, Instant::now());
            Err(error)
        }
    }
}

/// The guest of a session, as the sender of uploads to the account of the owner.
///
/// # Errors
/// `token_invalid` when the link was removed; `guest_link_revoked`; errors of the database.
pub async fn uploader(app: &Core, session: Session) -> Result<Uploader, Error> {
    let link = app.with_timeout(guest_link::by_id(&app.db, session.link)).await?;
    let link = link.ok_or(Code::TokenInvalid)?;
    check(&link, false)?;
    Ok(Uploader {
        account: link.owner(),
        guest: Some(upload::Guest {
            link: link.id,
            session: session.id,
            max_bytes: u64::try_from(link.max_bytes).unwrap_or_default(),
        }),
    })
}

/// The reason for which a link has no place for an upload.
///
/// # Errors
/// Always: `guest_link_revoked`, `guest_link_expired`, `guest_link_used_up`, or that the link was removed.
pub(crate) async fn no_place(app: &Core, link: i64) -> Error {
    match app.with_timeout(guest_link::by_id(&app.db, link)).await {
        Ok(None) => Code::TokenInvalid.into(),
        Ok(Some(link)) if link.revoked => Code::GuestLinkRevoked.into(),
        Ok(Some(link)) if link.uploads < link.max_uploads => Code::GuestLinkExpired.into(),
        Ok(Some(_)) => Code::GuestLinkUsedUp.into(),
        Err(error) => Error::from(error),
    }
}
