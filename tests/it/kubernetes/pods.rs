//! The pods: rights, settings, probes and volumes.

use super::kustomization::{OVERLAYS, SECRETS, built, container, environment, list, of_kind, pods, read, text};
use rushes::settings::{NAMES, Role, Settings};
use serde_json::json;
use std::ffi::OsString;
use tests::SECRET;

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
        _ => SECRET.to_owned(),
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
