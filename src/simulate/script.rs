//! Scripts: a line for each thing that happens or is expected, in the order in which they are waited for.
//!
//! ```text
//! # What the script shows.
//! setup spec strategy.watch.duration "0s"
//! at 5s rollout version 1.1.0
//! expect phase Canary within 30s
//! behave 1.1.0 errors 0.5
//! keep phase Canary for 4s
//! expect phase RolledBack within 30s
//! ```

use serde_json::Value;
use thiserror::Error;

use crate::api::{DecisionAction, SelectorGuard, Span};
use crate::rollout::observed::SelectorPolicy;

use super::companions::Deed;
use super::expect::Expectation;
use super::prometheus::Mood;

/// What people, versions and the cluster do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `spec PATH JSON`: a field of the rollout's spec; `null` takes it away.
    Spec(String, Value),
    /// `metrics NAME ...`: those that are compared.
    Metrics(Vec<String>),
    /// `create rollout NAME`.
    CreateRollout(String),
    /// `delete rollout NAME`.
    DeleteRollout(String),
    /// `behave VERSION WORD [NUMBER]`.
    Behave(String, String, f64),
    /// `route candidate PERCENT [in PATH] by WHO`.
    RouteCandidate(i64, Option<String>, String),
    /// `route mirror PERCENT by WHO`: of the mirror that is there.
    RouteMirror(i64, String),
    /// `route sessions candidate|stable|all by WHO`: somebody takes away the rules for these sessions.
    RouteSessions(String, String),
    /// `route reapply by WHO`: as in Git.
    RouteReapply(String),
    /// `route rule PATH by WHO`: the user adds a rule.
    RouteRule(String, String),
    /// `route copy NAME`: the user has the same route under another name too.
    RouteCopy(String),
    /// `route delete` and `route create`.
    Route(bool),
    /// `selector reset SERVICE by WHO`: as in Git.
    SelectorReset(String, String),
    /// `selector point SERVICE SLOT by WHO`: to the pods of that slot.
    SelectorPoint(String, String, String),
    /// `service recreate SERVICE by WHO`: deleted, and made again as in Git.
    ServiceRecreate(String, String),
    /// `policy mutating|validating|none|unreadable`: what guards selectors.
    Policy(SelectorPolicy),
    /// `guard delete` and `guard edit`: somebody takes away or changes the ConfigMap of the selector guard.
    Guard(bool),
    /// `accept FINDING`: the user's annotation on the rollout.
    Accept(String),
    /// `prometheus WORD`.
    Prometheus(Mood),
    /// The operator's watch of this kind fails, or none does.
    Watch(Option<String>),
    /// `evidence TEXT`: somebody writes this over the tests in status.
    Evidence(String),
    /// `template cpu=2`: Git changes the origin's template.
    Template(String),
    /// `decision ACTION [version V] [plan old] by WHO`.
    Decision(DecisionAction, Option<String>, bool, String),
    /// `kill operator for SPAN`.
    Kill(i64),
    /// `crash operator for SPAN`: it dies right after its next write.
    Crash(i64),
    /// `version delete V`.
    VersionDelete(String),
    /// `version register V CONTENT`.
    VersionRegister(String, String),
    /// `pods lose|disrupt DEPLOYMENT COUNT`: gone, made anew by the Deployment; disrupted ones say why.
    PodsLose(String, usize, bool),
    /// `pods evict DEPLOYMENT COUNT`: they fail, others are made for them, and their objects stay.
    PodsEvict(String, usize),
    /// `service create NAME`: the user's, and it selects the origin.
    ServiceCreate(String),
    /// `pods unready DEPLOYMENT COUNT for SPAN`.
    PodsUnready(String, usize, i64),
    /// `scale DEPLOYMENT COUNT`: by a person.
    Scale(String, i32),
    /// `gateway well|refuses|plain|mute|absent`: plain, it matches no regular expressions; absent, the Gateway API is not installed; `gateway features [NAME ...]`: all that its
    /// class says it supports.
    Gateway(String, Vec<String>),
    /// `take KIND NAME`: somebody else's object has the name; `free KIND NAME`: it is gone.
    Take(bool, String, String),
    /// `volume ReadWriteOnce`: the origin's pods mount a claim with this mode.
    Volume(String),
    /// `cover KEY=VALUE`: a NetworkPolicy about the pods with that label.
    Cover(String, String),
    /// `api refuses status`, `api refuses VERB RESOURCE` and `api well`.
    Api(Option<String>),
    /// `traffic RATE`: requests per second at the gateway.
    Traffic(f64),
    /// `allow WORD`: a check that does not apply, such as `lost`.
    Allow(String),
    /// Something with an autoscaler or a budget.
    Companion(Deed),
    /// `strip DEPLOYMENT annotations|labels`: somebody takes them away.
    Strip(String, bool),
    /// `undo COMMAND`: somebody does it after each pass in which the operator wrote an object; `undo nothing` ends that.
    Undo(Option<Box<Command>>),
    /// `terminate namespace`.
    Terminate,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It happens.
    Do(Command),
    /// It must become so within so many seconds; within so many when the operator was killed on the way or
    /// its reads lag.
    Expect(Expectation, i64, i64),
    /// It must stay so for so many seconds.
    Keep(Expectation, i64),
    /// Nothing for so many seconds.
    Wait(i64),
}

