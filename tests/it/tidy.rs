//! House rules that no lint knows: who may depend on whom, file sizes, what must be documented.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files that git knows or would add, with this ending.
fn files(ending: &str) -> Vec<String> {
    let listed = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(listed).current_dir(root()).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let exists = |file: &&str| root().join(file).exists();
    listed
        .lines()
        .filter(|file| file.ends_with(ending))
        .filter(exists)
        .map(str::to_owned)
        .collect()
}

const CRATES: [&str; 10] = [
    "background",
    "domain",
    "entity",
    "migration",
    "storage",
    "queue",
    "media",
    "backend",
    "worker",
    "rushes",
];

#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("background", &[][..]),
        ("domain", &[]),
        ("migration", &[]),
        ("entity", &["background", "domain"]),
        ("storage", &["domain"]),
        ("queue", &["background"]),
        ("media", &["domain"]),
        ("backend", &["background", "domain", "entity", "queue", "storage"]),
        ("worker", &["background", "domain", "entity", "queue", "storage"]),
        ("rushes", &CRATES),
    ]);
    for name in CRATES {
        let used = dependencies(name)
            .into_iter()
            .filter(|used| CRATES.contains(&used.as_str()));
        for used in used {
            assert!(
                allowed[name].contains(&used.as_str()),
                "{name} must not depend on {used}"
            );
        }
    }
}

#[test]
fn each_foreign_world_has_one_crate() {
    let worlds: [(&str, &[&str]); 8] = [
        ("apalis", &["queue"]),
        ("apalis-redis", &["queue"]),
        ("redis", &["queue"]),
        ("ffmpeg-next", &["media"]),
        ("object_store", &["storage"]),
        ("axum", &["backend"]),
        ("jsonwebtoken", &["backend"]),
        ("argon2", &["backend"]),
    ];
    for (world, homes) in worlds {
        for name in CRATES {
            let used = dependencies(name).contains(world);
            assert!(!used || homes.contains(&name), "{name} must not name {world}");
        }
    }
}

/// The names below `[dependencies]` of a crate.
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
fn a_file_tells_one_story_in_400_lines() {
    for file in files(".rs") {
        let lines = read(&file).lines().count();
        assert!(lines <= 400, "{file} has {lines} lines");
    }
}

#[test]
fn every_file_says_what_it_owns() {
    for file in files(".rs") {
        let text = read(&file);
        assert!(text.starts_with("//!"), "{file} begins without a module header");
    }
}

#[test]
fn nothing_is_called_util() {
    for file in files(".rs") {
        for word in ["util", "common", "helpers", "manager", "service"] {
            let stem = Path::new(&file).file_stem().unwrap().to_string_lossy().into_owned();
            assert_ne!(stem, word, "{file}");
        }
    }
}

#[test]
fn every_setting_is_documented_and_no_other() {
    let sample = read(".env.sample");
    let (ours, _) = sample.split_once("# ---- Read by docker-compose.yml alone").unwrap();
    let settings = ours
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='));
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let documented: BTreeSet<&str> = settings.map(|(name, _)| name).filter(is_name).collect();
    let read: BTreeSet<&str> = rushes::settings::NAMES.iter().copied().collect();
    assert_eq!(documented, read);
}

#[test]
fn every_error_code_is_documented() {
    let expected = error_table();
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(root().join("docs/ERRORS.md"), &expected).unwrap();
    }
    assert!(
        read("docs/ERRORS.md") == expected,
        "docs/ERRORS.md is not the table of domain/src/code.rs: run the tests with UPDATE_DOCS=1"
    );
}

/// `docs/ERRORS.md` as the code has it.
fn error_table() -> String {
    use domain::{Code, Language};
    let mut text = String::from(
        "# Error codes\n\nPrinted from `domain/src/code.rs`. `code` never changes; sentences follow `Accept-Language`.\n\
         Refusals carry the HTTP status shown. A task that failed shows its code in `error.code` of a 200.\n\n\
         | code | status | English | español |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let row = (
            code.as_str(),
            code.status(),
            code.sentence(Language::En),
            code.sentence(Language::Es),
        );
        text.push_str(&format!(
            "| <a id=\"{0}\"></a>`{0}` | {1} | {2} | {3} |\n",
            row.0, row.1, row.2, row.3
        ));
    }
    text
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
