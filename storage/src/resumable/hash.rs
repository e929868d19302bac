//! The state of a SHA-256 as text, so that another process can continue it.

use crate::error::Error;
use crate::key::Key;
use sha2::Sha256;
use sha2::digest::common::hazmat::SerializableState;

/// The state as text.
pub(super) fn to_text(hash: &Sha256) -> String {
    hex::encode(hash.serialize())
}

/// Parses the state of the hash of a file; a new hash if there is none.
///
/// # Errors
/// [`Error::Unavailable`] if another version of the program has written it in another form.
pub(super) fn from_text(text: Option<&str>, key: &Key) -> Result<Sha256, Error> {
    let Some(text) = text else { return Ok(Sha256::default()) };
    let read = hex::decode(text).ok().and_then(|bytes| {
        let bytes = bytes.as_slice().try_into().ok()?;
        Sha256::deserialize(bytes).ok()
    });
    read.ok_or_else(|| Error::Unavailable {
        doing: "resume",
        key: key.to_string(),
        source: "the state of its hash cannot be read".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;
    use uuid::Uuid;

    #[test]
    fn a_hash_is_continued_from_its_text() {
        let key = Key::source(Uuid::nil());
        let data: Vec<u8> = (0..=u8::MAX).cycle().take(1_000).collect();
        for cut in [0, 1, 63, 64, 65, 999, 1_000] {
            let first = Sha256::new_with_prefix(&data[..cut]);
            let mut second = from_text(Some(&to_text(&first)), &key).unwrap();
            second.update(&data[cut..]);
            assert_eq!(second.finalize(), Sha256::digest(&data), "{cut}");
        }
        assert!(from_text(Some("00"), &key).is_err());
        assert!(from_text(Some("no hexadecimal"), &key).is_err());
    }
}
