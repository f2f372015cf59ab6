//! Which values a label had: how the pods of an arm are found after the fact. Pure.

use std::str::FromStr;

use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::{self, Expr, VectorSelector};

use super::promql::{ScopeError, kept, printed};

/// How far apart a label's values are looked up.
pub const EVERY: chrono::Duration = chrono::Duration::minutes(1);

/// A matcher on one label, as PromQL writes it: `pod=~"fraud-b-.*"`.
#[derive(Clone, Debug)]
pub struct LabelMatch {
    matcher: Matcher,
    text: String,
}

impl FromStr for LabelMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no matcher such as pod=~\"fraud-b-.*\" or version=\"1.2.0\"");
        let Ok(Expr::VectorSelector(parsed)) = parser::parse(&format!("x{{{text}}}")) else {
            return Err(wrong());
        };
        let Matchers { matchers, or_matchers } = parsed.matchers;
        match <[Matcher; 1]>::try_from(matchers) {
            Ok([matcher]) if or_matchers.is_empty() && matcher.name != "__name__" => {
                Ok(Self { matcher, text: text.trim().to_owned() })
            }
            Ok(_) | Err(_) => Err(wrong()),
        }
    }
}

impl std::fmt::Display for LabelMatch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.text)
    }
}

impl LabelMatch {
    /// The label.
    pub fn label(&self) -> &str {
        &self.matcher.name
    }

    /// The only value that it lets through, when it names one.
    pub fn exact(&self) -> Option<&str> {
        match self.matcher.op {
            MatchOp::Equal => Some(&self.matcher.value),
            MatchOp::NotEqual | MatchOp::Re(_) | MatchOp::NotRe(_) => None,
        }
    }
}

/// An expression with a series for each value of the label that a user's selector has had, to be evaluated [`EVERY`] so often.
/// `differing` as in [`super::promql::scope`].
///
/// # Errors
/// As [`super::promql::scope`].
pub fn values(selector: &str, of: &LabelMatch, differing: &[String]) -> Result<String, ScopeError> {
    let label = of.label();
    let (name, mut matchers) = kept(selector, differing, &[label.to_owned()])?;
    matchers.push(of.matcher.clone());
    let meant =
        VectorSelector { name: Some(name), matchers: Matchers::new(matchers), offset: None, at: None };
    Ok(format!("count by ({label}) (count_over_time({}[{}s]))", printed(&meant)?, EVERY.num_seconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_is_read_as_promql_writes_it() {
        let of = |text: &str| text.parse::<LabelMatch>();
        let regex = of(r#"pod=~"fraud-b-.*""#).unwrap();
        assert_eq!(
            (regex.label(), regex.exact(), regex.to_string().as_str()),
            ("pod", None, r#"pod=~"fraud-b-.*""#)
        );
        assert_eq!(of(r#" version = "1.2" "#).unwrap().exact(), Some("1.2"));
        for wrong in [
            "",
            "pod",
            "pod=a",
            r#"a="1",b="2""#,
            r#"a="1" or b="2""#,
            r#"__name__="x""#,
            r#"a="1"} or y{b="2""#,
        ] {
            let said = of(wrong).unwrap_err();
            assert!(said.contains("is no matcher such as"), "{said}");
        }
    }

    #[test]
    fn the_users_own_matchers_on_what_differs_do_not_hide_an_arm() {
        let pods: LabelMatch = r#"pod=~"b-.*""#.parse().unwrap();
        let found =
            values(r#"rq_total{code=~"5..",pod="a",version="1"}"#, &pods, &["version".into()]).unwrap();
        assert_eq!(found, r#"count by (pod) (count_over_time(rq_total{code=~"5..",pod=~"b-.*"}[60s]))"#);
        assert!(values("rate(a[1m])", &pods, &[]).is_err());
    }
}
