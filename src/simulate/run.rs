//! The run of a script, second by second.

mod lines;

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::Duration;
use thiserror::Error;

use super::check::{Before, Checks};
use super::end::{End, end};
use super::log::Log;
use super::objects::Prints;
use super::operator::{self, Operator, Pass, Write};
use super::script::{Command, Script, Step};
use super::server::Refused;
use super::world::{NAME, World};
use super::{companions, controllers, network, people, prometheus, setup, traffic};

/// Seconds without a write after which the world counts as settled.
const QUIET: i64 = 30;
/// Most seconds that it may take to settle after the script's end.
const SETTLES_WITHIN: i64 = 240;
/// Most passes of the operator in one second.
const PASSES: usize = 40;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at {at} s: {what}")]
pub struct Trouble {
    /// Seconds since the start.
    pub at: i64,
    /// What it is.
    pub what: String,
}

/// A script under way. A copy goes on by itself from the same moment.
#[derive(Clone, Debug)]
pub struct Simulation {
    script: std::sync::Arc<Script>,
    world: World,
    operator: Operator,
    checks: Checks,
    log: Log,
    place: usize,
    since: Option<i64>,
    last_write: i64,
    ended_at: Option<i64>,
    crash_after: Option<usize>,
    outage: i64,
    writes: usize,
    rests: bool,
    slack: i64,
    undo: Option<Command>,
}

impl Simulation {
    /// A script at its start.
    pub fn new(script: &Script) -> Self {
        let mut world = setup::world();
        let mut checks = Checks::default();
        for line in &script.setup {
            if let Step::Do(command) = &line.step {
                people::perform(&mut world, command);
                if let Command::Allow(word) = command {
                    checks.allowed.insert(word.clone());
                }
            }
        }
        for _ in 0..8 {
            world.now += Duration::seconds(1);
            controllers::step(&mut world);
            network::step(&mut world);
        }
        world.begin = world.now;
        let pods: Vec<String> = world.objects.pods.keys().cloned().collect();
        world.prometheus.remember_an_hour(&pods, NAME, world.now);
        Self {
            script: std::sync::Arc::new(script.clone()),
            world,
            operator: Operator::default(),
            checks,
            log: Log::default(),
            place: 0,
            since: None,
            last_write: 0,
            ended_at: None,
            crash_after: None,
            outage: 0,
            writes: 0,
            rests: true,
            slack: 0,
            undo: None,
        }
    }

    /// The operator's reads lag so many writes from now on.
    #[must_use]
    pub fn with_stale_reads(mut self, lag: usize) -> Self {
        self.operator.lag = lag;
        self.slack = 5;
        self.world.keeps_past = true;
        self.checks.blindfold = true;
        self
    }

    /// The operator dies after so many more writes, and is back after so many seconds.
    #[must_use]
    pub fn with_crash(mut self, after: usize, outage: i64) -> Self {
        if self.crash_after.is_some() {
            // The script itself crashes it at its next write.
            return self;
        }
        self.crash_after = Some(after);
        self.world.follows = true;
        self.world.away = outage > 0;
        self.outage = outage;
        self.slack = 3 + 3 * outage;
        self
    }

    /// Whether the operator does not come back at once when it dies.
    pub fn was_away(&self) -> bool {
        self.outage > 0
    }

    /// What the script has done so far.
    pub fn acts(&self) -> usize {
        self.script.lines[..self.place].iter().filter(|l| matches!(l.step, Step::Do(_))).count()
    }

    /// Writes of the operator so far.
    pub fn writes(&self) -> usize {
        self.writes
    }

    /// The log so far.
    pub fn log(&self) -> String {
        let mut out = self.log.lines.join("\n");
        out.push('\n');
        out
    }

    /// Whether the run is over.
    pub fn over(&self) -> bool {
        self.ended_at.is_some_and(|ended| {
            let now = self.world.elapsed();
            self.script.unsettled || now - self.last_write.max(ended) >= QUIET
        })
    }

    /// One second.
    ///
    /// # Errors
    /// When a promise is broken or something that the script expects does not come.
    pub fn second(&mut self) -> Result<(), Trouble> {
        self.world.now += Duration::seconds(1);
        self.people()?;
        companions::scale(&mut self.world);
        controllers::step(&mut self.world);
        network::step(&mut self.world);
        let alive = self.operator.dead_until.is_none_or(|t| self.world.now >= t);
        if alive {
            self.operator.dead_until = None;
            self.operate()?;
        }
        traffic::step(&mut self.world);
        prometheus::scrape(&mut self.world);
        if alive
            && self.rests
            && self.operator.dead_until.is_none()
            && self.operator.lag == 0
            && !self.world.status_refused
        {
            self.checks.at_rest_of_second(&self.world);
        }
        self.log.second(&self.world);
        self.verdict()?;
        let late = self.ended_at.is_some_and(|ended| self.world.elapsed() - ended > SETTLES_WITHIN);
        if late && !self.over() {
            return Err(self.trouble("I10: it does not settle"));
        }
        Ok(())
    }

    /// The whole script, and until nothing moves any more.
    ///
    /// # Errors
    /// As for a second.
    pub fn run(&mut self) -> Result<End, Trouble> {
        while !self.over() {
            self.second()?;
        }
        self.finish()
    }

    /// The last checks, and how it ended.
    ///
    /// # Errors
    /// When a promise is broken.
    pub fn finish(&mut self) -> Result<End, Trouble> {
        if !self.script.unsettled {
            self.checks.at_the_end(&self.world);
        }
        self.verdict()?;
        let ledger = &self.world.ledger;
        let served: Vec<String> =
            ledger.served.iter().map(|(v, s)| format!("{v} {} ({} bad)", s.requests, s.bad)).collect();
        let lost = ledger.lost();
        self.log.say(&self.world, format!("served: {}; failed for no version: {lost}", served.join(", ")));
        Ok(end(&self.world))
    }

