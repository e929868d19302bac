//! `docker-compose.observability.yml`: services, ports, volumes and the addresses that Prometheus scrapes.

use crate::stack::{compose, map, read, root, texts};
use std::collections::BTreeSet;

#[test]
fn each_service_has_a_profile_is_hardened_and_publishes_only_on_the_loopback_address() {
    let compose = compose("docker-compose.observability.yml");
    let volumes: BTreeSet<_> = map(&compose["volumes"]).into_iter().map(|(name, _)| name).collect();
    let services = map(&compose["services"]);
    let names: Vec<_> = services.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["prometheus", "grafana", "loki", "promtail"]);
    for (name, service) in &services {
        assert_eq!(texts(&service["profiles"]), ["observability"], "{name}");
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        // The socket of Docker belongs to root.
        let is_root = service["user"].as_str().unwrap().starts_with("0:");
        assert_eq!(is_root, name == "promtail", "{name}");
        assert!(service["deploy"]["resources"]["limits"]["memory"].is_string(), "{name}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}");
        let tag = service["image"].as_str().unwrap().split_once(':').unwrap().1;
        let numbers: Vec<_> = tag.trim_start_matches('v').split('.').collect();
        assert!(
            numbers.len() == 3 && numbers.iter().all(|part| part.parse::<u32>().is_ok()),
            "{name}: {tag}"
        );
        for port in texts(&service["ports"]) {
            assert!(port.contains(":-127.0.0.1:"), "{name}: {port}");
        }
        for volume in texts(&service["volumes"]) {
            let (source, _) = volume.split_once(':').unwrap();
            match source.strip_prefix("./") {
                Some(path) => {
                    assert!(
                        root().join(path).is_dir() && volume.ends_with(":ro"),
                        "{name}: {volume}"
                    );
                }
                None => assert!(
                    volumes.contains(source) || source == "/var/run/docker.sock",
                    "{name}: {volume}"
                ),
            }
        }
    }
}

#[test]
fn the_variables_are_documented_and_the_password_of_grafana_is_required() {
    let (compose, sample) = (read("docker-compose.observability.yml"), read(".env.sample"));
    assert!(compose.contains("GF_SECURITY_ADMIN_PASSWORD: ${GRAFANA_PASSWORD:?"));
    let substitutions = compose
        .split("${")
        .skip(1)
        .map(|rest| rest.split([':', '}']).next().unwrap());
    for name in substitutions.chain(["COMPOSE_PROFILES"]) {
        assert!(sample.contains(&format!("\n#{name}=")), "{name} is not in .env.sample");
    }
}

#[test]
fn prometheus_scrapes_the_addresses_at_which_backends_and_workers_listen() {
    let (stack, added) = (
        compose("docker-compose.yml"),
        compose("docker-compose.observability.yml"),
    );
    let config = compose("deploy/observability/prometheus/prometheus.yml");
    let networks: BTreeSet<_> = texts(&added["services"]["prometheus"]["networks"])
        .into_iter()
        .collect();
    for (at, service, setting) in [(0, "backend", "RUSHES_LISTEN"), (1, "worker", "RUSHES_METRICS_LISTEN")] {
        let target = &config["scrape_configs"][at]["dns_sd_configs"][0];
        assert_eq!(texts(&target["names"]), [service]);
        let service = &stack["services"][service];
        let address = service["environment"][setting].as_str().unwrap();
        assert_eq!(address, format!("0.0.0.0:{}", target["port"].as_u64().unwrap()));
        assert!(
            texts(&service["networks"])
                .iter()
                .any(|network| networks.contains(network))
        );
    }
    // The other targets are services of the file.
    for scraped in config["scrape_configs"].as_sequence().unwrap().iter().skip(2) {
        let target = scraped["static_configs"][0]["targets"][0].as_str().unwrap();
        let host = target.split(':').next().unwrap();
        assert!(host == "localhost" || added["services"][host].is_mapping(), "{target}");
    }
    for source in ["Prometheus", "Loki"] {
        let sources = read("deploy/observability/grafana/provisioning/datasources/datasources.yml");
        assert!(
            sources.contains(&format!("url: \"http://{}:", source.to_lowercase())),
            "{source}"
        );
    }
}
