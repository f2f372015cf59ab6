//! Scopes a user's selector to one arm, in the syntax tree. Never by text templates: a name with a quote in it must not
//! be able to select anybody else's series. Pure.

use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::{self, Expr, VectorSelector, token};

use super::source::ArmMatcher;

/// Labels that differ between the arms by nature: a user's matcher on them would hide one arm.
const DIFFERING: [&str; 4] = ["job", "service", "pod", "instance"];

/// The longest selector that is read.
pub(super) const LONGEST: usize = 2048;

/// A selector of one arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scoped {
    /// Ready to be queried.
    pub selector: String,
    /// Matchers of the user that were taken out, as they were written. To be named in status.
    pub removed: Vec<String>,
}

/// Why a selector cannot be used; the text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// It is longer than 2048 bytes.
    #[error("the selector is longer than {LONGEST} bytes: select by fewer labels")]
    TooLong,
    /// It does not parse.
    #[error(
        "not a PromQL selector: {0}. Write a counter with its labels, such as http_requests_total{{code=~\"5..\"}}"
    )]
    Syntax(String),
    /// It parses, as something else than one vector selector.
    #[error(
        "{found} cannot be told apart by arm. Write the bare counter, such as \
         http_requests_total{{code=~\"5..\"}}: rates, sums and ratios are made by the operator"
    )]
    NotASelector {
        /// What was found.
        found: &'static str,
    },
    /// An expression has a part that is not known to stay with the arm's series.
    #[error("{0} cannot be told apart by arm. Write sums, rates and quantiles over plain selectors")]
    Unscopable(&'static str),
    /// An expression calls a function that is not among those known to stay with the arm's series.
    #[error(
        "the function {0} cannot be told apart by arm. Write sums, rates and quantiles over plain selectors"
    )]
    Function(&'static str),
    /// It has no plain metric name.
    #[error("the selector needs a metric name of letters, digits, '_' and ':' in front of its labels")]
    NoName,
    /// The arm has no pods, or nothing to match on.
    #[error("the arm has no pods yet, so its series cannot be selected")]
    EmptyArm,
    /// A pod name that no pod can have.
    #[error("{0:?} is not the name of a pod")]
    PodName(String),
    /// The printed form does not read back as what was meant. Nothing is queried then.
    #[error("the selector does not survive printing: use plain label names and values")]
    Unprintable,
}

/// Adds the arm's matchers to `selector`, takes out the user's own on labels that differ between the arms (the usual ones,
/// those in `differing`, and the arm's), and appends `suffix` to the metric's name (`_bucket` of a histogram's base name).
///
/// # Errors
/// Everything but one plain vector selector is refused.
pub fn scope(
    selector: &str,
    suffix: &str,
    arm: &ArmMatcher,
    differing: &[String],
) -> Result<Scoped, ScopeError> {
    let ours = arm_matchers(arm)?;
    let parsed = plain(selector)?;
    let name = parsed.name.ok_or(ScopeError::NoName)? + suffix;
    let labels: Vec<String> = ours.iter().map(|matcher| matcher.name.clone()).collect();
    let (removed, mut kept) = parted(parsed.matchers.matchers, differing, &labels);
    kept.extend(ours);
    let wanted = VectorSelector { name: Some(name), matchers: Matchers::new(kept), offset: None, at: None };
    Ok(Scoped { selector: printed(&wanted)?, removed: removed.iter().map(Matcher::to_string).collect() })
}

/// The user's name and matchers, without those on labels that differ between the arms.
pub(super) fn kept(
    selector: &str,
    differing: &[String],
    ours: &[String],
) -> Result<(String, Vec<Matcher>), ScopeError> {
    let parsed = plain(selector)?;
    let name = parsed.name.ok_or(ScopeError::NoName)?;
    Ok((name, parted(parsed.matchers.matchers, differing, ours).1))
}

/// Matchers on labels that differ between the arms, and the others.
pub(super) fn parted(
    matchers: Vec<Matcher>,
    differing: &[String],
    ours: &[String],
) -> (Vec<Matcher>, Vec<Matcher>) {
    let differs =
        |label: &str| DIFFERING.contains(&label) || differing.iter().chain(ours).any(|other| other == label);
    matchers.into_iter().partition(|matcher| differs(&matcher.name))
}

