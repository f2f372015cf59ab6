//! The regular expressions that tell the candidate's sessions from the others.
//!
//! A session's last two characters are hexadecimal digits, which makes 256 buckets. The candidate has the first ones, so
//! that a session that it has stays with it when the share rises. The expressions are RE2, and mean the same whether a
//! gateway matches the whole value or looks for a part of it.

/// Buckets of sessions.
const BUCKETS: i32 = 256;
/// With this each expression of ours begins. The whole marker is a group that is repeated no times: it matches the empty text.
const MARK: &str = "(?:understudy-";
/// What may stand before a cookie in the header.
const BEFORE: &str = r"^(?:.*;\s*)?";
/// From a cookie's name to the last characters of its value.
const VALUE: &str = "=[^;]*";

/// Whose sessions an expression matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::traffic) enum Whose {
    /// The candidate's.
    Candidate,
    /// All others.
    Stable,
}

/// What an expression of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Percent of the sessions that the candidate has.
    pub(super) percent: i32,
    /// Whose sessions it matches.
    pub(super) whose: Whose,
    /// The cookie in which it looks; nothing: the whole header.
    pub(super) cookie: Option<String>,
}

/// How many of the buckets are the candidate's: never more than its percent, and at least one.
fn share(percent: i32) -> i32 {
    (BUCKETS * percent.clamp(0, 100) / 100).clamp(1, BUCKETS - 1)
}

/// The expression for the sessions of a Service's candidate that has so many percent, 1 to 99, or for all others.
pub(super) fn expression(service: &str, percent: i32, whose: Whose, cookie: Option<&str>) -> String {
    written(service, percent, whose, cookie.map(escaped).as_deref())
}

fn written(service: &str, percent: i32, whose: Whose, cookie: Option<&str>) -> String {
    let digits = match whose {
        Whose::Candidate => buckets(0, share(percent) - 1),
        Whose::Stable => buckets(share(percent), BUCKETS - 1),
    };
    let marker = format!("{MARK}{percent}-{service}){{0}}");
    match cookie {
        Some(name) => format!("{marker}{BEFORE}{name}{VALUE}{digits}(?:;.*)?$"),
        None => format!("{marker}^.*{digits}$"),
    }
}

/// Two hexadecimal digits from `from` to `to`, of which one is an end of all.
fn buckets(from: i32, to: i32) -> String {
    let mut parts = Vec::new();
    let (mut first, mut last) = (from / 16, to / 16);
    if from % 16 != 0 {
        parts.push(class(first, first) + &class(from % 16, 15));
        first += 1;
    }
    if to % 16 != 15 {
        parts.push(class(last, last) + &class(0, to % 16));
        last -= 1;
    }
    if first <= last {
        parts.push(class(first, last) + &class(0, 15));
    }
    if parts.len() == 1 { parts.concat() } else { format!("(?:{})", parts.join("|")) }
}

/// One hexadecimal digit from `from` to `to`, its letters in both cases.
fn class(from: i32, to: i32) -> String {
    let letter = |n: i32, base: u8| char::from(base + u8::try_from(n).unwrap_or(0));
    let range = |from: i32, to: i32, base: u8| match from.cmp(&to) {
        std::cmp::Ordering::Less => format!("{}-{}", letter(from, base), letter(to, base)),
        std::cmp::Ordering::Equal => letter(from, base).to_string(),
        std::cmp::Ordering::Greater => String::new(),
    };
    let digits = range(from, to.min(9), b'0');
    let letters = |base| range((from - 10).max(0), to - 10, base);
    let all = format!("{digits}{}{}", letters(b'a'), letters(b'A'));
    if all.len() == 1 { all } else { format!("[{all}]") }
}

/// A name as it matches itself only.
fn escaped(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// Whether an expression is of an operator's, for whatever Service.
pub(super) fn is_marked(expression: &str) -> bool {
    expression.starts_with(MARK)
}

/// The percent in the marker of an expression, and what follows the marker; nothing when it is not for this Service.
fn unmarked<'a>(expression: &'a str, service: &str) -> Option<(i32, &'a str)> {
    let (percent, rest) = expression.strip_prefix(MARK)?.split_once('-')?;
    Some((percent.parse().ok()?, rest.strip_prefix(service)?.strip_prefix("){0}")?))
}

/// Whether an expression carries the marker of this Service, whatever became of the rest.
pub(super) fn is_for(expression: &str, service: &str) -> bool {
    unmarked(expression, service).is_some()
}

/// What an expression says that is exactly as we write it.
pub(super) fn meaning(expression: &str, service: &str) -> Option<Meaning> {
    let (percent, rest) = unmarked(expression, service)?;
    let cookie = rest.strip_prefix(BEFORE).and_then(|r| r.split_once(VALUE)).map(|(name, _)| name.to_owned());
    let whose = [Whose::Candidate, Whose::Stable]
        .into_iter()
        .find(|whose| written(service, percent, *whose, cookie.as_deref()) == expression)?;
    Some(Meaning { percent, whose, cookie })
}
