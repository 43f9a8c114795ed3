//! Proof without sockets: agenda and session against a scripted ACS, a fake supervisor and a virtual clock.

mod acs;
mod choice;
mod supervisor;
mod tests;

use std::time::Duration;

use ipc_proto::{
    CwmpVersion, ParamType, UtcTime,
    listing::Listing,
    retry::RetryPolicy,
    worker::{EventCode, Outcome, Page, Periodic, RetryState, Why},
};

use crate::{
    agenda::{self, Agenda, Now, Plan},
    session::{Action, Cx, Input, Post, Session},
};
use acs::{Acs, Turn};
use choice::Choices;
use supervisor::Supervisor;

const DAY_0_MS: u64 = 1_700_000_000_000;
const HOUR_MS: u64 = 3_600_000;
const POLICY: RetryPolicy = RetryPolicy { min_wait: 5, multiplier: 2000 };

/// What strikes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    KillWorker,
    KillSupervisor {
        with_worker: bool,
    },
    Reboot,
    /// `apply --now`, or a new ACS.
    EndSession,
}

struct World {
    choices: Choices,
    agenda: Agenda,
    supervisor: Supervisor,
    plan: Plan,
    /// Milliseconds since boot.
    now: u64,
    /// The wait that was drawn may end in it.
    window: Option<(u64, u64)>,
    /// The failures that the agenda knows of; none while it waits for word of the supervisor.
    known: Option<RetryState>,
    /// A point of PeriodicInform passed, and no session was opened since.
    point_owed: bool,
    sessions: u32,
    telling: bool,
    story: Vec<String>,
}

impl World {
    fn new(choices: Choices, telling: bool) -> Self {
        let phase = UtcTime::from_millis(DAY_0_MS as i64 + 600_000);
        let periodic = Some(Periodic { interval: 3600, phase });
        let plan = Plan { acs: true, periodic, retry: POLICY, second: Duration::from_secs(1) };
        let mut world = Self {
            choices,
            agenda: Agenda::default(),
            supervisor: Supervisor::default(),
            plan,
            now: 1000,
            window: None,
            known: None,
            point_owed: false,
            sessions: 0,
            telling,
            story: Vec::new(),
        };
        world.supervisor.raise(EventCode::Bootstrap);
        world.supervisor.raise(EventCode::Boot);
        world.greet();
        world
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.telling {
            let line = format!("{:>9.3} s  {}", self.now as f64 / 1e3, what());
            self.story.push(line);
        }
    }

    /// Configuration and what is due, as a new link gets them.
    fn greet(&mut self) {
        self.agenda_hears(agenda::Input::Configured(self.plan));
        self.push_due();
    }

    fn push_due(&mut self) {
        let due = self.supervisor.due();
        if self.known != Some(due.retry) {
            // The same failures do not draw twice.
            self.window = None;
        }
        self.known = Some(due.retry);
        self.may_draw();
        self.agenda_hears(agenda::Input::Due(due));
    }

    fn may_draw(&mut self) {
        if let Some((_, to)) = self.window.as_mut().filter(|_| self.plan.acs) {
            // It may have passed while there was no ACS.
            *to = self.now.max(*to);
        }
        if let Some(retry) = self.known.filter(|retry| retry.count > 0)
            && self.plan.acs
            && self.window.is_none()
        {
            self.draws(retry.since_boot.max(1));
        }
    }

    fn draws(&mut self, n: u32) {
        let (from, to) = POLICY.range(n);
        self.window = Some((self.now + (from * 1e3) as u64, self.now + (to * 1e3).ceil() as u64));
    }

    fn agenda_hears(&mut self, input: agenda::Input) {
        let wall = UtcTime::from_millis((DAY_0_MS + self.now) as i64);
        let now = Now { boot: Duration::from_millis(self.now), wall, random: self.choices.random() };
        let (agenda, actions) = std::mem::take(&mut self.agenda).step(now, input);
        self.agenda = agenda;
        let next = self.agenda.next();
        self.tell(|| format!("agenda: {input:?} -> {actions:?}, next {next:?}"));
        assert!(actions.len() <= 1, "the agenda wants two sessions at once");
        for agenda::Action::OpenSession(why) in actions {
            self.session(why);
        }
    }

