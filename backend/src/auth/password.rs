//! Password hashes: argon2id by RFC 9106, in a bounded pool of threads.

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
/// How many may wait in a queue for one thread. At 30 ms each the last one waits about a second.
const QUEUE_PER_THREAD: usize = 32;
/// 16 and 32 bytes that no known password leads to.
const DUMMY_SALT: &str = "AAAAAAAAAAAAAAAAAAAAAA";
const DUMMY_HASH: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Makes and checks hashes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hasher(Arc<Inner>);

struct Inner {
    argon2: Argon2<'static>,
    pool: Pool,
    /// A hash with the current parameters, so that an unknown user costs as much as a known one.
    dummy: String,
}

/// More passwords wait than can be checked soon.
#[derive(Debug)]
pub(crate) struct Busy;

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another password, or no such user.
    Wrong,
    /// The password.
    Right,
    /// The password; its hash was made with other parameters, this is one with the current ones.
    Outdated(String),
}

impl Hasher {
    /// `threads` hashes at a time, at least one.
    pub(crate) fn new(threads: usize) -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within RFC 9106");
        let threads = threads.max(1);
        Self(Arc::new(Inner {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            pool: Pool::new(threads, threads * QUEUE_PER_THREAD),
            dummy: format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${DUMMY_SALT}${DUMMY_HASH}"),
        }))
    }

    /// One core stays free for everybody else.
    pub(crate) fn for_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new(cores.saturating_sub(1))
    }

    /// Reserves a slot for one hash; call it before the database is asked.
    ///
    /// # Errors
    /// [`Busy`] when too many wait.
    pub(crate) fn reserve(&self, priority: Priority) -> Result<Slot, Busy> {
        self.0.pool.reserve(priority).ok_or(Busy)
    }

    /// The hash of a new password, as a PHC string.
    pub(crate) async fn hash(&self, slot: Slot, password: Password) -> anyhow::Result<String> {
        self.run(slot, move |argon2, _| hash(argon2, password.secret().as_bytes()))
            .await
    }

    /// Checks a password against a stored hash; `None` takes as long and is always wrong.
    pub(crate) async fn verify(
        &self,
        slot: Slot,
        password: Vec<u8>,
        stored: Option<String>,
    ) -> anyhow::Result<Verdict> {
        self.run(slot, move |argon2, dummy| {
            verify(argon2, dummy, &password, stored.as_deref())
        })
        .await
    }

    /// Has `work` done by the pool. It is done even when the caller goes away meanwhile.
    async fn run<T: Send + 'static>(
        &self,
        slot: Slot,
        work: impl FnOnce(&Argon2<'static>, &str) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (answer, asked) = oneshot::channel();
        let (argon2, dummy) = (self.0.argon2.clone(), self.0.dummy.clone());
        // The work holds no reference to the pool: a thread of the pool must not be the one that drops it.
        self.0.pool.submit(slot, move || {
            let _ = answer.send(work(&argon2, &dummy));
        });
        asked.await.context("a hash was not finished")?
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> anyhow::Result<String> {
    let mut salt = [0; Salt::RECOMMENDED_LENGTH];
    getrandom::fill(&mut salt).context("failed to draw a salt")?;
    let salt = Salt::new(&salt).context("failed to make a salt")?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).context("failed to name the parameters")?,
        hash: Some(compute(argon2, password, &salt, Params::DEFAULT_OUTPUT_LEN)?),
        salt: Some(salt),
    };
    Ok(hash.to_string())
}

fn verify(current: &Argon2<'_>, dummy: &str, password: &[u8], stored: Option<&str>) -> anyhow::Result<Verdict> {
    let parsed = PasswordHash::new(stored.unwrap_or(dummy)).context("a stored hash is damaged")?;
    let (Some(salt), Some(expected)) = (&parsed.salt, &parsed.hash) else {
        anyhow::bail!("a stored hash has no salt or no output");
    };
    let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).context("a stored hash is of another algorithm")?;
    let version = parsed
        .version
        .map(Version::try_from)
        .transpose()
        .context("a stored hash is of another version")?;
    let params = Params::try_from(&parsed).context("a stored hash has odd parameters")?;
    let up_to_date = algorithm == Algorithm::Argon2id
        && (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES);
    let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
    // Outputs are compared in constant time.
    let right = compute(&argon2, password, salt, expected.len())? == *expected;
    match (stored.is_some() && right, up_to_date) {
        (false, _) => Ok(Verdict::Wrong),
        (true, true) => Ok(Verdict::Right),
        (true, false) => hash(current, password).map(Verdict::Outdated),
    }
}

/// glibc maps a block from this size on by itself and gives it back when it is freed; a smaller one would stay with the
/// process for ever after the first (mallopt(3), `M_MMAP_THRESHOLD`). Pages that are not written to cost nothing.
const MAPPED_BLOCKS: usize = (32 << 10) + 64;

fn compute(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], length: usize) -> anyhow::Result<Output> {
    let count = argon2.params().block_count();
    let mut memory = Vec::with_capacity(count.max(MAPPED_BLOCKS));
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
    async fn a_password_is_told_from_another_and_from_none() {
        let hasher = Hasher::new(1);
        let slot = || hasher.reserve(Priority::Other).unwrap();
        let hash = hasher.hash(slot(), password("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = async |text: &str, hash| hasher.verify(slot(), text.into(), hash).await.unwrap();
        assert_eq!(verify("correct horse", Some(hash.clone())).await, Verdict::Right);
        assert_eq!(verify("battery staple", Some(hash)).await, Verdict::Wrong);
        assert_eq!(verify("correct horse", None).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_made_anew() {
        let hasher = Hasher::new(1);
        let old = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(64, 1, 1, None).unwrap(),
        );
        let old = super::hash(&old, b"correct horse").unwrap();
        let verdict = hasher
            .verify(
                hasher.reserve(Priority::Known).unwrap(),
                b"correct horse".to_vec(),
                Some(old),
            )
            .await
            .unwrap();
        assert!(matches!(verdict, Verdict::Outdated(hash) if hash.contains("m=19456,t=2,p=1")));
    }
}
