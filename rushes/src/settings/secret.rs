//! The keys of the service: from the environment, or from files that are generated once.
//!
//! The key that signs tokens and links is one of the backends; a backend that runs alone requires the variable, because
//! all backends of a service must have the same key. The key that encrypts secrets of users is one of backends and
//! workers. Without it they refuse to store such secrets, so an upgrade needs no new setting.

use super::environment::{BadSetting, Environment, bad};
use super::role::Role;
use app::sealing::Sealer;
use backend::{Secret, Secrets};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const JWT_SECRET: &str = "RUSHES_JWT_SECRET";
const SEALING_KEY: &str = "RUSHES_SEALING_KEY";
const ACCEPTED: &str =
    "at least 32 random bytes, such as the output of `openssl rand -hex 32`; the previous key may follow after a comma";

/// Reads the key that signs and the previous one, which is only accepted and no longer used to sign.
pub(super) fn secrets(env: &Environment<'_>, role: Role, data_dir: &Path) -> Result<Secrets, BadSetting> {
    match keys(env, JWT_SECRET)? {
        Some(secrets) => Ok(secrets),
        None if role == Role::Backend => Err(bad(JWT_SECRET, "not set", ACCEPTED)),
        None => generated(data_dir, "jwt_secret"),
    }
}

/// Reads the keys that encrypt secrets of users; `None` without one.
pub(super) fn sealer(env: &Environment<'_>, role: Role, data_dir: &Path) -> Result<Option<Sealer>, BadSetting> {
    let secrets = match keys(env, SEALING_KEY)? {
        Some(secrets) => secrets,
        None if role == Role::Up => generated(data_dir, "sealing_key")?,
        None => return Ok(None),
    };
    let previous = secrets.previous.as_ref().map(Secret::bytes);
    Ok(Some(Sealer::new(secrets.current.bytes(), previous)))
}

/// Reads the current key and the previous one from a variable; `None` when it is not set.
fn keys(env: &Environment<'_>, name: &'static str) -> Result<Option<Secrets>, BadSetting> {
    let Some(text) = env.text(name)? else {
        return Ok(None);
    };
    let parse = |text: &str| Secret::new(text.trim()).map_err(|weak| bad(name, &weak.to_string(), ACCEPTED));
    let (current, previous) = match text.split_once(',') {
        Some((current, previous)) => (current, Some(parse(previous)?)),
        None => (text.as_str(), None),
    };
    Ok(Some(Secrets {
        current: parse(current)?,
        previous,
    }))
}

/// The key in a file of the data directory.
fn generated(data_dir: &Path, name: &str) -> Result<Secrets, BadSetting> {
    let current = load_or_generate(data_dir, name)
        .map_err(|error| bad("RUSHES_DATA_DIR", &error.to_string(), "a directory that can be written"))?;
    Ok(Secrets {
        current,
        previous: None,
    })
}

/// Loads a key of the data directory, or generates it. Only its owner can read the file.
fn load_or_generate(data_dir: &Path, name: &str) -> io::Result<Secret> {
    let path = data_dir.join(name);
    fs::create_dir_all(data_dir)?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => generate(&path)?,
        Err(error) => return Err(error),
    };
    Secret::new(text.trim()).map_err(|weak| io::Error::other(format!("{}: {weak}", path.display())))
}

fn generate(path: &Path) -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let text = hex::encode(bytes);
    // Written under another name first, so that a process that starts at the same time never reads an incomplete key.
    let draft = path.with_extension(std::process::id().to_string());
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // Unlike rename(2), link(2) fails when another process was faster; then its key is used.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path),
        Err(error) => Err(error),
    }
}