    fn trouble(&self, what: impl Into<String>) -> Trouble {
        Trouble { at: self.world.elapsed(), what: what.into() }
    }

    fn verdict(&self) -> Result<(), Trouble> {
        self.checks.found.first().map_or(Ok(()), |first| Err(self.trouble(first.clone())))
    }

    /// The operator's passes of this second, until it has nothing to do.
    fn operate(&mut self) -> Result<(), Trouble> {
        self.rests = true;
        // A process that begins anew corrects at once again what is undone each time.
        let most = if self.world.follows { 2 * PASSES } else { PASSES };
        for _ in 0..most {
            let due: Vec<String> =
                operator::rollouts(&self.world).into_iter().filter(|r| self.is_due(r)).collect();
            if due.is_empty() {
                return Ok(());
            }
            for rollout in due {
                self.pass(&rollout);
                if self.operator.dead_until.is_some() || !self.checks.found.is_empty() {
                    return Ok(());
                }
            }
        }
        Err(self.trouble("I10: a hot loop"))
    }

    fn is_due(&self, rollout: &str) -> bool {
        let woken = self.operator.wake.get(rollout).is_some_and(|t| *t <= self.world.now);
        let (at, _) = self.world.seen(self.operator.lag);
        woken || self.operator.seen.get(rollout) != Some(&at)
    }

    fn pass(&mut self, rollout: &str) {
        let Some(pass) = operator::look(&self.world, &self.operator, rollout) else {
            // Reads that lag do not know it yet.
            let (at, _) = self.world.seen(self.operator.lag);
            self.operator.seen.insert(rollout.to_owned(), at);
            self.operator.wake.remove(rollout);
            return;
        };
        self.checks.plan(&self.world, &pass);
        if !self.checks.found.is_empty() {
            return;
        }
        let acts = self.acted();
        let (done, crashed) = self.carry_out(&pass);
        if self.acted() > acts
            && let Some(command) = self.undo.clone()
        {
            self.happen(&command);
        }
        if crashed {
            let lag = self.operator.lag;
            self.operator = Operator { lag, ..Operator::default() };
            self.operator.dead_until =
                (self.outage > 0).then(|| self.world.now + Duration::seconds(self.outage));
            return;
        }
        match done {
            Ok(()) => {
                self.checks.after_pass(&self.world, &pass);
                self.log.pass(&self.world, &pass);
                self.operator.seen.insert(rollout.to_owned(), pass.at);
                if !pass.plan.actions.is_empty() && self.operator.failed.remove(rollout).is_some() {
                    // Status still says that a write is refused.
                    self.operator.wake.insert(rollout.to_owned(), self.world.now);
                    return;
                }
                match pass.plan.requeue {
                    Some(after) => {
                        self.operator.wake.insert(rollout.to_owned(), self.world.now + after);
                    }
                    None => drop(self.operator.wake.remove(rollout)),
                }
            }
            Err(refused) => self.refused(rollout, &refused),
        }
    }

    /// Objects that the operator has written, counted with every write.
    fn acted(&self) -> u64 {
        self.world.tally.values().sum()
    }

    fn carry_out(&mut self, pass: &Pass) -> (Result<(), Refused>, bool) {
        let Self { world, operator, checks, log, crash_after, last_write, writes, .. } = self;
        let mut before = Before::of(world);
        let mut crashed = false;
        let done = operator::carry_out(world, operator, pass, &mut |world, write: &Write| {
            checks.after_write(&before, world, pass, write);
            log.write(world, pass, write);
            before = Before::of(world);
            *last_write = world.elapsed();
            *writes += 1;
            if let Some(left) = crash_after {
                *left = left.saturating_sub(1);
                crashed = *left == 0;
            }
            !crashed && checks.found.is_empty()
        });
        if crashed {
            *crash_after = None;
        }
        (done, crashed)
    }

    /// A conflict means that the world has moved: look again at once. Anything else: after a second.
    fn refused(&mut self, rollout: &str, refused: &Refused) {
        self.log.say(&self.world, format!("  x {refused}"));
        self.operator.note(rollout, refused, self.world.now);
        match refused {
            Refused::Conflict(_) if self.operator.lag == 0 => drop(self.operator.seen.remove(rollout)),
            Refused::Conflict(_) | Refused::NotFound(_) | Refused::Unavailable(_) | Refused::Forbidden(_) => {
                self.rests = false;
                let (at, _) = self.world.seen(self.operator.lag);
                self.operator.seen.insert(rollout.to_owned(), at);
                self.operator.wake.insert(rollout.to_owned(), self.world.now + Duration::seconds(1));
            }
        }
    }

    /// One number for all that decides how the run goes on: two runs with the same one have the same future.
    pub fn digest(&self, prints: &mut Marks) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.world.objects.digest(&mut prints.0).hash(&mut hasher);
        self.world.prometheus.digest(&mut hasher);
        self.world.shares.carried().iter().for_each(|(k, v)| (k, v.to_bits()).hash(&mut hasher));
        (&self.world.ledger.last, &self.world.gateway.known).hash(&mut hasher);
        (self.place, self.since, self.world.elapsed(), self.last_write).hash(&mut hasher);
        format!("{:?} {:?} {:?}", self.operator.wake, self.operator.dead_until, self.operator.failed)
            .hash(&mut hasher);
        hasher.finish()
    }
}

/// Keeps the hashes of objects between digests.
#[derive(Clone, Debug, Default)]
pub struct Marks(Prints);
