//! Hands decoded pictures and samples to the outputs, each of which works on a thread of its own.

mod wants;

use super::descent::{Descent, Shared, Sharing};
use super::originals::Medium;
use super::parts::{Part, Role};
use super::progress::Meter;
use super::sink::Sink;
use super::stage::Stage;
use super::take::tracks;
use super::{Cancel, av, fault};
use domain::Failure;
use domain::plan::{Content, PlannedOutput};
use ffmpeg_next::Packet;
use ffmpeg_next::frame::{Audio, Video};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use wants::Wants;

/// Most bytes of pictures that wait for one output.
const MAX_WAITING_BYTES: u64 = 96 << 20;

/// Packets are handed over in batches of so many, because to wake a thread costs more than to copy one; a packet of so
/// many bytes ends its batch, which bounds what waits.
const BATCH_PACKETS: usize = 64;
const LARGE_BYTES: usize = 64 << 10;

/// Most batches of packets that wait for an output that is given nothing else.
const MAX_WAITING_BATCHES: u64 = 2;

/// What an output is given. Times count in microseconds along the joined spans.
pub(super) enum Piece {
    /// What follows is of another part.
    Part(Part),
    /// A picture and for about how long it is shown.
    Picture {
        picture: Shared,
        at_us: i64,
        duration_us: i64,
    },
    /// No picture of the part follows. The last one stands until `until_us`, or to the end of the part when its file has
    /// more after it.
    PicturesEnd { until_us: Option<i64> },
    /// Samples.
    Sound { sound: Audio, at_us: i64 },
    /// Packets as the source has them, with times of the source's clock.
    Packets(Vec<(Packet, Medium)>),
}

/// The pieces of one output in their order. While it waits for one, its stage is not at work.
pub(super) struct Inbox {
    from: Receiver<Piece>,
    meter: Meter,
}

impl Inbox {
    pub(super) const fn new(from: Receiver<Piece>, meter: Meter) -> Self {
        Self { from, meter }
    }

    /// The progress of whoever works on the pieces.
    pub(super) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The next piece; `None` when no more come.
    pub(super) fn recv(&self) -> Option<Piece> {
        let stage = self.meter.stage();
        stage.waits();
        let piece = self.from.recv().ok();
        stage.moves();
        piece
    }
}

impl Iterator for &Inbox {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        self.recv()
    }
}

/// Hands a piece over; the stage that does so is not at work while there is no room. `false` when nobody takes it.
pub(super) fn hand_over(to: &SyncSender<Piece>, piece: Piece, stage: &Stage) -> bool {
    match to.try_send(piece) {
        Ok(()) => true,
        Err(TrySendError::Disconnected(_)) => false,
        Err(TrySendError::Full(piece)) => {
            stage.waits();
            let sent = to.send(piece).is_ok();
            stage.works();
            sent
        }
    }
}

/// Hands pieces to one output.
pub(super) struct Sender {
    to: SyncSender<Piece>,
    reading: Stage,
}

impl Sender {
    /// Hands a piece over; `false` when the output is gone.
    pub(super) fn send(&self, piece: Piece) -> bool {
        hand_over(&self.to, piece, &self.reading)
    }
}

/// The way to one output.
pub(super) struct Feed {
    to: Sender,
    wants: Wants,
    /// Whether the output shows the clips before and after.
    cards: bool,
    /// Whose packets are copied.
    copies: Vec<Medium>,
    /// Those of them that are not handed over yet.
    packets: Vec<(Packet, Medium)>,
}

impl Feed {
    /// A way to an output, whose pictures are of about `picture_bytes`.
    pub(super) fn new(planned: &PlannedOutput, picture_bytes: u64, meter: &Meter, reading: &Stage) -> (Self, Inbox) {
        let room = (MAX_WAITING_BYTES / picture_bytes.max(1)).clamp(1, 16);
        let (pictures, sound) = tracks(&planned.content);
        let wants = Wants::of(&planned.content);
        let copies = [(pictures, Medium::Pictures), (sound, Medium::Sound)];
        let copies = copies.into_iter().filter(|(take, _)| take.copied);
        let copies = copies.map(|(_, medium)| medium).collect();
        let room = if matches!(wants, Wants::Nothing) {
            MAX_WAITING_BATCHES
        } else {
            room
        };
        let cards = matches!(planned.content, Content::Movie(_) | Content::Hls(_));
        let (to, from) = sync_channel(usize::try_from(room).unwrap_or(2));
        (
            Self {
                to: Sender {
                    to,
                    reading: reading.clone(),
                },
                wants,
                cards,
                copies,
                packets: Vec::new(),
            },
            Inbox::new(from, meter.clone()),
        )
    }

    /// Hands over the packets that were kept for a batch, and then a piece; `false` when the output is gone.
    fn send(&mut self, piece: Option<Piece>) -> bool {
        let packets = std::mem::take(&mut self.packets);
        let batch = (!packets.is_empty()).then_some(Piece::Packets(packets));
        batch.into_iter().chain(piece).all(|piece| self.to.send(piece))
    }
}

/// The ways to all outputs.
pub(super) struct Feeds {
    feeds: Vec<Feed>,
    /// The stage that reads and decodes.
    reading: Stage,
    /// Raised when an output has failed and the rest need not go on.
    halt: Cancel,
    sharing: Sharing,
    /// What is being read, and how its pictures come down.
    part: Option<Part>,
    descent: Option<Arc<Descent>>,
}

impl Feeds {
    pub(super) const fn new(feeds: Vec<Feed>, reading: Stage, halt: Cancel, sharing: Sharing) -> Self {
        Self {
            feeds,
            reading,
            halt,
            sharing,
            part: None,
            descent: None,
        }
    }

