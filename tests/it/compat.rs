//! Scripts that drive the API as clients of earlier systems drove theirs, and compare each answer with an oracle
//! (`tests/compat`).

use std::path::Path;
use tests::clip::Clip;
use tests::{Options, TestApp};
use tokio::process::Command;

/// Runs a script against a service.
async fn run(script: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat").join(script);
    let output = Command::new("python3")
        .arg(path)
        .args(arguments)
        .output()
        .await
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{script}: {stdout}{stderr}");
    assert!(
        stdout.lines().count() >= 5,
        "{script} has compared too little: {stdout}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_questions_of_a_service_of_statistics_have_the_answers_of_an_oracle() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    run("card_statistics.py", &[&app.url, &caller.token]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_and_found_as_behind_a_gateway_of_two_services() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    let clip = Clip::default().make(app.directory.path());
    run("files.py", &[&app.url, &caller.token, clip.to_str().unwrap()]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_coordinates_has_the_postcode_of_each_row() {
    let mut app = TestApp::with(Options {
        config: |config| {
            let (dialect, rate) = (domain::lookup::Dialect::PostcodesIo, 1_000.try_into().unwrap());
            let url = "http://127.0.31.7:4180/postcodes";
            config.app.lookups = Some(app::lookups::Settings::new(url, dialect, rate).unwrap());
        },
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    run("coordinates.py", &[&app.url, &caller.token, "127.0.31.7:4180"]).await;
    app.stop().await;
}
