//! Detection of MPEG transport streams by their sync bytes (ISO/IEC 13818-1 §2.4.3.2), including recordings that start
//! in the middle of a packet.

/// The first byte of a packet.
const SYNC: u8 = 0x47;

/// The known layouts: plain packets, packets with a timestamp before each (M2TS), packets with a checksum after each.
const LAYOUTS: [Layout; 3] = [
    Layout { step: 188, lead: 0 },
    Layout { step: 192, lead: 4 },
    Layout { step: 204, lead: 0 },
];

/// Maximum number of sync bytes that are compared.
const MAX_SYNC_BYTES: usize = 8;

/// Minimum number of sync bytes if the file does not begin with one. Fewer could be a coincidence.
const MIN_SYNC_BYTES: usize = 5;

/// The layout of the packets of a transport stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Distance between two packets in bytes.
    pub step: usize,
    /// Bytes of a packet before its sync byte.
    pub lead: usize,
}

impl Layout {
    /// Returns null packets (PID 0x1FFF), which decoders ignore.
    #[must_use]
    pub fn stuffing(self, packets: usize) -> Vec<u8> {
        let mut packet = vec![0xff; self.step];
        let header = packet.iter_mut().skip(self.lead);
        header.zip([SYNC, 0x1f, 0xff, 0x10]).for_each(|(to, from)| *to = from);
        packet.repeat(packets)
    }
}

/// Finds the first whole packet in the first bytes of a file. Returns its offset and the layout of the packets, or
/// `None` if the file is not a transport stream.
#[must_use]
pub fn first_packet(head: &[u8]) -> Option<(usize, Layout)> {
    let has_sync_bytes = |layout: Layout, offset: usize| {
        let bytes = head.iter().skip(offset + layout.lead);
        let mut sync_bytes = bytes.step_by(layout.step).take(MAX_SYNC_BYTES);
        let min = if offset == 0 { 2 } else { MIN_SYNC_BYTES };
        sync_bytes.len() >= min && sync_bytes.all(|byte| *byte == SYNC)
    };
    let at_start = LAYOUTS.into_iter().map(|layout| (0, layout));
    let inside_packet = LAYOUTS
        .into_iter()
        .flat_map(|layout| (1..layout.step).map(move |offset| (offset, layout)));
    at_start
        .chain(inside_packet)
        .find(|(offset, layout)| has_sync_bytes(*layout, *offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(layout: Layout, count: usize) -> Vec<u8> {
        let is_sync = |offset: usize| offset % layout.step == layout.lead;
        let bytes = (0..layout.step * count).map(|offset| if is_sync(offset) { SYNC } else { 0x20 });
        bytes.collect()
    }

    #[test]
    fn a_stream_is_detected_from_any_offset_in_a_packet() {
        for layout in LAYOUTS {
            let stream = packets(layout, 20);
            assert_eq!(first_packet(&stream), Some((0, layout)));
            assert_eq!(first_packet(&layout.stuffing(3)), Some((0, layout)));
            for cut in 1..layout.step {
                let found = first_packet(&stream[cut..]);
                assert_eq!(found, Some((layout.step - cut, layout)), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_few_sync_bytes_are_not_a_stream() {
        for head in [
            &b""[..],
            b"G",
            b"Good morning",
            &packets(LAYOUTS[0], 1),
            &packets(LAYOUTS[0], 4)[1..],
            &packets(Layout { step: 187, lead: 0 }, 20),
            &[0; 4_096],
        ] {
            assert_eq!(first_packet(head), None, "{} bytes", head.len());
        }
    }
}
