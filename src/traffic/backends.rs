//! The backends of one rule: which arm each belongs to, how a pair divides, and how a divided list is put together again.

use serde_json::{Map, Value};

use super::{Names, RouteError};

/// Most backends that a rule may have.
const MAX_BACKENDS: usize = 16;
/// Largest weight that a backend may have.
const MAX_WEIGHT: i64 = 1_000_000;

/// What a backend leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    /// The user's Service.
    Service,
    /// The candidate's.
    Candidate,
    /// Something else.
    Other,
}

/// Which arm a backendRef leads to, by kind, name and namespace.
pub(super) fn arm(backend: &Value, names: &Names) -> Arm {
    let text = |key: &str, default: &'static str| match backend.get(key).and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => default.to_owned(),
    };
    let namespace = backend.get("namespace").and_then(Value::as_str).unwrap_or(names.namespace);
    if !text("group", "").is_empty() || text("kind", "Service") != "Service" || namespace != names.namespace {
        return Arm::Other;
    }
    match text("name", "") {
        name if name == names.service => Arm::Service,
        name if name == names.candidate => Arm::Candidate,
        _ => Arm::Other,
    }
}

/// A backend's weight; 1 when it says none.
pub(super) fn weight(backend: &Value) -> i64 {
    backend.get("weight").and_then(Value::as_i64).unwrap_or(1)
}

/// Everything of a backend but its weight, with the API's defaults written out; the candidate counts as the Service whose
/// place it takes.
fn shape(backend: &Value, names: &Names) -> Map<String, Value> {
    let mut map = backend.as_object().cloned().unwrap_or_default();
    map.remove("weight");
    map.entry("group").or_insert_with(|| "".into());
    map.entry("kind").or_insert_with(|| "Service".into());
    map.entry("namespace").or_insert_with(|| names.namespace.into());
    if arm(backend, names) == Arm::Candidate {
        map.insert("name".to_owned(), names.service.into());
    }
    map
}

/// Whether two lists say the same, apart from defaults.
pub(super) fn same(a: &[Value], b: &[Value], names: &Names) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same_backend(x, y, names) && weight(x) == weight(y))
}

fn same_backend(a: &Value, b: &Value, names: &Names) -> bool {
    arm(a, names) == arm(b, names) && shape(a, names) == shape(b, names)
}

fn with(backend: &Value, name: &str, weight: i64) -> Value {
    let mut out = backend.clone();
    if let Some(map) = out.as_object_mut() {
        map.insert("name".to_owned(), name.into());
        map.insert("weight".to_owned(), weight.into());
    }
    out
}

/// Whether any backend leads to the user's Service and gets traffic.
pub(super) fn serves(backends: &[Value], names: &Names) -> bool {
    backends.iter().any(|b| arm(b, names) == Arm::Service && weight(b) > 0)
}

/// One backend of a divided list: which of the user's it comes from, and where it leads.
struct Part {
    from: usize,
    arm: Arm,
    weight: i64,
}

/// How the user's own list divides: each backend to the Service with weight w becomes a pair with w x (100 - percent) and
/// w x percent, all others get 100 times their weight, and the whole is reduced by its greatest common divisor. An arm
/// without weight is left out.
fn parts(original: &[Value], names: &Names, percent: i64) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (from, backend) in original.iter().enumerate() {
        let (arm, w) = (arm(backend, names), weight(backend));
        match arm {
            Arm::Service if w > 0 => {
                let pair = [(Arm::Service, w * (100 - percent)), (Arm::Candidate, w * percent)];
                let there = pair.into_iter().filter(|(_, w)| *w > 0);
                parts.extend(there.map(|(arm, weight)| Part { from, arm, weight }));
            }
            Arm::Service | Arm::Candidate | Arm::Other => parts.push(Part { from, arm, weight: w * 100 }),
        }
    }
    let divisor = parts.iter().fold(0, |d, p| gcd(d, p.weight)).max(1);
    for part in &mut parts {
        part.weight /= divisor;
    }
    parts
}

