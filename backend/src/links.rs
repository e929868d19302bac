//! Signed links: whoever holds one may fetch one output until it expires, and nothing else.

use crate::config::Secrets;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use entity::{output, task};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::time::Duration;

type HmacSha256 = Hmac<Sha256>;

/// Signs and checks links with keys derived from the installation's secrets.
pub(crate) struct Links {
    keys: Vec<Key>,
    ttl: Duration,
}

struct Key {
    id: String,
    mac: HmacSha256,
}

/// What a link grants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant<'a> {
    /// The logical key of the task, without the leading slash.
    pub(crate) file_path: &'a str,
    /// The name of the output.
    pub(crate) output: &'a str,
}

/// The part of a query that proves a grant.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Proof {
    /// Seconds since 1970 at which the link ends.
    pub(crate) expires: i64,
    /// Which key signed.
    pub(crate) key: String,
    /// HMAC-SHA256 in base64url (RFC 4648 §5) without padding.
    pub(crate) signature: String,
}

impl Links {
    pub(crate) fn new(secrets: &Secrets, ttl: Duration) -> Self {
        Self {
            keys: secrets
                .iter()
                .filter_map(|secret| Key::derive(secret.bytes()))
                .collect(),
            ttl,
        }
    }

    /// The part of a link below `/api/video/` that opens an output from `now` until the installation's time to live is
    /// over. For a set it leads to the file that names all others, and what it names is open by the same token.
    pub(crate) fn path(&self, task: &task::Model, output: &output::Model, now: DateTime<Utc>) -> String {
        let (path, name) = (&task.file_path, &output.name);
        let grant = Grant {
            file_path: path,
            output: name,
        };
        match &output.entry {
            Some(entry) => format!("play/{}/{path}/{name}/{entry}", self.token(grant, now)),
            None => format!("download/{path}?{}", self.query(grant, now)),
        }
    }

    fn query(&self, grant: Grant<'_>, now: DateTime<Utc>) -> String {
        let Some(proof) = self.proof(grant, now) else {
            return String::new();
        };
        format!(
            "output={}&expires={}&key={}&signature={}",
            grant.output, proof.expires, proof.key, proof.signature
        )
    }

    fn token(&self, grant: Grant<'_>, now: DateTime<Utc>) -> String {
        let proof = self.proof(grant, now);
        proof.map_or_else(String::new, |proof| {
            format!("{}.{}.{}", proof.expires, proof.key, proof.signature)
        })
    }

    /// `None` never happens: there is always a key.
    fn proof(&self, grant: Grant<'_>, now: DateTime<Utc>) -> Option<Proof> {
        let expires = now
            .timestamp()
            .saturating_add(i64::try_from(self.ttl.as_secs()).unwrap_or(i64::MAX));
        let key = self.keys.first()?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.over(grant, expires).finalize().into_bytes());
        Some(Proof {
            expires,
            key: key.id.clone(),
            signature,
        })
    }

    /// Whether the proof holds for this grant, now; compared in constant time.
    pub(crate) fn proves(&self, proof: &Proof, grant: Grant<'_>, now: DateTime<Utc>) -> bool {
        let signature = BASE64_URL_SAFE_NO_PAD.decode(&proof.signature).unwrap_or_default();
        let key = self.keys.iter().find(|key| key.id == proof.key);
        now.timestamp() < proof.expires
            && key.is_some_and(|key| key.over(grant, proof.expires).verify_slice(&signature).is_ok())
    }
}

impl Proof {
    /// Reads what stands in the path of a set.
    pub(crate) fn from_token(token: &str) -> Option<Self> {
        let (expires, rest) = token.split_once('.')?;
        let (key, signature) = rest.split_once('.')?;
        Some(Self {
            expires: expires.parse().ok()?,
            key: key.to_owned(),
            signature: signature.to_owned(),
        })
    }
}

