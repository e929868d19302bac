//! Names, headers and lengths of files.

use super::repository::{files, members, read, root};
use std::path::Path;
use std::process::Command;

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

#[test]
fn a_comment_fits_120_columns() {
    let is_long = |line: &str| {
        let text = line.trim_start();
        // A row of a table cannot be wrapped.
        let is_row = text.trim_start_matches(['/', '!']).trim_start().starts_with('|');
        text.starts_with("//") && !is_row && line.chars().count() > 120
    };
    for file in files(".rs") {
        for (number, line) in read(&file).lines().enumerate() {
            assert!(!is_long(line), "{file}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn no_merge_conflict_is_left() {
    let markers: [&[u8]; 2] = [b"<<<<<<< ", b">>>>>>> "];
    for file in files("") {
        let bytes = std::fs::read(root().join(&file)).unwrap();
        let marked = |line: &[u8]| markers.iter().any(|marker| line.starts_with(marker));
        assert!(!bytes.split(|byte| *byte == b'\n').any(marked), "{file}");
    }
}

#[test]
fn python_files_can_be_parsed() {
    let script = "import ast, sys\nfor name in sys.argv[1:]: ast.parse(open(name, encoding='utf-8').read(), name)";
    let mut python = Command::new("python3");
    let output = python
        .current_dir(root())
        .args(["-c", script])
        .args(files(".py"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
