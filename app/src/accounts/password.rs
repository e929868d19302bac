//! Password hashes: argon2id (RFC 9106) with the parameters that OWASP recommends, computed in a bounded thread pool.

use super::pool::{Pool, Priority, Slot};
use anyhow::Context as _;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use domain::account::Password;
use std::sync::Arc;
use tokio::sync::oneshot;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Queue length per thread. At 30 ms per hash the last one waits about a second.
const QUEUE_PER_THREAD: usize = 32;
/// A salt of 16 zero bytes and a hash of 32 zero bytes; no known password has this hash.
const DUMMY_SALT: &str = "AAAAAAAAAAAAAAAAAAAAAA";
const DUMMY_HASH: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Computes and checks password hashes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hasher(Arc<HasherParts>);

/// The parts that all clones of a [`Hasher`] share.
struct HasherParts {
    argon2: Argon2<'static>,
    pool: Pool,
    /// A hash with the current parameters. A login to an unknown account is checked against it, so that the response
    /// time does not tell if the account exists.
    dummy: String,
}

/// The error when the queue of the thread pool is full.
#[derive(Debug)]
pub(crate) struct QueueFull;

/// The result of checking a password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PasswordCheck {
    /// The password is wrong, or there is no stored hash.
    Wrong,
    /// The password is correct.
    Correct,
    /// The password is correct, but its hash has outdated parameters. The value is a hash with the current ones.
    Outdated(String),
}

impl Hasher {
    /// A hasher with `threads` threads, at least one.
    pub(crate) fn new(threads: usize) -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within RFC 9106");
        let threads = threads.max(1);
        Self(Arc::new(HasherParts {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            pool: Pool::new(threads, threads * QUEUE_PER_THREAD),
            dummy: format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${DUMMY_SALT}${DUMMY_HASH}"),
        }))
    }

    /// A hasher for this machine. One core stays free for other requests.
    pub(crate) fn for_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new(cores.saturating_sub(1))
    }

    /// Reserves a slot for one hash. Call it before the database is asked.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub(crate) fn reserve(&self, priority: Priority) -> Result<Slot, QueueFull> {
        self.0.pool.reserve(priority).ok_or(QueueFull)
    }

    /// Hashes a new password; returns a PHC string.
    pub(crate) async fn hash(&self, slot: Slot, password: Password) -> anyhow::Result<String> {
        self.run(slot, move |argon2, _| hash(argon2, password.secret().as_bytes()))
            .await
    }

    /// Checks a password against a stored hash. `None` takes the same time and is always wrong.
    ///
    /// # Errors
    /// A stored hash that cannot be parsed.
    pub(crate) async fn verify(
        &self,
        slot: Slot,
        password: Vec<u8>,
        stored: Option<String>,
    ) -> anyhow::Result<PasswordCheck> {
        self.run(slot, move |argon2, dummy| {
            verify(argon2, dummy, &password, stored.as_deref())
        })
        .await
    }

    /// Runs `work` in the pool. It also runs when the caller is dropped in the meantime.
    async fn run<T: Send + 'static>(
        &self,
        slot: Slot,
        work: impl FnOnce(&Argon2<'static>, &str) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (sender, receiver) = oneshot::channel();
        // Cloned, so that queued work does not keep the pool itself alive: a thread of the pool must not be the one
        // that drops it.
        let (argon2, dummy) = (self.0.argon2.clone(), self.0.dummy.clone());
        self.0.pool.submit(slot, move || {
            let _ = sender.send(work(&argon2, &dummy));
        });
        receiver.await.context("a password hash was not finished")?
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> anyhow::Result<String> {
    let mut salt = [0; Salt::RECOMMENDED_LENGTH];
    getrandom::fill(&mut salt).context("failed to generate a salt")?;
    let salt = Salt::new(&salt).context("failed to encode a salt")?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).context("failed to encode the parameters")?,
        hash: Some(compute(argon2, password, &salt, Params::DEFAULT_OUTPUT_LEN)?),
        salt: Some(salt),
    };
    Ok(hash.to_string())
}

fn verify(current: &Argon2<'_>, dummy: &str, password: &[u8], stored: Option<&str>) -> anyhow::Result<PasswordCheck> {
    let parsed = PasswordHash::new(stored.unwrap_or(dummy)).context("a stored hash is damaged")?;
    let (Some(salt), Some(expected)) = (&parsed.salt, &parsed.hash) else {
        anyhow::bail!("a stored hash has no salt or no output");
    };
    let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).context("a stored hash has an unknown algorithm")?;
    let version = parsed
        .version
        .map(Version::try_from)
        .transpose()
        .context("a stored hash has an unknown version")?;
    let params = Params::try_from(&parsed).context("a stored hash has invalid parameters")?;
    let up_to_date = algorithm == Algorithm::Argon2id
        && (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES);
    let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
    // `Output` compares in constant time.
    let is_correct = compute(&argon2, password, salt, expected.len())? == *expected;
    match (stored.is_some() && is_correct, up_to_date) {
        (false, _) => Ok(PasswordCheck::Wrong),
        (true, true) => Ok(PasswordCheck::Correct),
        (true, false) => hash(current, password).map(PasswordCheck::Outdated),
    }
}

/// Minimum capacity of the memory of a hash, in blocks of 1 KiB: just above 32 MiB. From that size on, glibc always
/// allocates by `mmap` and returns the memory to the kernel when it is freed. Below it, glibc raises its threshold
/// after the first `free` and keeps the memory in the heap (mallopt(3), `M_MMAP_THRESHOLD`). Pages that are never
/// written use no memory.
const MMAP_BLOCKS: usize = (32 << 10) + 64;

fn compute(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], length: usize) -> anyhow::Result<Output> {
    let count = argon2.params().block_count();
    let mut memory = Vec::with_capacity(count.max(MMAP_BLOCKS));
    memory.resize(count, Block::new());
    let mut buffer = [0; Output::MAX_LENGTH];
    let out = buffer.get_mut(..length).context("a stored hash is too long")?;
    argon2
        .hash_password_into_with_memory(password, salt, out, &mut memory)
        .map_err(|error| anyhow::anyhow!("failed to hash a password: {error}"))?;
    Output::new(out).context("failed to hash a password")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn only_the_password_of_the_hash_is_correct() {
        let hasher = Hasher::new(1);
        let slot = || hasher.reserve(Priority::Other).unwrap();
        let hash = hasher.hash(slot(), password("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = async |text: &str, hash| hasher.verify(slot(), text.into(), hash).await.unwrap();
        assert_eq!(
            verify("correct horse", Some(hash.clone())).await,
            PasswordCheck::Correct
        );
        assert_eq!(verify("battery staple", Some(hash)).await, PasswordCheck::Wrong);
        assert_eq!(verify("correct horse", None).await, PasswordCheck::Wrong);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_replaced() {
        let hasher = Hasher::new(1);
        let old = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(64, 1, 1, None).unwrap(),
        );
        let old = super::hash(&old, b"correct horse").unwrap();
        let check = hasher
            .verify(
                hasher.reserve(Priority::Known).unwrap(),
                b"correct horse".to_vec(),
                Some(old),
            )
            .await
            .unwrap();
        assert!(matches!(check, PasswordCheck::Outdated(hash) if hash.contains("m=19456,t=2,p=1")));
    }
}
