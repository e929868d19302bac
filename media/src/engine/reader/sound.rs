//! The sound of a source that is read.

use super::{Reader, Sink};
use domain::Failure;
use ffmpeg_next::frame::Audio;

impl Reader {
    /// Takes all samples that the decoder has ready.
    pub(super) fn sounds(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        let until = self.heard_until();
        while let Some(track) = &mut self.audio {
            let mut sound = Audio::empty();
            if !track.receive(&mut sound)? {
                break;
            }
            if !track.is_sound(&sound) {
                continue;
            }
            let (at, duration) = track.sound_time(&sound);
            if at.saturating_add(duration) > self.start_us && until.is_none_or(|end| at < end) {
                let at_us = at - self.start_us;
                track.reached_us = track.reached_us.max(at_us.saturating_add(duration));
                sink.sound(sound, at_us)?;
            }
        }
        Ok(())
    }

    /// No sound follows.
    pub(super) fn end_sound(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.hear_all(sink)?;
        if let Some(track) = self.audio.as_mut().filter(|track| !track.ended) {
            track.send(None);
            self.sounds(sink)?;
        }
        if let Some(track) = &mut self.audio {
            track.ended = true;
        }
        Ok(())
    }
}
