//! The number of workers, which KEDA sets by metrics.

use super::kustomization::{built, list, of_kind, text};
use crate::observability;
use serde_json::Value;
use std::collections::BTreeSet;

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
        let keys: BTreeSet<&str> = metadata.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["ignoreNullValues", "query", "serverAddress", "threshold"].into(),
            "{trigger}"
        );
        // KEDA reads strings.
        assert!(metadata.values().all(Value::is_string), "{trigger}");
        assert_eq!(metadata["ignoreNullValues"], "false", "{trigger}");
        assert!(text(&metadata["threshold"]).parse::<f64>().unwrap() > 0.0, "{trigger}");
        assert!(text(&metadata["serverAddress"]).starts_with("http://"), "{trigger}");
        scaled_by.extend(observability::series(&text(&metadata["query"])));
    }
    let expected = ["rushes_oldest_waiting_task_seconds", "rushes_worker_slots_busy"];
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
