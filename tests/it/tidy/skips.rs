//! Skipped tests: only `tests/src/skip.rs` skips a test, and `./test` lets none be skipped for lack of a program.

use super::repository::{files, read};

#[test]
fn a_test_is_skipped_only_through_the_functions_for_it() {
    for file in files(".rs") {
        if [
            "tests/src/skip.rs",
            "tests/it/skipped_tests.rs",
            "tests/it/tidy/skips.rs",
        ]
        .contains(&file.as_str())
        {
            continue;
        }
        let text = read(&file);
        for word in ["SKIPPED", "\"skipped", "#[ignore"] {
            assert!(
                !text.contains(word),
                "{file} contains `{word}`: call a function of tests/src/skip.rs"
            );
        }
    }
}

#[test]
fn the_test_script_lets_no_test_be_skipped_for_lack_of_an_executable() {
    let script = read("test");
    let (unset, required) = (
        script.find("    unset_settings\n"),
        script.find("    export TEST_REQUIRED=1\n"),
    );
    // `unset_settings` removes all variables of tests.
    assert!(unset.unwrap() < required.unwrap());
}
