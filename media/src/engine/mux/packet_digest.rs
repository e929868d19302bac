//! Digest of the packets of a copied stream.
//!
//! *Problem.* A copied stream is not decoded, so damage in it can be damage of the source. To prove that a remux
//! changed nothing, verification must compare the packets in the output with the packets that were written.
//!
//! *Mechanism.* The copy adds every packet that it writes, verification adds every packet that it reads, and the
//! results must be equal. Four multiply-and-rotate checksums run side by side, so that the digest costs far less than
//! reading the file. The length of each packet is included, so that moved packet boundaries are found.
//!
//! *Invariants.* Both sides skip bytes that muxers may add or remove: empty packets and the temporal delimiters of AV1.
//! The digest finds mistakes, not attacks; a cryptographic hash was rejected because it is slower and proves no more
//! here.

use domain::protocol::StreamDigest;
use ffmpeg_next::Packet;

/// Number of independent checksums; a CPU executes several independent multiplications at once.
const LANES: usize = 4;

/// Bytes of one input word of a checksum.
const WORD: usize = 8;

/// 2⁶⁴ divided by the golden ratio. It must be odd, so that the multiplication is invertible.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The temporal delimiter OBU of AV1. Muxers remove it from packets, as the AV1 mappings of MP4 and Matroska
/// recommend.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];

/// The running digest of the packets of one stream, in their order.
#[derive(Default)]
pub(crate) struct PacketDigest {
    packets: u64,
    checksums: [u64; LANES],
}

impl PacketDigest {
    /// Adds the next packet. Each step is invertible, so a change of a single word always changes the digest.
    pub(crate) fn add(&mut self, packet: &Packet) {
        // Muxers drop empty packets.
        let Some(data) = packet.data().filter(|data| !data.is_empty()) else {
            return;
        };
        let data = data.strip_prefix(&TEMPORAL_DELIMITER).unwrap_or(data);
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
        for (checksum, word) in self.checksums.iter_mut().zip(chunk.chunks_exact(WORD)) {
            let word = word.first_chunk().copied().map_or(0, u64::from_le_bytes);
            *checksum = (*checksum ^ word).wrapping_mul(MULTIPLIER).rotate_left(29);
        }
    }

    /// Returns the digest of the packets so far.
    pub(crate) fn digest(&self) -> StreamDigest {
        StreamDigest {
            packets: self.packets,
            sum: self.checksums.iter().fold(0, |all: u64, checksum| {
                (all ^ checksum).wrapping_mul(MULTIPLIER).rotate_left(29)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(packets: &[&[u8]]) -> StreamDigest {
        let mut digest = PacketDigest::default();
        for data in packets {
            digest.add(&Packet::copy(data));
        }
        digest.digest()
    }

    #[test]
    fn every_bit_and_packet_boundary_and_the_order_change_the_digest() {
        let data: Vec<u8> = (0..100).collect();
        let expected = digest(&[&data, &data[..50]]);
        assert_eq!(expected, digest(&[&data, &[], &data[..50]]));
        assert_eq!(expected.packets, 2);
        for index in 0..100 {
            for bit in 0..8 {
                let mut changed = data.clone();
                changed[index] ^= 1 << bit;
                assert_ne!(expected, digest(&[&changed, &data[..50]]), "{index}");
            }
        }
        let zeros = [0; 40];
        for other in [
            digest(&[&data[..50], &data]),
            digest(&[&data, &data[..49]]),
            digest(&[&data]),
            digest(&[&data[..51], &data[1..]]),
        ] {
            assert_ne!(expected, other);
        }
        assert_ne!(digest(&[&zeros[..39]]), digest(&[&zeros]));
    }

    #[test]
    fn a_temporal_delimiter_does_not_change_the_digest() {
        assert_eq!(digest(&[&[0x12, 0, 0x32, 5]]), digest(&[&[0x32, 5]]));
    }
}
