//! HTTPS: the certificate is checked against the name of the URL, also though the connection is made to an address.

use crate::clients::{client, get};
use crate::host::{Host, text};
use crate::names::Names;
use crate::{rerun, skip};
use outbound::{Client, Error};
use std::process::{Child, Command, Stdio};

/// A server with a certificate of its own for `good.test`.
struct Server {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `None` if the machine has no `openssl`.
fn server() -> Option<Server> {
    let directory = tempfile::tempdir().unwrap();
    let certificate = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem \
                       -days 2 -subj /CN=good.test -addext subjectAltName=DNS:good.test \
                       -addext basicConstraints=critical,CA:FALSE";
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    if !openssl(certificate).status().is_ok_and(|status| status.success()) {
        return None;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = openssl(&format!(
        "s_server -accept 127.0.0.1:{port} -cert cert.pem -key key.pem -www"
    ))
    .spawn();
    Some(Server {
        child: child.unwrap(),
        port,
        directory,
    })
}

fn https() -> Client {
    let names = Names::default()
        .with("good.test", &["127.0.0.1"])
        .with("other.test", &["127.0.0.1"]);
    client("good.test,other.test", names)
}

/// The error of a GET, after the server has begun to listen.
async fn error(url: &str) -> Option<Error> {
    loop {
        match get(&https(), url).await {
            Err(Error::Connect) => tokio::task::yield_now().await,
            result => return result.err(),
        }
    }
}

/// Runs twice: without the certificate among the roots of the system, and with it.
#[test]
fn a_certificate_has_to_be_trusted_and_valid_for_the_name() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(port) = std::env::var("OUTBOUND_TLS_PORT") {
        let good = runtime.block_on(error(&format!("https://good.test:{port}/")));
        assert!(good.is_none(), "{good:?}");
        let other = runtime.block_on(error(&format!("https://other.test:{port}/")));
        assert!(
            matches!(&other, Some(Error::Tls { reason }) if reason.contains("not valid for name")),
            "{other:?}"
        );
        return;
    }
    assert!(!rerun::is_rerun());
    let Some(server) = server() else {
        return skip::missing("openssl");
    };
    let untrusted = runtime.block_on(error(&format!("https://good.test:{}/", server.port)));
    assert!(matches!(&untrusted, Some(Error::Tls { .. })), "{untrusted:?}");
    let roots = server.directory.path().join("cert.pem");
    let variables = [
        ("SSL_CERT_FILE", roots.to_str().unwrap()),
        ("OUTBOUND_TLS_PORT", &server.port.to_string()),
    ];
    rerun::again(
        "tls::a_certificate_has_to_be_trusted_and_valid_for_the_name",
        &variables,
    );
}

#[tokio::test]
async fn a_host_without_tls_has_no_https() {
    let host = Host::new(vec![text("HTTP/1.1 200 OK\n\n")]).await;
    let url = host.url("good.test").replace("http:", "https:");
    assert!(matches!(
        get(&https(), &url).await,
        Err(Error::Tls { .. } | Error::Timeout(_))
    ));
}
