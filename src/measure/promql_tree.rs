//! Scopes a whole expression to one arm: the arm's matchers go to every selector in its syntax tree. What the walk does not
//! know is refused, and so is every form that gives a number without the arm's series. Pure.

use promql_parser::label::{Matcher, Matchers};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    self, AggregateExpr, BinaryExpr, Call, Expr, ParenExpr, SubqueryExpr, UnaryExpr, VectorSelector,
};

use super::promql::{LONGEST, ScopeError, Scoped, arm_matchers, checked, parted, syntax};
use super::source::ArmMatcher;

/// Nesting that is followed.
const DEEPEST: usize = 60;

/// Functions that make a number of what their selectors find, and none where they find nothing.
const FUNCTIONS: [&str; 51] = [
    "abs",
    "avg_over_time",
    "ceil",
    "changes",
    "clamp",
    "clamp_max",
    "clamp_min",
    "count_over_time",
    "delta",
    "deriv",
    "double_exponential_smoothing",
    "exp",
    "first_over_time",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "holt_winters",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "ln",
    "log10",
    "log2",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rate",
    "resets",
    "round",
    "scalar",
    "sgn",
    "sqrt",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "time",
    "timestamp",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "deg",
];

/// Adds the arm's matchers to each selector of an expression, and takes out the user's own on labels that differ between the
/// arms. The result is an instant vector.
///
/// # Errors
/// What cannot be scoped, with what to write instead.
pub fn scope_expression(query: &str, arm: &ArmMatcher, differing: &[String]) -> Result<Scoped, ScopeError> {
    if query.len() > LONGEST {
        return Err(ScopeError::TooLong);
    }
    let mut walk = Walk { ours: arm_matchers(arm)?, differing, removed: Vec::new() };
    let parsed = parser::parse(query).map_err(syntax)?;
    if parsed.value_type() != ValueType::Vector {
        return Err(ScopeError::Unscopable("an expression whose result is not an instant vector"));
    }
    let (scoped, found) = walk.expr(parsed, 0)?;
    if found == 0 {
        return Err(ScopeError::Unscopable(
            "an expression without a selector, which is the same for both arms,",
        ));
    }
    let text = scoped.to_string();
    // What is sent must be what was meant: it reads back as the same tree, and again has nothing to be taken out.
    let back = parser::parse(&text).map_err(|_| ScopeError::Unprintable)?;
    if back != scoped {
        return Err(ScopeError::Unprintable);
    }
    let removed = walk.removed.iter().map(Matcher::to_string).collect();
    Ok(Scoped { selector: text, removed })
}

struct Walk<'a> {
    ours: Vec<Matcher>,
    differing: &'a [String],
    removed: Vec<Matcher>,
}

