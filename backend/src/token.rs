//! Access tokens: JWTs signed with HMAC-SHA256, by the rules of RFC 8725. The algorithm is fixed; the header of a token
//! cannot choose it.

use crate::config::Secrets;
use anyhow::Context as _;
use app::guest_links::Session;
use chrono::{DateTime, Utc};
use domain::{Code, UserId};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// The `typ` of access tokens (RFC 9068 §2.1), which separates them from any other kind of JWT.
const TYPE: &str = "at+jwt";
/// The `typ` of tickets for streams. No other operation accepts it.
const TICKET_TYPE: &str = "stream-ticket+jwt";
/// Lifetime of a ticket. It stands in an address, which programs may log.
const TICKET_TTL_S: i64 = 300;
/// The `typ` of sessions of guests. No operation of accounts accepts it.
const GUEST_TYPE: &str = "guest-session+jwt";
/// Lifetime of a session, which can be renewed.
pub(crate) const GUEST_TTL_S: u64 = 24 * 3_600;
const ISSUER: &str = "rushes";
const AUDIENCE: &str = "rushes-api";
/// Tolerated clock difference between two API processes, in seconds. `nbf` is set this much earlier than `iat`, so that
/// the check needs no leeway, which would also extend `exp`.
const CLOCK_SKEW_S: i64 = 5;

/// Issues and verifies access tokens.
pub(crate) struct Tokens {
    header: Header,
    signing: EncodingKey,
    verifying: Vec<DecodingKey>,
    validation: Validation,
    ttl: Duration,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    /// Of a ticket: `exp` of the token that it was issued for.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_exp: Option<i64>,
}

impl Tokens {
    pub(crate) fn new(secrets: &Secrets, ttl: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        Self {
            header: Header {
                typ: Some(TYPE.to_owned()),
                ..Header::new(Algorithm::HS256)
            },
            signing: EncodingKey::from_secret(secrets.current.bytes()),
            verifying: secrets
                .iter()
                .map(|secret| DecodingKey::from_secret(secret.bytes()))
                .collect(),
            validation,
            ttl,
        }
    }

    /// Lifetime of a token.
    pub(crate) const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Issues a token for an account, valid from `now` on.
    pub(crate) fn issue(&self, user: UserId, now: DateTime<Utc>) -> anyhow::Result<String> {
        let now = now.timestamp();
        let exp = now.saturating_add(i64::try_from(self.ttl.as_secs()).unwrap_or(i64::MAX));
        encode(&self.header, &claims(user, now, exp), &self.signing).context("failed to sign a token")
    }

    /// Issues a ticket for streams of an account, which end at `until`. Returns it with the end of its own lifetime.
    pub(crate) fn issue_ticket(
        &self,
        user: UserId,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<(String, DateTime<Utc>)> {
        let (now, until) = (now.timestamp(), until.timestamp());
        let exp = now.saturating_add(TICKET_TTL_S).min(until);
        let claims = Claims {
            stream_exp: Some(until),
            ..claims(user, now, exp)
        };
        let header = Header {
            typ: Some(TICKET_TYPE.to_owned()),
            ..self.header.clone()
        };
        let ticket = encode(&header, &claims, &self.signing).context("failed to sign a ticket")?;
        Ok((ticket, DateTime::from_timestamp(exp, 0).unwrap_or_default()))
    }

    /// Issues the token of a session of a guest.
    pub(crate) fn issue_guest(&self, session: &Session, now: DateTime<Utc>) -> anyhow::Result<String> {
        let now = now.timestamp();
        let exp = now.saturating_add(i64::try_from(GUEST_TTL_S).unwrap_or(i64::MAX));
        let claims = Claims {
            sub: session.link.to_string(),
            jti: session.id.clone(),
            ..claims(UserId(0), now, exp)
        };
        let header = Header {
            typ: Some(GUEST_TYPE.to_owned()),
            ..self.header.clone()
        };
        encode(&header, &claims, &self.signing).context("failed to sign a session")
    }

    /// Verifies the token of a session of a guest.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub(crate) fn verify_guest(&self, token: &str) -> Result<Session, Code> {
        let claims = self.decode(token, GUEST_TYPE)?;
        let link = claims.sub.parse().map_err(|_| Code::TokenInvalid)?;
        Ok(Session { link, id: claims.jti })
    }

