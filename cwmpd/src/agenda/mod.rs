//! When to open a session, and why, as a machine without a clock (TR-069 3.2.1).

mod periodic;
mod retry;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ipc_proto::{
    UtcTime,
    retry::RetryPolicy,
    worker::{Due, Periodic, RetryState, Why, WorkerConfig},
};
use periodic::Timer;
use retry::Wait;

/// The present, as the driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// CLOCK_BOOTTIME: all deadlines are on it.
    pub boot: Duration,
    /// The wall clock: PeriodicInformTime is on it.
    pub wall: UtcTime,
    /// Fresh and even over all of u32.
    pub random: u32,
}

/// What of the configuration matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// There is an ACS to talk to.
    pub acs: bool,
    /// PeriodicInform, where it is enabled.
    pub periodic: Option<Periodic>,
    /// Waits before retries.
    pub retry: RetryPolicy,
    /// How long a CWMP second lasts.
    pub second: Duration,
}

impl Plan {
    /// Of a whole configuration.
    pub fn of(config: &WorkerConfig) -> Self {
        Self {
            acs: config.acs.is_some(),
            periodic: config.periodic,
            retry: config.retry,
            second: Duration::from_millis(config.timing.second_ms.max(1).into()),
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A new configuration, or the same again.
    Configured(Plan),
    /// The supervisor says what waits.
    Due(Due),
    /// Someone asked for a session.
    InformNow,
    /// The ACS asked for a session, and was told that it gets one.
    ConnectionRequest,
    /// The deadline of [`Agenda::next`] may have come.
    Tick,
    /// The supervisor did not let the session open.
    Refused(Why),
    /// There was no ACS any more before the supervisor was asked.
    NoAcs,
    /// The session is over, and reported; the supervisor's `Due` follows.
    SessionEnded,
    /// The supervisor is gone.
    LinkLost,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a session.
    OpenSession(Why),
}

/// When the next session is due, and why.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    plan: Option<Plan>,
    periodic: Option<Timer>,
    /// Asked for, or a periodic point passed, while no session could be opened for it.
    asked: bool,
    periodic_due: bool,
    /// The ACS asked; one session serves however many requests (CR-13, CR-15).
    requested: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// The supervisor has not said yet what waits: after a connect, and after each session.
    #[default]
    Unknown,
    /// No session is open, and this is what waits.
    Idle { due: Due, retry: Option<Wait> },
    /// A session is open or being opened; what waited before it.
    InSession { due: Due },
}

impl Agenda {
    /// Takes in what happened, and says what is to be done.
    pub fn step(mut self, now: Now, input: Input) -> (Self, Vec<Action>) {
        match input {
            Input::Configured(plan) => self.configure(now, plan),
            Input::Due(due) => self.due(now, due),
            Input::InformNow => self.asked = true,
            Input::ConnectionRequest => self.requested = true,
            Input::Tick => {}
            Input::Refused(why) => self.refused(now, why),
            Input::NoAcs => self.no_acs(now),
            Input::SessionEnded | Input::LinkLost => self.state = State::Unknown,
        }
        self.decide(now)
    }

    /// The next deadline on the clock since boot, and what it is for.
    pub fn next(&self) -> Option<(Duration, Why)> {
        self.plan.filter(|plan| plan.acs)?;
        let periodic = self.periodic.map(|timer| (timer.at, Why::Periodic));
        let retry = match self.state {
            State::Idle { retry: Some(wait), .. } => Some((wait.at, wait.why)),
            _ => None,
        };
        periodic.into_iter().chain(retry).min_by_key(|(at, _)| *at)
    }

    fn configure(&mut self, now: Now, plan: Plan) {
        let same = self.plan.is_some_and(|old| (old.periodic, old.second) == (plan.periodic, plan.second));
        // A changed timer is armed anew at once; the same values do not move it (SPV-15).
        if !same {
            self.periodic = plan.periodic.map(|periodic| Timer::armed(periodic, plan.second, now));
            self.periodic_due = false;
        }
        self.plan = Some(plan);
        // Who asked is not the ACS any more.
        self.requested &= plan.acs;
        if let State::Idle { due, retry: None } = self.state {
            // An ACS may have come, for which a retry waits.
            self.state = State::Idle { due, retry: self.wait(now, due.retry) };
        }
    }

    fn due(&mut self, now: Now, due: Due) {
        let drawn = match self.state {
            // Superseded by the one that follows the session, unless there is none.
            State::InSession { .. } => {
                self.state = State::InSession { due };
                return;
            }
            // The same failures do not draw twice.
            State::Idle { due: old, retry } if old.retry == due.retry => retry,
            _ => None,
        };
        let retry = drawn.or_else(|| self.wait(now, due.retry));
        self.state = State::Idle { due, retry };
    }

    fn refused(&mut self, now: Now, why: Why) {
        let due = Due { events: false, fresh: false, retry: RetryState::default() };
        let one = RetryState { count: 1, since_boot: 1 };
        let retry = self.wait(now, one).map(|wait| Wait { why, ..wait });
        self.state = State::Idle { due, retry };
    }

    fn no_acs(&mut self, now: Now) {
        if let State::InSession { due } = self.state {
            self.state = State::Idle { due, retry: self.wait(now, due.retry) };
        }
    }

    fn wait(&self, now: Now, failures: RetryState) -> Option<Wait> {
        let plan = self.plan.filter(|plan| plan.acs)?;
        Wait::drawn(failures, plan.retry, plan.second, now)
    }

    fn decide(mut self, now: Now) -> (Self, Vec<Action>) {
        if let Some(timer) = &mut self.periodic
            && timer.at <= now.boot
        {
            *timer = timer.fired(now);
            self.periodic_due = true;
        }
        let open = match (self.plan, self.state) {
            (Some(plan), State::Idle { due, retry }) if plan.acs => {
                self.reason(now, due, retry).map(|why| (why, due))
            }
            _ => None,
        };
        let Some((why, due)) = open else { return (self, Vec::new()) };
        self.state = State::InSession { due };
        // Each kind has an event of its own, which only its own session carries.
        if why == Why::ConnectionRequest {
            self.requested = false;
        } else {
            (self.asked, self.periodic_due) = (false, false);
        }
        (self, vec![Action::OpenSession(why)])
    }

    /// Why a session is to be opened now. One serves all that waits: an Inform carries every undelivered
    /// event, whatever it was opened for (RETRY-08).
    fn reason(&self, now: Now, due: Due, retry: Option<Wait>) -> Option<Why> {
        if self.requested {
            return Some(Why::ConnectionRequest);
        }
        if self.asked {
            return Some(Why::Asked);
        }
        if self.periodic_due {
            return Some(Why::Periodic);
        }
        let waits = due.retry.is_waiting();
        if due.events && (due.fresh || !waits) {
            return Some(Why::Events);
        }
        if due.fresh && waits {
            return Some(Why::Retry);
        }
        retry.filter(|wait| wait.at <= now.boot).map(|wait| wait.why)
    }
}
