//! `deploy/observability`: rules and alerts of Prometheus, dashboards, the labels of log lines, and the compose file.

use crate::skip;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::server::Server;
use tests::{SECRET, TestApp};

const DIRECTORY: &str = "deploy/observability";

/// Metrics that are not ours: those of the process, of Prometheus itself, and its alerts.
const FOREIGN: &[&str] = &[
    "ALERTS",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_threads",
    "up",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A YAML file of `deploy/observability`.
fn yaml(file: &str) -> Value {
    serde_yaml_ng::from_str(&read(&format!("{DIRECTORY}/{file}"))).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The rules of all groups.
fn rules() -> Vec<Value> {
    let groups = list(&yaml("prometheus/rules.yml")["groups"]);
    groups.iter().flat_map(|group| list(&group["rules"])).collect()
}

/// The dashboards by the names of their files.
fn dashboards() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(root().join(DIRECTORY).join("grafana/dashboards")).unwrap();
    let parse = |path: PathBuf| {
        let dashboard = serde_json::from_str(&std::fs::read_to_string(&path).unwrap());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (
            name,
            dashboard.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    };
    files.map(|file| parse(file.unwrap().path())).collect()
}

/// The names of the series of our metrics, from the table in `rushes/src/telemetry/meters.rs`.
pub(crate) fn exported() -> BTreeSet<String> {
    let source = read("rushes/src/telemetry/meters.rs");
    let (_, table) = source.split_once("const METRICS").unwrap();
    let (table, _) = table.split_once("\n];").unwrap();
    let parts: Vec<&str> = table.split('"').collect();
    let mut series = BTreeSet::new();
    for pair in parts.windows(2).filter(|pair| pair[0].starts_with("rushes_")) {
        let kind = pair[1].trim_start_matches([',', ' ', '\n']);
        if kind.starts_with("Histogram") {
            series.extend(["bucket", "count", "sum"].map(|suffix| format!("{}_{suffix}", pair[0])));
        } else if kind.starts_with("Counter") || kind.starts_with("Gauge") {
            series.insert(pair[0].to_owned());
        }
    }
    assert!(series.len() > 50, "{series:?}");
    series
}

/// The names of series in an expression of Prometheus: no functions, labels, numbers and operators.
pub(crate) fn series(expression: &str) -> BTreeSet<String> {
    const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];
    const WITH_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let (mut found, mut left) = (BTreeSet::new(), expression);
    while let Some(first) = left.chars().next() {
        let skipped = match first {
            '"' => left[1..].find('"').unwrap() + 2,
            '{' => end_of_selector(left),
            '[' => left.find(']').unwrap() + 1,
            _ if is_name(first) => {
                let end = left.find(|c| !is_name(c)).unwrap_or(left.len());
                let (name, rest) = (&left[..end], left[end..].trim_start());
                let is_word = OPERATORS.contains(&name) || WITH_LABELS.contains(&name);
                let is_function = ["(", "by (", "without ("].iter().any(|after| rest.starts_with(after));
                let is_series = !first.is_ascii_digit() && !is_function && !is_word;
                if WITH_LABELS.contains(&name) && rest.starts_with('(') {
                    left.find(')').unwrap() + 1
                } else {
                    found.extend(is_series.then(|| name.to_owned()));
                    end
                }
            }
            _ => first.len_utf8(),
        };
        left = &left[skipped..];
    }
    found
}

/// The length of a selector such as `{code=~"a{2}|b"}`.
fn end_of_selector(text: &str) -> usize {
    let mut is_quoted = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => is_quoted = !is_quoted,
            '}' if !is_quoted => return at + 1,
            _ => {}
        }
    }
    panic!("no end: {text}");
}

#[test]
fn names_of_series_are_found_in_expressions() {
    let found = |expression| series(expression).into_iter().collect::<Vec<_>>();
    assert_eq!(
        found("sum by (le, code) (rate(a_bucket{x=~\"b{2}|c\"}[5m])) > 1e3 unless on () d * on (e) group_left (f) g:h"),
        ["a_bucket", "d", "g:h"]
    );
    assert_eq!(found("(max(i) or vector(0)) / j offset 5m"), ["i", "j"]);
}

#[test]
fn promtool_accepts_the_configuration_and_the_tests_of_the_alerts_pass() {
    let directory = root().join(DIRECTORY).join("prometheus");
    for arguments in [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules.test.yml"],
    ] {
        let mut promtool = Command::new("promtool");
        let Ok(output) = promtool.current_dir(&directory).args(arguments).output() else {
            return skip::missing("promtool of the package prometheus");
        };
        let printed = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&printed)
        );
    }
}

