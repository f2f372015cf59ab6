//! Every case on a real API server.

use std::time::Duration;

use anyhow::Result;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, CustomResourceExt, ResourceExt};
use lab::wait::wait_for;
use serde_json::Value;
use understudy::api::{ModelRollout, ModelVersion, RolloutDecision};

use super::cases;

/// Waits until the kinds are served.
pub async fn served(client: &Client) -> Result<()> {
    wait_for("the kinds", Duration::from_secs(10), async || {
        for kind in ["ModelVersion", "ModelRollout", "RolloutDecision"] {
            objects(client, kind).list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        }
        Ok::<(), String>(())
    })
    .await
}

/// Tries every case of `refused.yaml` and `accepted.yaml`, and says which did not go as it should.
pub async fn wrong(client: &Client) -> Vec<String> {
    let mut wrong = Vec::new();
    for kind in ["ModelVersion", "ModelRollout", "RolloutDecision"] {
        if let Err(e) = start_over(client, kind).await {
            wrong.push(e);
        }
    }
    for case in cases::refused() {
        let api = objects(client, &case.kind);
        let name = cases::valid(&case.kind)["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        for patch in &case.create {
            let answer = create(&api, cases::patched(&case.kind, patch)).await;
            wrong.extend(unlike(&case, "create", patch, answer));
        }
        for patch in &case.update {
            let dry = PatchParams { dry_run: true, ..PatchParams::default() };
            let answer = api.patch(&name, &dry, &Patch::Merge(patch)).await.map_err(|e| e.to_string());
            wrong.extend(unlike(&case, "update", patch, answer));
        }
    }
    for case in cases::accepted() {
        for patch in &case.create {
            let read = create(&objects(client, &case.kind), cases::patched(&case.kind, patch))
                .await
                .and_then(|object| serde_json::to_value(object).map_err(|e| e.to_string()))
                .and_then(|object| cases::understood(&case.kind, object));
            wrong.extend(
                read.err().map(|e| format!("{} {patch} should be accepted and read: {e}", case.kind)),
            );
        }
    }
    wrong
}

/// The valid object of that kind, as new.
async fn start_over(client: &Client, kind: &str) -> Result<(), String> {
    let api = objects(client, kind);
    let valid: DynamicObject = serde_json::from_value(cases::valid(kind)).map_err(|e| e.to_string())?;
    // It may not be there, which is as good.
    let _gone = api.delete(&valid.name_any(), &DeleteParams::default()).await;
    api.create(&PostParams::default(), &valid)
        .await
        .map(|_| ())
        .map_err(|e| format!("the valid {kind} is refused: {e}"))
}

async fn create(api: &Api<DynamicObject>, object: Value) -> Result<DynamicObject, String> {
    let object: DynamicObject = serde_json::from_value(object).map_err(|e| e.to_string())?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&dry, &object).await.map_err(|e| e.to_string())
}

fn unlike(
    case: &cases::Refused,
    verb: &str,
    patch: &Value,
    answer: Result<DynamicObject, String>,
) -> Option<String> {
    match answer {
        Ok(_) => Some(format!("{verb} {} {patch}: accepted, should say {}", case.kind, case.says)),
        Err(said) if said.contains(&case.says) => None,
        Err(said) => {
            Some(format!("{verb} {} {patch}: says\n  {said}\nand should say\n  {}", case.kind, case.says))
        }
    }
}

fn objects(client: &Client, kind: &str) -> Api<DynamicObject> {
    let resource = match kind {
        "ModelVersion" => ModelVersion::api_resource(),
        "ModelRollout" => ModelRollout::api_resource(),
        _ => RolloutDecision::api_resource(),
    };
    Api::namespaced_with(client.clone(), "default", &resource)
}