/// One line with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Number in the file, from 1.
    pub number: usize,
    /// As written.
    pub text: String,
    /// Not before so many seconds after the start.
    pub at: i64,
    /// What it says.
    pub step: Step,
}

/// A script.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// What happens before the rollout exists.
    pub setup: Vec<Line>,
    /// What happens then.
    pub lines: Vec<Line>,
    /// The last state is not a rest: a person pauses, or looks go on.
    pub unsettled: bool,
}

/// What cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {what}: {text}")]
pub struct ScriptError {
    /// Number of the line.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
    /// The line.
    pub text: String,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When a line is none of those that are known.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self { setup: Vec::new(), lines: Vec::new(), unsettled: false };
        for (i, raw) in text.lines().enumerate() {
            let line = raw.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let error = |what: String| ScriptError { line: i + 1, what, text: line.to_owned() };
            if line == "unsettled" {
                script.unsettled = true;
                continue;
            }
            let (setup, rest) = line.strip_prefix("setup ").map_or((false, line), |r| (true, r));
            let (at, rest) = match rest.strip_prefix("at ").and_then(|r| r.split_once(' ')) {
                Some((at, rest)) => (seconds(at).map_err(&error)?, rest),
                None => (0, rest),
            };
            let step = step(rest.trim()).map_err(&error)?;
            let made = Line { number: i + 1, text: line.to_owned(), at, step };
            if setup { script.setup.push(made) } else { script.lines.push(made) }
        }
        Ok(script)
    }
}

/// A length of time in seconds.
pub fn seconds(text: &str) -> Result<i64, String> {
    let span = Span::from(text).get().num_seconds();
    if span > 0 || text == "0s" { Ok(span) } else { Err(format!("{text} is no length of time")) }
}

fn step(text: &str) -> Result<Step, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["wait", span] => Ok(Step::Wait(seconds(span)?)),
        ["expect", rest @ .., "within", span, "or", disturbed, "when", "disturbed"] => {
            Ok(Step::Expect(Expectation::parse(rest)?, seconds(span)?, seconds(disturbed)?))
        }
        ["expect", rest @ .., "within", span] => {
            let within = seconds(span)?;
            Ok(Step::Expect(Expectation::parse(rest)?, within, within))
        }
        ["expect", rest @ ..] => Ok(Step::Expect(Expectation::parse(rest)?, 0, 0)),
        ["keep", rest @ .., "for", span] => Ok(Step::Keep(Expectation::parse(rest)?, seconds(span)?)),
        _ => command(&words, text).map(Step::Do),
    }
}

