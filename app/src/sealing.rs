//! Encrypts the secrets that users entrust to the service, such as the keys of their buckets, for the database.
//!
//! *Problem.* The service presents these secrets to others, so it cannot keep hashes of them. A copy of the database
//! or a backup must not reveal them.
//!
//! *Mechanism.* AES-256-GCM (NIST SP 800-38D) with random nonces. The key is derived with HKDF-SHA256 (RFC 5869) from
//! a key of the operator, which is in no database. Each value is bound to its *purpose*, such as the name of its row:
//! a value that was copied into another row cannot be opened there.
//!
//! *Rotation.* A value opens with the current key or with the previous one. It is sealed with the current one when it
//! is written the next time.

use crate::{Error, Refusal};
use aws_lc_rs::aead::{AES_256_GCM, Aad, MAX_TAG_LEN, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use domain::Code;
use std::fmt;
use std::sync::Arc;

/// First byte of a sealed value: the format of the rest.
const FORMAT: u8 = 1;

/// Binds the derived key to this use of the operator's key.
const CONTEXT: &[u8] = b"rushes sealed values";

/// Encrypts and decrypts secrets. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    /// The current key, then the previous one.
    keys: Arc<[RandomizedNonceKey]>,
}

/// The error for a value that no key opens: it was sealed with another key or for another purpose, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotOpen;

impl fmt::Display for CannotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no key of RUSHES_SEALING_KEY opens this value")
    }
}

impl std::error::Error for CannotOpen {}

impl Sealer {
    /// Derives the keys from those of the operator, of which each has at least 256 random bits.
    ///
    /// # Panics
    /// Never: the derived keys have the length that the cipher requires.
    #[must_use]
    pub fn new(current: &[u8], previous: Option<&[u8]>) -> Self {
        let keys = std::iter::once(current).chain(previous).map(derive_key);
        Self { keys: keys.collect() }
    }

    /// Encrypts a secret. `purpose` must be given again to open it.
    ///
    /// # Errors
    /// The cipher failed, as without random numbers.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<String, Error> {
        let failed = || Error::Internal(anyhow::anyhow!("a secret could not be encrypted"));
        let key = self.keys.first().ok_or_else(failed)?;
        let mut encrypted = secret.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(purpose), &mut encrypted);
        let nonce = nonce.map_err(|_| failed())?;
        let sealed = [&[FORMAT], nonce.as_ref().as_slice(), &encrypted].concat();
        Ok(BASE64.encode(sealed))
    }

    /// Decrypts a sealed value.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, CannotOpen> {
        let sealed = BASE64.decode(sealed).map_err(|_| CannotOpen)?;
        let rest = sealed.strip_prefix(&[FORMAT]).ok_or(CannotOpen)?;
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        let open = |key: &RandomizedNonceKey| {
            let mut secret = encrypted.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let bytes = key.open_in_place(nonce, Aad::from(purpose), &mut secret).ok()?.len();
            secret.truncate(bytes);
            Some(secret)
        };
        self.keys.iter().find_map(open).ok_or(CannotOpen)
    }

    /// Decrypts a sealed value that is text.
    ///
    /// # Errors
    /// [`CannotOpen`], also for bytes that are not UTF-8.
    pub fn open_text(&self, purpose: &str, sealed: &str) -> Result<String, CannotOpen> {
        String::from_utf8(self.open(purpose, sealed)?).map_err(|_| CannotOpen)
    }
}

/// Longest sealed form of a secret of `bytes` bytes.
#[must_use]
pub const fn sealed_len(bytes: usize) -> usize {
    (1 + NONCE_LEN + bytes + MAX_TAG_LEN).div_ceil(3) * 4
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// The refusal of an operation that needs a [`Sealer`] where the operator has given no key.
#[must_use]
pub fn unavailable() -> Refusal {
    Refusal::new(Code::SealingUnavailable).detail("the operator has not set RUSHES_SEALING_KEY")
}

#[expect(clippy::expect_used, reason = "both lengths are those of the cipher")]
fn derive_key(bytes: &[u8]) -> RandomizedNonceKey {
    let mut key = [0; 32];
    let derived = Salt::new(HKDF_SHA256, &[]).extract(bytes);
    let filled = derived
        .expand(&[CONTEXT], HKDF_SHA256)
        .and_then(|material| material.fill(&mut key));
    filled.expect("the length of SHA-256");
    RandomizedNonceKey::new(&AES_256_GCM, &key).expect("a key of 256 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"the key of a bucket";

    #[test]
    fn a_sealed_value_opens_for_its_purpose_only() {
        let sealer = Sealer::new(&[1; 32], None);
        let sealed = sealer.seal("credentials/7", SECRET).unwrap();
        assert_eq!(sealer.open("credentials/7", &sealed).unwrap(), SECRET);
        assert_eq!(sealer.open("credentials/8", &sealed), Err(CannotOpen));
        assert_ne!(sealer.seal("credentials/7", SECRET).unwrap(), sealed, "nonces differ");
        assert!(sealed.len() <= sealed_len(SECRET.len()));
    }

    #[test]
    fn a_value_of_the_previous_key_opens_and_one_of_an_older_key_does_not() {
        let old = Sealer::new(&[1; 32], None).seal("a", SECRET).unwrap();
        assert_eq!(Sealer::new(&[2; 32], Some(&[1; 32])).open("a", &old).unwrap(), SECRET);
        assert_eq!(Sealer::new(&[3; 32], Some(&[2; 32])).open("a", &old), Err(CannotOpen));
    }

    #[test]
    fn a_changed_value_does_not_open() {
        let sealer = Sealer::new(&[1; 32], None);
        let sealed = BASE64.decode(sealer.seal("a", SECRET).unwrap()).unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(
                sealer.open("a", &BASE64.encode(changed)),
                Err(CannotOpen),
                "byte {index}"
            );
        }
        for length in 0..sealed.len() {
            assert_eq!(sealer.open("a", &BASE64.encode(&sealed[..length])), Err(CannotOpen));
        }
        assert_eq!(sealer.open("a", "no base64"), Err(CannotOpen));
    }

    #[test]
    fn debug_output_has_no_key() {
        assert_eq!(format!("{:?}", Sealer::new(&[1; 32], None)), "Sealer(…)");
    }
}
