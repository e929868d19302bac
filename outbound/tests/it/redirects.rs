//! Redirects of a GET.

use crate::clients::LIMITS;
use crate::clients::{body, get, local, request};
use crate::host::{Host, empty, redirect, text};
use outbound::{Error, Headers};
use tokio::net::TcpListener;

#[tokio::test]
async fn three_redirects_are_followed_and_a_fourth_is_not() {
    let three = vec![
        redirect("/2"),
        redirect("3"),
        redirect("?4"),
        text("HTTP/1.1 200 OK\nContent-Length: 4\n\nfour"),
    ];
    let host = Host::new(three).await;
    let download = get(&local(), &host.url("good.test")).await.unwrap();
    assert_eq!(body(download).await.unwrap(), b"four");
    let paths: Vec<_> = host
        .requests()
        .iter()
        .map(|request| request.lines().next().unwrap().to_owned())
        .collect();
    let expected = ["/file.mp4", "/2", "/3", "/3?4"].map(|path| format!("get {path} http/1.1"));
    assert_eq!(paths, expected);

    let host = Host::new(vec![redirect("/again")]).await;
    assert!(matches!(
        get(&local(), &host.url("good.test")).await,
        Err(Error::Redirects)
    ));
    assert_eq!(host.connections(), 4);
}

#[tokio::test]
async fn headers_of_the_user_stay_with_the_origin() {
    let last = Host::new(vec![empty()]).await;
    // Another origin by its name, then by its port; and back.
    let second = Host::new(vec![redirect(&last.url("good.test"))]).await;
    let first = Host::new(vec![redirect("/here"), redirect(&second.url("other.test"))]).await;
    let client = local();
    let mut request = request(&client, &first.url("good.test")).unwrap();
    request.headers = Headers::parse([("Authorization", "Bearer s3cret"), ("X-Key", "s3cret")]).unwrap();
    client.get(&request, LIMITS).await.unwrap();
    assert!(
        first
            .requests()
            .iter()
            .all(|request| request.matches("s3cret").count() == 2)
    );
    assert_eq!(first.connections(), 2);
    for host in [second, last] {
        let requests = host.requests();
        assert_eq!(requests.len(), 1);
        assert!(!requests[0].contains("s3cret") && !requests[0].contains("authorization"));
        assert!(
            requests[0].contains("accept-encoding: identity"),
            "headers of ours go to every host"
        );
        assert!(!requests[0].contains("referer"));
    }
}

#[tokio::test]
async fn a_way_back_to_the_first_origin_has_no_headers_of_the_user() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (first, second) = (
        format!("http://good.test:{port}/"),
        format!("http://other.test:{port}/"),
    );
    let host = Host::on(listener, vec![redirect(&second), redirect(&first), empty()]);
    let client = local();
    let mut request = request(&client, &first).unwrap();
    request.headers = Headers::parse([("X-Key", "s3cret")]).unwrap();
    client.get(&request, LIMITS).await.unwrap();
    let sent: Vec<_> = host
        .requests()
        .iter()
        .map(|request| request.contains("s3cret"))
        .collect();
    assert_eq!(sent, [true, false, false]);
}

#[tokio::test]
async fn a_redirect_without_a_usable_address_is_an_error() {
    for reply in [
        "HTTP/1.1 302 Found\nContent-Length: 0\n\n",
        "HTTP/1.1 302 Found\nLocation: http://[\nContent-Length: 0\n\n",
        "HTTP/1.1 302 Found\nLocation: ftp://good.test/\nContent-Length: 0\n\n",
        "HTTP/1.1 302 Found\nLocation: file:///etc/passwd\nContent-Length: 0\n\n",
        "HTTP/1.1 302 Found\nLocation: http://a:b@good.test/\nContent-Length: 0\n\n",
    ] {
        let host = Host::new(vec![text(reply)]).await;
        assert!(
            matches!(get(&local(), &host.url("good.test")).await, Err(Error::Location)),
            "{reply}"
        );
        assert_eq!(host.connections(), 1);
    }
}

#[tokio::test]
async fn other_statuses_are_errors_even_with_a_location() {
    for status in [201, 204, 206, 300, 304, 305, 306, 400, 404, 429, 500, 503, 599] {
        let reply = format!("HTTP/1.1 {status} X\nLocation: /a\nRetry-After: 7\nContent-Length: 0\n\n");
        let host = Host::new(vec![text(&reply)]).await;
        let result = get(&local(), &host.url("good.test")).await;
        let Err(Error::Status {
            status: found,
            retry_after,
        }) = result
        else {
            panic!("{status}")
        };
        assert_eq!((found.as_u16(), retry_after.unwrap().as_secs()), (status, 7));
        assert_eq!(host.connections(), 1);
    }
}
