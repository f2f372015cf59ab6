//! What people do to the slots' Deployments.

use k8s_openapi::api::apps::v1::Deployment;

use super::world::World;

/// Somebody takes away what is written on a Deployment: its annotations, or its labels too.
pub fn strip(world: &mut World, name: &str, labels: bool) {
    let Some(found) = world.objects.deployments.get(name) else { return };
    let mut new = Deployment::clone(found);
    new.metadata.annotations = None;
    if labels {
        new.metadata.labels = None;
    }
    world.put_deployment(new);
}
