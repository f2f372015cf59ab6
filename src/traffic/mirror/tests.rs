use super::*;

fn gateway(controller: &str, features: Option<&[&str]>) -> GatewayFacts {
    GatewayFacts {
        gateway: "gw".into(),
        class: "c".into(),
        controller_name: controller.into(),
        supported_features: features.map(|f| f.iter().map(|n| (*n).to_owned()).collect()),
    }
}

fn refused(said: Mirror, percent: i32, parents: &[GatewayFacts]) -> String {
    match mirror_support(said, percent, parents) {
        MirrorSupport::No(why) => why,
        MirrorSupport::Yes { .. } => panic!("not refused"),
    }
}

const CONTOUR: &str = "projectcontour.io/gateway-controller";
const ALL: &[&str] = &["HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"];

#[test]
fn what_the_class_says_comes_first() {
    let yes = |percent| MirrorSupport::Yes { percent };
    assert_eq!(mirror_support(Mirror::Auto, 10, &[gateway("x/y", Some(ALL))]), yes(true));
    assert_eq!(mirror_support(Mirror::Auto, 100, &[gateway("x/y", Some(&ALL[..1]))]), yes(false));
    assert!(refused(Mirror::Auto, 10, &[gateway("x/y", Some(&ALL[..1]))]).contains("shadow.percent to 100"));
    assert!(refused(Mirror::Auto, 100, &[gateway(CONTOUR, Some(&[]))]).contains("does not mirror"));
}

#[test]
fn then_what_was_tried_and_an_unknown_gateway_is_refused_with_the_hint() {
    let contour = gateway(CONTOUR, None);
    assert_eq!(
        mirror_support(Mirror::Auto, 100, std::slice::from_ref(&contour)),
        MirrorSupport::Yes { percent: false }
    );
    assert!(
        refused(Mirror::Auto, 50, std::slice::from_ref(&contour)).contains("percent"),
        "it ignores the percent"
    );
    assert!(
        refused(Mirror::Auto, 100, &[gateway("traefik.io/gateway-controller", None)])
            .contains("does not mirror")
    );
    let why = refused(Mirror::Auto, 100, &[contour, gateway("x/y", None)]);
    assert!(why.contains("does not say") && why.contains("traffic.gatewayAPI.mirror to Supported"), "{why}");
    assert!(refused(Mirror::Auto, 100, &[]).contains("could be read"));
}

#[test]
fn then_what_the_user_says() {
    let unknown = [gateway("x/y", None)];
    assert_eq!(mirror_support(Mirror::Supported, 100, &unknown), MirrorSupport::Yes { percent: false });
    assert!(refused(Mirror::Supported, 50, &unknown).contains("HTTPRouteRequestPercentageMirror"));
    assert_eq!(
        mirror_support(Mirror::Supported, 50, &[gateway("x/y", Some(ALL))]),
        MirrorSupport::Yes { percent: true }
    );
    assert!(refused(Mirror::Unsupported, 100, &[gateway("x/y", Some(ALL))]).contains("Unsupported"));
}
