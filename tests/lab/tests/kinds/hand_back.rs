//! Who owns a Service's selector, on a real API server.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use understudy::api::keys::FIELD_MANAGER;
use understudy::traffic::{Edit, selector};

use super::World;

fn declared() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "handed-back"},
        "spec": {"selector": {"app": "origin"}, "ports": [{"port": 80}]},
    })
}

async fn apply(services: &Api<Service>) -> kube::Result<Service> {
    services.patch("handed-back", &PatchParams::apply("git"), &Patch::Apply(declared())).await
}

async fn write(services: &Api<Service>, edit: Edit) -> kube::Result<Service> {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    services.patch("handed-back", &params, &Patch::<Value>::Json(edit.patch)).await
}

fn select(service: &Service, app: &str) -> Result<Edit> {
    let wanted = [("app".to_owned(), app.to_owned())].into();
    selector::selector_edit(service, &wanted).context("it selects that already")
}

/// Turned to a slot and back, with the second write: the user's next server-side apply goes through. Without the second
/// write it fails with a conflict, which shows that the test can.
pub async fn a_selector_belongs_to_its_owner_again(world: &World) -> Result<()> {
    let services: Api<Service> = Api::namespaced(world.client.clone(), "default");
    let before = apply(&services).await?;
    let owners = selector::owners(&before, &[]);
    ensure!(owners.len() == 1 && owners[0].manager == "git", "{owners:?}");

    let turned = write(&services, select(&before, "slot")?).await?;
    let refused = apply(&services).await;
    ensure!(refused.is_err(), "an apply over our selector is no conflict: {refused:?}");
    let remembered = selector::owners(&turned, &owners);
    ensure!(remembered == owners, "{remembered:?}");

    let back = write(&services, select(&turned, "origin")?).await?;
    let given =
        write(&services, selector::give_back(&back, &remembered).context("nothing to give back")?).await?;
    let fields = |service: &Service| service.metadata.managed_fields.clone().unwrap_or_default();
    ensure!(fields(&given) == fields(&before), "{:?} instead of {:?}", fields(&given), fields(&before));
    ensure!(selector::give_back(&given, &remembered).is_none(), "it is given back once");
    apply(&services).await.context("the user's next apply")?;
    Ok(())
}