    /// Announces the part that is read next.
    pub(super) fn begin(&mut self, part: Part) -> Result<(), Failure> {
        self.part = Some(part);
        self.descent = self.sharing.descent(&part).map(Arc::new);
        let seen = if self.descent.is_some() {
            Descent::below(part)
        } else {
            part
        };
        self.send(
            |feed| matches!(feed.wants, Wants::Everything | Wants::Pictures | Wants::Sound),
            || Ok(Piece::Part(seen)),
        )
    }

    /// Whether a card is being read, which is not for every output.
    fn is_card(&self) -> bool {
        self.part.is_some_and(|part| !part.is_span())
    }

    /// A time of the part along the joined spans.
    fn joined_us(&self, at_us: i64) -> i64 {
        let begin_us = self.part.map_or(0, |part| part.at_us);
        at_us.saturating_add(i64::try_from(begin_us).unwrap_or(i64::MAX))
    }

    /// Sends a piece to every output that wants it; an output that is gone stops the rest.
    fn send(
        &mut self,
        wanted: impl Fn(&Feed) -> bool,
        mut piece: impl FnMut() -> Result<Piece, Failure>,
    ) -> Result<(), Failure> {
        let card = self.is_card();
        let ready = |feed: &Feed| wanted(feed) && (feed.cards || !card);
        for feed in self.feeds.iter_mut().filter(|feed| ready(feed)) {
            if !feed.send(Some(piece()?)) {
                self.halt.raise();
            }
        }
        Ok(())
    }

    /// Notes that nothing is read any more.
    pub(super) fn rest(&self) {
        self.reading.waits();
    }

    /// Hands over what is left: nothing follows.
    pub(super) fn end(&mut self) {
        for feed in &mut self.feeds {
            if !feed.send(None) {
                self.halt.raise();
            }
        }
    }

    /// Lets those look at a picture who want only some.
    fn offer(&mut self, picture: &Video, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        if self.is_card() {
            return Ok(());
        }
        for Feed { to, wants, .. } in &mut self.feeds {
            match wants {
                Wants::Stills(moments) => moments.see(picture, at_us, to)?,
                Wants::Excerpt(excerpt) => excerpt.see((picture, at_us), duration_us, to)?,
                Wants::Everything | Wants::Pictures | Wants::Sound | Wants::Nothing => {}
            }
            wants.settle();
        }
        Ok(())
    }

    /// Tells the same that no picture follows.
    fn end_offers(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        for Feed { to, wants, .. } in &mut self.feeds {
            match wants {
                Wants::Stills(moments) => moments.end(to)?,
                Wants::Excerpt(excerpt) => excerpt.end(until_us, to),
                Wants::Everything | Wants::Pictures | Wants::Sound | Wants::Nothing => continue,
            }
            *wants = Wants::Nothing;
        }
        Ok(())
    }
}

impl Sink for Feeds {
    fn picture(&mut self, picture: Video, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        self.reading.moves();
        let at_us = self.joined_us(at_us);
        self.offer(&picture, at_us, duration_us)?;
        let picture = Shared::new(picture, self.descent.clone());
        self.send(
            |feed| matches!(feed.wants, Wants::Everything | Wants::Pictures),
            || {
                Ok(Piece::Picture {
                    picture: picture.clone(),
                    at_us,
                    duration_us,
                })
            },
        )
    }

    fn pictures_end(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        let until_us = until_us.map(|us| self.joined_us(us));
        // To who shows no cards, the spans are one run.
        let last = self.part.is_some_and(|part| part.role == Role::Span { last: true });
        if last {
            self.end_offers(until_us)?;
        }
        let decoded = |feed: &Feed| matches!(feed.wants, Wants::Everything | Wants::Pictures) && (feed.cards || last);
        self.send(
            |feed| decoded(feed) || last && feed.copies.contains(&Medium::Pictures),
            || Ok(Piece::PicturesEnd { until_us }),
        )
    }

    fn sound(&mut self, sound: Audio, at_us: i64) -> Result<(), Failure> {
        let at_us = self.joined_us(at_us);
        self.send(
            |feed| matches!(feed.wants, Wants::Everything | Wants::Sound),
            || {
                let sound = av::share_sound(&sound).map_err(|error| fault::engine("sound", error))?;
                Ok(Piece::Sound { sound, at_us })
            },
        )
    }

    fn packet(&mut self, packet: &Packet, medium: Medium) -> Result<(), Failure> {
        if self.is_card() {
            return Ok(());
        }
        for feed in self.feeds.iter_mut().filter(|feed| feed.copies.contains(&medium)) {
            let packet = av::packets::share_packet(packet).map_err(|error| fault::engine("packet", error))?;
            let large = packet.size() >= LARGE_BYTES;
            feed.packets.push((packet, medium));
            if (large || feed.packets.len() >= BATCH_PACKETS) && !feed.send(None) {
                self.halt.raise();
            }
        }
        Ok(())
    }

    fn decodes(&self, medium: Medium) -> bool {
        self.feeds.iter().any(|feed| match (&feed.wants, medium) {
            (Wants::Everything, _) => true,
            (Wants::Pictures | Wants::Stills(_) | Wants::Excerpt(_), medium) => medium == Medium::Pictures,
            (Wants::Sound, medium) => medium == Medium::Sound,
            (Wants::Nothing, _) => false,
        })
    }

    fn goes_on(&mut self) -> bool {
        self.reading.moves();
        let wants = |feed: &Feed| !matches!(feed.wants, Wants::Nothing) || !feed.copies.is_empty();
        !self.halt.is_raised() && self.feeds.iter().any(wants)
    }
}
