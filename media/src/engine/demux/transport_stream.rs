//! What a transport stream lacks that was cut anywhere (ISO/IEC 13818-1): tables come again only after a while, and the packet
//! that began a picture is gone. FFmpeg passes over all pictures until it has both, which may be the only ones that
//! everything after them needs.

use domain::transport::Layout;

/// Bytes looked through for the tables; they come at least ten times a second.
pub(crate) const LOOKED_THROUGH: usize = 1 << 20;

/// A packet without what stands around it.
const PACKET: usize = 188;

/// Types of streams of pictures: MPEG-1, MPEG-2, MPEG-4, H.264, HEVC.
const VIDEO_STREAM_TYPES: [u8; 5] = [0x01, 0x02, 0x10, 0x1b, 0x24];

/// A header of a packetized elementary stream of pictures that tells no time and no length (§2.4.3.6).
const PES: [u8; 9] = [0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0];

/// One packet.
#[derive(Clone, Copy)]
struct TsPacket<'a> {
    /// With what stands around it.
    whole: &'a [u8],
    bytes: &'a [u8; PACKET],
}

impl<'a> TsPacket<'a> {
    fn of(whole: &'a [u8], layout: Layout) -> Option<Self> {
        let bytes = whole.get(layout.lead..)?.first_chunk()?;
        Some(Self { whole, bytes })
    }

    fn stream(&self) -> u16 {
        let [_, high, low, ..] = self.bytes;
        u16::from(high & 0x1f) << 8 | u16::from(*low)
    }

    /// Whether a table or a picture begins in it.
    fn begins(&self) -> bool {
        let [_, flags, ..] = self.bytes;
        flags & 0x40 != 0
    }

    fn counter(&self) -> u8 {
        let [_, _, _, counter, ..] = self.bytes;
        counter & 0x0f
    }

    /// The table that begins in it, behind its pointer.
    fn table(&self) -> Option<&'a [u8]> {
        let [_, _, _, control, length, ..] = self.bytes;
        let adaptation = if control & 0x20 == 0 {
            0
        } else {
            1 + usize::from(*length)
        };
        let payload = self.bytes.get(4 + adaptation..)?;
        payload.get(1 + usize::from(*payload.first()?)..)
    }
}

/// What has to stand before a stream with these bytes: the tables that come later, and the beginning of the picture that was
/// cut. Nothing where it begins with its tables.
pub(crate) fn missing(bytes: &[u8], layout: Layout) -> Vec<u8> {
    found(bytes, layout).unwrap_or_default()
}

fn found(bytes: &[u8], layout: Layout) -> Option<Vec<u8>> {
    let packets = || {
        bytes
            .chunks_exact(layout.step)
            .filter_map(|whole| TsPacket::of(whole, layout))
    };
    let begun = |stream: u16| packets().find(|packet| packet.begins() && packet.stream() == stream);
    let programs = begun(0)?;
    let map = begun(pmt_pid(programs.table()?)?)?;
    let video = video_pid(map.table()?)?;
    let (place, first) = packets().enumerate().find(|(_, packet)| packet.stream() == video)?;
    let map_place = packets().position(|packet| packet.begins() && packet.stream() == map.stream())?;
    if first.begins() && map_place < place {
        return None;
    }
    let mut missing = [programs.whole, map.whole].concat();
    if !first.begins() {
        missing.extend(pes_start(first, layout));
    }
    Some(missing)
}

/// The stream of the map of the first program (§2.4.4.3).
fn pmt_pid(programs: &[u8]) -> Option<u16> {
    let entries = programs.get(8..)?.chunks_exact(4);
    let mut maps = entries.filter_map(|entry| match entry {
        [0, 0, ..] => None,
        [_, _, high, low] => Some(u16::from(high & 0x1f) << 8 | u16::from(*low)),
        _ => None,
    });
    maps.next()
}

/// The first stream of pictures of a program (§2.4.4.8).
fn video_pid(map: &[u8]) -> Option<u16> {
    let length = |high: &u8, low: &u8| usize::from(high & 0x0f) << 8 | usize::from(*low);
    let end = 3 + length(map.get(1)?, map.get(2)?);
    let mut rest = map.get(12 + length(map.get(10)?, map.get(11)?)..end.min(map.len()))?;
    while let [kind, high, low, info_high, info_low, after @ ..] = rest {
        if VIDEO_STREAM_TYPES.contains(kind) {
            return Some(u16::from(high & 0x1f) << 8 | u16::from(*low));
        }
        rest = after.get(length(info_high, info_low)..)?;
    }
    None
}

/// A packet that begins a picture, before this one.
fn pes_start(first: TsPacket<'_>, layout: Layout) -> Vec<u8> {
    let stream = first.stream().to_be_bytes();
    let counter = first.counter().wrapping_sub(1) & 0x0f;
    let stuffing = PACKET - 4 - 1 - PES.len();
    let mut packet = vec![0xff; layout.step];
    let [high, low] = stream;
    let head = [
        0x47,
        0x40 | high,
        low,
        0x30 | counter,
        u8::try_from(stuffing).unwrap_or(0),
        0,
    ];
    let begins = packet.iter_mut().skip(layout.lead);
    begins.zip(head).for_each(|(to, from)| *to = from);
    let body = packet.iter_mut().skip(layout.lead + PACKET - PES.len());
    body.zip(PES).for_each(|(to, from)| *to = from);
    packet
}
