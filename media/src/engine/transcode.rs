//! Obeys a plan: one reader on this thread, every output on its own, and a report at the end.

use super::av::ColorNumbers;
use super::costs::Costs;
use super::descent::Sharing;
use super::feed::{Feed, Feeds, Inbox};
use super::level::Level;
use super::losses::Losses;
use super::originals::Originals;
use super::program::Program;
use super::progress::{Meter, Teller};
use super::reader::Reader;
use super::stage::Stages;
use super::still::Images;
use super::tape::Sound;
use super::track::Track;
use super::{Cancel, fault, gif, hls, loudness, movie, poster, remux, sound_file, sprite};
use domain::plan::{AudioTrack, Content, Movie, PlannedOutput, SourceVideo, VideoTrack, Warning, WarningCode};
use domain::probe::Size;
use domain::protocol::{Made, Progress, Report};
use domain::{Code, Failure, FailureKind, Plan, Timecode};
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// What is to be done, and with what.
pub(super) struct Work<'a> {
    /// The source, then the clips of intro and outro.
    pub(super) sources: &'a [File],
    pub(super) images: &'a Images,
    pub(super) plan: &'a Plan,
    pub(super) scratch: &'a Path,
    /// 0 leaves the number to FFmpeg.
    pub(super) threads: u32,
    pub(super) cancel: &'a Cancel,
}

/// What the thread of one output needs to know.
pub(super) struct Job<'a> {
    pub(super) plan: &'a Plan,
    pub(super) images: &'a Images,
    pub(super) scratch: &'a Path,
    pub(super) threads: u32,
    pub(super) meter: &'a Meter,
    pub(super) stages: &'a Stages,
    /// How loud the sound of the spans is made.
    pub(super) level: Option<Level>,
    pub(super) originals: Originals,
    facts: Facts,
    cancel: &'a Cancel,
    halt: &'a Cancel,
}

/// Facts of the source that outputs are opened with.
#[derive(Clone, Copy)]
struct Facts {
    picture: Option<(Size, ColorNumbers)>,
    /// About how many bytes a decoded picture takes.
    picture_bytes: u64,
    sound: Option<Sound>,
}

impl Job<'_> {
    /// Goes on unless somebody wants the work to end.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.cancel.check()?;
        self.halt.check()
    }

    /// How the pictures are made plain, their coded size and their color.
    pub(super) fn picture(&self) -> Result<(SourceVideo, Size, ColorNumbers), Failure> {
        let found = self.plan.video.zip(self.facts.picture);
        let (source, (size, color)) = found.ok_or_else(|| out_of_step("pictures"))?;
        Ok((source, size, color))
    }

    /// The language of the sound, when the source tells.
    pub(super) fn language(&self) -> Option<&str> {
        self.originals.sound.as_ref()?.language.as_deref()
    }

    /// The sound of the outputs, when the source has any.
    pub(super) const fn sound(&self) -> Option<Sound> {
        self.facts.sound
    }
}

/// What this engine does not do yet.
pub(super) fn unsupported(what: &str) -> Failure {
    Failure::new(
        FailureKind::Unsupported,
        Code::RecipeInvalid,
        format!("{what} are not made"),
    )
}

/// The plan wants what its source has not.
pub(super) fn out_of_step(what: &str) -> Failure {
    let detail = format!("the plan has an output with {what} and no source for it");
    Failure::new(FailureKind::MediaCrash, Code::Internal, detail)
}