fn command(words: &[&str], text: &str) -> Result<Command, String> {
    let own = |s: &&str| (*s).to_owned();
    let number = |s: &str| s.parse::<f64>().map_err(|_| format!("{s} is no number"));
    let count = |s: &str| s.parse::<usize>().map_err(|_| format!("{s} is no count"));
    if let Some(deed) = Deed::parse(words) {
        return deed.map(Command::Companion);
    }
    Ok(match words {
        ["rollout", "version", v] => Command::Spec("version".to_owned(), Value::String(own(v))),
        ["spec", path, ..] => Command::Spec(own(path), json_after(text, path)?),
        ["metrics", names @ ..] => Command::Metrics(names.iter().map(own).collect()),
        ["create", "rollout", name] => Command::CreateRollout(own(name)),
        ["delete", "rollout", name] => Command::DeleteRollout(own(name)),
        ["behave", version, word] => Command::Behave(own(version), own(word), 0.0),
        ["behave", version, word, n] => Command::Behave(own(version), own(word), number(n)?),
        ["route", rest @ ..] => about_routes(rest)?,
        ["watch", "fails", kind] => Command::Watch(Some(own(kind))),
        ["watch", "well"] => Command::Watch(None),
        ["prometheus", word] => Command::Prometheus(mood(word)?),
        ["evidence", text] => Command::Evidence(own(text)),
        ["template", change] => Command::Template(own(change)),
        ["kill", "operator", "for", span] => Command::Kill(seconds(span)?),
        ["crash", "operator", "for", span] => Command::Crash(seconds(span)?),
        ["version", "delete", v] => Command::VersionDelete(own(v)),
        ["version", "register", v, content] => Command::VersionRegister(own(v), own(content)),
        ["pods", "lose", deployment, n] => Command::PodsLose(own(deployment), count(n)?, false),
        ["pods", "disrupt", deployment, n] => Command::PodsLose(own(deployment), count(n)?, true),
        ["pods", "evict", deployment, n] => Command::PodsEvict(own(deployment), count(n)?),
        ["service", "create", name] => Command::ServiceCreate(own(name)),
        ["pods", "unready", deployment, n, "for", span] => {
            Command::PodsUnready(own(deployment), count(n)?, seconds(span)?)
        }
        ["scale", deployment, n] => Command::Scale(own(deployment), number(n)? as i32),
        [
            "gateway",
            word @ ("well" | "refuses" | "plain" | "mute" | "absent" | "features"),
            features @ ..,
        ] => Command::Gateway(own(word), features.iter().map(own).collect()),
        ["take", kind, name] => Command::Take(true, own(kind), own(name)),
        ["free", kind, name] => Command::Take(false, own(kind), own(name)),
        ["volume", mode] => Command::Volume(own(mode)),
        ["cover", label] => {
            let (key, value) = label.split_once('=').ok_or("no label")?;
            Command::Cover(key.to_owned(), value.to_owned())
        }
        ["api", "refuses", "status"] => Command::Api(Some("status".to_owned())),
        ["api", "refuses", verb, resource] => Command::Api(Some(format!("{verb} {resource}"))),
        ["api", "well"] => Command::Api(None),
        ["traffic", rate] => Command::Traffic(number(rate)?),
        ["allow", word] => Command::Allow(own(word)),
        ["undo", "nothing"] => Command::Undo(None),
        ["undo", rest @ ..] => Command::Undo(Some(Box::new(command(rest, text)?))),
        ["terminate", "namespace"] => Command::Terminate,
        ["decision", action, rest @ ..] => decision(action, rest)?,
        _ => return about_selectors(words),
    })
}

