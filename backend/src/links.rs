//! Signed links. A link grants access to one output until it expires, without a token.
//!
//! *Signature.* HMAC-SHA256 over method, path, output, expiry and key id, with a key derived from each secret of the
//! installation. The link names its key, so that links stay valid during a rotation of secrets.
//!
//! *Expiry.* Clients poll a task, and caches identify a file by its URL. So the expiry is rounded up to a multiple of
//! the time to live: all links to an output that are made within one such window are equal. A player fetches the
//! segments of an adaptive output one after the other during playback, so the duration of the video is added to the
//! time to live.

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

/// The result of checking a proof for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkStatus {
    /// The link grants access to the output.
    Valid,
    /// The signature is correct, but the link has expired.
    Expired,
    /// The signature is not correct for this output.
    Invalid,
}

/// Signs and checks links.
pub(crate) struct Links {
    /// The signing key first.
    keys: Vec<Key>,
    ttl: Duration,
}

struct Key {
    id: String,
    mac: HmacSha256,
}

/// The output that a link gives access to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant<'a> {
    /// The logical key of the task, without a leading slash.
    pub(crate) file_path: &'a str,
    /// The name of the output.
    pub(crate) output: &'a str,
}

/// The parameters of a link that prove a grant.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Proof {
    /// Expiry in seconds since the Unix epoch.
    pub(crate) expires: i64,
    /// Id of the key that signed the link.
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

    /// The path of a link below `/api/video/`. The link expires after the time to live plus `playing`, or up to one
    /// time to live later, because the expiry is rounded up. The link of a set of files leads to its entry file, a
    /// playlist or an index. The token is a part of the path, so the relative URIs in that file have it too.
    pub(crate) fn path(
        &self,
        task: &task::Model,
        output: &output::Model,
        playing: Duration,
        now: DateTime<Utc>,
    ) -> String {
        let (path, name) = (&task.file_path, &output.name);
        let grant = Grant {
            file_path: path,
            output: name,
        };
        let expires = self.expires(playing, now);
        match &output.entry {
            Some(entry) => format!("play/{}/{path}/{name}/{entry}", self.token(grant, expires)),
            None => format!("download/{path}?{}", self.query(grant, expires)),
        }
    }

    /// The key and the expiry of links that are created now. All other parts of a link belong to the output.
    pub(crate) fn window(&self, playing: Duration, now: DateTime<Utc>) -> (&str, i64) {
        let key = self.keys.first().map_or("", |key| &key.id);
        (key, self.expires(playing, now))
    }

    /// Expiry of a link that is created now, in seconds since the Unix epoch.
    fn expires(&self, playing: Duration, now: DateTime<Utc>) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let (ttl, playing) = (seconds(self.ttl), seconds(playing).saturating_add(1));
        if ttl == 0 {
            return now.timestamp();
        }
        let least = now.timestamp().saturating_add(ttl).saturating_add(playing);
        // Round up to the end of the window, so that all links of the window are equal.
        least.saturating_add(ttl - 1) / ttl * ttl
    }

    fn query(&self, grant: Grant<'_>, expires: i64) -> String {
        let Some(proof) = self.proof(grant, expires) else {
            return String::new();
        };
        format!(
            "output={}&expires={}&key={}&signature={}",
            grant.output, proof.expires, proof.key, proof.signature
        )
    }

    fn token(&self, grant: Grant<'_>, expires: i64) -> String {
        let proof = self.proof(grant, expires);
        proof.map_or_else(String::new, |proof| {
            format!("{}.{}.{}", proof.expires, proof.key, proof.signature)
        })
    }

    /// Signs a grant. Never `None`: there is always a current key.
    fn proof(&self, grant: Grant<'_>, expires: i64) -> Option<Proof> {
        let key = self.keys.first()?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.mac_of(grant, expires).finalize().into_bytes());
        Some(Proof {
            expires,
            key: key.id.clone(),
            signature,
        })
    }

    /// Checks a proof for a grant at `now`. The signature is compared in constant time.
    pub(crate) fn check(&self, proof: &Proof, grant: Grant<'_>, now: DateTime<Utc>) -> LinkStatus {
        let signature = BASE64_URL_SAFE_NO_PAD.decode(&proof.signature).unwrap_or_default();
        let key = self.keys.iter().find(|key| key.id == proof.key);
        let signed = key.is_some_and(|key| key.mac_of(grant, proof.expires).verify_slice(&signature).is_ok());
        match (signed, now.timestamp() < proof.expires) {
            (false, _) => LinkStatus::Invalid,
            (true, true) => LinkStatus::Valid,
            (true, false) => LinkStatus::Expired,
        }
    }
}

