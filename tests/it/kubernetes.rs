//! `deploy/k8s`: the resources of both overlays are valid, complete, restricted, and name only what exists.

use crate::{clients, observability};
use rushes::settings::{NAMES, Role, Settings};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const DIRECTORY: &str = "deploy/k8s";
const OVERLAYS: [&str; 2] = ["small", "large"];

/// Keys of the Secret `rushes`. Values of them are in no other resource.
const SECRETS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "RUSHES_JWT_SECRET",
    "RUSHES_SEALING_KEY",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The documents of a YAML text.
fn documents(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(yaml);
    documents
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// The resources of a directory, as `kubectl kustomize` prints them, without the suffix of the ConfigMap. Knows the
/// parts of a kustomization that the files use, and fails at any other.
fn built(directory: &str) -> Vec<Value> {
    let file = format!("{DIRECTORY}/{directory}/kustomization.yaml");
    let kustomization = documents(&read(&file)).remove(0);
    for key in kustomization.as_object().unwrap().keys() {
        let known = [
            "apiVersion",
            "kind",
            "namespace",
            "resources",
            "images",
            "configMapGenerator",
            "patches",
        ];
        assert!(known.contains(&key.as_str()), "{file}: this test cannot apply `{key}`");
    }
    let mut resources = Vec::new();
    for entry in list(&kustomization["resources"]) {
        let entry = text(&entry);
        resources.extend(match entry.strip_prefix("../") {
            Some(base) => built(base),
            None => documents(&read(&format!("{DIRECTORY}/{directory}/{entry}"))),
        });
    }
    for generator in list(&kustomization["configMapGenerator"]) {
        add_settings(&mut resources, &generator, directory);
    }
    for patch in list(&kustomization["patches"]) {
        let target = &patch["target"];
        let is_target = |resource: &&mut Value| {
            let has_name = target["name"].is_null() || target["name"] == resource["metadata"]["name"];
            has_name && target["kind"] == resource["kind"]
        };
        let targets: Vec<&mut Value> = resources.iter_mut().filter(is_target).collect();
        assert!(!targets.is_empty(), "{file}: there is no {target}");
        let steps = list(&documents(&text(&patch["patch"])).remove(0));
        for resource in targets {
            for step in &steps {
                assert_eq!(step["op"], "replace", "{file}");
                let place = resource.pointer_mut(step["path"].as_str().unwrap());
                *place.unwrap_or_else(|| panic!("{file}: {step}")) = step["value"].clone();
            }
        }
    }
    for resource in &mut resources {
        if kustomization["namespace"].is_string() && resource["kind"] != "Namespace" {
            resource["metadata"]["namespace"] = kustomization["namespace"].clone();
        }
        for image in list(&kustomization["images"]) {
            let container = resource.pointer_mut("/spec/template/spec/containers/0/image");
            if let Some(name) = container.filter(|name| **name == image["name"]) {
                *name = format!("{}:{}", text(&image["newName"]), text(&image["newTag"])).into();
            }
        }
    }
    resources
}

/// Adds the ConfigMap of a generator, or the values of the generator to an existing one.
fn add_settings(resources: &mut Vec<Value>, generator: &Value, directory: &str) {
    if generator["behavior"] != "merge" {
        resources.push(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": {}}),
        );
    }
    let files = list(&generator["envs"]);
    let texts = files
        .iter()
        .map(|file| read(&format!("{DIRECTORY}/{directory}/{}", text(file))));
    let lines: Vec<String> = texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.starts_with('#'))
        .chain(list(&generator["literals"]).iter().map(text))
        .collect();
    let mut maps = resources.iter_mut().filter(|resource| resource["kind"] == "ConfigMap");
    let map = maps.find(|map| map["metadata"]["name"] == generator["name"]).unwrap();
    for line in lines {
        let (name, value) = line.split_once('=').unwrap();
        map["data"][name] = value.into();
    }
}

/// The resources of a kind.
fn of_kind(resources: &[Value], kind: &str) -> Vec<Value> {
    resources
        .iter()
        .filter(|resource| resource["kind"] == kind)
        .cloned()
        .collect()
}

