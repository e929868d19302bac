//! The times of packets: repaired, and watched for holes.

use super::Reader;
use ffmpeg_next::Packet;

impl Reader {
    /// Repairs the times of a packet and looks for a hole before it.
    pub(super) fn watch(&mut self, packet: &mut Packet) {
        let Some(base) = self.watch.base(packet.stream()) else {
            return;
        };
        let own = packet.dts().or_else(|| packet.pts());
        self.clock.repair(packet, base);
        // Stills are searched, not read in order.
        if self.skim.is_none() {
            self.look_for_damage();
            self.watch.note(packet, own);
        }
    }

    /// Tells the watch of what did not decode since the last time.
    pub(super) fn look_for_damage(&mut self) {
        if let Some(track) = &self.video {
            if track.broken() > self.broken {
                self.watch.damage(track.sent_us);
            }
            self.broken = track.broken();
        }
    }
}