/// Duration of the longest output of a task. All links of the task use it, because a player of one output also reads
/// others, such as the sprite.
pub(crate) fn playing_time(outputs: &[output::Model]) -> Duration {
    let longest_ms = outputs.iter().filter_map(|output| output.duration_ms).max();
    Duration::from_millis(longest_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0))
}

impl Proof {
    /// Parses the token in the path of a file of a set: `expires.key.signature`.
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
    /// Derives the link key from a secret. The derivation separates it from the key of tokens, so that a link signature
    /// is never valid as a token. Never `None`: HMAC accepts keys of any length.
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

    /// The MAC of a grant. The message always says `GET`, because `HEAD` uses the link of `GET`. None of the parts can
    /// contain a line break, so the message is unambiguous.
    fn mac_of(&self, grant: Grant<'_>, expires: i64) -> HmacSha256 {
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

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_link_is_valid_until_it_expires() {
        let links = links("a", None);
        let proof = proof(&links.query(GRANT, 1_800_000_060));
        assert_eq!(links.check(&proof, GRANT, at(0)), LinkStatus::Valid);
        assert_eq!(links.check(&proof, GRANT, at(59)), LinkStatus::Valid);
        assert_eq!(links.check(&proof, GRANT, at(60)), LinkStatus::Expired);
    }

    #[test]
    fn links_of_one_window_are_equal_and_valid_longer_than_the_video_plays() {
        let links = links("a", None);
        let hour = Duration::from_secs(3_600);
        let mut ends = std::collections::BTreeSet::new();
        for second in 0..600 {
            let life = links.expires(hour, at(second)) - at(second).timestamp();
            assert!((3_600 + 60..=3_600 + 60 + 61).contains(&life), "{second}: {life}");
            ends.insert(links.expires(hour, at(second)));
        }
        assert_eq!(ends.len(), 10, "ten minutes are ten windows of a minute: {ends:?}");
        assert_eq!(
            links.query(GRANT, links.expires(hour, at(1))),
            links.query(GRANT, links.expires(hour, at(50)))
        );
    }

    #[test]
    fn a_token_in_a_path_is_equivalent_to_a_query() {
        let links = links("a", None);
        let proof = Proof::from_token(&links.token(GRANT, 1_800_000_060)).unwrap();
        assert_eq!(links.check(&proof, GRANT, at(0)), LinkStatus::Valid);
        for token in ["", "-", "1.2", "x.y.z", ".."] {
            let proof = Proof::from_token(token);
            let status = proof.map(|proof| links.check(&proof, GRANT, at(0)));
            assert!(
                !matches!(status, Some(LinkStatus::Valid | LinkStatus::Expired)),
                "{token}"
            );
        }
    }

    #[test]
    fn a_changed_link_is_invalid() {
        let links = links("a", None);
        let right = proof(&links.query(GRANT, 1_800_000_060));
        let (output, file_path) = ("poster.jpg", "2026/01/31/8_clip.mov");
        let other = |change: fn(&mut Proof)| {
            let mut proof = right.clone();
            change(&mut proof);
            proof
        };
        for (proof, grant) in [
            (right.clone(), Grant { output, ..GRANT }),
            (right.clone(), Grant { file_path, ..GRANT }),
            (other(|proof| proof.expires += 1), GRANT),
            (other(|proof| proof.expires -= 3_600), GRANT),
            (other(|proof| proof.key = "00000000".to_owned()), GRANT),
            (other(|proof| proof.signature.clear()), GRANT),
            (other(|proof| proof.signature = "%%%".to_owned()), GRANT),
        ] {
            assert_eq!(
                links.check(&proof, grant, at(0)),
                LinkStatus::Invalid,
                "{proof:?} {grant:?}"
            );
        }
    }

    #[test]
    fn a_link_stays_valid_during_a_rotation_and_is_invalid_elsewhere() {
        let old = proof(&links("a", None).query(GRANT, 1_800_000_060));
        assert_eq!(links("b", Some("a")).check(&old, GRANT, at(0)), LinkStatus::Valid);
        assert_eq!(links("b", None).check(&old, GRANT, at(0)), LinkStatus::Invalid);
    }
}
