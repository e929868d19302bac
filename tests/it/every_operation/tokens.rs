//! Invalid tokens. Each differs from a valid one in a single property.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use tests::SECRET;

const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// A value of the header `Authorization` that must be refused.
pub(super) struct Invalid {
    /// The defect, for messages.
    pub(super) defect: &'static str,
    /// The value; `None` sends no such header.
    pub(super) header: Option<String>,
    /// The code of the 401.
    pub(super) code: &'static str,
}

/// All invalid variants of the token `valid`; `deleted` is the token of a deleted account.
pub(super) fn invalid(valid: &str, deleted: &str) -> Vec<Invalid> {
    let token = Token::read(valid);
    let now = Utc::now().timestamp();
    let signature = valid.rsplit_once('.').unwrap().1;
    let header = |changes: Value| token.with_header(&changes).sign(Algorithm::HS256, SECRET);
    let claims = |changes: Value| token.with_claims(&changes).sign(Algorithm::HS256, SECRET);
    let own_key = json!({ "jwk": { "kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(OTHER_SECRET) } });
    let unsigned = token.with_header(&json!({ "alg": "none" })).message();
    let tampered = token.with_claims(&json!({ "exp": now + 31_536_000 })).message();
    let invalid = [
        ("empty", String::new()),
        ("not a JWT", "a.b.c".to_owned()),
        ("of a deleted account", deleted.to_owned()),
        ("of an account that never existed", claims(json!({ "sub": "1000000" }))),
        ("not yet valid", claims(json!({ "nbf": now + 3_600 }))),
        ("alg=none, unsigned", format!("{unsigned}.")),
        (
            "alg=none, with the signature of another header",
            format!("{unsigned}.{signature}"),
        ),
        ("tampered", format!("{tampered}.{signature}")),
        ("without its signature", format!("{}.", token.message())),
        ("signed with another key", token.sign(Algorithm::HS256, OTHER_SECRET)),
        (
            "signed with the key in its own header",
            token.with_header(&own_key).sign(Algorithm::HS256, OTHER_SECRET),
        ),
        (
            "signed with another algorithm",
            token
                .with_header(&json!({ "alg": "HS512" }))
                .sign(Algorithm::HS512, SECRET),
        ),
        ("of another type", header(json!({ "typ": "JWT" }))),
        ("of no type", header(json!({ "typ": null }))),
        ("with a critical extension", header(json!({ "crit": ["exp"] }))),
        ("for another audience", claims(json!({ "aud": "another" }))),
        ("of another issuer", claims(json!({ "iss": "another" }))),
        ("whose sub is not a number", claims(json!({ "sub": "x" }))),
        ("without sub", claims(json!({ "sub": null }))),
        ("without exp", claims(json!({ "exp": null }))),
        ("without nbf", claims(json!({ "nbf": null }))),
        ("without aud", claims(json!({ "aud": null }))),
        ("without iss", claims(json!({ "iss": null }))),
    ];
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let expired = claims(json!({ "exp": now - 1 }));
    let mut all = vec![
        Invalid {
            defect: "absent",
            header: None,
            code: "token_missing",
        },
        Invalid {
            defect: "of another scheme",
            header: Some(format!("Basic {valid}")),
            code: "token_invalid",
        },
        Invalid {
            defect: "expired",
            header: bearer(expired),
            code: "token_expired",
        },
    ];
    all.extend(invalid.map(|(defect, token)| Invalid {
        defect,
        header: bearer(token),
        code: "token_invalid",
    }));
    all
}

/// A valid token, decoded and signed again in the way of the invalid ones but without a change. It must be accepted,
/// which proves that the invalid ones are refused for their defects.
pub(super) fn signed_again(valid: &str) -> String {
    Token::read(valid).sign(Algorithm::HS256, SECRET)
}

/// Header and claims of a JWT.
#[derive(Clone)]
struct Token {
    header: Value,
    claims: Value,
}

impl Token {
    fn read(token: &str) -> Self {
        let part = |n| BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap();
        Self {
            header: serde_json::from_slice(&part(0)).unwrap(),
            claims: serde_json::from_slice(&part(1)).unwrap(),
        }
    }

    fn with_header(&self, changes: &Value) -> Self {
        Self {
            header: merged(&self.header, changes),
            ..self.clone()
        }
    }

    fn with_claims(&self, changes: &Value) -> Self {
        Self {
            claims: merged(&self.claims, changes),
            ..self.clone()
        }
    }

    /// The signing input: header and claims (RFC 7515 §5.1).
    fn message(&self) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }

    fn sign(&self, algorithm: Algorithm, secret: &str) -> String {
        let message = self.message();
        let key = EncodingKey::from_secret(secret.as_bytes());
        let signature = crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// An object with changed fields; `null` removes a field.
fn merged(fields: &Value, changes: &Value) -> Value {
    let mut fields = fields.as_object().unwrap().clone();
    fields.extend(changes.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    fields.into()
}
