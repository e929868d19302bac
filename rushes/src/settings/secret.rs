//! The keys that sign tokens and links: from the environment in production, made once on a single machine.

use super::read::{Read, bad};
use super::{BadSetting, Role};
use backend::{Secret, Secrets};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const NAME: &str = "RUSHES_JWT_SECRET";
const ACCEPTED: &str = "at least 32 random bytes, such as of `openssl rand -hex 32`; an older one may follow a comma";

pub(super) fn secrets(env: &Read<'_>, role: Role, data_dir: &Path) -> Result<Secrets, BadSetting> {
    let Some(text) = env.text(NAME)? else {
        if role == Role::Backend {
            return Err(bad(NAME, "not set", ACCEPTED));
        }
        let made = own(data_dir)
            .map_err(|error| bad("RUSHES_DATA_DIR", &error.to_string(), "a directory that can be written"))?;
        return Ok(Secrets {
            current: made,
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

/// The key under the data directory, made when it is not there yet, readable by its owner only.
fn own(data_dir: &Path) -> io::Result<Secret> {
    let path = data_dir.join("jwt_secret");
    fs::create_dir_all(data_dir)?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path)?,
        Err(error) => return Err(error),
    };
    Secret::new(text.trim()).map_err(|weak| io::Error::other(format!("{}: {weak}", path.display())))
}

fn make(path: &Path) -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let text = hex::encode(bytes);
    // Under another name first: a process that starts at the same moment never reads half a key.
    let draft = path.with_extension(std::process::id().to_string());
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path),
        Err(error) => Err(error),
    }
}
