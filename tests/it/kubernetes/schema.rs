//! The schemas of Kubernetes, with kubernetes-validate, which `./test` installs.

use super::kustomization::{OVERLAYS, built};
use crate::clients;
use serde_json::Value;
use std::process::Command;

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
