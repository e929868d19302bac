//! Signed links: a link opens one output until it expires, and nothing else.
//!
//! A task is asked for again and again, and caches know a file by its link. So the end of a link is rounded up to a multiple
//! of the time to live: all links to an output that are made within such a window are the same. A player reads the files of a
//! set one by one while it plays, so the length of the video is added to the time to live.

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

/// Result of checking a proof for a grant at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It opens the output.
    Valid,
    /// It did until it expired.
    Expired,
    /// It never did.
    Nothing,
}

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

    /// The part of a link below `/api/video/` that opens an output. It ends after the installation's time to live and the
    /// time that it takes to play the task's outputs, at the earliest, and at most one time to live later. For a set it leads
    /// to the file that names all others, and what that names is open by the same token.
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

    /// Seconds since 1970 at which a link ends that is made now.
    fn expires(&self, playing: Duration, now: DateTime<Utc>) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let (ttl, playing) = (seconds(self.ttl), seconds(playing).saturating_add(1));
        if ttl == 0 {
            return now.timestamp();
        }
        let least = now.timestamp().saturating_add(ttl).saturating_add(playing);
        // To the end of the window that the moment lies in.
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

    /// `None` never happens: there is always a key.
    fn proof(&self, grant: Grant<'_>, expires: i64) -> Option<Proof> {
        let key = self.keys.first()?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.over(grant, expires).finalize().into_bytes());
        Some(Proof {
            expires,
            key: key.id.clone(),
            signature,
        })
    }

    /// Checks the proof for this grant, now; the signature is compared in constant time.
    pub(crate) fn worth(&self, proof: &Proof, grant: Grant<'_>, now: DateTime<Utc>) -> Worth {
        let signature = BASE64_URL_SAFE_NO_PAD.decode(&proof.signature).unwrap_or_default();
        let key = self.keys.iter().find(|key| key.id == proof.key);
        let signed = key.is_some_and(|key| key.over(grant, proof.expires).verify_slice(&signature).is_ok());
        match (signed, now.timestamp() < proof.expires) {
            (false, _) => Worth::Nothing,
            (true, true) => Worth::Valid,
            (true, false) => Worth::Expired,
        }
    }
}

/// How long it takes to play the longest output of a task: while a player shows one, it reads others beside it.
pub(crate) fn playing_time(outputs: &[output::Model]) -> Duration {
    let longest_ms = outputs.iter().filter_map(|output| output.duration_ms).max();
    Duration::from_millis(longest_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0))
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

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_link_opens_its_output_until_it_expires() {
        let links = links("a", None);
        let proof = proof(&links.query(GRANT, 1_800_000_060));
        assert_eq!(links.worth(&proof, GRANT, at(0)), Worth::Valid);
        assert_eq!(links.worth(&proof, GRANT, at(59)), Worth::Valid);
        assert_eq!(links.worth(&proof, GRANT, at(60)), Worth::Expired);
    }

    #[test]
    fn links_of_one_window_are_the_same_and_outlive_the_video() {
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
    fn a_token_in_a_path_proves_the_same_as_a_query() {
        let links = links("a", None);
        let proof = Proof::from_token(&links.token(GRANT, 1_800_000_060)).unwrap();
        assert_eq!(links.worth(&proof, GRANT, at(0)), Worth::Valid);
        for token in ["", "-", "1.2", "x.y.z", ".."] {
            let proof = Proof::from_token(token);
            let worth = proof.map(|proof| links.worth(&proof, GRANT, at(0)));
            assert!(!matches!(worth, Some(Worth::Valid | Worth::Expired)), "{token}");
        }
    }

    #[test]
    fn a_changed_link_opens_nothing() {
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
            assert_eq!(links.worth(&proof, grant, at(0)), Worth::Nothing, "{proof:?} {grant:?}");
        }
    }

    #[test]
    fn a_link_survives_a_rotation_and_no_other_installation_takes_it() {
        let old = proof(&links("a", None).query(GRANT, 1_800_000_060));
        assert_eq!(links("b", Some("a")).worth(&old, GRANT, at(0)), Worth::Valid);
        assert_eq!(links("b", None).worth(&old, GRANT, at(0)), Worth::Nothing);
    }
}
