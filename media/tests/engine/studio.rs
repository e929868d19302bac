//! Runs the engine as the worker does, and looks at what came out.

use crate::clips::number_of;
use domain::plan::{Clips, Plan, PlannedOutput};
use domain::protocol::{Checked, CheckedFile, Depth, Made, Progress, Report};
use domain::{Failure, Limits, Probe, Recipe, TaskId, preset};
use media::engine::{self, Cancel, Images, Inputs};
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, Once};
use tempfile::TempDir;

static INIT: Once = Once::new();

/// What became of one source.
#[derive(Debug)]
pub(crate) struct Take {
    pub(crate) probe: Probe,
    pub(crate) plan: Plan,
    pub(crate) report: Report,
    pub(crate) checked: Vec<Checked>,
    pub(crate) progress: Vec<Progress>,
    pub(crate) scratch: TempDir,
}

impl Take {
    /// The output at a place of the recipe: its plan, its report and its facts.
    pub(crate) fn output(&self, place: usize) -> (&PlannedOutput, &Made, &CheckedFile) {
        let Checked::File(checked) = &self.checked[place] else {
            panic!("{:?} is a set of files", self.checked[place])
        };
        (&self.plan.outputs[place], &self.report.outputs[place], checked)
    }

    /// The luma of every picture of an output, and their width and height.
    pub(crate) fn luma(&self, place: usize) -> (Vec<Vec<u8>>, usize, usize) {
        let path = self.scratch.path().join(&self.plan.outputs[place].file);
        let size = self.checked[place]
            .probe()
            .unwrap()
            .main_video()
            .unwrap()
            .1
            .display_size();
        let (width, height) = (size.width_px as usize, size.height_px as usize);
        let raw = decoded(
            &path,
            &[
                "-map",
                "0:v:0",
                "-vsync",
                "passthrough",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "yuv420p",
            ],
        );
        let pictures = raw
            .chunks(width * height * 3 / 2)
            .map(|picture| picture[..width * height].to_vec());
        (pictures.collect(), width, height)
    }

    /// The first channel of an output's sound.
    pub(crate) fn samples(&self, place: usize) -> Vec<f32> {
        let path = self.scratch.path().join(&self.plan.outputs[place].file);
        let raw = decoded(&path, &["-map", "0:a:0", "-f", "f32le", "-af", "pan=mono|c0=c0"]);
        raw.chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    }

    /// The numbers of the frames of a video output made from [`crate::clips::numbered`].
    pub(crate) fn numbers(&self, place: usize) -> Vec<usize> {
        let (frames, width, height) = self.luma(place);
        frames.iter().map(|luma| number_of(luma, width, height)).collect()
    }

    /// The starts of the beeps of an output in milliseconds: sound after at least 0.2 s of near silence.
    pub(crate) fn beeps_ms(&self, place: usize) -> Vec<usize> {
        let (mut beeps, mut quiet) = (Vec::new(), 48_000);
        for (at, sample) in self.samples(place).iter().enumerate() {
            if sample.abs() > 0.2 {
                if quiet > 9_600 {
                    beeps.push(at / 48);
                }
                quiet = 0;
            } else {
                quiet += 1;
            }
        }
        beeps
    }
}

/// Reads the facts of a file.
pub(crate) fn probe(source: &Path) -> Result<Probe, Failure> {
    INIT.call_once(engine::init);
    engine::probe(&File::open(source).unwrap(), &Cancel::new())
}

/// What a recipe names besides the source.
#[derive(Debug, Default)]
pub(crate) struct Props<'a> {
    pub(crate) intro: Option<&'a Path>,
    pub(crate) outro: Option<&'a Path>,
    pub(crate) images: Images,
}

/// Runs a recipe on a file from probe to verification.
pub(crate) fn shoot(source: &Path, recipe: &Recipe) -> Result<Take, Failure> {
    shoot_with(source, &Props::default(), recipe)
}

/// The same with clips and images.
pub(crate) fn shoot_with(source: &Path, props: &Props<'_>, recipe: &Recipe) -> Result<Take, Failure> {
    let mut recipe = recipe.clone();
    if let Some(bumper) = &mut recipe.bumper {
        // Which task a clip is of is the worker's business; that there is one is the plan's.
        bumper.intro_task = props.intro.map(|_| TaskId(1));
        bumper.outro_task = props.outro.map(|_| TaskId(2));
    }
    let paths = [Some(source), props.intro, props.outro].into_iter().flatten();
    let sources: Vec<_> = paths.map(|path| File::open(path).unwrap()).collect();
    let probe = probe(source)?;
    let (intro, outro) = (
        props.intro.map(self::probe).transpose()?,
        props.outro.map(self::probe).transpose()?,
    );
    let clips = Clips {
        intro: intro.as_ref(),
        outro: outro.as_ref(),
    };
    let footage = Inputs {
        sources: &sources,
        images: &props.images,
    };
    let plan = domain::plan(&recipe, &probe, clips, &Limits::default())?;
    let take = obey(&footage, probe.clone(), plan.clone());
    let told = take.as_ref().map(|take| &take.report);
    if let Some(unfit) = domain::plan::unfit(&plan, told) {
        let plan = domain::plan(&recipe, &probe.without_copies_of(unfit), clips, &Limits::default())?;
        let mut second = obey(&footage, probe, plan)?;
        if let Ok(first) = take {
            domain::plan::retell(&first.report.warnings, &mut second.report.warnings);
        }
        return Ok(second);
    }
    take
}

/// Runs a plan from its beginning to verification.
pub(crate) fn obey(footage: &Inputs<'_>, probe: Probe, plan: Plan) -> Result<Take, Failure> {
    let scratch = tempfile::tempdir().unwrap();
    let mut progress = Vec::new();
    let cancel = Cancel::new();
    let report = engine::transcode(
        footage,
        &plan,
        scratch.path(),
        2,
        &mut |step| progress.push(step),
        &cancel,
    )?;
    let mut checked = Vec::new();
    for (planned, made) in plan.outputs.iter().zip(&report.outputs) {
        let found = engine::verify(scratch.path(), planned, made, Depth::Fast, &cancel)?;
        domain::plan::verify(&plan, planned, made, &found)?;
        checked.push(found);
    }
    Ok(Take {
        probe,
        plan,
        report,
        checked,
        progress,
        scratch,
    })
}

/// A source without clips and images beside it.
pub(crate) fn footage(sources: &[File]) -> Inputs<'_> {
    static NO_IMAGES: LazyLock<Images> = LazyLock::new(Images::new);
    Inputs {
        sources,
        images: &NO_IMAGES,
    }
}

/// A plan for a source without clips beside it.
pub(crate) fn plan(recipe: &Recipe, probe: &Probe) -> Result<Plan, Failure> {
    domain::plan(recipe, probe, Clips::default(), &Limits::default())
}

/// A recipe as users write it.
pub(crate) fn recipe(json: &str) -> Recipe {
    serde_json::from_str(json).unwrap()
}

/// A built-in preset.
pub(crate) fn preset(name: &str) -> Recipe {
    preset::find(name).unwrap().recipe
}

/// What the `ffmpeg` command line decodes from a file.
pub(crate) fn decoded(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let ran = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(arguments)
        .arg("-")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}
