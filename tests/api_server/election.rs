//! The lease: one leads, and who leads no longer writes no longer.

use super::*;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/ops/leases/understudy";

fn election(api: &Fake, identity: &str) -> Election {
    let ms = Duration::from_millis;
    let times = Times { duration: ms(1000), renew_deadline: ms(500), retry: ms(50) };
    Election::new(api.client(), "ops", "understudy", identity, times)
}

fn holder(api: &Fake) -> Value {
    api.get(LEASE).map_or(Value::Null, |l| l["spec"]["holderIdentity"].clone())
}

#[tokio::test]
async fn one_leads_the_other_follows_and_takes_over_when_the_lease_is_released() {
    let api = Fake::default();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let first = election(&api, "first");
    let (mut leading, fence) = (first.state(), first.fence());
    assert!(!fence.holds());
    let first = tokio::spawn(first.run(async { drop(stopped.await) }));
    leading.wait_for(|s| *s == Leadership::Leading).await.unwrap();
    assert!(fence.holds());

    let second = election(&api, "second");
    let mut state = second.state();
    tokio::spawn(second.run(std::future::pending()));
    state.wait_for(|s| matches!(s, Leadership::Following { holder } if holder == "first")).await.unwrap();

    drop(stop);
    first.await.unwrap();
    assert!(!fence.holds(), "no write after the lease was given back");
    let began = Instant::now();
    state.wait_for(|s| *s == Leadership::Leading).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(holder(&api), "second");
}

#[tokio::test]
async fn a_lease_that_another_took_ends_the_leader() {
    let api = Fake::default();
    let election = election(&api, "first");
    let (mut state, fence) = (election.state(), election.fence());
    let running = tokio::spawn(election.run(std::future::pending()));
    state.wait_for(|s| *s == Leadership::Leading).await.unwrap();
    let mut lease = api.get(LEASE).unwrap();
    lease["spec"]["holderIdentity"] = json!("thief");
    api.put(LEASE, lease);
    state.wait_for(|s| matches!(s, Leadership::Lost { .. })).await.unwrap();
    assert!(!fence.holds());
    running.await.unwrap();
    assert_eq!(holder(&api), "thief", "it is not taken back");
}

#[tokio::test]
async fn a_leader_that_cannot_renew_stops_writing_before_another_may_lead() {
    let api = Fake::default();
    let election = election(&api, "first");
    let (mut state, fence) = (election.state(), election.fence());
    tokio::spawn(election.run(std::future::pending()));
    state.wait_for(|s| *s == Leadership::Leading).await.unwrap();
    api.fail("put leases/understudy", 503);
    let began = Instant::now();
    state.wait_for(|s| matches!(s, Leadership::Lost { .. })).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(1000), "{:?}", began.elapsed());
    assert!(!fence.holds());
}

#[tokio::test]
async fn nothing_is_written_without_the_lease() {
    let world = World::new();
    let writer = Writer::new(world.api.client(), world.ctx.stores.clone(), Fence::closed());
    let ctx = Context { writer, ..world.ctx };
    let world = World { api: world.api, ctx };
    let error = world.carry_out(&world.rollback()).await.unwrap_err();
    assert_eq!(error.class(), Class::NotLeader);
    assert!(world.api.requests().is_empty());
}

#[tokio::test]
async fn a_write_under_way_is_given_up_when_the_lease_ends() {
    let api = Fake::default();
    let election = election(&api, "first");
    let (mut state, fence) = (election.state(), election.fence());
    tokio::spawn(election.run(std::future::pending()));
    state.wait_for(|s| *s == Leadership::Leading).await.unwrap();
    let world = World::new();
    let mute = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
    });
    let client = kube::Client::new(mute, "default");
    let ctx = Context { writer: Writer::new(client, world.ctx.stores.clone(), fence.clone()), ..world.ctx };
    let world = World { api: world.api, ctx };
    let began = Instant::now();
    let finalizers = Action::SetFinalizers(Vec::new());
    let rollout = world.ctx.stores.rollouts.get(&Key::new("shop", "m")).unwrap();
    let error = world.ctx.writer.act(&rollout, &finalizers, None, Duration::from_secs(5)).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}: {error}", began.elapsed());
}

#[tokio::test]
async fn a_part_of_a_second_counts_as_a_whole_one_in_the_lease() {
    let api = Fake::default();
    let ms = Duration::from_millis;
    let times = Times { duration: ms(1500), renew_deadline: ms(500), retry: ms(50) };
    let election = Election::new(api.client(), "ops", "understudy", "first", times);
    let mut state = election.state();
    tokio::spawn(election.run(std::future::pending()));
    state.wait_for(|s| *s == Leadership::Leading).await.unwrap();
    assert_eq!(api.get(LEASE).unwrap()["spec"]["leaseDurationSeconds"], 2, "the fence holds for 1.5 s");
}
