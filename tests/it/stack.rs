//! The docker compose files of the production setup: services, volumes, settings, health checks and secrets.

use rushes::settings::{NAMES, Role, Settings};
use serde_yaml_ng::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const START: &str = "docker compose up --build --detach --wait";

/// The keys of services in the compose file format that the files use
/// (<https://github.com/compose-spec/compose-spec/blob/main/05-services.md>).
const SERVICE_KEYS: &[&str] = &[
    "build",
    "cap_drop",
    "command",
    "cpu_shares",
    "depends_on",
    "deploy",
    "entrypoint",
    "env_file",
    "environment",
    "healthcheck",
    "image",
    "init",
    "logging",
    "networks",
    "ports",
    "read_only",
    "restart",
    "security_opt",
    "shm_size",
    "stop_grace_period",
    "stop_signal",
    "tmpfs",
    "user",
    "volumes",
];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// A YAML file, with its merge keys applied.
pub(crate) fn compose(file: &str) -> Value {
    let mut value: Value = serde_yaml_ng::from_str(&read(file)).unwrap();
    // A merged map may contain a merge key itself.
    for _ in 0..3 {
        value.apply_merge().unwrap();
    }
    value
}

/// The entries of a mapping.
pub(crate) fn map(value: &Value) -> Vec<(String, Value)> {
    let pairs = value.as_mapping().into_iter().flatten();
    pairs
        .map(|(key, value)| (key.as_str().unwrap().to_owned(), value.clone()))
        .collect()
}

/// The strings of a sequence.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let items = value.as_sequence().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The services; with `s3` merged with those of `docker-compose.s3.yml`.
fn services(s3: bool) -> BTreeMap<String, Value> {
    let mut all: BTreeMap<_, _> = map(&compose("docker-compose.yml")["services"]).into_iter().collect();
    for (name, over) in map(&compose("docker-compose.s3.yml")["services"])
        .into_iter()
        .filter(|_| s3)
    {
        let Some(under) = all.get_mut(&name) else {
            all.insert(name, over);
            continue;
        };
        for (key, value) in map(&over) {
            assert!(
                ["environment", "depends_on"].contains(&&*key),
                "{name}.{key}: this test can merge maps only"
            );
            for (inner, value) in map(&value) {
                under[key.as_str()][inner.as_str()] = value;
            }
        }
    }
    all
}

/// Variables such as `${NAME:-default}` and `${NAME:?message}` in a text: name and the part after it.
fn variables(text: &str) -> BTreeMap<String, String> {
    let substitutions = text.split("${").skip(1).map(|rest| rest.split('}').next().unwrap());
    let split = |substitution: &str| {
        let end = substitution
            .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
            .unwrap_or(substitution.len());
        (substitution[..end].to_owned(), substitution[end..].to_owned())
    };
    substitutions.map(split).collect()
}

/// Replaces variables by their values or defaults, as docker compose does.
fn substituted(text: &str, given: &BTreeMap<String, String>) -> String {
    let mut result = text.to_owned();
    for (name, rest) in variables(text) {
        let value = given
            .get(&name)
            .cloned()
            .or_else(|| rest.strip_prefix(":-").map(str::to_owned));
        let value = value.unwrap_or_else(|| panic!("{name} has no value and no default"));
        result = result.replace(&format!("${{{name}{rest}}}"), &value);
    }
    result.replace("$$", "$")
}

