//! Several selectors of one metric in as few queries as possible. Both arms, the failures with all requests, and the sum with
//! the count of a histogram are read at once, so that their samples are of the same moment and the server has little to do.
//!
//! A query may select more than one question wants. Which series are whose is decided here, by the same matchers.

use std::sync::Arc;

use promql_parser::label::{Matcher, Matchers};
use promql_parser::parser::VectorSelector;

use super::memo::Memo;
use super::promql::{ScopeError, any_of, kept, pod_names};
use super::source::{ArmMatcher, Series};

/// Users' selectors, read.
static READ: Memo<(String, Arc<Vec<Matcher>>)> = Memo::of(1000);
/// Selectors to be asked, by what is wanted.
static ASKED: Memo<Vec<(String, Vec<usize>)>> = Memo::of(1000);

/// One selector of one arm: what is asked for, before it is known with what else.
#[derive(Clone, Debug)]
pub struct Wanted {
    name: String,
    matchers: Arc<Vec<Matcher>>,
    /// The label that tells the arms apart, and this arm's values of it.
    label: String,
    values: Vec<String>,
}

impl Wanted {
    /// Reads a user's selector for an arm. `differing` as in [`super::promql::scope`].
    ///
    /// # Errors
    /// As [`super::promql::scope`].
    pub fn new(selector: &str, arm: &ArmMatcher, differing: &[String]) -> Result<Self, ScopeError> {
        let (label, values) = match arm {
            ArmMatcher::Pods { label, names } => {
                pod_names(names)?;
                (label.clone(), names.clone())
            }
            ArmMatcher::Labels(labels) => match labels.iter().next() {
                Some((label, value)) if labels.len() == 1 && !value.is_empty() => {
                    (label.clone(), vec![value.clone()])
                }
                Some(_) | None => return Err(ScopeError::EmptyArm),
            },
        };
        if values.is_empty() {
            return Err(ScopeError::EmptyArm);
        }
        let (name, matchers) = READ.get(format!("{selector:?} {differing:?} {label:?}"), || {
            let (name, matchers) = kept(selector, differing, std::slice::from_ref(&label))?;
            Ok((name, Arc::new(matchers)))
        })?;
        Ok(Self { name, matchers, label, values })
    }

    /// The series belongs to this selector and arm.
    pub fn takes(&self, series: &Series) -> bool {
        let value = |label: &str| series.labels.get(label).map_or("", String::as_str);
        value("__name__") == self.name
            && self.values.iter().any(|one| one == value(&self.label))
            && self.matchers.iter().all(|matcher| matcher.is_match(value(&matcher.name)))
    }

    /// Every series of `other` is selected by this name and these matchers too, the arm aside.
    fn covers(&self, other: &Wanted) -> bool {
        self.name == other.name
            && self.label == other.label
            && self.matchers.iter().all(|matcher| other.matchers.contains(matcher))
    }

    /// Both can be asked for in one selector of several names.
    fn alike(&self, other: &Wanted) -> bool {
        let subset = |a: &Wanted, b: &Wanted| a.matchers.iter().all(|matcher| b.matchers.contains(matcher));
        self.label == other.label && subset(self, other) && subset(other, self)
    }
}

/// The selectors to be asked, each with the indices of those of `wanted` that its answer serves.
///
/// # Errors
/// [`ScopeError::Unprintable`] when a selector does not read back as what was meant.
pub fn together(wanted: &[Wanted]) -> Result<Vec<(String, Vec<usize>)>, ScopeError> {
    let key = |one: &Wanted| {
        let matchers: Vec<String> = one.matchers.iter().map(Matcher::to_string).collect();
        format!("{:?} {matchers:?} {:?} {:?}", one.name, one.label, one.values)
    };
    ASKED.get(wanted.iter().map(key).collect(), || joined(wanted))
}

fn joined(wanted: &[Wanted]) -> Result<Vec<(String, Vec<usize>)>, ScopeError> {
    let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    // Those with the fewest matchers first: the others may be among what they select.
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|i| wanted[*i].matchers.len());
    for i in order {
        let one = &wanted[i];
        let broader =
            |(heads, _): &&mut (Vec<usize>, Vec<usize>)| heads.iter().any(|head| wanted[*head].covers(one));
        if let Some((_, members)) = groups.iter_mut().find(broader) {
            members.push(i);
            continue;
        }
        match groups.iter_mut().find(|(heads, _)| heads.iter().any(|head| wanted[*head].alike(one))) {
            Some((heads, members)) => {
                heads.push(i);
                members.push(i);
            }
            None => groups.push((vec![i], vec![i])),
        }
    }
    let query = |(heads, mut members): (Vec<usize>, Vec<usize>)| {
        members.sort_unstable();
        let of = |list: &[usize]| list.iter().map(|i| &wanted[*i]).collect::<Vec<_>>();
        Ok((selector(&of(&heads), &of(&members))?, members))
    };
    groups.into_iter().map(query).collect()
}

