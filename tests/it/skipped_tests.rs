//! Tests that lack a program: they are skipped, and fail in `./test`, which sets `TEST_REQUIRED=1`.

use std::process::Command;

#[test]
fn a_test_that_lacks_an_executable_fails_with_test_required_and_is_skipped_otherwise() {
    for (required, is_success, says) in [
        ("1", false, "this test needs linters and generators"),
        ("", true, "SKIPPED: needs linters and generators"),
    ] {
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args([
            "clients::linters_find_no_error_in_the_document",
            "--exact",
            "--nocapture",
        ]);
        test.env("TEST_REQUIRED", required).env_remove("TEST_CLIENTS");
        let output = test.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains(says) && text.contains("1 test"), "{text}");
        assert_eq!(output.status.success(), is_success, "{text}");
    }
}
