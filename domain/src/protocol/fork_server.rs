//! Messages between a worker and the fork server that starts its media children.
//!
//! Each message is one packet of a Unix socket of type `SOCK_SEQPACKET`, a JSON value of at most
//! [`MAX_PACKET_BYTES`]. The server answers each request before it reads the next one.

use serde::{Deserialize, Serialize};

/// Maximum size of a packet in bytes.
pub const MAX_PACKET_BYTES: usize = 128;

/// A request to the fork server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForkRequest {
    /// Starts a child. The packet carries three descriptors (`SCM_RIGHTS`, unix(7)): its standard input, output and
    /// error.
    Start,
    /// Reaps a child that has ended. Until then its process ID is not used again.
    Reap(i32),
}

/// A reply of the fork server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForkReply {
    /// The child was started, with this process ID. It leads a process group of its own.
    Started(i32),
    /// The child has not ended, so it was not reaped.
    Running,
    /// The child was reaped; it had ended with this status.
    Exited(i32),
    /// The child was reaped; this signal had ended it.
    Killed(i32),
    /// The request failed with this error number (errno(3)).
    Failed(i32),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails at the first error")]

    use super::*;

    #[test]
    fn every_message_fits_into_a_packet() {
        let longest = serde_json::to_vec(&ForkRequest::Reap(i32::MIN)).unwrap();
        assert!(longest.len() < MAX_PACKET_BYTES);
        for reply in [
            ForkReply::Started(i32::MIN),
            ForkReply::Failed(i32::MIN),
            ForkReply::Running,
        ] {
            let packet = serde_json::to_vec(&reply).unwrap();
            assert!(packet.len() < MAX_PACKET_BYTES);
            assert_eq!(serde_json::from_slice::<ForkReply>(&packet).unwrap(), reply);
        }
    }
}