/// Reads exactly one vector selector with a plain name, without offset, `@` and `or`.
fn plain(selector: &str) -> Result<VectorSelector, ScopeError> {
    if selector.len() > LONGEST {
        return Err(ScopeError::TooLong);
    }
    let found = match parser::parse(selector).map_err(syntax)? {
        Expr::VectorSelector(parsed) => return checked(parsed),
        Expr::MatrixSelector(_) => "a range",
        Expr::Call(_) => "a function",
        Expr::Aggregate(_) => "an aggregation",
        Expr::Binary(_) => "an operator between two expressions",
        Expr::Unary(_) => "a sign",
        Expr::Paren(_) => "an expression in parentheses",
        Expr::Subquery(_) => "a subquery",
        Expr::NumberLiteral(_) => "a number",
        Expr::StringLiteral(_) => "a string",
        Expr::Extension(_) => "an extension",
    };
    Err(ScopeError::NotASelector { found })
}

/// A selector with a plain name, without offset, `@` and `or`.
pub(super) fn checked(parsed: VectorSelector) -> Result<VectorSelector, ScopeError> {
    if parsed.offset.is_some() || parsed.at.is_some() {
        return Err(ScopeError::NotASelector { found: "a selector with offset or @" });
    }
    if !parsed.matchers.or_matchers.is_empty() {
        return Err(ScopeError::NotASelector { found: "a selector with `or` inside its braces" });
    }
    let named_twice = parsed.matchers.matchers.iter().any(|matcher| matcher.name == "__name__");
    if named_twice || !parsed.name.as_deref().is_some_and(is_metric_name) {
        return Err(ScopeError::NoName);
    }
    Ok(parsed)
}

/// The parser's message, in one line of bounded length.
pub(super) fn syntax(message: String) -> ScopeError {
    ScopeError::Syntax(message.chars().filter(|c| !c.is_control()).take(200).collect())
}

fn is_metric_name(name: &str) -> bool {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(start) && name.chars().all(|c| start(c) || c.is_ascii_digit())
}

/// The matchers that select an arm.
pub(super) fn arm_matchers(arm: &ArmMatcher) -> Result<Vec<Matcher>, ScopeError> {
    match arm {
        ArmMatcher::Pods { label, names } => {
            pod_names(names)?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if names.is_empty() { Err(ScopeError::EmptyArm) } else { Ok(vec![any_of(label, &names)?]) }
        }
        ArmMatcher::Labels(labels) => {
            // An empty value would match every series without the label.
            if labels.is_empty() || labels.values().any(String::is_empty) {
                return Err(ScopeError::EmptyArm);
            }
            Ok(labels.iter().map(|(name, value)| Matcher::new(MatchOp::Equal, name, value)).collect())
        }
    }
}

/// A matcher for exactly these values.
pub(super) fn any_of(label: &str, values: &[&str]) -> Result<Matcher, ScopeError> {
    match values {
        [only] => Ok(Matcher::new(MatchOp::Equal, label, only)),
        several => {
            let text: Vec<String> = several.iter().map(|value| literal(value)).collect();
            Matcher::new_matcher(token::T_EQL_REGEX, label.to_owned(), text.join("|"))
                .map_err(|_| ScopeError::Unprintable)
        }
    }
}

/// A regular expression that matches exactly this text.
fn literal(text: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Refuses what no pod can be named.
pub(super) fn pod_names(names: &[String]) -> Result<(), ScopeError> {
    names.iter().find(|name| !is_pod_name(name)).map_or(Ok(()), |odd| Err(ScopeError::PodName(odd.clone())))
}

fn is_pod_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !name.is_empty()
        && name.len() <= 253
        && name.starts_with(edge)
        && name.ends_with(edge)
        && name.chars().all(|c| edge(c) || c == '-' || c == '.')
}