/// Divides the user's own list. At 0 % it stays as it is.
pub(super) fn divide(
    original: &[Value],
    names: &Names,
    percent: i32,
    rule: &str,
) -> Result<Vec<Value>, RouteError> {
    let percent = percent.clamp(0, 100);
    if percent == 0 || !serves(original, names) {
        return Ok(original.to_vec());
    }
    let parts = parts(original, names, i64::from(percent));
    if parts.len() > MAX_BACKENDS {
        return Err(RouteError::TooManyBackends { rule: rule.to_owned(), have: parts.len() });
    }
    if let Some(part) = parts.iter().filter(|p| p.weight > MAX_WEIGHT).max_by_key(|p| p.weight) {
        return Err(RouteError::WeightTooLarge { rule: rule.to_owned(), weight: part.weight, percent });
    }
    let backend = |part: Part| {
        let from = &original[part.from];
        let own = from.get("name").and_then(Value::as_str).unwrap_or_default();
        with(from, if part.arm == Arm::Candidate { names.candidate } else { own }, part.weight)
    };
    Ok(parts.into_iter().map(backend).collect())
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// One backend of a list that is being put together: one of the user's, or the two arms of a pair.
struct Whole<'a> {
    shape: Map<String, Value>,
    service: Option<&'a Value>,
    candidate: Option<&'a Value>,
    other: Option<&'a Value>,
}

/// Puts pairs together by what they lead to (port included), wherever in the list they stand.
fn wholes<'a>(backends: &'a [Value], names: &Names) -> Vec<Whole<'a>> {
    let mut out: Vec<Whole> = Vec::new();
    for backend in backends {
        let shape = shape(backend, names);
        let arm = arm(backend, names);
        let half = out.iter_mut().find(|w| {
            w.shape == shape
                && match arm {
                    Arm::Service => w.service.is_none() && w.candidate.is_some(),
                    Arm::Candidate => w.candidate.is_none() && w.service.is_some(),
                    Arm::Other => false,
                }
        });
        match (half, arm) {
            (Some(whole), Arm::Service) => whole.service = Some(backend),
            (Some(whole), Arm::Candidate) => whole.candidate = Some(backend),
            (Some(_) | None, _) => out.push(Whole {
                shape,
                service: (arm == Arm::Service).then_some(backend),
                candidate: (arm == Arm::Candidate).then_some(backend),
                other: (arm == Arm::Other).then_some(backend),
            }),
        }
    }
    out
}

/// The list without the candidate, where the user's own is not known: each pair becomes the Service with the weights of
/// both. A candidate whose Service was given another port in the meantime goes to that.
fn fold(backends: &[Value], names: &Names) -> Vec<Value> {
    let mut all = wholes(backends, names);
    while let Some(at) = all.iter().position(|w| w.service.is_none() && w.candidate.is_some())
        && let Some(lone) = all.iter_mut().position(|w| w.service.is_some() && w.candidate.is_none())
    {
        let moved = all[at].candidate;
        all[lone].candidate = moved;
        all.remove(at);
    }
    let folded: Vec<(&Value, i64)> = all
        .iter()
        .filter_map(|w| {
            let backend = w.service.or(w.candidate).or(w.other)?;
            Some((backend, [w.service, w.candidate, w.other].into_iter().flatten().map(weight).sum()))
        })
        .collect();
    let largest = folded.iter().map(|(_, w)| *w).max().unwrap_or_default();
    let scaled = |w: i64| match largest > MAX_WEIGHT {
        true if w > 0 => (w * MAX_WEIGHT / largest).max(1),
        _ => w,
    };
    folded
        .into_iter()
        .map(|(backend, w)| match arm(backend, names) {
            Arm::Candidate => with(backend, names.service, scaled(w)),
            Arm::Service | Arm::Other if w == weight(backend) && scaled(w) == w => backend.clone(),
            Arm::Service => with(backend, names.service, scaled(w)),
            Arm::Other => {
                let own = backend.get("name").and_then(Value::as_str).unwrap_or_default();
                with(backend, own, scaled(w))
            }
        })
        .collect()
}

