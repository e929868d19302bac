//! Replies to malformed requests: the head that hyper writes, completed with problem details like every other error.

use crate::error::Refusal;
use crate::problem;
use crate::request_context::RequestContext;
use bytes::Bytes;
use domain::{Code, Language};
use uuid::Uuid;

/// Builds the complete reply from a head that hyper wrote without a body. `None` when `head` is not exactly such a
/// head.
pub(super) fn refusal(head: &[u8], language: Language) -> Option<Bytes> {
    let head = std::str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?;
    let (status_line, headers) = head.split_once("\r\n")?;
    let code = match status_line.strip_prefix("HTTP/1.1 ")?.get(..4)? {
        "400 " => Code::RequestInvalid,
        "414 " => Code::UriTooLong,
        "431 " => Code::HeadersTooLarge,
        _ => return None,
    };
    let request_id = Uuid::now_v7().to_string();
    tracing::info!(request_id, status = code.status(), "refused a malformed request");
    metrics::counter!("rushes_http_refused_total", "status" => code.status().to_string()).increment(1);
    let context = RequestContext::without_request(request_id.as_str().into(), language);
    let body = problem::body(&Refusal::new(code), &context);
    // hyper's `connection: close` is kept: after malformed bytes, the start of the next request is unknown.
    let kept = headers
        .split("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
    let mut reply = format!("{status_line}\r\n");
    for line in kept {
        reply.push_str(line);
        reply.push_str("\r\n");
    }
    let added = format!(
        "content-type: application/problem+json\r\ncontent-language: {}\r\ncontent-length: {}\r\nx-request-id: \
         {request_id}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n",
        language.tag(),
        body.len()
    );
    reply.push_str(&added);
    let mut reply = reply.into_bytes();
    reply.extend(body);
    Some(reply.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_head_of_three_statuses_is_given_a_body() {
        let bare = |line: &str| format!("{line}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let completed = |line: &str| refusal(bare(line).as_bytes(), Language::En);
        for (line, code) in [
            ("HTTP/1.1 400 Bad Request", "request_invalid"),
            ("HTTP/1.1 414 URI Too Long", "uri_too_long"),
            ("HTTP/1.1 431 Request Header Fields Too Large", "headers_too_large"),
        ] {
            let reply = String::from_utf8(completed(line).unwrap().to_vec()).unwrap();
            let (head, body) = reply.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("{line}\r\nconnection: close\r\n")), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["code"], code);
            assert!(head.contains(&format!("x-request-id: {}", body["request_id"].as_str().unwrap())));
        }
        for line in [
            "HTTP/1.1 200 OK",
            "HTTP/1.1 404 Not Found",
            "HTTP/1.1 4000 x",
            "garbage",
        ] {
            assert!(completed(line).is_none(), "{line}");
        }
        assert!(
            refusal(
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 5\r\n\r\nhello",
                Language::En
            )
            .is_none()
        );
        assert!(
            refusal(&[0, 0, 18, 4, 0, 0, 0, 0, 0], Language::En).is_none(),
            "an HTTP/2 frame"
        );
    }
}
