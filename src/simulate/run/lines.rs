//! The lines of a script, one after the other.

use chrono::Duration;

use super::{Operator, Simulation, Trouble, people};
use crate::simulate::expect::Expectation;
use crate::simulate::script::{Command, Line, Step};

impl Simulation {
    /// The lines of the script whose time has come.
    pub(super) fn people(&mut self) -> Result<(), Trouble> {
        let script = std::sync::Arc::clone(&self.script);
        let mut acted = false;
        while let Some(line) = script.lines.get(self.place) {
            let now = self.world.elapsed();
            // What follows from an act is looked at a second later.
            let early = acted && !matches!(line.step, Step::Do(_));
            if now < line.at || early {
                return Ok(());
            }
            let since = *self.since.get_or_insert(now);
            let done = match &line.step {
                Step::Do(command) => {
                    self.log.say(&self.world, format!("* {}", line.text));
                    self.happen(command);
                    acted = true;
                    true
                }
                Step::Wait(span) => now - since >= *span,
                Step::Expect(what, within, disturbed) => {
                    let plain = !self.world.follows && self.operator.lag == 0;
                    let within = if plain { within } else { disturbed };
                    self.becomes(line, what, now - since, *within + self.slack)?
                }
                Step::Keep(what, span) => self.stays(line, what, now - since >= *span)?,
            };
            if !done {
                return Ok(());
            }
            self.place += 1;
            self.since = None;
        }
        self.ended_at.get_or_insert(self.world.elapsed());
        Ok(())
    }

    /// Whether it has become so; trouble when it is late.
    fn becomes(
        &mut self,
        line: &Line,
        what: &Expectation,
        waited: i64,
        within: i64,
    ) -> Result<bool, Trouble> {
        let holds = what.holds(&self.world, &self.log.told);
        if !holds && waited >= within {
            return Err(self.trouble(format!("line {}: not so: {}", line.number, line.text)));
        }
        if holds {
            self.log.say(&self.world, format!("= {}", line.text));
        }
        Ok(holds)
    }

    /// Whether it has stayed so for long enough; trouble when it has not.
    fn stays(&mut self, line: &Line, what: &Expectation, over: bool) -> Result<bool, Trouble> {
        if !what.holds(&self.world, &self.log.told) {
            return Err(self.trouble(format!("line {}: no longer so: {}", line.number, line.text)));
        }
        if over {
            self.log.say(&self.world, format!("= {}", line.text));
        }
        Ok(over)
    }

    pub(super) fn happen(&mut self, command: &Command) {
        match command {
            Command::Kill(span) => {
                let lag = self.operator.lag;
                self.operator = Operator { lag, ..Operator::default() };
                self.operator.dead_until = Some(self.world.now + Duration::seconds(*span));
            }
            Command::Crash(span) => {
                self.crash_after = Some(1);
                self.outage = *span;
            }
            Command::Undo(what) => self.undo = what.as_deref().cloned(),
            Command::Allow(word) => drop(self.checks.allowed.insert(word.clone())),
            Command::RouteCandidate(..)
            | Command::RouteMirror(..)
            | Command::RouteSessions(..)
            | Command::RouteReapply(_)
            | Command::SelectorReset(..)
            | Command::SelectorPoint(..)
            | Command::ServiceRecreate(..) => {
                self.checks.foreign = Some(self.world.now.timestamp());
            }
            // By counts of pods the loss of a stable one raises the share as somebody's hand would.
            Command::PodsLose(..) | Command::PodsEvict(..) | Command::PodsUnready(..)
                if self.world.objects.rollouts.values().any(|r| r.spec.traffic.replicas.is_some()) =>
            {
                self.checks.foreign = Some(self.world.now.timestamp());
            }
            _ => {}
        }
        people::perform(&mut self.world, command);
    }
}
