//! The keys that sign tokens and links: from the environment, or from a file that is generated once.
//!
//! A backend that runs alone requires the variable, because all backends of a service must have the same key.

use super::environment::{BadSetting, Environment, bad};
use super::role::Role;
use backend::{Secret, Secrets};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const NAME: &str = "RUSHES_JWT_SECRET";
const ACCEPTED: &str =
    "at least 32 random bytes, such as the output of `openssl rand -hex 32`; the previous key may follow after a comma";

/// Reads the current key and the previous one, which is only accepted and no longer used to sign.
pub(super) fn secrets(env: &Environment<'_>, role: Role, data_dir: &Path) -> Result<Secrets, BadSetting> {
    let Some(text) = env.text(NAME)? else {
        if role == Role::Backend {
            return Err(bad(NAME, "not set", ACCEPTED));
        }
        let generated = load_or_generate(data_dir)
            .map_err(|error| bad("RUSHES_DATA_DIR", &error.to_string(), "a directory that can be written"))?;
        return Ok(Secrets {
            current: generated,
            previous: None,
        });
    };
    let parse = |text: &str| Secret::new(text.trim()).map_err(|weak| bad(NAME, &weak.to_string(), ACCEPTED));
    match text.split_once(',') {
        Some((current, previous)) => Ok(Secrets {
            current: parse(current)?,
            previous: Some(parse(previous)?),
        }),
        None => Ok(Secrets {
            current: parse(&text)?,
            previous: None,
        }),
    }
}

/// Loads the key of the data directory, or generates it. Only its owner can read the file.
fn load_or_generate(data_dir: &Path) -> io::Result<Secret> {
    let path = data_dir.join("jwt_secret");
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
