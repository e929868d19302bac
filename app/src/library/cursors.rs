//! Cursors as clients see them: opaque and signed, so that no client can ask for a page that the server never offered.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::library::Cursor;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Length of a signature in bytes: HMAC-SHA256, truncated as RFC 2104 §5 allows.
const SIGNATURE_BYTES: usize = 16;

/// Maximum length of a text that is decoded.
const MAX_CHARACTERS: usize = 8_192;

/// The keys that sign cursors. Cloning them is cheap.
#[derive(Clone)]
pub struct CursorKeys(Vec<Hmac<Sha256>>);

impl CursorKeys {
    /// Derives a key from each secret of the installation. The first one signs, all of them are accepted.
    pub fn derive<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let derived = secrets.into_iter().filter_map(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            mac.update(b"rushes cursors v1");
            Hmac::new_from_slice(&mac.finalize().into_bytes()).ok()
        });
        Self(derived.collect())
    }

    /// The text of a cursor; `None` without a key.
    pub(super) fn sign(&self, cursor: &Cursor) -> Option<String> {
        let mut bytes = cursor.encode();
        let signature = signature(self.0.first()?, &bytes);
        bytes.extend(signature);
        Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The cursor of a text; `None` if this server has not signed it.
    pub(super) fn read(&self, text: &str) -> Option<Cursor> {
        if text.len() > MAX_CHARACTERS {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (bytes, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        let is_signed = |key: &Hmac<Sha256>| {
            let mut mac = key.clone();
            mac.update(bytes);
            mac.verify_truncated_left(signature).is_ok()
        };
        self.0
            .iter()
            .any(is_signed)
            .then(|| Cursor::decode(bytes).ok())
            .flatten()
    }
}

fn signature(key: &Hmac<Sha256>, bytes: &[u8]) -> Vec<u8> {
    let mut mac = key.clone();
    mac.update(bytes);
    mac.finalize().into_bytes().into_iter().take(SIGNATURE_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::library::Sort;

    #[test]
    fn a_cursor_is_read_by_the_server_that_signed_it_and_by_no_other() {
        let cursor = Cursor {
            sort: Sort::Votes,
            value: 7,
            id: 9,
            fingerprint: 11,
            ranked: None,
            corrections: Vec::new(),
        };
        let (old, new) = (b"old secret".as_slice(), b"new secret".as_slice());
        let text = CursorKeys::derive([old]).sign(&cursor).unwrap();
        assert_eq!(CursorKeys::derive([old]).read(&text), Some(cursor.clone()));
        assert_eq!(
            CursorKeys::derive([new, old]).read(&text),
            Some(cursor),
            "during a rotation"
        );
        assert_eq!(CursorKeys::derive([new]).read(&text), None);
        let longer = format!("{text}A");
        for changed in ["", "A", "%", &text[1..], &longer, &"A".repeat(9_000)] {
            assert_eq!(CursorKeys::derive([old]).read(changed), None, "{changed}");
        }
    }
}
