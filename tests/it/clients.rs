//! The OpenAPI document with other tools: linters find no error, and generators produce clients that have every
//! operation, compile and work. `./test` installs the tools.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use tests::clip::{Clip, ffmpeg};
use tests::{Caller, TestApp, skip};
use tokio::process::Command;

/// The client programs and configurations of this repository.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// The directory with `node_modules` and `venv` that `./test` installs. Returns `None` and prints why without one.
pub(crate) fn tools() -> Option<PathBuf> {
    let tools = std::env::var_os("TEST_CLIENTS").map(PathBuf::from);
    if tools.is_none() {
        skip::missing("linters and generators, which ./test installs, in TEST_CLIENTS");
    }
    tools
}

/// Runs a command in `directory` and asserts that it succeeds.
pub(crate) async fn run<A: AsRef<OsStr>>(directory: &Path, executable: &Path, arguments: &[A]) {
    let output = Command::new(executable)
        .args(arguments)
        .current_dir(directory)
        .env("SCHEMATHESIS_HOOKS", sources().join("schemathesis_hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
        .output()
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", executable.display()));
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(
        output.status.success(),
        "{}:\n{}",
        executable.display(),
        printed.concat()
    );
}

/// Writes the OpenAPI document into the directory of the test and returns the number of its operations.
async fn document(app: &TestApp) -> usize {
    let document = app.anonymous().get("/api/openapi.json").await.body;
    std::fs::write(app.directory.path().join("openapi.json"), document.to_string()).unwrap();
    let items = document["paths"].as_object().unwrap().values();
    items.map(|item| item.as_object().unwrap().len()).sum()
}

/// The arguments of a client program: base URL, a video and an image.
fn arguments(app: &TestApp) -> [String; 3] {
    let directory = app.directory.path();
    let image = directory.join("logo.png");
    ffmpeg(&["-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1"], &image);
    let clip = Clip::default().make(directory);
    [app.url.clone(), clip.display().to_string(), image.display().to_string()]
}

#[tokio::test(flavor = "multi_thread")]
async fn linters_find_no_error_in_the_document() {
    let Some(tools) = tools() else { return };
    let app = TestApp::idle().await;
    document(&app).await;
    let (directory, bin) = (app.directory.path(), tools.join("node_modules/.bin"));
    run(directory, &bin.join("redocly"), &["lint", "openapi.json"]).await;
    let rules = sources().join("spectral.yaml").display().to_string();
    let arguments = ["lint", "--fail-severity", "error", "--ruleset", &rules, "openapi.json"];
    run(directory, &bin.join("spectral"), &arguments).await;
}

/// Maximum number of generated requests of each operation in each phase.
const EXAMPLES: &str = "10";

#[tokio::test(flavor = "multi_thread")]
async fn generated_requests_find_no_difference_between_document_and_replies() {
    let Some(tools) = tools() else { return };
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let (config, token) = (
        sources().join("schemathesis.toml"),
        format!("Authorization: Bearer {}", caller.token),
    );
    let (config, document) = (config.display().to_string(), format!("{}/api/openapi.json", app.url));
    let arguments = [
        "--config-file",
        &config,
        "run",
        &document,
        "-H",
        &token,
        "--checks",
        "all",
    ];
    let bounds = [
        "--seed",
        "1",
        "--max-examples",
        EXAMPLES,
        "--workers",
        "4",
        "--no-shrink",
    ];
    let phases = ["--phases", "examples,coverage,fuzzing", "--continue-on-failure"];
    let arguments = [&arguments[..], &bounds, &phases].concat();
    run(app.directory.path(), &tools.join("venv/bin/st"), &arguments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_client_in_typescript_has_every_operation_and_works() {
    let Some(tools) = tools() else { return };
    let app = TestApp::start().await;
    let operations = document(&app).await;
    let (directory, bin) = (app.directory.path(), tools.join("node_modules/.bin"));
    run(directory, &bin.join("openapi-ts"), &["-i", "openapi.json", "-o", "api"]).await;
    let generated = std::fs::read_to_string(directory.join("api/sdk.gen.ts")).unwrap();
    assert_eq!(generated.matches("\nexport const ").count(), operations);
    std::fs::copy(sources().join("journey.ts"), directory.join("journey.ts")).unwrap();
    let types = tools.join("node_modules/@types").display().to_string();
    let options = [
        "--strict --target es2022 --lib es2023,dom,dom.iterable --module commonjs --moduleResolution node10 --skipLibCheck",
        "--types node --outDir compiled journey.ts --typeRoots",
    ];
    let mut options: Vec<&str> = options.iter().flat_map(|line| line.split(' ')).collect();
    options.push(&types);
    run(directory, &bin.join("tsc"), &options).await;
    let [url, clip, image] = arguments(&app);
    run(
        directory,
        Path::new("node"),
        &["compiled/journey.js", &url, &clip, &image],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_client_in_python_has_every_operation_and_works() {
    let Some(tools) = tools() else { return };
    let app = TestApp::start().await;
    let operations = document(&app).await;
    let (directory, bin) = (app.directory.path(), tools.join("venv/bin"));
    let config = sources().join("python.yaml").display().to_string();
    let mut options: Vec<&str> =
        "generate --path openapi.json --meta none --output-path rushes_api --fail-on-warning --config"
            .split(' ')
            .collect();
    options.push(&config);
    run(directory, &bin.join("openapi-python-client"), &options).await;
    assert_eq!(modules(&directory.join("rushes_api/api")), operations);
    let python = bin.join("python");
    run(directory, &python, &["-m", "compileall", "-q", "rushes_api"]).await;
    std::fs::copy(sources().join("journey.py"), directory.join("journey.py")).unwrap();
    let [url, clip, image] = arguments(&app);
    run(directory, &python, &["journey.py", &url, &clip, &image]).await;
}

/// The number of Python modules in the packages of a directory; the generator writes one per operation.
fn modules(api: &Path) -> usize {
    let below = |path: &Path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let packages = below(api).filter(|path| path.is_dir());
    let files = packages.flat_map(|package| below(&package));
    let is_module = |path: &PathBuf| path.extension() == Some(OsStr::new("py")) && !path.ends_with("__init__.py");
    files.filter(is_module).count()
}

/// Sends the example requests, as the buttons "Try it out" and "Execute" of Swagger UI do.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_document_work_as_they_are() {
    let app = TestApp::idle().await;
    let document = app.anonymous().get("/api/openapi.json").await.body;
    let example = |name: &str| document["components"]["schemas"][name]["example"].clone();
    let mut caller = app.anonymous();
    assert_eq!(caller.post("/api/auth/signup", &example("SignUp")).await.status, 201);
    let login = caller.post("/api/auth/login", &example("Login")).await;
    caller.token = login.body["token"].as_str().unwrap().to_owned();
    let preset = caller.post("/api/presets", &example("NewPreset")).await;
    assert_eq!(preset.status, 201, "{preset:?}");
    let path = format!("/api/presets/{}", preset.body["name"].as_str().unwrap());
    let replaced = caller
        .request(reqwest::Method::PUT, &path)
        .json(&example("PresetContent"));
    assert_eq!(replaced.send().await.unwrap().status(), 200);
    let plan = caller.post("/api/plan", &example("PlanRequest")).await;
    assert_eq!(plan.status, 200, "{plan:?}");
    let preset = document["components"]["schemas"]["UploadForm"]["properties"]["preset"]["example"].clone();
    let (preset, recipe) = (preset.as_str().unwrap().to_owned(), example("Recipe").to_string());
    uploaded(&caller, &[("preset", &preset), ("recipe", &recipe)], None).await;
    uploaded(&caller, &[("preset", "audio"), ("recipe", "")], Some("audio")).await;
    uploaded(&caller, &[("preset", ""), ("recipe", " ")], Some("web")).await;
}

async fn uploaded(caller: &Caller, parts: &[(&'static str, &str)], preset: Option<&str>) {
    let reply = caller.upload("clip.mp4", tests::MP4.to_vec(), parts).await;
    assert_eq!(reply.status, 201, "{parts:?}: {reply:?}");
    assert_eq!(reply.body["preset"].as_str(), preset, "{parts:?}");
}