/// Makes every output of the plan.
pub(super) fn run(work: &Work<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Report, Failure> {
    let costs = Costs::begin();
    let mut program = Program::open(work)?;
    let (mut teller, meters) = Teller::new(work.plan, progress);
    let facts = facts_of(program.reader());
    let level = loudness::level(work, facts.sound, &mut teller)?;
    let (outputs, losses) = produce(work, &mut program, (&mut teller, &meters), (facts, level))?;
    teller.finish();
    let mut warnings = warnings(losses, &outputs);
    if losses.headers_changed && work.plan.copies() {
        let detail = "parameter sets or sizes in the packets are not those of the container";
        warnings.push(Warning::new(WarningCode::HeadersChange, detail));
    }
    if losses.transparent {
        warnings.push(Warning::new(
            WarningCode::AlphaFlattened,
            "what is transparent lies on black",
        ));
    }
    Ok(Report {
        silent_source_us: losses.silent_us,
        ..costs.report(outputs, warnings)
    })
}

/// Starts a thread for every output and one that reads, and tells on this one how far they are, until all have ended.
fn produce(
    work: &Work<'_>,
    program: &mut Program<'_>,
    (teller, meters): (&mut Teller<'_>, &[Meter]),
    (facts, level): (Facts, Option<Level>),
) -> Result<(Vec<Made>, Losses), Failure> {
    let Work {
        plan,
        images,
        scratch,
        threads,
        cancel,
        ..
    } = *work;
    teller.tell();
    let halt = &Cancel::new();
    let (stages, reading) = (&teller.stages().clone(), teller.reading().clone());
    let (made, read) = thread::scope(|scope| {
        let (done, finished) = sync_channel::<()>(plan.outputs.len() + 1);
        let (mut feeds, mut makers) = (Vec::new(), Vec::new());
        for (planned, meter) in plan.outputs.iter().zip(meters) {
            let (feed, from) = Feed::new(planned, facts.picture_bytes, meter, &reading);
            let done = done.clone();
            let job = Job {
                plan,
                images,
                scratch,
                threads,
                meter,
                stages,
                level,
                originals: program.reader().originals(),
                facts,
                cancel,
                halt,
            };
            feeds.push(feed);
            makers.push(scope.spawn(move || {
                // Also while it opens its file and its encoders.
                meter.stage().works();
                let made = make(&job, planned, &from);
                // The feed must notice before this thread is joined.
                drop(from);
                meter.stage().waits();
                let _ = done.send(());
                made
            }));
        }
        let coded = facts.picture.map_or(Size::default(), |(size, _)| size);
        let sharing = Sharing::new(&plan.outputs, coded, threads);
        let reader = scope.spawn(move || {
            let read = read(program, Feeds::new(feeds, reading, halt.clone(), sharing), halt);
            let _ = done.send(());
            read
        });
        wait(&finished, makers.len() + 1, teller);
        let read = reader.join().unwrap_or_else(|_| Err(fault::broken_down()));
        let joined = makers
            .into_iter()
            .map(|maker| maker.join().unwrap_or_else(|_| Err(fault::broken_down())));
        (joined.collect::<Vec<_>>(), read)
    });
    let outputs = collect(made, cancel);
    let losses = first_cause(&outputs, read)?;
    Ok((outputs?, losses))
}

/// Reads all parts. The outputs end when it returns, because nobody feeds them any more.
fn read(program: &mut Program<'_>, mut feeds: Feeds, halt: &Cancel) -> Result<Losses, Failure> {
    let read = program.run(&mut feeds);
    if read.is_err() {
        halt.raise();
    }
    feeds.rest();
    read
}

/// Runs the maker of an output's kind.
fn make(job: &Job<'_>, planned: &PlannedOutput, from: &Inbox) -> Result<Made, Failure> {
    if let Some(order) = remux::Order::of(&planned.content) {
        return remux::run(job, &planned.file, &order, from);
    }
    match &planned.content {
        Content::Movie(Movie {
            container,
            video: VideoTrack::Encode(video),
            audio,
        }) => {
            let order = movie::Order {
                video,
                audio: *audio,
                cuts: None,
            };
            movie::run(job, (&planned.file, (*container).into()), &order, from)
        }
        Content::Hls(order) => hls::run(job, &planned.file, order, from),
        Content::Poster { picture, format, .. } => {
            let order = poster::Order {
                picture,
                format: *format,
            };
            poster::run(job, &planned.file, &order, from)
        }
        Content::Audio {
            format,
            audio: AudioTrack::Encode { bitrate_bps, .. },
        } => {
            let order = sound_file::Order {
                format: *format,
                bitrate_bps: *bitrate_bps,
            };
            sound_file::run(job, &planned.file, &order, from)
        }
        Content::Gif {
            picture,
            fps,
            start_us,
            end_us,
        } => {
            let order = gif::Order {
                picture,
                fps: *fps,
                start_us: *start_us,
                length_us: end_us.saturating_sub(*start_us),
            };
            gif::run(job, &planned.file, &order, from)
        }
        Content::Sprite { picture, every_us, .. } => sprite::run(job, &planned.file, (picture, *every_us), from),
        content => Err(unsupported(content.kind())),
    }
}

/// Waits until every output is done, and tells how far it is meanwhile.
fn wait(finished: &Receiver<()>, mut outputs: usize, teller: &mut Teller<'_>) {
    while outputs > 0 {
        match finished.recv_timeout(Duration::from_millis(500)) {
            Ok(()) => outputs -= 1,
            Err(RecvTimeoutError::Timeout) => teller.tell(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// All outputs, or the failure that was not caused by another one.
fn collect(made: Vec<Result<Made, Failure>>, cancel: &Cancel) -> Result<Vec<Made>, Failure> {
    cancel.check()?;
    let (made, failures): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    let mut failures: Vec<_> = failures.into_iter().filter_map(Result::err).collect();
    // Those that were only told to stop come last.
    failures.sort_by_key(|failure| failure.code == Code::Unavailable);
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(made.into_iter().filter_map(Result::ok).collect()),
    }
}

/// What the reader lost; its failure, unless an output failed for a reason of its own.
fn first_cause(outputs: &Result<Vec<Made>, Failure>, read: Result<Losses, Failure>) -> Result<Losses, Failure> {
    match (outputs, read) {
        (Err(failure), _) if failure.code != Code::Unavailable => Err(failure.clone()),
        (_, read) => read,
    }
}

fn facts_of(reader: &Reader) -> Facts {
    let (video, audio) = reader.tracks();
    let size = |track: &Track| Size {
        width_px: track.facts.width_px,
        height_px: track.facts.height_px,
    };
    Facts {
        picture: video.map(|track| (size(track), track.facts.color)),
        picture_bytes: video.map_or(0, |track| track.facts.picture_bytes()),
        sound: audio.map(|track| Sound::of_output(track.facts.sample_rate_hz, track.facts.channels)),
    }
}

fn warnings(losses: Losses, outputs: &[Made]) -> Vec<Warning> {
    let lost_ms = losses.lost_us / 1_000;
    let damaged = (lost_ms > 0).then(|| {
        let from = losses
            .from_us
            .map_or(String::new(), |us| format!(", first at {}", Timecode::from_us(us)));
        Warning::new(WarningCode::SourceDamaged, format!("{lost_ms} ms lost{from}"))
    });
    let silent = (losses.silent_us > 0).then(|| {
        let (ms, at) = (losses.silent_us / 1_000, Timecode::from_us(losses.silent_from_us));
        let detail = format!("the source: {ms} ms of sound, first at {at}");
        Warning::new(WarningCode::SoundShortened, detail)
    });
    let lost = outputs.iter().filter_map(|made| Some((&made.file, made.lost_sound?)));
    let shortened = lost.map(|(file, lost)| {
        let (ms, at) = (lost.length_us / 1_000, Timecode::from_us(lost.at_us));
        Warning::new(
            WarningCode::SoundShortened,
            format!("{file}: {ms} ms of sound, first at {at}"),
        )
    });
    // Every movie has the same rate.
    let dropped = outputs.iter().find_map(|made| made.dropped).map(|dropped| {
        let (frames, at) = (dropped.frames, Timecode::from_us(dropped.at_us));
        Warning::new(WarningCode::FramesDropped, format!("{frames} frames, first at {at}"))
    });
    damaged
        .into_iter()
        .chain(silent)
        .chain(shortened)
        .chain(dropped)
        .collect()
}
