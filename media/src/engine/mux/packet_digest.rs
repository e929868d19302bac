//! Digest of the packets of a copied stream: of those written, and of those that verification reads.

use domain::protocol::Imprint;
use ffmpeg_next::Packet;

/// Sums that are built side by side, because a processor multiplies several numbers at a time.
const LANES: usize = 4;

/// Bytes of a number of a sum.
const WORD: usize = 8;

/// An odd number with as many ones as zeros: 2⁶⁴ divided by the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A delimiter between pictures of AV1 (temporal delimiter OBU): muxers take it out of packets, as their formats want.
const DELIMITER: [u8; 2] = [0x12, 0];

/// Packets of one stream so far, in their order.
#[derive(Default)]
pub(crate) struct PacketDigest {
    packets: u64,
    sums: [u64; LANES],
}

impl PacketDigest {
    /// Adds the next packet. Each step can be undone, so that a change of any one word always changes the sum.
    pub(crate) fn add(&mut self, packet: &Packet) {
        // Muxers leave empty ones out.
        let Some(data) = packet.data().filter(|data| !data.is_empty()) else {
            return;
        };
        let data = data.strip_prefix(&DELIMITER).unwrap_or(data);
        self.packets += 1;
        let mut chunks = data.chunks_exact(LANES * WORD);
        for chunk in &mut chunks {
            self.mix(chunk);
        }
        let mut rest = [0; LANES * WORD];
        for (to, from) in rest.iter_mut().zip(chunks.remainder()) {
            *to = *from;
        }
        self.mix(&rest);
        self.mix(&(data.len() as u64).to_le_bytes());
    }

    fn mix(&mut self, chunk: &[u8]) {
        for (sum, word) in self.sums.iter_mut().zip(chunk.chunks_exact(WORD)) {
            let word = word.first_chunk().copied().map_or(0, u64::from_le_bytes);
            *sum = (*sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
        }
    }

    /// What the packets so far come to.
    pub(crate) fn digest(&self) -> Imprint {
        Imprint {
            packets: self.packets,
            sum: self
                .sums
                .iter()
                .fold(0, |all: u64, sum| (all ^ sum).wrapping_mul(FACTOR).rotate_left(29)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(packets: &[&[u8]]) -> Imprint {
        let mut digest = PacketDigest::default();
        for data in packets {
            digest.add(&Packet::copy(data));
        }
        digest.digest()
    }

    #[test]
    fn every_byte_counts_and_so_do_the_borders_and_the_order() {
        let data: Vec<u8> = (0..100).collect();
        let whole = digest(&[&data, &data[..50]]);
        assert_eq!(whole, digest(&[&data, &[], &data[..50]]));
        assert_eq!(whole.packets, 2);
        for place in 0..100 {
            for bit in 0..8 {
                let mut changed = data.clone();
                changed[place] ^= 1 << bit;
                assert_ne!(whole, digest(&[&changed, &data[..50]]), "{place}");
            }
        }
        let zeros = [0; 40];
        for other in [
            digest(&[&data[..50], &data]),
            digest(&[&data, &data[..49]]),
            digest(&[&data]),
            digest(&[&data[..51], &data[1..]]),
        ] {
            assert_ne!(whole, other);
        }
        assert_ne!(digest(&[&zeros[..39]]), digest(&[&zeros]));
    }

    #[test]
    fn a_delimiter_before_a_frame_is_not_missed() {
        assert_eq!(digest(&[&[0x12, 0, 0x32, 5]]), digest(&[&[0x32, 5]]));
    }
}