/// The pod templates by component: backend, worker and migrate.
fn pods(resources: &[Value]) -> BTreeMap<String, Value> {
    let templates = resources.iter().map(|resource| &resource["spec"]["template"]);
    let component = |template: &Value| text(&template["metadata"]["labels"]["app.kubernetes.io/component"]);
    templates
        .filter(|template| template.is_object())
        .map(|template| (component(template), template.clone()))
        .collect()
}

fn container(pod: &Value) -> &Value {
    assert_eq!(list(&pod["spec"]["containers"]).len(), 1);
    &pod["spec"]["containers"][0]
}

/// The environment of a pod: settings of the ConfigMap, values, and `secret` for each key of the Secret.
fn environment(resources: &[Value], pod: &Value, secret: &dyn Fn(&str) -> String) -> BTreeMap<String, String> {
    let settings = &of_kind(resources, "ConfigMap")[0];
    assert_eq!(
        container(pod)["envFrom"][0]["configMapRef"]["name"],
        settings["metadata"]["name"]
    );
    let mut environment: BTreeMap<String, String> = settings["data"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect();
    assert!(
        SECRETS.iter().all(|name| !environment.contains_key(*name)),
        "{environment:?}"
    );
    for entry in list(&container(pod)["env"]) {
        let name = text(&entry["name"]);
        let reference = &entry["valueFrom"]["secretKeyRef"];
        assert_eq!(reference.is_object(), SECRETS.contains(&name.as_str()), "{name}");
        let value = if reference.is_object() {
            assert_eq!(
                (&reference["name"], &reference["key"]),
                (&json!("rushes"), &json!(name))
            );
            secret(&name)
        } else {
            text(&entry["value"])
        };
        environment.insert(name, value);
    }
    environment
}

#[test]
fn the_resources_of_both_overlays_are_valid() {
    let Some(tools) = clients::tools() else { return };
    let validate = |resources: &[Value]| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("resources.yaml");
        let documents: Vec<String> = resources.iter().map(Value::to_string).collect();
        std::fs::write(&file, documents.join("\n---\n")).unwrap();
        let mut command = Command::new(tools.join("venv/bin/kubernetes-validate"));
        command.args(["--kubernetes-version", "1.37.0", "--strict"]).arg(&file);
        let output = command.output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
    };
    for overlay in OVERLAYS {
        let mut resources = built(overlay);
        // The tool knows only the kinds of Kubernetes itself.
        resources.retain(|resource| resource["kind"] != "ScaledObject");
        assert!(resources.len() >= 15, "{overlay}");
        let (is_valid, printed) = validate(&resources);
        assert!(is_valid, "{overlay}: {printed}");
        for resource in resources
            .iter_mut()
            .filter(|resource| resource["kind"] == "StatefulSet")
        {
            resource["spec"]["replica"] = 1.into();
        }
        assert!(!validate(&resources).0, "{overlay}: an unknown field is accepted");
    }
}