/// Prints, reads back, and compares: what is sent must be what was meant.
pub(super) fn printed(wanted: &VectorSelector) -> Result<String, ScopeError> {
    let text = wanted.to_string();
    let Ok(Expr::VectorSelector(back)) = parser::parse(&text) else { return Err(ScopeError::Unprintable) };
    if back.offset.is_some() || back.at.is_some() || !back.matchers.or_matchers.is_empty() {
        return Err(ScopeError::Unprintable);
    }
    let sorted = |selector: &VectorSelector| {
        let mut all: Vec<String> = selector.matchers.matchers.iter().map(|m| format!("{m:?}")).collect();
        all.sort();
        all
    };
    if back.name == wanted.name && sorted(&back) == sorted(wanted) {
        Ok(text)
    } else {
        Err(ScopeError::Unprintable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn pods(names: &[&str]) -> ArmMatcher {
        ArmMatcher::Pods { label: "pod".into(), names: names.iter().map(|name| (*name).into()).collect() }
    }

    fn scoped(selector: &str) -> Result<Scoped, ScopeError> {
        scope(selector, "", &pods(&["m-a-1", "m-a-2.x"]), &["version".into()])
    }

    #[test]
    fn the_arms_pods_are_added_and_the_users_own_arm_labels_removed() {
        let found = scoped(r#"http_requests_total{code=~"5..", job="m", pod="p", version!="1"}"#).unwrap();
        assert_eq!(found.selector, r#"http_requests_total{code=~"5..",pod=~"m-a-1|m-a-2\\.x"}"#);
        assert_eq!(found.removed, [r#"job="m""#, r#"pod="p""#, r#"version!="1""#]);
    }

    #[test]
    fn a_single_pod_is_matched_exactly_and_a_histogram_gets_its_suffix() {
        let found = scope(r#"latency_seconds{path="/p"}"#, "_bucket", &pods(&["m-a-1"]), &[]).unwrap();
        assert_eq!(found.selector, r#"latency_seconds_bucket{path="/p",pod="m-a-1"}"#);
    }

    #[test]
    fn a_gateways_metric_is_scoped_by_its_labels() {
        let label = |value: &str| {
            ArmMatcher::Labels(BTreeMap::from([("envoy_cluster_name".to_string(), value.to_string())]))
        };
        let found =
            scope(r#"envoy_cluster_upstream_rq{envoy_cluster_name="x"}"#, "", &label("ns_svc_80"), &[]);
        assert_eq!(found.unwrap().selector, r#"envoy_cluster_upstream_rq{envoy_cluster_name="ns_svc_80"}"#);
        assert_eq!(scope("a", "", &label(""), &[]), Err(ScopeError::EmptyArm));
    }

    #[test]
    fn an_arm_without_pods_selects_nothing_rather_than_everything() {
        assert_eq!(scope("a", "", &pods(&[]), &[]), Err(ScopeError::EmptyArm));
    }

    #[test]
    fn names_and_values_with_quotes_cannot_break_out() {
        for evil in ["x\"} or secret{pod=\"", "a|.*", "A", "-a", "a\n", "p\"", ""] {
            assert!(matches!(scope("a", "", &pods(&[evil]), &[]), Err(ScopeError::PodName(_))), "{evil:?}");
        }
        let value = "x\"} or secret{y=\"\\";
        let arm = ArmMatcher::Labels(BTreeMap::from([("service_name".to_string(), value.to_string())]));
        let found = scope("a", "", &arm, &[]).unwrap().selector;
        assert_eq!(found, r#"a{service_name="x\"} or secret{y=\"\\"}"#);
        let Expr::VectorSelector(back) = parser::parse(&found).unwrap() else { panic!("{found}") };
        assert_eq!(back.matchers.matchers.len(), 1);
        assert_eq!(back.matchers.matchers[0].value, value);
    }

    #[test]
    fn everything_but_a_bare_selector_is_refused_with_advice() {
        let refused = [
            r#"rate(http_requests_total[5m])"#,
            r#"sum(http_requests_total)"#,
            r#"sum by (pod) (http_requests_total)"#,
            r#"topk(scalar(secret), http_requests_total)"#,
            r#"http_requests_total or on() vector(0)"#,
            r#"http_requests_total / http_requests_total"#,
            r#"http_requests_total{a="b" or c="d"}"#,
            r#"http_requests_total offset 5m"#,
            r#"http_requests_total @ 0"#,
            r#"http_requests_total[5m]"#,
            r#"http_requests_total[5m:1m]"#,
            r#"(http_requests_total)"#,
            r#"-http_requests_total"#,
            r#"vector(1)"#,
            r#"1"#,
            r#""text""#,
        ];
        for selector in refused {
            let error = scoped(selector).unwrap_err();
            assert!(matches!(error, ScopeError::NotASelector { .. }), "{selector}: {error}");
            assert!(error.to_string().contains("Write the bare counter"), "{error}");
        }
    }

    #[test]
    fn a_metric_has_one_plain_name() {
        for selector in [
            r#"{job="m"}"#,
            r#"{__name__=~".+"}"#,
            r#"a{__name__=~"secret"}"#,
            r#"{"evil} or secret{"}"#,
            r#"{"a.b"}"#,
        ] {
            assert!(scoped(selector).is_err(), "{selector} was taken");
        }
    }

    #[test]
    fn garbage_is_refused_in_one_short_line() {
        for selector in ["a{", "a}", "", "a{b=\"c}", "a{x=~\"(\"}", "a b", "a{} or\u{0}"] {
            let error = scoped(selector).unwrap_err().to_string();
            assert!(error.len() < 400 && !error.chars().any(char::is_control), "{selector:?}: {error:?}");
        }
        assert_eq!(scoped(&"a".repeat(3000)), Err(ScopeError::TooLong));
    }
}
