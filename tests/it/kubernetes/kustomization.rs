//! The resources of `deploy/k8s` as kustomize builds them, and their parts.

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "deploy/k8s";
pub(super) const OVERLAYS: [&str; 2] = ["small", "large"];

/// Keys of the Secret `rushes`. Values of them are in no other resource.
pub(super) const SECRETS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "RUSHES_JWT_SECRET",
    "RUSHES_SEALING_KEY",
];

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

pub(super) fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

pub(super) fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The documents of a YAML text.
pub(super) fn documents(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(yaml);
    documents
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// The resources of a directory, as `kubectl kustomize` prints them, without the suffix of the `ConfigMap`. Knows the
/// parts of a kustomization that the files use, and fails at any other.
pub(super) fn built(directory: &str) -> Vec<Value> {
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

/// Adds the `ConfigMap` of a generator, or the values of the generator to an existing one.
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
pub(super) fn of_kind(resources: &[Value], kind: &str) -> Vec<Value> {
    resources
        .iter()
        .filter(|resource| resource["kind"] == kind)
        .cloned()
        .collect()
}

/// The pod templates by component: backend, worker and migrate.
pub(super) fn pods(resources: &[Value]) -> BTreeMap<String, Value> {
    let templates = resources.iter().map(|resource| &resource["spec"]["template"]);
    let component = |template: &Value| text(&template["metadata"]["labels"]["app.kubernetes.io/component"]);
    templates
        .filter(|template| template.is_object())
        .map(|template| (component(template), template.clone()))
        .collect()
}

pub(super) fn container(pod: &Value) -> &Value {
    assert_eq!(list(&pod["spec"]["containers"]).len(), 1);
    &pod["spec"]["containers"][0]
}

/// The environment of a pod: settings of the `ConfigMap`, values, and `secret` for each key of the Secret.
pub(super) fn environment(
    resources: &[Value],
    pod: &Value,
    secret: &dyn Fn(&str) -> String,
) -> BTreeMap<String, String> {
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