/// The user's own list behind the present one.
///
/// `stored` is the list as it was when it last carried nothing of ours. It is taken where the present list is a division
/// of it, whatever became of the pair's weights; what the user changed since in the other backends, or by putting the
/// whole list anew, is kept.
pub(super) fn own(present: &[Value], stored: Option<&[Value]>, names: &Names) -> Vec<Value> {
    let divided = present.iter().any(|b| arm(b, names) == Arm::Candidate);
    match stored {
        None if divided => fold(present, names),
        None => present.to_vec(),
        Some(stored) if !divided && left_over(present, stored, names) => stored.to_vec(),
        Some(_) if !divided => present.to_vec(),
        Some(stored) if same_wholes(present, stored, names) && !others_changed(present, stored, names) => {
            stored.to_vec()
        }
        Some(_) => fold(present, names),
    }
}

/// Whether a list without the candidate is what is left of a division of `stored` when somebody takes the candidate out.
fn left_over(present: &[Value], stored: &[Value], names: &Names) -> bool {
    !same(present, stored, names)
        && divisions(present, stored, names, |arm| arm != Arm::Candidate)
            .any(|parts| parts.iter().zip(present).all(|(p, b)| p.weight == weight(b)))
}

/// The divisions of `stored`, at 1 to 100 %, whose kept parts lead where the present list leads.
fn divisions(
    present: &[Value],
    stored: &[Value],
    names: &Names,
    keep: impl Fn(Arm) -> bool,
) -> impl Iterator<Item = Vec<Part>> {
    let kept = |percent| {
        let mut parts = parts(stored, names, percent);
        parts.retain(|p| keep(p.arm));
        parts
    };
    let fits = |percent| {
        let parts: Vec<Part> = kept(percent);
        parts.len() == present.len()
            && parts
                .iter()
                .zip(present)
                .all(|(p, b)| p.arm == arm(b, names) && shape(&stored[p.from], names) == shape(b, names))
    };
    // Where the list leads is the same from 1 to 99 %; only at 100 % the Service's half is left out.
    let percents = [(1..=99, fits(50)), (100..=100, fits(100))];
    let fitting: Vec<i64> =
        percents.into_iter().filter(|(_, fit)| *fit).flat_map(|(range, _)| range).collect();
    let all: Vec<Vec<Part>> = fitting.into_iter().map(kept).collect();
    all.into_iter()
}

/// Whether a list leads to the same places as a division of `stored`, in the same order once pairs are put together.
pub(super) fn same_wholes(present: &[Value], stored: &[Value], names: &Names) -> bool {
    let shapes = |list: &[Value]| -> Vec<_> { wholes(list, names).into_iter().map(|w| w.shape).collect() };
    let present = shapes(present);
    // With all of the traffic at the candidate, a Service that the user gave no weight stands beside it as if it were the
    // other half of a pair.
    let all = || divide(stored, names, 100, "").is_ok_and(|list| shapes(&list) == present);
    shapes(stored) == present || all()
}

/// Whether the pairs are as we divide them and only the other backends' weights are not: somebody changed those.
fn others_changed(present: &[Value], stored: &[Value], names: &Names) -> bool {
    if stored.iter().all(|b| arm(b, names) != Arm::Other) {
        return false;
    }
    let mut changed = false;
    for parts in divisions(present, stored, names, |_| true) {
        let equal = |others: bool| {
            let mut both = parts.iter().zip(present).filter(|(p, _)| (p.arm == Arm::Other) == others);
            both.all(|(p, b)| p.weight == weight(b))
        };
        match (equal(false), equal(true)) {
            (true, true) => return false,
            (true, false) => changed = true,
            (false, _) => {}
        }
    }
    changed
}