/// The output of `./run secrets`.
fn secrets() -> BTreeMap<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let out = std::fs::File::create(file.path()).unwrap();
    let output = Command::new(root().join("run"))
        .arg("secrets")
        .stdout(out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others can read the secrets");
    let text = std::fs::read_to_string(file.path()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn every_service_is_hardened_and_limited_and_its_references_exist() {
    for s3 in [false, true] {
        let services = services(s3);
        let mut expected = vec!["backend", "migrate", "nginx", "postgres", "redis", "worker"];
        expected.extend(s3.then_some(["s3", "s3-bucket"]).into_iter().flatten());
        assert_eq!(
            services.keys().map(String::as_str).collect::<BTreeSet<_>>(),
            expected.into_iter().collect()
        );
        let (base, over) = (compose("docker-compose.yml"), compose("docker-compose.s3.yml"));
        let volumes: BTreeSet<_> = map(&base["volumes"])
            .into_iter()
            .chain(map(&over["volumes"]))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(services["worker"]["deploy"]["replicas"], 2);
        for (name, service) in &services {
            for (key, _) in map(service) {
                assert!(
                    SERVICE_KEYS.contains(&&*key),
                    "{name}: docker compose does not know `{key}`"
                );
            }
            assert_eq!(service["read_only"], true, "{name}");
            assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
            assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
            assert!(
                !service["user"].as_str().unwrap().starts_with('0'),
                "{name} runs as root"
            );
            assert!(service["deploy"]["resources"]["limits"]["memory"].is_string(), "{name}");
            assert!(service["logging"]["options"]["max-size"].is_string(), "{name}");
            let image = service["image"].as_str().unwrap();
            let tag = image.split_once(':').unwrap().1;
            assert!(!image.contains("minio"), "{name}: {image}");
            let is_ours = image.starts_with("rushes:");
            assert!(
                is_ours || tag.starts_with(|c: char| c.is_ascii_digit()),
                "{name}: {image} has no version"
            );
            for volume in texts(&service["volumes"])
                .iter()
                .filter(|volume| !volume.starts_with(['.', '/']))
            {
                assert!(volumes.contains(volume.split(':').next().unwrap()), "{name}: {volume}");
            }
            for (needed, _) in map(&service["depends_on"]) {
                assert!(services.contains_key(&needed), "{name} waits for {needed}");
            }
            // Services of our own image inherit its health check.
            let is_one_shot = service["restart"] == "no";
            let is_checked = service["healthcheck"]["test"].is_sequence() || image.starts_with("rushes:");
            assert!(is_one_shot || is_checked, "{name} has no health check");
        }
        for writer in ["backend", "worker"] {
            assert!(
                texts(&services[writer]["volumes"]).contains(&"files:/srv/rushes".to_owned()),
                "{writer}"
            );
        }
    }
    assert!(
        read("Dockerfile").contains("/srv/rushes"),
        "a new volume gets its owner from the image"
    );
}

/// Settings whose places are those of the image: the data directory with the catalog in it, and `rushes-media`.
const IN_IMAGE: &[&str] = &["RUSHES_DATA_DIR", "RUSHES_CATALOG_DIR", "RUSHES_MEDIA_BIN"];

#[test]
fn every_setting_is_passed_to_a_service_and_is_valid() {
    let given = secrets();
    for s3 in [false, true] {
        let services = services(s3);
        let mut passed = BTreeSet::new();
        for (service, role) in [
            ("backend", Role::Backend),
            ("worker", Role::Worker),
            ("migrate", Role::Migrate),
        ] {
            let environment: BTreeMap<_, _> = map(&services[service]["environment"])
                .into_iter()
                .map(|(name, value)| (name, substituted(value.as_str().unwrap(), &given)))
                .collect();
            for name in environment.keys() {
                assert!(NAMES.contains(&name.as_str()), "{service}: there is no setting {name}");
            }
            let directory = tempfile::tempdir().unwrap();
            let get = |name: &str| -> Option<OsString> {
                let home = (name == "RUSHES_DATA_DIR").then(|| directory.path().into());
                home.or_else(|| environment.get(name).map(Into::into))
            };
            let settings = Settings::read(role, &get).unwrap_or_else(|error| panic!("{service}: {error}"));
            assert_eq!(settings.storage_url.starts_with("s3://"), s3, "{service}");
            passed.extend(environment.into_keys());
        }
        // The AWS keys are set in the S3 override.
        let missing: Vec<_> = NAMES
            .iter()
            .filter(|name| !passed.contains(**name) && !IN_IMAGE.contains(name))
            .collect();
        assert!(
            missing.iter().all(|name| name.starts_with("AWS_")) && missing.is_empty() == s3,
            "{missing:?}"
        );
    }
    let (base, over) = (read("docker-compose.yml"), read("docker-compose.s3.yml"));
    let sample = read(".env.sample");
    for (name, rest) in variables(&base).into_iter().chain(variables(&over)) {
        assert!(
            sample.lines().any(|line| line.starts_with(&format!("#{name}="))),
            "{name} is not in .env.sample"
        );
        assert!(
            !rest.starts_with(":?") || given.contains_key(&name),
            "./run secrets does not generate {name}"
        );
    }
    // The service `migrate` gets the whole .env, so that it refuses unknown names.
    assert_eq!(services(false)["migrate"]["env_file"][0]["path"], ".env");
}

#[test]
fn secrets_are_long_alphanumeric_and_random() {
    let (one, other) = (secrets(), secrets());
    let bytes = [
        ("RUSHES_JWT_SECRET", 64),
        ("RUSHES_SEALING_KEY", 64),
        ("POSTGRES_PASSWORD", 48),
        ("REDIS_PASSWORD", 48),
        ("AWS_ACCESS_KEY_ID", 20),
        ("AWS_SECRET_ACCESS_KEY", 40),
        ("GRAFANA_PASSWORD", 32),
    ];
    assert_eq!(one.len(), bytes.len());
    for (name, length) in bytes {
        let (value, next) = (&one[name], &other[name]);
        assert!(
            value.len() == length && value.bytes().all(|b| b.is_ascii_alphanumeric()),
            "{name}={value}"
        );
        assert_ne!(value, next, "{name}");
    }
}

#[test]
fn the_documented_start_command_is_the_same_everywhere() {
    for file in [
        "README.md",
        "docker-compose.yml",
        "docker-compose.s3.yml",
        "docs/OPERATIONS.md",
        "run",
    ] {
        let text = read(file);
        assert!(text.contains(START), "{file} does not contain `{START}`");
        let other: Vec<_> = text
            .lines()
            .filter(|line| line.contains("docker compose") && line.contains(" up ") && !line.contains(START))
            .collect();
        assert!(other.is_empty(), "{file}: {other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_is_created_once_and_the_command_can_be_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let (address, _server) = storage::s3_server::start(directory.path(), "key-of-tests", "secret-of-tests")
        .await
        .unwrap();
    let command = texts(&services(true)["s3-bucket"]["command"])
        .remove(0)
        .replace("$$", "$");
    let create = move |secret: &'static str| {
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", &command])
            .env("ENDPOINT", format!("http://{address}"));
        shell.env("ACCESS", "key-of-tests").env("SECRET", secret);
        tokio::task::spawn_blocking(move || shell.output().unwrap())
    };
    for _ in 0..2 {
        let created = create("secret-of-tests").await.unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        assert!(directory.path().join("rushes").is_dir());
    }
    assert!(!create("another").await.unwrap().status.success());
}
