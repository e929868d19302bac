//! Settings in the environment and in `.env`: unknown names and invalid values prevent the start and are reported.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tests::executable;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Runs a role with one setting, until it ends.
fn start(role: &str, name: &str, value: &OsStr) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(executable());
    command
        .arg(role)
        .env_clear()
        .env("RUSHES_DATA_DIR", directory.path().join("data"));
    command.env(name, value).output().unwrap()
}

#[test]
fn an_unknown_setting_prevents_the_start_and_the_nearest_name_is_suggested() {
    for role in ["up", "backend", "worker", "migrate"] {
        for (name, nearest) in [
            ("RUSHES_WORKER", "RUSHES_WORKERS"),
            ("RUSHES_SECRET", "RUSHES_JWT_SECRET"),
        ] {
            let output = start(role, name, OsStr::new("a-private-value"));
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{role} {name}: {text}");
            assert!(text.contains(name) && text.contains(nearest), "{role} {name}: {text}");
            assert!(
                !text.contains("a-private-value"),
                "an unknown value may be a secret: {text}"
            );
        }
    }
}

#[test]
fn an_invalid_log_filter_number_or_encoding_prevents_the_start() {
    for (name, value, part) in [
        ("RUSHES_LOG", &b"verbose"[..], "verbose"),
        ("RUSHES_LOG", b"info,wroker=debug", "worker"),
        ("RUSHES_LOG", b"debug;worker=info", "debug;worker"),
        ("RUSHES_LANGUAGE", b"\xff", "UTF-8"),
        ("RUSHES_LINK_TTL_S", b"99999999", "1 to 2592000"),
        ("RUSHES_TOKEN_TTL_S", b"0", "1 to 2592000"),
        ("RUSHES_MAX_DURATION_S", b"18446744073709551615", "1 to 604800"),
        ("RUSHES_OUTBOUND_ALLOW", b"10.0.0.0/8,10.1", "10.1"),
        ("RUSHES_OUTBOUND_ALLOW", b"*.lan", "nas.lan"),
        ("RUSHES_LOOKUP_URL", b"ftp://geo.lan", "http://"),
        ("RUSHES_LOOKUP_URL", b"http://ana:secret@geo.lan", "without a user name"),
        ("RUSHES_LOOKUP_RATE", b"0", "1 to 1000"),
        ("RUSHES_LOOKUP_DIALECT", b"google", "postcodes.io"),
        ("RUSHES_WATCH_SETTLE_S", b"0", "1 to 3600"),
        ("RUSHES_WATCH_ACCESS_KEY_ID", b"key", "RUSHES_WATCH_SECRET_ACCESS_KEY"),
        ("RUSHES_DELIVERY", b"redirect", "STORAGE_URL is a directory"),
    ] {
        let output = start("up", name, OsStr::from_bytes(value));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {text}");
        assert!(
            text.contains(name) && text.contains(part) && text.contains("accepted"),
            "{name}: {text}"
        );
    }
}

/// Reads a `.env` with the script that `./run` uses and prints the value of `NAME`.
fn dotenv(text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".env"), text).unwrap();
    let script = r#". deploy/packages.sh && . deploy/dotenv.sh && read_dotenv "$1" && printf %s "${NAME-unset}""#;
    let mut command = Command::new("bash");
    command
        .args(["-euc", script, "bash"])
        .arg(directory.path().join(".env"));
    command
        .current_dir(root())
        .env_remove("NAME")
        .env("GIVEN", "by the environment")
        .output()
        .unwrap()
}

#[test]
fn a_dotenv_file_is_parsed_like_docker_compose_parses_it() {
    for (text, value) in [
        ("", "unset"),
        ("# NAME=a", "unset"),
        ("NAME=a", "a"),
        ("NAME=a\r\n", "a"),
        ("\u{feff}NAME=a", "a"),
        ("export NAME=a\n", "a"),
        ("  export  NAME = a b  ", "a b"),
        ("NAME=a # b", "a"),
        ("NAME=a\t# b", "a"),
        ("NAME=a#b", "a#b"),
        ("NAME= # b", ""),
        ("NAME=", ""),
        ("NAME='a # $b'", "a # $b"),
        ("NAME='a' # b", "a"),
        (r#"NAME="a # \"b\" \$c\t\\" # d"#, "a # \"b\" $c\t\\"),
        ("NAME=postgres://u:p@h/n?a=b&c=d", "postgres://u:p@h/n?a=b&c=d"),
        ("NAME=a\nNAME=b", "a"),
        ("GIVEN=x\nNAME=a", "a"),
    ] {
        let output = dotenv(text);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text:?}: {stderr}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value, "{text:?}");
    }
    for text in [
        "NAME",
        "NAME: a",
        "1NAME=a",
        "NAME='a",
        "NAME=\"a\nb\"",
        "NAME=\"a\" b",
        "NAME=${B}",
        "NAME=$B",
        "NAME=\"$B\"",
    ] {
        let output = dotenv(&format!("OTHER=x\n{text}"));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text:?}: {stderr}");
        assert!(stderr.contains("line 2"), "{text:?}: {stderr}");
    }
}
