//! Executes a plan: one thread reads and decodes the source, every output has a thread of its own, and this thread reports
//! progress until all of them have ended.

use crate::engine::audio::limiter::Gain;
use crate::engine::audio::loudness;
use crate::engine::audio::params::AudioParams;
use crate::engine::cancel::Cancel;
use crate::engine::context::{OutputContext, SourceFacts, TranscodeContext};
use crate::engine::decode::reader::Reader;
use crate::engine::decode::source_loss::SourceLoss;
use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::decode::timeline_reader::TimelineReader;
use crate::engine::error::{self, unsupported_output};
use crate::engine::fanout::channel::Inbox;
use crate::engine::fanout::{FanOut, OutputQueue};
use crate::engine::output::audio_file::{self, AudioFileSpec};
use crate::engine::output::gif::{self, GifSpec};
use crate::engine::output::movie::{self, MovieSpec};
use crate::engine::output::poster::{self, PosterSpec};
use crate::engine::output::remux::{self, RemuxSpec};
use crate::engine::output::{hls, sprite};
use crate::engine::progress::{OutputProgress, ProgressReporter};
use crate::engine::resource_usage::ResourceUsage;
use crate::engine::video::scaled_frames::CascadePlan;
use domain::plan::{AudioTrack, Content, Movie, PlannedOutput, VideoTrack, Warning, WarningCode};
use domain::probe::Size;
use domain::protocol::{Made, Progress, Report};
use domain::{Code, Failure, Timecode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Makes every output of the plan.
pub(crate) fn run(context: &TranscodeContext<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Report, Failure> {
    let costs = ResourceUsage::begin();
    let mut timeline = TimelineReader::open(context)?;
    let (mut reporter, meters) = ProgressReporter::new(context.plan, progress);
    let facts = facts_of(timeline.reader());
    let level = loudness::measure_gain(context, facts.audio, &mut reporter)?;
    let (outputs, loss) = produce(context, &mut timeline, (&mut reporter, &meters), (facts, level))?;
    reporter.finish();
    let mut warnings = warnings(loss, &outputs);
    if loss.headers_changed && context.plan.copies() {
        let detail = "parameter sets or sizes in the packets are not those of the container";
        warnings.push(Warning::new(WarningCode::HeadersChange, detail));
    }
    if loss.transparent {
        warnings.push(Warning::new(
            WarningCode::AlphaFlattened,
            "what is transparent lies on black",
        ));
    }
    Ok(Report {
        silent_source_us: loss.silent_us,
        uneven_frames: loss.uneven_steps,
        ..costs.report(outputs, warnings)
    })
}

/// Starts a thread for every output and one that reads, and tells on this one how far they are, until all have ended.
fn produce(
    context: &TranscodeContext<'_>,
    timeline: &mut TimelineReader<'_>,
    (reporter, meters): (&mut ProgressReporter<'_>, &[OutputProgress]),
    (facts, level): (SourceFacts, Option<Gain>),
) -> Result<(Vec<Made>, SourceLoss), Failure> {
    let TranscodeContext {
        plan,
        images,
        scratch,
        threads,
        cancel,
        ..
    } = *context;
    reporter.tell();
    let halt = &Cancel::new();
    let (stages, reading) = (&reporter.stages().clone(), reporter.reading().clone());
    let (made, read) = thread::scope(|scope| {
        let (done, finished) = sync_channel::<()>(plan.outputs.len() + 1);
        let (mut queues, mut makers) = (Vec::new(), Vec::new());
        for (planned, meter) in plan.outputs.iter().zip(meters) {
            let (queue, from) = OutputQueue::new(planned, facts.frame_bytes, meter, &reading);
            let done = done.clone();
            let context = OutputContext {
                plan,
                images,
                scratch,
                threads,
                meter,
                stages,
                level,
                copy_source: timeline.reader().copy_source(),
                facts,
                cancel,
                halt,
            };
            queues.push(queue);
            makers.push(scope.spawn(move || {
                // Also while it opens its file and its encoders.
                meter.stage().works();
                let made = make(&context, planned, &from);
                // The feed must notice before this thread is joined.
                drop(from);
                meter.stage().waits();
                let _ = done.send(());
                made
            }));
        }
        let coded = facts.video.map_or(Size::default(), |(size, _)| size);
        let cascade_plan = CascadePlan::new(&plan.outputs, coded, threads);
        let reader = scope.spawn(move || {
            let read = read(timeline, FanOut::new(queues, reading, halt.clone(), cascade_plan), halt);
            let _ = done.send(());
            read
        });
        wait(&finished, makers.len() + 1, reporter);
        let read = reader.join().unwrap_or_else(|_| Err(error::thread_panicked()));
        let joined = makers
            .into_iter()
            .map(|maker| maker.join().unwrap_or_else(|_| Err(error::thread_panicked())));
        (joined.collect::<Vec<_>>(), read)
    });
    let outputs = collect(made, cancel);
    let loss = first_cause(&outputs, read)?;
    Ok((outputs?, loss))
}

/// Reads all parts. The outputs end when it returns, because nobody feeds them any more.
fn read(timeline: &mut TimelineReader<'_>, mut fan_out: FanOut, halt: &Cancel) -> Result<SourceLoss, Failure> {
    let read = timeline.run(&mut fan_out);
    if read.is_err() {
        halt.raise();
    }
    fan_out.rest();
    read
}

/// Runs the maker of an output's kind.
fn make(context: &OutputContext<'_>, planned: &PlannedOutput, from: &Inbox) -> Result<Made, Failure> {
    if let Some(order) = RemuxSpec::of(&planned.content) {
        return remux::run(context, &planned.file, &order, from);
    }
    match &planned.content {
        Content::Movie(Movie {
            container,
            video: VideoTrack::Encode(video),
            audio,
        }) => {
            let order = MovieSpec {
                video,
                audio: *audio,
                cuts: None,
            };
            movie::run(context, (&planned.file, (*container).into()), &order, from)
        }
        Content::Hls(order) => hls::run(context, &planned.file, order, from),
        Content::Poster {
            picture: layout,
            format,
            ..
        } => {
            let order = PosterSpec {
                layout,
                format: *format,
            };
            poster::run(context, &planned.file, &order, from)
        }
        Content::Audio {
            format,
            audio: AudioTrack::Encode { bitrate_bps, .. },
        } => {
            let order = AudioFileSpec {
                format: *format,
                bitrate_bps: *bitrate_bps,
            };
            audio_file::run(context, &planned.file, &order, from)
        }
        Content::Gif {
            picture: layout,
            fps,
            start_us,
            end_us,
        } => {
            let order = GifSpec {
                layout,
                fps: *fps,
                start_us: *start_us,
                length_us: end_us.saturating_sub(*start_us),
            };
            gif::run(context, &planned.file, &order, from)
        }
        Content::Sprite {
            picture: layout,
            every_us,
            ..
        } => sprite::run(context, &planned.file, (layout, *every_us), from),
        content => Err(unsupported_output(content.kind())),
    }
}

/// Waits until every output is done, and tells how far it is meanwhile.
fn wait(finished: &Receiver<()>, mut outputs: usize, reporter: &mut ProgressReporter<'_>) {
    while outputs > 0 {
        match finished.recv_timeout(Duration::from_millis(500)) {
            Ok(()) => outputs -= 1,
            Err(RecvTimeoutError::Timeout) => reporter.tell(),
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
fn first_cause(outputs: &Result<Vec<Made>, Failure>, read: Result<SourceLoss, Failure>) -> Result<SourceLoss, Failure> {
    match (outputs, read) {
        (Err(failure), _) if failure.code != Code::Unavailable => Err(failure.clone()),
        (_, read) => read,
    }
}

fn facts_of(reader: &Reader) -> SourceFacts {
    let (video, audio) = reader.tracks();
    let size = |track: &StreamDecoder| Size {
        width_px: track.facts.width_px,
        height_px: track.facts.height_px,
    };
    SourceFacts {
        video: video.map(|track| (size(track), track.facts.color)),
        frame_bytes: video.map_or(0, |track| track.facts.frame_bytes()),
        audio: audio.map(|track| AudioParams::of_output(track.facts.sample_rate_hz, track.facts.channels)),
    }
}

fn warnings(loss: SourceLoss, outputs: &[Made]) -> Vec<Warning> {
    let lost_ms = loss.lost_us / 1_000;
    let damaged = (lost_ms > 0).then(|| {
        let from = loss
            .from_us
            .map_or(String::new(), |us| format!(", first at {}", Timecode::from_us(us)));
        Warning::new(WarningCode::SourceDamaged, format!("{lost_ms} ms lost{from}"))
    });
    let open_end = (loss.open_end && damaged.is_none()).then(|| {
        let detail = "the file breaks off; how much is missing at its end is not known";
        Warning::new(WarningCode::SourceDamaged, detail)
    });
    let unread = (loss.unread_bytes > 0).then(|| {
        let detail = format!("the last {} bytes of the file were not read", loss.unread_bytes);
        Warning::new(WarningCode::SourceDamaged, detail)
    });
    let silent = (loss.silent_us > 0).then(|| {
        let (ms, at) = (loss.silent_us / 1_000, Timecode::from_us(loss.silent_from_us));
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
        .chain(open_end)
        .chain(unread)
        .chain(silent)
        .chain(shortened)
        .chain(dropped)
        .collect()
}
