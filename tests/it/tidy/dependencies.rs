//! Dependencies between crates: they point in one direction, and each external technology has one crate.

use super::repository::{members, read, root};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The crates of the workspace that a crate may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("background", &[]),
    ("domain", &[]),
    ("migration", &[]),
    ("entity", &["domain"]),
    ("outbound", &["domain"]),
    ("storage", &["domain", "outbound"]),
    ("queue", &["background", "domain"]),
    ("media", &["domain"]),
    ("api", &["domain"]),
    ("catalog", &["domain"]),
    ("manifest", &[]),
    ("client", &["api"]),
    ("move_in", &["domain"]),
    ("regions", &[]),
    (
        "app",
        &[
            "catalog", "domain", "entity", "manifest", "outbound", "queue", "regions", "storage",
        ],
    ),
    ("grpc", &["app", "domain"]),
    (
        "backend",
        &["api", "app", "background", "domain", "entity", "queue", "storage"],
    ),
    (
        "worker",
        &["app", "background", "domain", "entity", "outbound", "queue", "storage"],
    ),
    (
        "rushes",
        &[
            "api",
            "app",
            "background",
            "backend",
            "client",
            "domain",
            "entity",
            "grpc",
            "migration",
            "move_in",
            "outbound",
            "queue",
            "storage",
            "worker",
        ],
    ),
    (
        "tests",
        &[
            "app",
            "background",
            "backend",
            "domain",
            "entity",
            "migration",
            "queue",
            "rushes",
            "storage",
            "worker",
        ],
    ),
];

/// The external crates that belong to some of ours. All other crates reach the technology through these.
const TECHNOLOGIES: &[(&str, &[&str])] = &[
    ("apalis", &["queue"]),
    ("apalis-core", &["queue"]),
    ("apalis-redis", &["queue"]),
    ("argon2", &["app"]),
    ("aws-lc-rs", &["app"]),
    ("axum", &["backend", "grpc"]),
    ("csv", &["backend"]),
    ("csv-core", &["manifest"]),
    ("ffmpeg-next", &["media"]),
    ("flate2", &["manifest"]),
    ("geo", &["regions"]),
    ("geozero", &["regions"]),
    ("jsonwebtoken", &["backend"]),
    ("landlock", &["media"]),
    ("object_store", &["storage"]),
    ("redis", &["queue"]),
    ("reqwest", &["client", "move_in", "outbound"]),
    ("ruzstd", &["manifest"]),
    ("sea-orm", &["entity"]),
    ("sea-orm-migration", &["migration"]),
    ("seccompiler", &["media"]),
    ("sqlx", &["catalog", "entity"]),
    ("standardwebhooks", &["app"]),
    ("tonic", &["grpc"]),
    ("tower-http", &["backend"]),
    ("utoipa-axum", &["backend"]),
];

/// This crate looks at the service from outside: it reads and ages rows, keys and tokens by itself. So it names any
/// technology.
const OBSERVER: &str = "tests";

/// Crates that name the technology of another one. May only shrink: an entry that no longer holds fails the test.
const TECHNOLOGIES_ELSEWHERE: &[(&str, &str)] = &[];

#[test]
fn dependencies_point_one_way() {
    let members = members();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    for name in &members {
        let allowed = allowed.get(name.as_str());
        let allowed = allowed.unwrap_or_else(|| panic!("{name} is new: say in ALLOWED what it may depend on"));
        let used = dependencies(name).into_iter().filter(|used| members.contains(used));
        for used in used {
            assert!(allowed.contains(&used.as_str()), "{name} must not depend on {used}");
        }
    }
}

#[test]
fn each_external_technology_has_its_crates() {
    let mut elsewhere: BTreeSet<(&str, &str)> = BTreeSet::new();
    let members = members();
    for name in members.iter().filter(|name| *name != OBSERVER) {
        let used = dependencies(name);
        let foreign = TECHNOLOGIES
            .iter()
            .filter(|(technology, homes)| !homes.contains(&name.as_str()) && used.contains(*technology));
        elsewhere.extend(foreign.map(|(technology, _)| (*technology, name.as_str())));
    }
    assert_eq!(
        elsewhere,
        TECHNOLOGIES_ELSEWHERE.iter().copied().collect(),
        "left: a technology and the crate that names it against the rule; right: what is tolerated"
    );
}

/// The names below `[dependencies]` in the manifest of a crate.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = read(&format!("{name}/Cargo.toml"));
    let section = manifest
        .split("[dependencies]")
        .nth(1)
        .unwrap_or("")
        .split("\n[")
        .next()
        .unwrap_or("")
        .to_owned();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_second_crypto_provider_is_linked() {
    let tree = |name: &str| {
        let arguments = [
            "tree",
            "--offline",
            "--locked",
            "-p",
            "rushes",
            "-e",
            "normal",
            "-i",
            name,
        ];
        let output = Command::new("cargo")
            .args(arguments)
            .current_dir(root())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for name in ["ring", "openssl-sys"] {
        assert_eq!(tree(name), "", "{name} is linked");
    }
    assert!(tree("aws-lc-rs").contains("rustls"), "the check itself works");
}