    /// Everything from OpenSession to what is due after the session's end.
    fn session(&mut self, why: Why) {
        assert!(self.plan.acs, "a session without an ACS");
        assert!(!self.supervisor.has_session(), "two sessions at once");
        let fresh = self.supervisor.due().fresh;
        if let (Why::Retry, false, Some((from, to))) = (why, fresh, self.window) {
            assert!((from..=to).contains(&self.now), "retried at {}, not in {from}..={to} ms", self.now);
        }
        if why != Why::ConnectionRequest {
            self.point_owed = false;
        }
        self.window = None;
        let known = self.known.take();
        if self.choices.chance(20) {
            // The supervisor refuses: as after one failure.
            self.known = Some(RetryState::default());
            self.draws(1);
            return self.agenda_hears(agenda::Input::Refused(why));
        }
        if self.choices.chance(10) {
            // The ACS URL was taken away in that moment.
            self.plan.acs = false;
            self.known = known;
            self.agenda_hears(agenda::Input::Configured(self.plan));
            return self.agenda_hears(agenda::Input::NoAcs);
        }
        self.sessions += 1;
        match self.converse(why) {
            Ok(good) => {
                self.agenda_hears(agenda::Input::SessionEnded);
                // Between the report and what follows it.
                if self.choices.chance(20) {
                    return self.strike(Blow::KillSupervisor { with_worker: true });
                }
                self.supervisor.close(good, false);
                self.push_due();
            }
            Err(Ended::Broken) => {
                self.agenda_hears(agenda::Input::SessionEnded);
                self.supervisor.close(false, true);
                self.push_due();
            }
            Err(Ended::By(blow)) => self.strike(blow),
        }
    }

    fn strike(&mut self, blow: Blow) {
        self.tell(|| format!("{blow:?}"));
        (self.window, self.known) = (None, None);
        match blow {
            Blow::KillWorker => {
                if self.supervisor.has_session() {
                    self.supervisor.close(false, true);
                }
                self.new_worker();
            }
            Blow::KillSupervisor { with_worker } => {
                self.supervisor.killed();
                if with_worker {
                    self.new_worker();
                } else {
                    self.agenda_hears(agenda::Input::LinkLost);
                }
            }
            Blow::Reboot => {
                self.supervisor.rebooted();
                self.new_worker();
            }
            Blow::EndSession => {
                self.agenda_hears(agenda::Input::SessionEnded);
                if self.supervisor.has_session() {
                    self.supervisor.close(false, true);
                }
                return self.push_due();
            }
        }
        self.greet();
    }

    fn new_worker(&mut self) {
        self.agenda = Agenda::default();
        self.point_owed = false;
    }

    /// Perhaps something strikes now.
    fn struck(&mut self) -> Result<(), Ended> {
        if !self.choices.chance(15) {
            return Ok(());
        }
        Err(Ended::By(match self.choices.pick(5) {
            0 => Blow::KillWorker,
            1 => Blow::KillSupervisor { with_worker: true },
            2 => Blow::KillSupervisor { with_worker: false },
            3 => Blow::Reboot,
            _ => Blow::EndSession,
        }))
    }

    /// One session; true when it was a good one.
    fn converse(&mut self, why: Why) -> Result<bool, Ended> {
        let opened = self.supervisor.open(why, &mut self.choices);
        self.tell(|| format!("session for {why:?}: {:?}", opened.events));
        self.struck()?;
        if self.choices.chance(100) {
            // Nobody is at the ACS's address.
            return Ok(false);
        }
        let cx = Cx {
            current_time: "2026-03-04T05:06:07Z".to_owned(),
            target: "/cwmp".to_owned(),
            offered: CwmpVersion::V1_4,
            session_timeout: 60,
            lenient: true,
        };
        let mut acs = Acs::new(&opened);
        let (mut session, mut actions) = Session::start(&opened, &cx);
        for _ in 0..50_000 {
            let last = actions.pop().expect("a session that is not over wants something");
            for told in &actions {
                assert!(matches!(told, Action::Tell(_) | Action::VersionRefused(_)), "two at once: {told:?}");
            }
            self.tell(|| format!("  {}", short(&last)));
            let input = match last {
                Action::Close(outcome) => {
                    assert!(matches!(session, Session::Closed));
                    self.struck()?;
                    return Ok(outcome == Outcome::Succeeded);
                }
                Action::Query(query) => {
                    self.struck()?;
                    let reply = self.supervisor.answer(&query, &mut self.choices);
                    self.struck()?;
                    Input::Reply(reply)
                }
                Action::Post(post) => self.post(&mut acs, &post)?,
                Action::Answer(answer) => {
                    let mut writer = answer.writer;
                    while !writer.is_complete() {
                        let page = if answer.told.what == "GetParameterNames" {
                            Page::Names(Listing::from_iter([("Device.A", "", true)]))
                        } else {
                            Page::Values(Listing::from_iter([("Device.A", "1", ParamType::Int)]))
                        };
                        self.struck()?;
                        writer.page(&page).expect("the pages add up");
                    }
                    self.post(&mut acs, &Post::Response(writer.take().into()))?
                }
                other => panic!("nothing to wait for after {other:?}"),
            };
            (session, actions) = session.step(&cx, input);
        }
        panic!("the session does not end")
    }