#[test]
fn the_pods_have_no_rights_and_write_only_to_volumes() {
    for overlay in OVERLAYS {
        let resources = built(overlay);
        let pods = pods(&resources);
        assert_eq!(
            pods.keys().collect::<Vec<_>>(),
            ["backend", "migrate", "worker"],
            "{overlay}"
        );
        for (component, pod) in &pods {
            let (spec, container) = (&pod["spec"], container(pod));
            let context = &spec["securityContext"];
            assert_eq!(context["runAsNonRoot"], true, "{component}");
            assert_eq!(
                [&context["runAsUser"], &context["runAsGroup"], &context["fsGroup"]],
                [10001; 3],
                "{component}"
            );
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{component}");
            assert_eq!(spec["automountServiceAccountToken"], false, "{component}");
            let own = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
            assert_eq!(container["securityContext"], own, "{component}");
            assert!(container["resources"]["requests"]["cpu"].is_string(), "{component}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{component}");
            assert_eq!(container["args"], json!([component]));
            assert!(
                text(&container["image"]).starts_with("registry.example.com/rushes:"),
                "{component}"
            );
            let mounts: Vec<_> = list(&container["volumeMounts"])
                .iter()
                .map(|mount| text(&mount["mountPath"]))
                .collect();
            assert_eq!(mounts, ["/var/lib/rushes", "/tmp"], "{component}");
            for volume in list(&spec["volumes"]) {
                assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{component}: {volume}");
            }
        }
        // Reaps media children whose `rushes-media` was killed.
        assert_eq!(pods["worker"]["spec"]["shareProcessNamespace"], true);
        let namespace = &of_kind(&resources, "Namespace")[0]["metadata"];
        assert_eq!(namespace["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
        for resource in resources.iter().filter(|resource| resource["kind"] != "Namespace") {
            assert_eq!(resource["metadata"]["namespace"], namespace["name"], "{resource}");
        }
    }
}

#[test]
fn the_settings_of_each_pod_are_valid_and_secrets_are_only_references() {
    let operations = read("docs/OPERATIONS.md");
    let (_, section) = operations.split_once("### Kubernetes").unwrap();
    let secret = |name: &str| match name {
        "DATABASE_URL" => "postgres://rushes:password@postgres:5432/rushes".to_owned(),
        "REDIS_URL" => "redis://:password@redis:6379/0".to_owned(),
        _ => "0".repeat(64),
    };
    for name in SECRETS {
        assert!(
            section.contains(name),
            "docs/OPERATIONS.md does not say that the Secret needs {name}"
        );
    }
    for overlay in OVERLAYS {
        let resources = built(overlay);
        for (component, pod) in pods(&resources) {
            let environment = environment(&resources, &pod, &secret);
            for name in environment.keys() {
                assert!(
                    NAMES.contains(&name.as_str()),
                    "{component}: there is no setting {name}"
                );
            }
            let role = match component.as_str() {
                "backend" => Role::Backend,
                "worker" => Role::Worker,
                _ => Role::Migrate,
            };
            let directory = tempfile::tempdir().unwrap();
            let get = |name: &str| -> Option<OsString> {
                let home = (name == "RUSHES_DATA_DIR").then(|| directory.path().into());
                home.or_else(|| environment.get(name).map(Into::into))
            };
            let settings = Settings::read(role, &get).unwrap_or_else(|error| panic!("{component}: {error}"));
            assert!(settings.storage_url.starts_with("s3://"), "{component}");
            // A volume belongs to root; a directory in it belongs to the user of the service.
            assert!(
                environment["RUSHES_DATA_DIR"].starts_with("/var/lib/rushes/"),
                "{component}"
            );
            // What takes over a worker must not be able to sign tokens.
            assert_eq!(
                environment.contains_key("RUSHES_JWT_SECRET"),
                component == "backend",
                "{component}"
            );
        }
    }
}

#[test]
fn the_probes_ask_the_right_addresses_and_a_stop_has_enough_time() {
    for overlay in OVERLAYS {
        let resources = built(overlay);
        let pods = pods(&resources);
        for (component, setting, needed_s) in [
            ("backend", "RUSHES_LISTEN", 34),
            ("worker", "RUSHES_METRICS_LISTEN", 40),
        ] {
            let pod = &pods[component];
            let environment = environment(&resources, pod, &|_| String::new());
            let port = &container(pod)["ports"][0];
            assert_eq!(
                environment[setting],
                format!("0.0.0.0:{}", port["containerPort"]),
                "{component}"
            );
            assert_eq!(
                pod["metadata"]["annotations"]["prometheus.io/port"],
                port["containerPort"].to_string()
            );
            for (probe, path) in [
                ("startupProbe", "/livez"),
                ("livenessProbe", "/livez"),
                ("readinessProbe", "/readyz"),
            ] {
                let get = json!({"path": path, "port": port["name"]});
                assert_eq!(container(pod)[probe]["httpGet"], get, "{component} {probe}");
            }
            // RUSHES_STOP_DELAY_S of a backend comes before the 25 s for its requests.
            let delay = environment
                .get("RUSHES_STOP_DELAY_S")
                .map_or(0, |delay| delay.parse::<u64>().unwrap());
            let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
            assert!(grace >= delay + needed_s, "{component}: {grace} s");
        }
        let backend = &of_kind(&resources, "StatefulSet")[0]["spec"];
        let claim = &backend["volumeClaimTemplates"][0];
        assert_eq!(
            claim["metadata"]["name"],
            container(&pods["backend"])["volumeMounts"][0]["name"]
        );
        assert_eq!(backend["persistentVolumeClaimRetentionPolicy"]["whenScaled"], "Retain");
        assert_eq!(backend["replicas"], if overlay == "large" { 3 } else { 1 });
    }
}

#[test]
fn selectors_services_and_ports_that_are_named_exist() {
    for overlay in OVERLAYS {
        let resources = built(overlay);
        let pods = pods(&resources);
        let selected = |selector: &Value| -> Vec<String> {
            let labels = selector.as_object().unwrap();
            assert!(!labels.is_empty());
            let has = |pod: &Value| {
                labels
                    .iter()
                    .all(|(name, value)| pod["metadata"]["labels"][name] == *value)
            };
            pods.iter()
                .filter(|(_, pod)| has(pod))
                .map(|(component, _)| component.clone())
                .collect()
        };
        let port_of = |component: &str| container(&pods[component])["ports"][0]["name"].clone();
        let services = of_kind(&resources, "Service");
        for service in &services {
            assert_eq!(selected(&service["spec"]["selector"]), ["backend"]);
            assert_eq!(service["spec"]["ports"][0]["targetPort"], port_of("backend"));
        }
        let names: BTreeSet<_> = services
            .iter()
            .map(|service| text(&service["metadata"]["name"]))
            .collect();
        assert!(names.contains(&text(&of_kind(&resources, "StatefulSet")[0]["spec"]["serviceName"])));
        for ingress in of_kind(&resources, "Ingress") {
            assert_eq!(
                ingress["spec"]["tls"][0]["hosts"][0],
                ingress["spec"]["rules"][0]["host"]
            );
            for path in list(&ingress["spec"]["rules"][0]["http"]["paths"]) {
                let service = &path["backend"]["service"];
                assert_eq!(*service, json!({"name": "rushes-backend", "port": {"name": "http"}}));
                assert!(names.contains("rushes-backend"));
            }
        }
        for component in ["backend", "worker"] {
            let budgets = of_kind(&resources, "PodDisruptionBudget");
            let of_component = |budget: &&Value| selected(&budget["spec"]["selector"]["matchLabels"]) == [component];
            assert_eq!(budgets.iter().filter(of_component).count(), 1, "{component}");
            let constraints = list(&pods[component]["spec"]["topologySpreadConstraints"]);
            assert_eq!(constraints.len(), 2, "{component}");
            for constraint in &constraints {
                assert_eq!(selected(&constraint["labelSelector"]["matchLabels"]), [component]);
            }
        }
        let policies = of_kind(&resources, "NetworkPolicy");
        let of = |policy: &Value| selected(&policy["spec"]["podSelector"]["matchLabels"]);
        let all: Vec<_> = policies.iter().filter(|policy| of(policy).len() == 3).collect();
        assert_eq!(all.len(), 1, "{overlay}");
        assert_eq!(all[0]["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        assert!(all[0]["spec"]["ingress"].is_null());
        for policy in policies.iter().filter(|policy| of(policy).len() == 1) {
            let port = &policy["spec"]["ingress"][0]["ports"][0]["port"];
            assert_eq!(*port, port_of(&of(policy)[0]));
        }
    }
}

#[test]
fn the_ingress_accepts_uploads_and_each_service_of_grpc_and_hides_the_metrics() {
    let resources = built("small");
    let named = |name: &str| {
        let all = of_kind(&resources, "Ingress");
        all.into_iter()
            .find(|ingress| ingress["metadata"]["name"] == name)
            .unwrap()
    };
    let annotation = |ingress: &Value, name: &str| {
        text(&ingress["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{name}")])
    };
    let paths = |ingress: &Value| -> BTreeSet<String> {
        let paths = list(&ingress["spec"]["rules"][0]["http"]["paths"]);
        paths.iter().map(|path| text(&path["path"])).collect()
    };
    let http = named("rushes");
    let size = annotation(&http, "proxy-body-size");
    assert!(
        read(".env.sample").contains(&format!("#NGINX_MAX_UPLOAD={size}\n")),
        "{size}"
    );
    assert_eq!(annotation(&http, "proxy-request-buffering"), "off");
    assert!(annotation(&http, "proxy-read-timeout").parse::<u32>().unwrap() >= 300);
    let grpc = named("rushes-grpc");
    assert_eq!(annotation(&grpc, "backend-protocol"), "GRPC");
    let mut expected: BTreeSet<String> = ["/grpc.health.v1.Health", "/grpc.reflection.v1.ServerReflection"]
        .map(str::to_owned)
        .into();
    for file in std::fs::read_dir(root().join("grpc/proto/rushes/v1")).unwrap() {
        let proto = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let services = proto
            .lines()
            .filter_map(|line| line.strip_prefix("service ")?.split(' ').next());
        expected.extend(services.map(|service| format!("/rushes.v1.{service}")));
    }
    assert_eq!(paths(&grpc), expected);
    let metrics = named("rushes-metrics");
    assert_eq!(paths(&metrics), ["/metrics".to_owned()].into());
    assert_eq!(annotation(&metrics, "whitelist-source-range"), "127.0.0.1/32");
}

#[test]
fn keda_scales_workers_by_metrics_that_exist_and_never_on_a_missing_value() {
    let resources = built("large");
    let objects = of_kind(&resources, "ScaledObject");
    assert_eq!(objects.len(), 1, "KEDA accepts one for a Deployment");
    let (object, spec) = (&objects[0], &objects[0]["spec"]);
    assert_eq!(object["apiVersion"], "keda.sh/v1alpha1");
    let target = &spec["scaleTargetRef"];
    let deployments = of_kind(&resources, "Deployment");
    let deployment = deployments
        .iter()
        .find(|deployment| deployment["metadata"]["name"] == target["name"])
        .unwrap();
    assert_eq!(
        (&target["kind"], &target["apiVersion"]),
        (&deployment["kind"], &deployment["apiVersion"])
    );
    // Otherwise each `kubectl apply` would set the number of KEDA back.
    assert!(deployment["spec"]["replicas"].is_null());
    assert!(spec["minReplicaCount"].as_u64() < spec["maxReplicaCount"].as_u64());
    let (exported, mut scaled_by) = (observability::exported(), BTreeSet::new());
    for trigger in list(&spec["triggers"]) {
        assert_eq!(trigger["type"], "prometheus");
        let metadata = trigger["metadata"].as_object().unwrap();
        let keys: Vec<&str> = metadata.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["ignoreNullValues", "query", "serverAddress", "threshold"],
            "{trigger}"
        );
        // KEDA reads strings.
        assert!(metadata.values().all(Value::is_string), "{trigger}");
        assert_eq!(metadata["ignoreNullValues"], "false", "{trigger}");
        assert!(text(&metadata["threshold"]).parse::<f64>().unwrap() > 0.0, "{trigger}");
        assert!(text(&metadata["serverAddress"]).starts_with("http://"), "{trigger}");
        scaled_by.extend(observability::series(&text(&metadata["query"])));
    }
    let expected = [
        "rushes_log_lag_seconds",
        "rushes_oldest_waiting_task_seconds",
        "rushes_worker_slots_busy",
    ];
    assert_eq!(scaled_by.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(scaled_by.is_subset(&exported), "{scaled_by:?}");
    let busy = list(&spec["triggers"])
        .into_iter()
        .find(|trigger| trigger["name"] == "busy-slots")
        .unwrap();
    assert_eq!(
        busy["metadata"]["threshold"],
        of_kind(&resources, "ConfigMap")[0]["data"]["RUSHES_WORKERS"]
    );
}
