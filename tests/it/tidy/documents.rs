//! Documents that are lists of what the code defines: `.env.sample` and `docs/ERRORS.md`.

use super::repository::{read, root};
use std::collections::BTreeSet;

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

/// `docs/ERRORS.md` as it follows from the code.
fn error_table() -> String {
    use domain::{Code, FailureClass, Language};
    let retried = |code: Code| match code.class().map(FailureClass::max_retries) {
        None => String::new(),
        Some(None) => "without limit".to_owned(),
        Some(Some(0)) => "no".to_owned(),
        Some(Some(1)) => "once".to_owned(),
        Some(Some(times)) => format!("{times} times"),
    };
    let mut text = String::from(
        "# Error codes\n\nPrinted from `domain/src/code.rs`. `code` never changes; sentences follow `Accept-Language`.\n\
         Refusals carry the HTTP status shown. A task that failed shows its code in `error.code` of a 200.\n\n\
         `retried`: how many failures a task may have, with all codes together, so that Rushes tries it again after one \
         with this code. Empty for codes with which no task fails.\n\n\
         | code | status | retried | English | español |\n|---|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let row = (
            code.as_str(),
            code.status(),
            retried(*code),
            code.sentence(Language::En),
            code.sentence(Language::Es),
        );
        text.push_str(&format!(
            "| <a id=\"{0}\"></a>`{0}` | {1} | {2} | {3} | {4} |\n",
            row.0, row.1, row.2, row.3, row.4
        ));
    }
    text
}