impl Walk<'_> {
    /// The scoped expression, and the number of selectors in it.
    fn expr(&mut self, expr: Expr, depth: usize) -> Result<(Expr, usize), ScopeError> {
        if depth > DEEPEST {
            return Err(ScopeError::Unscopable("an expression that is nested so deeply"));
        }
        let down = depth + 1;
        match expr {
            Expr::VectorSelector(selector) => Ok((Expr::VectorSelector(self.selector(selector)?), 1)),
            Expr::MatrixSelector(mut matrix) => {
                matrix.vs = self.selector(matrix.vs)?;
                Ok((Expr::MatrixSelector(matrix), 1))
            }
            Expr::Call(call) => self.call(call, down),
            Expr::Aggregate(of) => self.aggregate(of, down),
            Expr::Binary(of) => self.binary(of, down),
            Expr::Subquery(of) => self.subquery(of, down),
            Expr::Unary(UnaryExpr { expr }) => {
                let (expr, found) = self.expr(*expr, down)?;
                Ok((Expr::Unary(UnaryExpr { expr: Box::new(expr) }), found))
            }
            Expr::Paren(ParenExpr { expr }) => {
                let (expr, found) = self.expr(*expr, down)?;
                Ok((Expr::Paren(ParenExpr { expr: Box::new(expr) }), found))
            }
            Expr::NumberLiteral(number) => Ok((Expr::NumberLiteral(number), 0)),
            Expr::StringLiteral(_) => Err(ScopeError::Unscopable("a string")),
            Expr::Extension(_) => Err(ScopeError::Unscopable("an extension of the language")),
        }
    }

    fn selector(&mut self, selector: VectorSelector) -> Result<VectorSelector, ScopeError> {
        let checked = checked(selector)?;
        let labels: Vec<String> = self.ours.iter().map(|matcher| matcher.name.clone()).collect();
        let (removed, mut kept) = parted(checked.matchers.matchers, self.differing, &labels);
        self.removed.extend(removed);
        kept.extend(self.ours.clone());
        // As they are printed, so that the tree reads back the same.
        kept.sort_by_cached_key(Matcher::to_string);
        Ok(VectorSelector { name: checked.name, matchers: Matchers::new(kept), offset: None, at: None })
    }

    fn call(&mut self, mut call: Call, depth: usize) -> Result<(Expr, usize), ScopeError> {
        if !FUNCTIONS.contains(&call.func.name) {
            return Err(ScopeError::Function(call.func.name));
        }
        let mut found = 0;
        for arg in &mut call.args.args {
            let (scoped, here) = self.expr((**arg).clone(), depth)?;
            **arg = scoped;
            found += here;
        }
        Ok((Expr::Call(call), found))
    }

    fn aggregate(&mut self, of: AggregateExpr, depth: usize) -> Result<(Expr, usize), ScopeError> {
        let plain = |param: &Expr| matches!(param, Expr::NumberLiteral(_));
        if of.param.as_deref().is_some_and(|param| !plain(param)) {
            return Err(ScopeError::Unscopable("an aggregation whose parameter is not a plain number"));
        }
        let (expr, found) = self.expr(*of.expr, depth)?;
        Ok((Expr::Aggregate(AggregateExpr { expr: Box::new(expr), ..of }), found))
    }

    fn binary(&mut self, of: BinaryExpr, depth: usize) -> Result<(Expr, usize), ScopeError> {
        let filled =
            of.modifier.as_ref().is_some_and(|m| m.fill_values.lhs.is_some() || m.fill_values.rhs.is_some());
        if filled {
            return Err(ScopeError::Unscopable("an operator that fills in what is missing"));
        }
        let (lhs, left) = self.expr(*of.lhs, depth)?;
        let (rhs, right) = self.expr(*of.rhs, depth)?;
        // `x or vector(0)` would turn an arm without series into a number.
        if of.op.is_set_operator() && (left == 0 || right == 0) {
            return Err(ScopeError::Unscopable("`and`, `or` or `unless` with a side that has no selector"));
        }
        Ok((Expr::Binary(BinaryExpr { lhs: Box::new(lhs), rhs: Box::new(rhs), ..of }), left + right))
    }

    fn subquery(&mut self, of: SubqueryExpr, depth: usize) -> Result<(Expr, usize), ScopeError> {
        if of.offset.is_some() || of.at.is_some() {
            return Err(ScopeError::Unscopable("a subquery with offset or @"));
        }
        let (expr, found) = self.expr(*of.expr, depth)?;
        Ok((Expr::Subquery(SubqueryExpr { expr: Box::new(expr), ..of }), found))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pods(names: &[&str]) -> ArmMatcher {
        ArmMatcher::Pods { label: "pod".into(), names: names.iter().map(|name| (*name).into()).collect() }
    }

    fn scoped(query: &str) -> Result<Scoped, ScopeError> {
        scope_expression(query, &pods(&["m-a-1"]), &["version".into()])
    }

    #[test]
    fn every_selector_in_the_tree_gets_the_arms_matchers() {
        let cases = [
            ("drift", r#"drift{pod="m-a-1"}"#),
            (r#"avg(drift{app="m"})"#, r#"avg(drift{app="m",pod="m-a-1"})"#),
            (
                "sum(rate(a[1m])) / sum(rate(b[1m]))",
                r#"sum(rate(a{pod="m-a-1"}[1m])) / sum(rate(b{pod="m-a-1"}[1m]))"#,
            ),
            (
                r#"histogram_quantile(0.99, sum by (le) (rate(d_bucket{job="x"}[5m])))"#,
                r#"histogram_quantile(0.99, sum by (le) (rate(d_bucket{pod="m-a-1"}[5m])))"#,
            ),
            ("-max(a) * 100", r#"-max(a{pod="m-a-1"}) * 100"#),
            ("(a or b)", r#"(a{pod="m-a-1"} or b{pod="m-a-1"})"#),
            ("a and on (x) b", r#"a{pod="m-a-1"} and on (x) b{pod="m-a-1"}"#),
            ("max_over_time(rate(a[1m])[5m:10s])", r#"max_over_time(rate(a{pod="m-a-1"}[1m])[5m:10s])"#),
            ("topk(1, a)", r#"topk(1, a{pod="m-a-1"})"#),
            ("quantile(0.9, a)", r#"quantile(0.9, a{pod="m-a-1"})"#),
            ("time() - max(a)", r#"time() - max(a{pod="m-a-1"})"#),
            ("a / scalar(b)", r#"a{pod="m-a-1"} / scalar(b{pod="m-a-1"})"#),
            ("a > bool 0.5", r#"a{pod="m-a-1"} > bool 0.5"#),
        ];
        for (query, wanted) in cases {
            let found = scoped(query).unwrap_or_else(|error| panic!("{query}: {error}"));
            assert_eq!(found.selector, wanted, "{query}");
        }
    }

    #[test]
    fn the_users_own_arm_labels_are_taken_out_everywhere_and_named() {
        let found = scoped(r#"sum(a{version="1", x="y"}) / sum(b{pod=~".*", instance!="z"})"#).unwrap();
        assert_eq!(found.selector, r#"sum(a{pod="m-a-1",x="y"}) / sum(b{pod="m-a-1"})"#);
        assert_eq!(found.removed, [r#"version="1""#, r#"pod=~".*""#, r#"instance!="z""#]);
    }

    #[test]
    fn or_inside_braces_is_refused_wherever_it_stands() {
        for query in [
            r#"a{x="1" or pod="other"}"#,
            r#"sum(a{x="1" or pod="other"})"#,
            r#"sum(rate(a{x="1" or y="2"}[1m]))"#,
            r#"max_over_time(a{x="1" or y="2"}[5m:1m])"#,
            r#"b / a{x="1" or y="2"}"#,
        ] {
            assert!(scoped(query).is_err(), "{query}");
        }
    }

    #[test]
    fn selectors_inside_aggregation_parameters_are_refused() {
        for query in [
            "topk(scalar(secret), a)",
            "quantile(scalar(secret), a)",
            "bottomk(count(secret), a)",
            r#"count_values("version", a)"#,
            "topk(time(), a)",
        ] {
            assert!(scoped(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_number_that_stands_in_for_missing_series_is_refused() {
        for query in [
            "a or on() vector(0)",
            "a or vector(0)",
            "sum(a) or (vector(0))",
            "absent(a)",
            "absent_over_time(a[5m])",
            "count(a or vector(1))",
            "a + on() vector(0)",
        ] {
            assert!(scoped(query).is_err(), "{query}");
        }
    }

    #[test]
    fn constants_and_expressions_without_a_selector_are_refused() {
        for query in
            ["1", "1 + 1", "vector(1)", "time()", "pi()", r#""text""#, "scalar(a)", "-(2)", "minute()"]
        {
            assert!(scoped(query).is_err(), "{query}");
        }
    }

    #[test]
    fn what_reaches_other_times_or_other_series_is_refused() {
        for query in [
            "a offset 5m",
            "a offset -5m",
            "a @ 0",
            "a @ end()",
            "rate(a[5m] offset 1h)",
            "rate(a[5m] @ start())",
            "max_over_time(a[5m:1m] offset 1h)",
            "max_over_time(a[5m:1m] @ 0)",
            "info(a)",
            r#"label_replace(a, "pod", "x", "", "")"#,
            r#"label_join(a, "pod", "", "x")"#,
            "sort(a)",
            r#"{__name__=~".+"}"#,
            r#"sum({job="x"})"#,
            r#"a{__name__="b"}"#,
            "a[5m]",
            "a[5m:1m]",
        ] {
            assert!(scoped(query).is_err(), "{query}");
        }
    }

    #[test]
    fn no_name_of_a_pod_or_label_value_breaks_out() {
        for evil in ["x\"} or secret{pod=\"", "a|.*", "p\"", ""] {
            let arm = pods(&[evil]);
            assert!(matches!(scope_expression("sum(a)", &arm, &[]), Err(ScopeError::PodName(_))), "{evil:?}");
        }
        let value = "x\"}) or secret{y=\"\\";
        let arm = ArmMatcher::Labels(BTreeMap::from([("service_name".to_string(), value.to_string())]));
        let found = scope_expression("sum(a)", &arm, &[]).unwrap().selector;
        let Expr::Aggregate(back) = parser::parse(&found).unwrap() else { panic!("{found}") };
        let Expr::VectorSelector(selector) = *back.expr else { panic!("{found}") };
        assert_eq!(
            (selector.matchers.matchers.len(), selector.matchers.matchers[0].value.as_str()),
            (1, value)
        );
        assert_eq!(scope_expression("sum(a)", &pods(&[]), &[]), Err(ScopeError::EmptyArm));
    }

    #[test]
    fn garbage_and_very_deep_expressions_are_refused_in_one_short_line() {
        let deep = format!("{}a{}", "(".repeat(300), ")".repeat(300));
        let chain = vec!["a"; 500].join("+");
        for query in ["sum(", "a{", "", "sum(a) by", "a b", deep.as_str(), chain.as_str()] {
            let error = scoped(query).unwrap_err().to_string();
            assert!(error.len() < 400 && !error.chars().any(char::is_control), "{error:?}");
        }
        assert_eq!(scoped(&"a".repeat(3000)), Err(ScopeError::TooLong));
    }
}
