//! The media child that waits to verify the outputs is killed while the other one transcodes: the transcode counts.

use crate::kill::children;
use std::time::Duration;
use tests::TestApp;
use tests::clip::{Clip, SLOW};
use tests::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_killed_before_it_verifies_is_replaced() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let home = app.directory.path().join("worker");
    std::fs::create_dir(&home).unwrap();
    let worker = Server::start_in("worker", &home, &app.environment);
    let clip = Clip {
        seconds: 10.0,
        ..Clip::slow()
    };
    let task = caller.task(&clip.make(app.directory.path()), &[("recipe", SLOW)]).await;
    caller
        .until(task, |task| task["progress"]["percent"].as_u64() > Some(0))
        .await;
    // The children of the fork server: the first one transcodes, the one that was started later waits.
    let waiting = loop {
        let servers = children(&worker.id().to_string());
        let mut media: Vec<u32> = servers
            .iter()
            .flat_map(|server| children(server))
            .map(|child| child.parse().unwrap())
            .collect();
        media.sort_unstable();
        if let [_, waiting] = media[..] {
            break waiting;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut kill = std::process::Command::new("kill");
    let killed = kill.args(["-KILL", &waiting.to_string()]).status();
    assert!(killed.unwrap().success());
    let ended = caller.ended(task).await;
    assert_eq!(
        (&ended["status"], &ended["attempt"], &ended["failures"]),
        (&"processed".into(), &1.into(), &0.into()),
        "{ended}"
    );
    assert!(worker.stop().await.success());
}