    fn post(&mut self, acs: &mut Acs, post: &Post) -> Result<Input, Ended> {
        self.struck()?;
        let turn = acs.hear(post, &mut self.choices);
        self.tell(|| format!("    the ACS: {}", said(&turn)));
        if std::mem::take(&mut acs.took_events) {
            self.supervisor.heard_by_acs();
        }
        self.struck()?;
        match turn {
            Turn::Answer(_) if self.choices.chance(15) => Err(Ended::Broken),
            Turn::Answer(response) => Ok(Input::Response(response)),
            Turn::Broken => Err(Ended::Broken),
        }
    }

    /// Between sessions: something happens, or time passes to the next deadline.
    fn live(&mut self) {
        self.judge_deadline();
        match self.choices.pick(12) {
            1 => {
                self.supervisor.raise(EventCode::ValueChange);
                self.push_due();
            }
            2 => self.agenda_hears(agenda::Input::ConnectionRequest),
            3 => self.agenda_hears(agenda::Input::InformNow),
            4 => {
                self.plan.acs = !self.plan.acs;
                self.may_draw();
                self.agenda_hears(agenda::Input::Configured(self.plan));
            }
            5 => self.push_due(),
            6 => {
                if let Err(Ended::By(blow)) = self.struck() {
                    self.strike(blow);
                }
            }
            7 => {
                let at_most = self.choices.random() % 7_200_000;
                self.pass(at_most.into());
            }
            _ => self.pass(u64::MAX),
        }
    }

    /// Lets time pass, to the next deadline at the most, and the clock strike.
    fn pass(&mut self, at_most: u64) {
        let deadline = self.agenda.next().map_or(HOUR_MS + self.now, |(at, _)| at.as_millis() as u64 + 1);
        let until = deadline.min(self.now.saturating_add(at_most)).max(self.now);
        let points = |now: u64| (now + HOUR_MS - 600_000) / HOUR_MS;
        self.point_owed |= points(until) > points(self.now);
        self.now = until;
        self.agenda_hears(agenda::Input::Tick);
        assert!(!self.point_owed || !self.plan.acs, "a point of PeriodicInform passed without a session");
    }

    /// With failures there is a deadline, and none later than the wait may last.
    fn judge_deadline(&self) {
        let (Some((from, to)), true) = (self.window, self.plan.acs) else { return };
        let (at, why) = self.agenda.next().expect("a retry waits");
        let at = at.as_millis() as u64;
        assert!(at <= to, "the next session comes at {at}, later than {to} ms");
        assert!(why != Why::Retry || at >= from, "the retry comes at {at}, before {from} ms");
    }

    /// From now on nothing goes wrong: all that is promised arrives.
    fn heal(&mut self) {
        self.choices = Choices::Calm;
        self.plan.acs = true;
        self.may_draw();
        self.agenda_hears(agenda::Input::Configured(self.plan));
        for _ in 0..20 {
            self.live();
        }
        self.supervisor.judge();
        assert_eq!(self.supervisor.retry.count, 0, "a good session forgets the bad ones");
    }
}

/// Why a session ended before its machine said so.
enum Ended {
    /// The connection to the ACS broke.
    Broken,
    By(Blow),
}

fn short(action: &Action) -> String {
    let text = match action {
        Action::Post(Post::Empty) => "empty POST".to_owned(),
        Action::Post(post) => {
            let (Post::Inform(bytes) | Post::Response(bytes) | Post::Request(bytes)) = post else {
                return String::new();
            };
            let text = String::from_utf8_lossy(bytes);
            let body = text.split("<soap:Body><").nth(1).unwrap_or_default();
            format!("POST {}", body.split(['>', ' ']).next().unwrap_or_default())
        }
        other => format!("{other:?}"),
    };
    text.chars().take(160).collect()
}

fn said(turn: &Turn) -> String {
    let Turn::Answer(response) = turn else { return "breaks the connection".to_owned() };
    let body = String::from_utf8_lossy(&response.body);
    let body: String = body.split("<s:Body>").nth(1).unwrap_or(&body).chars().take(120).collect();
    format!("{} {body}", response.status)
}