#[test]
fn each_alert_says_what_to_do_and_is_tested_both_ways() {
    let checks = list(&yaml("prometheus/rules.test.yml")["tests"]);
    let checks: Vec<_> = checks.iter().flat_map(|test| list(&test["alert_rule_test"])).collect();
    let mut names = BTreeSet::new();
    for rule in rules().iter().filter(|rule| rule["alert"].is_string()) {
        let name = text(&rule["alert"]);
        let severity = text(&rule["labels"]["severity"]);
        assert!(["critical", "warning"].contains(&severity.as_str()), "{name}");
        for annotation in ["summary", "description"] {
            assert!(
                text(&rule["annotations"][annotation]).len() > 15,
                "{name}: {annotation}"
            );
        }
        let of_alert = || checks.iter().filter(|check| check["alertname"] == rule["alert"]);
        let fires = |check: &&Value| !list(&check["exp_alerts"]).is_empty();
        assert!(
            of_alert().any(|check| fires(&check)),
            "{name}: no test in which it fires"
        );
        assert!(
            of_alert().any(|check| !fires(&check)),
            "{name}: no test in which it does not fire"
        );
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    assert!(names.len() >= 20, "{names:?}");
}

#[test]
fn every_metric_named_in_rules_and_dashboards_exists() {
    let mut known = exported();
    known.extend(FOREIGN.iter().map(|name| (*name).to_owned()));
    known.extend(rules().iter().map(|rule| text(&rule["record"])));
    let mut named: Vec<(String, String)> = rules()
        .iter()
        .map(|rule| ("rules.yml".to_owned(), text(&rule["expr"])))
        .collect();
    for (file, dashboard) in dashboards() {
        for panel in list(&dashboard["panels"]) {
            let targets = list(&panel["targets"]);
            let is_metric = panel["datasource"]["type"] == "prometheus";
            named.extend(
                targets
                    .iter()
                    .filter(|_| is_metric)
                    .map(|target| (file.clone(), text(&target["expr"]))),
            );
        }
    }
    let mut unknown = BTreeSet::new();
    for (file, expression) in &named {
        let names = series(expression);
        assert!(!names.is_empty(), "{file}: {expression}");
        unknown.extend(
            names
                .into_iter()
                .filter(|name| !known.contains(name))
                .map(|name| format!("{file}: {name}")),
        );
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn the_dashboards_are_complete_and_have_names_of_their_own() {
    let dashboards = dashboards();
    let files: Vec<&str> = dashboards.keys().map(String::as_str).collect();
    assert_eq!(
        files,
        [
            "api.json",
            "library.json",
            "media.json",
            "overview.json",
            "workers.json"
        ]
    );
    let (mut uids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for (file, dashboard) in &dashboards {
        assert!(uids.insert(text(&dashboard["uid"])), "{file}");
        assert!(titles.insert(text(&dashboard["title"])), "{file}");
        assert_eq!(dashboard["schemaVersion"], 39, "{file}");
        let variables = list(&dashboard["templating"]["list"]);
        let (mut ids, mut names, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in list(&dashboard["panels"]) {
            let title = text(&panel["title"]);
            assert!((1..=40).contains(&title.len()), "{file}: {title}");
            assert!(names.insert(title.clone()), "{file}: {title} is there twice");
            assert!(ids.insert(panel["id"].to_string()), "{file}: {title}");
            assert!(
                ["stat", "timeseries", "logs"].contains(&&*text(&panel["type"])),
                "{file}: {title}"
            );
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{file}: {title}");
            let source = text(&panel["datasource"]["uid"]);
            let has_variable = variables.iter().any(|variable| {
                source == format!("${{{}}}", text(&variable["name"]))
                    && variable["query"] == panel["datasource"]["type"]
            });
            assert!(has_variable, "{file}: {title}: {source}");
            let targets = list(&panel["targets"]);
            assert!(!targets.is_empty(), "{file}: {title} is empty");
            let references: BTreeSet<_> = targets.iter().map(|target| text(&target["refId"])).collect();
            assert_eq!(references.len(), targets.len(), "{file}: {title}");
            assert!(
                targets.iter().all(|target| !text(&target["expr"]).is_empty()),
                "{file}: {title}"
            );
            let [x, y, width, height] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + width <= 24, "{file}: {title}");
            for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "{file}: {title} covers another panel");
            }
        }
        assert!(ids.len() >= 5, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_have_the_fields_that_promtail_reads_and_few_become_labels() {
    let promtail = yaml("promtail/promtail.yml");
    let containers = &promtail["scrape_configs"][0];
    let stages = list(&containers["pipeline_stages"]);
    let ours = stages
        .iter()
        .find(|stage| text(&stage["match"]["selector"]).contains("backend"));
    let stages = list(&ours.unwrap()["match"]["stages"]);
    let fields = stages[0]["json"]["expressions"].as_object().unwrap().clone();
    let mut labels: BTreeSet<String> = stages[2]["labels"].as_object().unwrap().keys().cloned().collect();
    labels.extend(
        list(&containers["relabel_configs"])
            .iter()
            .map(|rule| text(&rule["target_label"])),
    );
    assert_eq!(
        labels.iter().map(String::as_str).collect::<Vec<_>>(),
        ["level", "replica", "service", "target"]
    );
    let app = TestApp::idle().await;
    let mut environment = app.environment.clone();
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    let server = Server::start_in("up", app.directory.path(), &environment);
    let log = server.logged("\"message\"").await;
    let line: Value = log.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap();
    for field in fields.values() {
        assert!(line[text(field)].is_string(), "{field} is not in {line}");
    }
    let time = text(&line["timestamp"]);
    assert!(chrono::DateTime::parse_from_rfc3339(&time).is_ok(), "{time}");
    let nginx = read("nginx/nginx.conf.template");
    assert!(nginx.contains("'{\"time\":\"$time_iso8601\""), "Promtail reads `time`");
}
