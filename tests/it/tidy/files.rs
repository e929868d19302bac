//! Names, headers and lengths of files.

use super::repository::{files, members, read};
use std::path::Path;

#[test]
fn a_file_has_at_most_400_lines() {
    for file in [".rs", ".py", ".sh", ".lua"].into_iter().flat_map(files) {
        let lines = read(&file).lines().count();
        assert!(lines <= 400, "{file} has {lines} lines");
    }
}

#[test]
fn a_rust_file_begins_with_a_module_header() {
    for file in files(".rs") {
        let text = read(&file);
        assert!(
            text.starts_with("//!"),
            "{file} begins without `//!`: say what the module owns"
        );
    }
}

#[test]
fn a_file_is_named_after_its_subject() {
    for file in files(".rs") {
        let stem = Path::new(&file).file_stem().unwrap().to_string_lossy().into_owned();
        for word in ["util", "utils", "common", "helpers", "manager", "service"] {
            assert_ne!(stem, word, "{file}");
        }
    }
}

#[test]
fn a_rust_file_belongs_to_a_member_of_the_workspace() {
    let members = members();
    for file in files(".rs") {
        let is_ours = members.iter().any(|member| file.starts_with(&format!("{member}/")));
        assert!(is_ours, "{file} is in none of {members:?}");
    }
}