fn json_after(text: &str, word: &str) -> Result<Value, String> {
    let rest = text.split_once(word).map_or("", |(_, rest)| rest).trim();
    serde_json::from_str(rest).map_err(|e| format!("{rest} is no JSON: {e}"))
}

fn about_routes(words: &[&str]) -> Result<Command, String> {
    let own = |s: &&str| (*s).to_owned();
    let number = |s: &str| s.parse::<i64>().map_err(|_| format!("{s} is no number"));
    Ok(match words {
        ["candidate", n, "by", who] => Command::RouteCandidate(number(n)?, None, own(who)),
        ["candidate", n, "in", path, "by", who] => {
            Command::RouteCandidate(number(n)?, Some(own(path)), own(who))
        }
        ["sessions", whose @ ("candidate" | "stable" | "all"), "by", who] => {
            Command::RouteSessions((*whose).to_owned(), own(who))
        }
        ["mirror", n, "by", who] => Command::RouteMirror(number(n)?, own(who)),
        ["reapply", "by", who] => Command::RouteReapply(own(who)),
        ["rule", path, "by", who] => Command::RouteRule(own(path), own(who)),
        ["copy", name] => Command::RouteCopy(own(name)),
        ["delete"] => Command::Route(false),
        ["create"] => Command::Route(true),
        _ => return Err("nothing that is known happens to the route".to_owned()),
    })
}

/// What happens to selectors and to what guards them, and to what marks the slots.
fn about_selectors(words: &[&str]) -> Result<Command, String> {
    let own = |s: &&str| (*s).to_owned();
    Ok(match words {
        ["selector", "reset", service, "by", who] => Command::SelectorReset(own(service), own(who)),
        ["selector", "point", service, slot, "by", who] => {
            Command::SelectorPoint(own(service), own(slot), own(who))
        }
        ["service", "recreate", service, "by", who] => Command::ServiceRecreate(own(service), own(who)),
        ["policy", word] => Command::Policy(policy(word)?),
        ["guard", "delete"] => Command::Guard(false),
        ["guard", "edit"] => Command::Guard(true),
        ["strip", name, what @ ("annotations" | "labels")] => Command::Strip(own(name), *what == "labels"),
        ["accept", finding] => Command::Accept(own(finding)),
        _ => return Err("this says nothing that is known".to_owned()),
    })
}

fn policy(word: &str) -> Result<SelectorPolicy, String> {
    Ok(match word {
        "mutating" => SelectorPolicy::InForce(SelectorGuard::Mutating),
        "validating" => SelectorPolicy::InForce(SelectorGuard::Validating),
        "none" => SelectorPolicy::InForce(SelectorGuard::None),
        "unreadable" => SelectorPolicy::Unreadable("mutatingadmissionpolicies: forbidden".to_owned()),
        _ => return Err(format!("{word} is no policy")),
    })
}

fn mood(word: &str) -> Result<Mood, String> {
    Ok(match word {
        "well" => Mood::Well,
        "away" => Mood::Away,
        "empty" => Mood::Empty,
        "refuses" => Mood::Refuses,
        "nan" => Mood::NaN,
        "blind" => Mood::Blind,
        "gateway-only" => Mood::GatewayOnly,
        "twice" => Mood::Twice,
        _ => return Err(format!("{word} is no state of Prometheus")),
    })
}

fn decision(action: &str, rest: &[&str]) -> Result<Command, String> {
    let action: DecisionAction = serde_json::from_value(Value::String(action.to_owned()))
        .map_err(|_| format!("{action} is no decision"))?;
    let (version, rest) = match rest {
        ["version", v, rest @ ..] => (Some((*v).to_owned()), rest),
        _ => (None, rest),
    };
    match rest {
        ["by", who] => Ok(Command::Decision(action, version, false, (*who).to_owned())),
        ["plan", "old", "by", who] => Ok(Command::Decision(action, version, true, (*who).to_owned())),
        _ => Err("a decision ends with: by WHO".to_owned()),
    }
}
