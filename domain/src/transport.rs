//! Knows transport streams of MPEG by their sync bytes (ISO/IEC 13818-1 §2.4.3.2), wherever they were cut: recordings begin
//! inside a packet.

/// The first byte of a packet.
const SYNC: u8 = 0x47;

/// How packets follow each other: plain ones, those with a time stamp before each (M2TS), and those with a check sum after
/// each.
const LAYOUTS: [Layout; 3] = [
    Layout { step: 188, lead: 0 },
    Layout { step: 192, lead: 4 },
    Layout { step: 204, lead: 0 },
];

/// Most packets looked at.
const LOOKED_AT: usize = 8;

/// So many sync bytes in a row are no accident, when a file does not begin with one.
const ENOUGH: usize = 5;

/// How the packets of a stream follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes from packet to packet.
    pub step: usize,
    /// Bytes before the sync byte.
    pub lead: usize,
}

impl Layout {
    /// Packets of stuffing (PID 0x1FFF), which every decoder passes over.
    #[must_use]
    pub fn stuffing(self, packets: usize) -> Vec<u8> {
        let mut packet = vec![0xff; self.step];
        let head = packet.iter_mut().skip(self.lead);
        head.zip([SYNC, 0x1f, 0xff, 0x10]).for_each(|(to, from)| *to = from);
        packet.repeat(packets)
    }
}

/// Where the first whole packet of a transport stream begins, by the first bytes of a file, and how packets follow each other;
/// `None` for any other file.
#[must_use]
pub fn first_packet(head: &[u8]) -> Option<(usize, Layout)> {
    let begins = |layout: Layout, offset: usize| {
        let from = head.iter().skip(offset + layout.lead);
        let mut syncs = from.step_by(layout.step).take(LOOKED_AT);
        let least = if offset == 0 { 2 } else { ENOUGH };
        syncs.len() >= least && syncs.all(|byte| *byte == SYNC)
    };
    let whole = LAYOUTS.into_iter().map(|layout| (0, layout));
    let cut = LAYOUTS
        .into_iter()
        .flat_map(|layout| (1..layout.step).map(move |offset| (offset, layout)));
    whole.chain(cut).find(|(offset, layout)| begins(*layout, *offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(Layout { step, lead }: Layout, count: usize) -> Vec<u8> {
        let bytes = (0..step * count).map(|at| if at % step == lead { SYNC } else { 0x20 });
        bytes.collect()
    }

    #[test]
    fn a_stream_is_known_wherever_it_was_cut() {
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
    fn a_few_sync_bytes_are_no_stream() {
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