    /// Verifies a token. Returns its account and the time at which it expires.
    ///
    /// # Errors
    /// `token_expired` when only the time is wrong, else `token_invalid`.
    pub(crate) fn verify(&self, token: &str) -> Result<(UserId, DateTime<Utc>), Code> {
        let claims = self.decode(token, TYPE)?;
        subject(&claims, claims.exp)
    }

    /// Verifies a ticket. Returns its account and the time at which its streams end.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub(crate) fn verify_ticket(&self, ticket: &str) -> Result<(UserId, DateTime<Utc>), Code> {
        let claims = self.decode(ticket, TICKET_TYPE)?;
        subject(&claims, claims.stream_exp.ok_or(Code::TokenInvalid)?)
    }

    fn decode(&self, token: &str, kind: &str) -> Result<Claims, Code> {
        let mut refusal = Code::TokenInvalid;
        for key in &self.verifying {
            match decode::<Claims>(token, key, &self.validation) {
                Ok(data) if data.header.typ.as_deref() == Some(kind) && data.header.crit.is_none() => {
                    return Ok(data.claims);
                }
                Ok(_) => return Err(Code::TokenInvalid),
                Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => refusal = Code::TokenExpired,
                Err(_) => {}
            }
        }
        Err(refusal)
    }
}

/// The claims of a new token.
fn claims(user: UserId, now: i64, exp: i64) -> Claims {
    Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: user.to_string(),
        jti: Uuid::new_v4().to_string(),
        iat: now,
        nbf: now - CLOCK_SKEW_S,
        exp,
        stream_exp: None,
    }
}

