//! Whether a route's gateways can mirror requests, found out before the live route is touched.

use crate::api::Mirror;

/// What is known of one parent of the route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayFacts {
    /// Name of the Gateway.
    pub gateway: String,
    /// Name of its class.
    pub class: String,
    /// The controller of that class.
    pub controller_name: String,
    /// What the class says it supports; nothing when it says nothing.
    pub supported_features: Option<Vec<String>>,
}

/// Whether requests can be mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorSupport {
    /// They can.
    Yes {
        /// Also a part of them only.
        percent: bool,
    },
    /// They cannot; why and what to do.
    No(String),
}

const MIRROR: &str = "HTTPRouteRequestMirror";
const PERCENT: &str = "HTTPRouteRequestPercentageMirror";

/// A controller that we have tried ourselves.
struct Tested {
    controller: &'static str,
    mirrors: bool,
    percent: bool,
}

const TESTED: [Tested; 2] = [
    // Mirrors every request, whatever percent is asked for.
    Tested { controller: "projectcontour.io/gateway-controller", mirrors: true, percent: false },
    // Refuses the filter.
    Tested { controller: "traefik.io/gateway-controller", mirrors: false, percent: false },
];

/// Whether every parent can mirror `percent` of the requests: by what its class says, else by what we tried, else by what
/// the user says.
pub fn mirror_support(said: Mirror, percent: i32, parents: &[GatewayFacts]) -> MirrorSupport {
    match said {
        Mirror::Unsupported => {
            return MirrorSupport::No(
                "traffic.gatewayAPI.mirror says Unsupported; leave strategy.shadow out, or change it"
                    .to_owned(),
            );
        }
        Mirror::Auto if parents.is_empty() => {
            return MirrorSupport::No(
                "no Gateway of the route could be read, so nothing says that it can mirror; set \
                 traffic.gatewayAPI.mirror to Supported if it can, or leave strategy.shadow out"
                    .to_owned(),
            );
        }
        Mirror::Auto | Mirror::Supported => {}
    }
    let mut all_percent = !parents.is_empty();
    for parent in parents {
        let known = of_parent(parent);
        if said == Mirror::Auto && !matches!(known, Some((true, _))) {
            return MirrorSupport::No(refusal(parent, known.is_some()));
        }
        all_percent &= matches!(known, Some((true, true)));
    }
    if percent < 100 && !all_percent {
        return MirrorSupport::No(format!(
            "mirroring {percent} % of the requests needs gateways that name the feature {PERCENT}, and not all of the \
             route's do; set strategy.shadow.percent to 100, or leave strategy.shadow out"
        ));
    }
    MirrorSupport::Yes { percent: all_percent }
}

/// Whether a parent mirrors, and whether a part; nothing when nothing is known.
fn of_parent(parent: &GatewayFacts) -> Option<(bool, bool)> {
    if let Some(features) = &parent.supported_features {
        let has = |name: &str| features.iter().any(|f| f == name);
        return Some((has(MIRROR) || has(PERCENT), has(PERCENT)));
    }
    let tested = TESTED.iter().find(|t| t.controller == parent.controller_name)?;
    Some((tested.mirrors, tested.percent))
}

fn refusal(parent: &GatewayFacts, known: bool) -> String {
    let GatewayFacts { gateway, class, controller_name, supported_features: _ } = parent;
    let why = if known { "does not mirror requests" } else { "does not say whether it mirrors requests" };
    format!(
        "Gateway {gateway:?} of class {class:?} (controller {controller_name}) {why}; leave strategy.shadow out, or set \
         traffic.gatewayAPI.mirror to Supported if you know that it does"
    )
}

#[cfg(test)]
mod tests;