impl Key {
    /// A key for links only: a link can never be mistaken for a token. `None` never happens: HMAC takes any length.
    fn derive(secret: &[u8]) -> Option<Self> {
        let mut mac = HmacSha256::new_from_slice(secret).ok()?;
        mac.update(b"rushes signed links v1");
        let derived = mac.finalize().into_bytes();
        let id = hex::encode(Sha256::digest(derived).get(..4)?);
        Some(Self {
            id,
            mac: HmacSha256::new_from_slice(&derived).ok()?,
        })
    }

    /// The method stands in the message; `HEAD` needs the link of `GET`. No part can hold a line break.
    fn over(&self, grant: Grant<'_>, expires: i64) -> HmacSha256 {
        let Grant { file_path, output } = grant;
        let mut mac = self.mac.clone();
        mac.update(format!("GET\n/api/video/download/{file_path}\n{output}\n{expires}\n{}", self.id).as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    const GRANT: Grant<'_> = Grant {
        file_path: "2026/01/31/7_clip.mov",
        output: "video.mp4",
    };

    fn links(seed: &str, previous: Option<&str>) -> Links {
        let secret = |seed: &str| Secret::new(format!("{seed}-0123456789abcdef0123456789abcdef")).unwrap();
        let secrets = Secrets {
            current: secret(seed),
            previous: previous.map(secret),
        };
        Links::new(&secrets, Duration::from_secs(60))
    }

    fn proof(query: &str) -> Proof {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).unwrap().1.to_owned()
        };
        Proof {
            expires: value("expires").parse().unwrap(),
            key: value("key"),
            signature: value("signature"),
        }
    }

    #[test]
    fn a_link_opens_its_output_until_it_expires() {
        let (links, now) = (links("a", None), Utc::now());
        let proof = proof(&links.query(GRANT, now));
        let after = |s| now + chrono::TimeDelta::seconds(s);
        assert!(links.proves(&proof, GRANT, now));
        assert!(links.proves(&proof, GRANT, after(59)));
        assert!(!links.proves(&proof, GRANT, after(60)));
    }

    #[test]
    fn a_token_in_a_path_proves_the_same_as_a_query() {
        let (links, now) = (links("a", None), Utc::now());
        let proof = Proof::from_token(&links.token(GRANT, now)).unwrap();
        assert!(links.proves(&proof, GRANT, now));
        for token in ["", "-", "1.2", "x.y.z", ".."] {
            let proof = Proof::from_token(token);
            assert!(!proof.is_some_and(|proof| links.proves(&proof, GRANT, now)), "{token}");
        }
    }

    #[test]
    fn a_changed_link_opens_nothing() {
        let (links, now) = (links("a", None), Utc::now());
        let right = proof(&links.query(GRANT, now));
        assert!(!links.proves(
            &right,
            Grant {
                output: "poster.jpg",
                ..GRANT
            },
            now
        ));
        assert!(!links.proves(
            &right,
            Grant {
                file_path: "2026/01/31/8_clip.mov",
                ..GRANT
            },
            now
        ));
        assert!(!links.proves(
            &Proof {
                expires: right.expires + 1,
                ..right.clone()
            },
            GRANT,
            now
        ));
        assert!(!links.proves(
            &Proof {
                key: "00000000".to_owned(),
                ..right.clone()
            },
            GRANT,
            now
        ));
        assert!(!links.proves(
            &Proof {
                signature: String::new(),
                ..right.clone()
            },
            GRANT,
            now
        ));
        assert!(!links.proves(
            &Proof {
                signature: "%%%".to_owned(),
                ..right
            },
            GRANT,
            now
        ));
    }

    #[test]
    fn a_link_survives_a_rotation_and_no_other_installation_takes_it() {
        let now = Utc::now();
        let old = proof(&links("a", None).query(GRANT, now));
        assert!(links("b", Some("a")).proves(&old, GRANT, now));
        assert!(!links("b", None).proves(&old, GRANT, now));
    }
}
