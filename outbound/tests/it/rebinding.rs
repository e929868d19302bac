//! Names whose address changes between lookups.

use crate::clients::{body, client, get, sharing};
use crate::host::{Host, Step, empty, redirect, send};
use crate::names::Names;
use outbound::Error;
use std::sync::Arc;

/// A permitted and a forbidden host with the same port. The exception is [`PERMITTED`].
async fn hosts(permitted: Vec<Vec<Step>>) -> (Host, Host) {
    let permitted = Host::at("127.0.0.2:0", permitted).await;
    let forbidden = Host::at(&format!("127.0.0.1:{}", permitted.port()), vec![empty()]).await;
    (permitted, forbidden)
}

const PERMITTED: &str = "127.0.0.2";

#[tokio::test]
async fn a_request_does_one_lookup_and_connects_to_its_answer() {
    let (permitted, forbidden) = hosts(vec![empty()]).await;
    let names = Arc::new(Names::default().with("rebind.test", &["127.0.0.2", "127.0.0.1"]));
    let client = sharing(PERMITTED, Arc::clone(&names));
    let url = permitted.url("rebind.test");
    get(&client, &url).await.unwrap();
    assert_eq!(names.lookups(), ["rebind.test"]);
    assert!(matches!(get(&client, &url).await, Err(Error::Address { .. })));
    assert_eq!(
        names.lookups().len(),
        2,
        "a new connection is a new lookup, which is checked"
    );
    assert_eq!((permitted.connections(), forbidden.connections()), (1, 0));
}

#[tokio::test]
async fn a_redirect_to_the_same_name_is_a_lookup_that_is_checked() {
    let (permitted, forbidden) = hosts(vec![redirect("/other.mp4")]).await;
    let client = client(
        PERMITTED,
        Names::default().with("rebind.test", &["127.0.0.2", "127.0.0.1"]),
    );
    assert!(matches!(
        get(&client, &permitted.url("rebind.test")).await,
        Err(Error::Address { .. })
    ));
    assert_eq!((permitted.connections(), forbidden.connections()), (1, 0));
}

#[tokio::test]
async fn a_connection_that_is_used_again_leads_to_the_checked_address() {
    let kept = vec![send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), Step::KeepAlive];
    let (permitted, forbidden) = hosts(vec![kept]).await;
    let names = Arc::new(Names::default().with("rebind.test", &["127.0.0.2", "127.0.0.1"]));
    let client = sharing(PERMITTED, Arc::clone(&names));
    for _ in 0..3 {
        let download = get(&client, &permitted.url("rebind.test")).await.unwrap();
        assert_eq!(body(download).await.unwrap(), b"ok");
    }
    assert_eq!((permitted.connections(), forbidden.connections()), (1, 0));
    assert_eq!(names.lookups().len(), 1);
}

#[tokio::test]
async fn an_answer_with_one_forbidden_address_is_refused() {
    let (permitted, forbidden) = hosts(vec![empty()]).await;
    for answer in ["127.0.0.2 127.0.0.1", "127.0.0.1 127.0.0.2", "1.1.1.1 ::1"] {
        let client = client(PERMITTED, Names::default().with("mixed.test", &[answer]));
        let result = get(&client, &permitted.url("mixed.test")).await;
        assert!(matches!(result, Err(Error::Address { .. })), "{answer}");
    }
    assert_eq!((permitted.connections(), forbidden.connections()), (0, 0));
}

#[tokio::test]
async fn an_exception_for_a_name_is_none_for_its_address() {
    let host = Host::new(vec![empty()]).await;
    let names = Names::default()
        .with("nas.lan", &["127.0.0.1"])
        .with("evil.test", &["127.0.0.1"]);
    let client = client("nas.lan", names);
    get(&client, &host.url("nas.lan")).await.unwrap();
    get(&client, &host.url("NAS.LAN")).await.unwrap();
    for name in ["evil.test", "127.0.0.1"] {
        assert!(
            matches!(get(&client, &host.url(name)).await, Err(Error::Address { .. })),
            "{name}"
        );
    }
    assert_eq!(host.connections(), 2);
}