fn subject(claims: &Claims, until: i64) -> Result<(UserId, DateTime<Utc>), Code> {
    let account = claims.sub.parse().map(UserId).map_err(|_| Code::TokenInvalid)?;
    // Beyond the range of times: it never expires.
    Ok((
        account,
        DateTime::from_timestamp(until, 0).unwrap_or(DateTime::<Utc>::MAX_UTC),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    fn secret(seed: &str) -> Secret {
        Secret::new(format!("{seed}-0123456789abcdef0123456789abcdef")).unwrap()
    }

    fn tokens(current: &str, previous: Option<&str>) -> Tokens {
        let secrets = Secrets {
            current: secret(current),
            previous: previous.map(secret),
        };
        Tokens::new(&secrets, Duration::from_secs(60))
    }

    /// A token with any header and claims, signed with the correct key.
    fn forged(header: &Value, changes: &Value) -> String {
        let now = Utc::now().timestamp();
        let mut claims =
            json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "7", "jti": "j", "iat": now, "nbf": now, "exp": now + 60});
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(&claims));
        let key = EncodingKey::from_secret(secret("a").bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    fn verify(tokens: &Tokens, token: &str) -> Result<UserId, Code> {
        tokens.verify(token).map(|(account, _)| account)
    }

    #[test]
    fn a_token_is_verified_and_stays_valid_during_a_rotation() {
        let token = tokens("a", None).issue(UserId(7), Utc::now()).unwrap();
        assert_eq!(verify(&tokens("a", None), &token), Ok(UserId(7)));
        assert_eq!(verify(&tokens("b", Some("a")), &token), Ok(UserId(7)));
        assert_eq!(tokens("b", None).verify(&token), Err(Code::TokenInvalid));
    }

    #[test]
    fn a_ticket_opens_streams_alone_and_ends_with_its_token() {
        let tokens = tokens("a", None);
        let now = Utc::now();
        let until = |seconds| DateTime::from_timestamp(now.timestamp() + seconds, 0).unwrap();
        let (ticket, expires_at) = tokens.issue_ticket(UserId(7), until(4_000), now).unwrap();
        assert_eq!(expires_at, until(TICKET_TTL_S));
        assert_eq!(tokens.verify_ticket(&ticket), Ok((UserId(7), until(4_000))));
        assert_eq!(tokens.verify(&ticket), Err(Code::TokenInvalid));
        let token = tokens.issue(UserId(7), now).unwrap();
        assert_eq!(tokens.verify_ticket(&token), Err(Code::TokenInvalid));
        let (_, expires_at) = tokens.issue_ticket(UserId(7), until(60), now).unwrap();
        assert_eq!(expires_at, until(60));
        let (late, _) = tokens
            .issue_ticket(UserId(7), until(4_000), now - chrono::Duration::seconds(301))
            .unwrap();
        assert_eq!(tokens.verify_ticket(&late), Err(Code::TokenExpired));
    }

    #[test]
    fn the_session_of_a_guest_opens_nothing_of_an_account() {
        let (tokens, now) = (tokens("a", None), Utc::now());
        let session = Session {
            link: 7,
            id: "s".to_owned(),
        };
        let guest = tokens.issue_guest(&session, now).unwrap();
        let verified = tokens.verify_guest(&guest).unwrap();
        assert_eq!((verified.link, verified.id.as_str()), (7, "s"));
        assert_eq!(tokens.verify(&guest), Err(Code::TokenInvalid));
        assert_eq!(tokens.verify_ticket(&guest), Err(Code::TokenInvalid));
        let (ticket, _) = tokens.issue_ticket(UserId(7), now, now).unwrap();
        for other in [tokens.issue(UserId(7), now).unwrap(), ticket] {
            assert!(tokens.verify_guest(&other).is_err());
        }
        let late = tokens.issue_guest(&session, now - chrono::Duration::seconds(24 * 3_600 + 1));
        assert_eq!(tokens.verify_guest(&late.unwrap()).err(), Some(Code::TokenExpired));
    }

    #[test]
    fn every_claim_and_header_is_checked() {
        let now = Utc::now().timestamp();
        let (plain, none) = (json!({"typ": TYPE, "alg": "HS256"}), json!({}));
        let verify = |header: &Value, changes: &Value| verify(&tokens("a", None), &forged(header, changes));
        assert_eq!(verify(&plain, &none), Ok(UserId(7)));
        assert_eq!(
            verify(&plain, &json!({"exp": now - 1, "nbf": now - 60})),
            Err(Code::TokenExpired)
        );
        for changes in [
            json!({"nbf": now + 10}),
            json!({"aud": "another"}),
            json!({"iss": "another"}),
            json!({"sub": "x"}),
            json!({"sub": 7}),
            json!({"exp": null}),
            json!({"nbf": null}),
            json!({"aud": null}),
            json!({"iss": null}),
            json!({"sub": null}),
            json!({"jti": null}),
            json!({"exp": "tomorrow"}),
        ] {
            assert_eq!(verify(&plain, &changes), Err(Code::TokenInvalid), "{changes}");
        }
        for header in [
            json!({"typ": "JWT", "alg": "HS256"}),
            json!({"alg": "HS256"}),
            json!({"typ": TYPE, "alg": "HS512"}),
            json!({"typ": TYPE, "alg": "none"}),
            json!({"typ": TYPE, "alg": "RS256"}),
            json!({"typ": TYPE, "alg": "HS256", "crit": ["exp"]}),
        ] {
            assert_eq!(verify(&header, &none), Err(Code::TokenInvalid), "{header}");
        }
    }

    #[test]
    fn a_tampered_token_is_refused() {
        let token = tokens("a", None).issue(UserId(7), Utc::now()).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let other = tokens("b", None).issue(UserId(7), Utc::now()).unwrap();
        let foreign = other.rsplit_once('.').unwrap().1;
        let none = BASE64_URL_SAFE_NO_PAD.encode(json!({"typ": TYPE, "alg": "none"}).to_string());
        let claims = message.split_once('.').unwrap().1;
        for bad in [
            format!("{message}."),
            format!("{message}.{foreign}"),
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{signature}"),
            format!("{message}x.{signature}"),
            message.to_owned(),
            String::new(),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(tokens("a", None).verify(&bad), Err(Code::TokenInvalid), "{bad}");
        }
    }
}