fn selector(heads: &[&Wanted], members: &[&Wanted]) -> Result<String, ScopeError> {
    let [first, ..] = heads else { return Err(ScopeError::EmptyArm) };
    let mut values: Vec<&str> =
        members.iter().flat_map(|one| one.values.iter().map(String::as_str)).collect();
    values.sort_unstable();
    values.dedup();
    let mut names: Vec<&str> = heads.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut matchers = first.matchers.to_vec();
    matchers.push(any_of(&first.label, &values)?);
    let name = match names.as_slice() {
        [only] => Some((*only).to_owned()),
        several => {
            matchers.insert(0, any_of("__name__", several)?);
            None
        }
    };
    let meant = VectorSelector { name, matchers: Matchers::new(matchers), offset: None, at: None };
    super::promql::printed(&meant)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pods(names: &[&str]) -> ArmMatcher {
        ArmMatcher::Pods { label: "pod".into(), names: names.iter().map(|name| (*name).into()).collect() }
    }

    fn wanted(selector: &str, names: &[&str]) -> Wanted {
        Wanted::new(selector, &pods(names), &["version".into()]).unwrap()
    }

    fn series(name: &str, labels: &[(&str, &str)]) -> Series {
        let mut all: BTreeMap<String, String> =
            labels.iter().map(|(label, value)| ((*label).into(), (*value).into())).collect();
        all.insert("__name__".into(), name.into());
        Series { labels: all, samples: Vec::new() }
    }

    #[test]
    fn failures_are_read_with_all_requests_and_both_arms_at_once() {
        let all = [
            wanted("rq_total", &["m-1", "m-2"]),
            wanted(r#"rq_total{code=~"5.."}"#, &["m-1", "m-2"]),
            wanted("rq_total", &["m-a-1"]),
            wanted(r#"rq_total{code=~"5..",job="x"}"#, &["m-a-1"]),
        ];
        let queries = together(&all).unwrap();
        assert_eq!(queries, [(r#"rq_total{pod=~"m-1|m-2|m-a-1"}"#.to_owned(), vec![0, 1, 2, 3])]);
        let failed = series("rq_total", &[("pod", "m-a-1"), ("code", "503")]);
        let fine = series("rq_total", &[("pod", "m-1"), ("code", "200")]);
        let takes = |of: &Series| all.iter().map(|one| one.takes(of)).collect::<Vec<_>>();
        assert_eq!(takes(&failed), [false, false, true, true]);
        assert_eq!(takes(&fine), [true, false, false, false]);
        assert_eq!(takes(&series("rq_total_x", &[("pod", "m-1")])), [false; 4]);
    }

    #[test]
    fn sum_and_count_with_the_same_labels_are_one_query_by_their_names() {
        let all = [
            wanted(r#"score_bucket{task="x"}"#, &["m-1"]),
            wanted(r#"score_sum{task="x"}"#, &["m-1"]),
            wanted(r#"score_bucket{task="x"}"#, &["m-a.1"]),
            wanted(r#"score_sum{task="x"}"#, &["m-a.1"]),
        ];
        let queries = together(&all).unwrap();
        let text = r#"{__name__=~"score_bucket|score_sum",pod=~"m-1|m-a\\.1",task="x"}"#;
        assert_eq!(queries, [(text.to_owned(), vec![0, 1, 2, 3])]);
    }

    #[test]
    fn what_selects_by_other_labels_is_asked_by_itself() {
        let all = [wanted(r#"rq_ok{kind="a"}"#, &["m-1"]), wanted(r#"rq_all{kind="b"}"#, &["m-1"])];
        let queries = together(&all).unwrap();
        assert_eq!(queries.len(), 2);
        let overlapping = [wanted(r#"rq{kind="a"}"#, &["m-1"]), wanted(r#"rq{code="b"}"#, &["m-1"])];
        let names: Vec<Vec<usize>> = together(&overlapping).unwrap().into_iter().map(|(_, of)| of).collect();
        assert_eq!(names, [[0], [1]], "neither selects the other's");
    }

    #[test]
    fn a_gateways_values_are_matched_literally() {
        let arm = |value: &str| ArmMatcher::Labels([("cluster".to_owned(), value.to_owned())].into());
        let one = |value: &str| Wanted::new("rq", &arm(value), &[]).unwrap();
        let queries = together(&[one("ns|svc.80"), one("b")]).unwrap();
        assert_eq!(queries[0].0, r#"rq{cluster=~"b|ns\\|svc\\.80"}"#);
        assert!(!one("ns|svc.80").takes(&series("rq", &[("cluster", "nsxsvc")])));
        assert_eq!(Wanted::new("rq", &arm(""), &[]).unwrap_err(), ScopeError::EmptyArm);
    }

    #[test]
    fn an_absent_label_matches_as_prometheus_has_it() {
        let one = wanted(r#"rq{code!="500"}"#, &["m-1"]);
        assert!(one.takes(&series("rq", &[("pod", "m-1")])));
        assert!(!one.takes(&series("rq", &[("pod", "m-1"), ("code", "500")])));
    }

    #[test]
    fn nothing_else_than_a_selector_and_a_pod_is_taken() {
        assert!(matches!(
            Wanted::new("rate(a[5m])", &pods(&["m"]), &[]),
            Err(ScopeError::NotASelector { .. })
        ));
        assert_eq!(Wanted::new("a", &pods(&[]), &[]).unwrap_err(), ScopeError::EmptyArm);
        assert!(matches!(Wanted::new("a", &pods(&["m|.*"]), &[]), Err(ScopeError::PodName(_))));
    }
}
