//! Services, Ingress, network policies and disruption budgets: they name only pods and ports that exist.

use super::kustomization::{OVERLAYS, built, container, list, of_kind, pods, read, root, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
