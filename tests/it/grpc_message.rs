//! Calls of gRPC methods with the generated messages.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use prost::Message;
use reqwest::header::HeaderMap;
use std::sync::LazyLock;

/// Making a client takes a second in debug builds. Connections are not kept: they belong to the runtime of a test.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let client = reqwest::Client::builder().http2_prior_knowledge();
    client.pool_max_idle_per_host(0).build().unwrap()
});

/// A call that ended with another status than OK.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The number of the status.
    pub(crate) status: u32,
    details: String,
}

impl Refused {
    /// The reason of the `google.rpc.ErrorInfo`.
    pub(crate) fn is(&self, status: u32, reason: &str) -> bool {
        self.status == status && self.details.contains(reason)
    }
}

/// Calls a method with one message, with a token unless it is empty. Returns its answer and the initial metadata.
pub(crate) async fn call<A: Message + Default>(
    url: &str,
    token: &str,
    method: &str,
    message: &impl Message,
) -> Result<(A, HeaderMap), Refused> {
    let request = CLIENT.post(format!("{url}/{method}"));
    let request = request
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let request = if token.is_empty() {
        request
    } else {
        request.bearer_auth(token)
    };
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let response = request.body(frame).send().await.unwrap();
    let metadata = response.headers().clone();
    let text = |name: &str| metadata.get(name).map(|value| value.to_str().unwrap());
    if let Some(status) = text("grpc-status").filter(|status| *status != "0") {
        let details = text("grpc-status-details-bin")
            .unwrap_or_default()
            .trim_end_matches('=');
        let details = BASE64_STANDARD_NO_PAD
            .decode(details)
            .or_else(|_| BASE64_STANDARD.decode(details));
        return Err(Refused {
            status: status.parse().unwrap(),
            details: String::from_utf8_lossy(&details.unwrap()).into_owned(),
        });
    }
    let body = response.bytes().await.unwrap();
    Ok((A::decode(&body[5..]).unwrap(), metadata))
}
