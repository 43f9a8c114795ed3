//! The agenda over a virtual clock: nothing here waits.

use super::*;

const HOUR: u32 = 3600;
const DAY_0: i64 = 1_700_000_000_000;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The device booted at `DAY_0`.
fn at(boot: Duration) -> Now {
    let wall = UtcTime::from_millis(DAY_0 + i64::try_from(boot.as_millis()).unwrap());
    Now { boot, wall, random: 0 }
}

fn plan(periodic: Option<Periodic>) -> Plan {
    let retry = RetryPolicy { min_wait: 5, multiplier: 2000 };
    Plan { acs: true, periodic, retry, second: seconds(1) }
}

fn hourly() -> Periodic {
    Periodic { interval: HOUR, phase: UtcTime::from_millis(DAY_0 + 600_000) }
}

fn due(events: bool, fresh: bool, count: u32, since_boot: u32) -> Input {
    Input::Due(Due { events, fresh, retry: RetryState { count, since_boot } })
}

const NOTHING: Input =
    Input::Due(Due { events: false, fresh: false, retry: RetryState { count: 0, since_boot: 0 } });

/// An agenda with its clock.
struct Desk {
    agenda: Agenda,
    clock: Duration,
}

impl Desk {
    fn new(plan: Plan) -> Self {
        let mut desk = Self { agenda: Agenda::default(), clock: seconds(100) };
        assert_eq!(desk.take(Input::Configured(plan)), None);
        desk
    }

    fn take(&mut self, input: Input) -> Option<Why> {
        let (agenda, mut actions) = std::mem::take(&mut self.agenda).step(at(self.clock), input);
        self.agenda = agenda;
        assert!(actions.len() <= 1);
        actions.pop().map(|Action::OpenSession(why)| why)
    }

    /// Sets the clock to the next deadline and lets it strike.
    fn strike(&mut self) -> Option<Why> {
        self.clock = self.agenda.next().unwrap().0;
        self.take(Input::Tick)
    }

    fn next(&self) -> Option<(u64, Why)> {
        self.agenda.next().map(|(at, why)| (at.as_secs(), why))
    }
}

#[test]
fn events_open_a_session_at_once_and_nothing_opens_none() {
    assert_eq!(Desk::new(plan(None)).take(due(true, true, 0, 0)), Some(Why::Events));
    assert_eq!(Desk::new(plan(None)).take(due(true, false, 0, 0)), Some(Why::Events));
    let mut desk = Desk::new(plan(None));
    assert_eq!((desk.take(NOTHING), desk.next()), (None, None));
}

#[test]
fn a_failure_that_is_not_counted_waits_too() {
    let mut desk = Desk::new(plan(None));
    assert_eq!(desk.take(due(true, false, 0, 1)), None, "no hot loop");
    assert_eq!(desk.strike(), Some(Why::Retry));
    desk.take(Input::SessionEnded);
    assert_eq!(desk.take(due(true, true, 0, 1)), Some(Why::Events), "a route came back");
}

#[test]
fn without_an_acs_nothing_happens() {
    let mut desk = Desk::new(Plan { acs: false, ..plan(Some(hourly())) });
    for input in [due(true, true, 0, 0), due(true, true, 2, 2), Input::InformNow] {
        assert_eq!((desk.take(input), desk.next()), (None, None));
    }
    desk.clock = seconds(3 * 3600);
    assert_eq!(desk.take(Input::Tick), None);
}

#[test]
fn an_acs_that_appears_finds_what_waited() {
    let mut desk = Desk::new(Plan { acs: false, ..plan(None) });
    desk.take(due(true, false, 0, 0));
    assert_eq!(desk.take(Input::Configured(plan(None))), Some(Why::Events));
    let mut desk = Desk::new(Plan { acs: false, ..plan(None) });
    desk.take(due(true, false, 1, 1));
    assert_eq!(desk.take(Input::Configured(plan(None))), None);
    assert_eq!(desk.next(), Some((105, Why::Retry)));
}

#[test]
fn failures_draw_a_wait_from_the_range_of_the_boot() {
    for (since_boot, wait) in [(0, 5), (1, 5), (2, 10), (3, 20), (10, 2560), (50, 2560)] {
        let mut desk = Desk::new(plan(None));
        // RetryCount itself picks nothing (RETRY-04, RETRY-05).
        assert_eq!(desk.take(due(true, false, 60, since_boot)), None);
        assert_eq!(desk.next(), Some((100 + wait, Why::Retry)), "{since_boot}");
        assert_eq!(desk.strike(), Some(Why::Retry));
    }
}

#[test]
fn the_draw_spans_the_range_and_is_made_once() {
    let desk = Desk::new(plan(None));
    let latest = Now { random: u32::MAX, ..at(seconds(100)) };
    let (agenda, _) = desk.agenda.step(latest, due(false, false, 2, 2));
    assert_eq!(agenda.next(), Some((seconds(120), Why::Retry)));
    let (agenda, _) = agenda.step(at(seconds(105)), due(false, false, 2, 2));
    assert_eq!(agenda.next(), Some((seconds(120), Why::Retry)));
}

#[test]
fn a_new_event_brings_the_retry_forward_without_resetting_the_range() {
    let mut desk = Desk::new(plan(None));
    desk.take(due(true, false, 3, 3));
    desk.clock = seconds(101);
    assert_eq!(desk.take(due(true, true, 3, 3)), Some(Why::Events));
    assert_eq!(desk.take(Input::SessionEnded), None);
    assert_eq!(desk.take(due(true, false, 4, 4)), None);
    assert_eq!(desk.next(), Some((101 + 40, Why::Retry)));
    assert_eq!(desk.take(due(false, true, 4, 4)), Some(Why::Retry));
}

#[test]
fn ten_thousand_failures_never_make_a_hot_loop() {
    let mut desk = Desk::new(plan(None));
    let mut why = desk.take(due(true, false, 1, 1));
    for n in 2..10_000 {
        assert_eq!(why, None);
        let before = desk.clock;
        assert_eq!(desk.strike(), Some(Why::Retry));
        assert!(desk.clock - before >= seconds(5));
        desk.take(Input::SessionEnded);
        why = desk.take(due(true, false, n, n));
    }
}

#[test]
fn nothing_opens_while_a_session_is_open_or_its_result_unknown() {
    let mut desk = Desk::new(plan(Some(hourly())));
    assert_eq!(desk.take(Input::InformNow), None, "the supervisor has not spoken");
    assert_eq!(desk.take(NOTHING), Some(Why::Asked));
    assert_eq!(desk.take(Input::InformNow), None);
    assert_eq!(desk.take(due(true, true, 0, 0)), None);
    assert_eq!(desk.strike(), None);
    assert_eq!(desk.take(Input::SessionEnded), None);
    // What fell due meanwhile takes one session, right after.
    assert_eq!(desk.take(NOTHING), Some(Why::Asked));
    desk.take(Input::SessionEnded);
    assert_eq!(desk.take(NOTHING), None);
}

#[test]
fn a_periodic_point_during_a_session_opens_the_next() {
    let mut desk = Desk::new(plan(Some(hourly())));
    assert_eq!(desk.take(due(true, true, 0, 0)), Some(Why::Events));
    assert_eq!(desk.strike(), None);
    desk.take(Input::SessionEnded);
    assert_eq!(desk.take(NOTHING), Some(Why::Periodic));
}

#[test]
fn periodic_points_are_the_phase_and_whole_intervals() {
    let mut desk = Desk::new(plan(Some(hourly())));
    desk.take(NOTHING);
    for point in [600, 600 + 3600, 600 + 7200] {
        assert_eq!(desk.next(), Some((point, Why::Periodic)));
        assert_eq!(desk.strike(), Some(Why::Periodic));
        desk.take(Input::SessionEnded);
        assert_eq!(desk.take(NOTHING), None);
    }
}

#[test]
fn a_phase_far_off_in_the_past_or_future_gives_the_same_points() {
    for days in [-1000_i64, 0, 1000] {
        let phase = UtcTime::from_millis(DAY_0 + 600_000 + days * 86_400_000);
        let mut desk = Desk::new(plan(Some(Periodic { phase, ..hourly() })));
        desk.take(NOTHING);
        assert_eq!(desk.next(), Some((600, Why::Periodic)), "{days}");
    }
}

#[test]
fn rounding_never_fires_a_point_twice() {
    let mut desk = Desk::new(plan(Some(hourly())));
    desk.take(NOTHING);
    // The wall clock lags: the point is still a moment away on it.
    let early = Now { wall: UtcTime::from_millis(DAY_0 + 599_997), ..at(seconds(600)) };
    let (agenda, actions) = desk.agenda.step(early, Input::Tick);
    assert_eq!(actions, [Action::OpenSession(Why::Periodic)]);
    assert_eq!(agenda.next(), Some((Duration::from_millis(600_000 + 3_600_003), Why::Periodic)));
}

#[test]
fn a_clock_that_was_set_is_followed_from_the_next_point_on() {
    let mut desk = Desk::new(plan(Some(hourly())));
    desk.take(NOTHING);
    let day_back = Now { wall: UtcTime::from_millis(DAY_0 - 86_400_000), ..at(seconds(600)) };
    let (agenda, _) = desk.agenda.step(day_back, Input::Tick);
    assert_eq!(agenda.next(), Some((seconds(600 + 600), Why::Periodic)));
}

#[test]
fn a_changed_timer_is_armed_at_once_and_the_same_values_do_not_move_it() {
    let mut desk = Desk::new(plan(Some(hourly())));
    desk.take(NOTHING);
    desk.clock = seconds(500);
    desk.take(Input::Configured(plan(Some(hourly()))));
    assert_eq!(desk.next(), Some((600, Why::Periodic)));
    desk.take(Input::Configured(plan(Some(Periodic { interval: 60, ..hourly() }))));
    assert_eq!(desk.next(), Some((540, Why::Periodic)));
    desk.take(Input::Configured(plan(None)));
    assert_eq!(desk.next(), None);
}

#[test]
fn a_cwmp_second_may_be_short() {
    let periodic = Periodic { interval: 10, phase: UtcTime::from_millis(DAY_0) };
    let mut desk = Desk::new(Plan { second: Duration::from_millis(1), ..plan(Some(periodic)) });
    desk.take(NOTHING);
    assert_eq!(desk.agenda.next(), Some((Duration::from_millis(100_010), Why::Periodic)));
}

#[test]
fn periodic_fires_during_back_off() {
    let mut desk = Desk::new(plan(Some(hourly())));
    desk.take(due(true, false, 10, 10));
    assert_eq!(desk.next(), Some((600, Why::Periodic)));
    assert_eq!(desk.strike(), Some(Why::Periodic));
}

#[test]
fn a_lost_link_forgets_what_was_due_and_keeps_the_timer() {
    let mut desk = Desk::new(plan(Some(hourly())));
    desk.take(due(true, false, 3, 3));
    assert_eq!(desk.take(Input::LinkLost), None);
    assert_eq!(desk.next(), Some((600, Why::Periodic)));
    desk.clock = seconds(700);
    assert_eq!(desk.take(Input::Configured(plan(Some(hourly())))), None);
    assert_eq!(desk.take(due(false, false, 0, 0)), Some(Why::Periodic), "missed meanwhile");
    assert_eq!(desk.next(), Some((4200, Why::Periodic)));
}

#[test]
fn a_refused_session_is_asked_for_again_after_a_wait() {
    let mut desk = Desk::new(plan(None));
    desk.take(NOTHING);
    assert_eq!(desk.take(Input::InformNow), Some(Why::Asked));
    assert_eq!(desk.take(Input::Refused(Why::Asked)), None);
    assert_eq!(desk.next(), Some((105, Why::Asked)));
    assert_eq!(desk.strike(), Some(Why::Asked));
}

#[test]
fn a_connection_request_opens_a_session_at_once_even_during_back_off() {
    let mut desk = Desk::new(plan(None));
    desk.take(due(true, false, 10, 10));
    assert_eq!(desk.take(Input::ConnectionRequest), Some(Why::ConnectionRequest));
}

#[test]
fn however_many_connection_requests_in_a_session_make_exactly_one_more() {
    let mut desk = Desk::new(plan(None));
    assert_eq!(desk.take(due(true, true, 0, 0)), Some(Why::Events));
    for _ in 0..5 {
        assert_eq!(desk.take(Input::ConnectionRequest), None, "CR-14");
    }
    assert_eq!(desk.take(Input::SessionEnded), None);
    assert_eq!(desk.take(NOTHING), Some(Why::ConnectionRequest));
    desk.take(Input::SessionEnded);
    assert_eq!(desk.take(NOTHING), None);
}

#[test]
fn what_else_was_asked_for_gets_its_own_session() {
    let mut desk = Desk::new(plan(None));
    desk.take(Input::InformNow);
    desk.take(Input::ConnectionRequest);
    assert_eq!(desk.take(NOTHING), Some(Why::ConnectionRequest));
    desk.take(Input::SessionEnded);
    assert_eq!(desk.take(NOTHING), Some(Why::Asked));
}

#[test]
fn a_failed_session_does_not_ask_in_the_name_of_the_acs_again() {
    let mut desk = Desk::new(plan(None));
    desk.take(NOTHING);
    assert_eq!(desk.take(Input::ConnectionRequest), Some(Why::ConnectionRequest));
    desk.take(Input::SessionEnded);
    assert_eq!(desk.take(due(false, false, 1, 1)), None);
    assert_eq!(desk.strike(), Some(Why::Retry));
}

#[test]
fn an_acs_that_goes_away_before_the_session_leaves_what_waited() {
    let mut desk = Desk::new(plan(None));
    assert_eq!(desk.take(due(true, true, 0, 0)), Some(Why::Events));
    desk.take(Input::ConnectionRequest);
    desk.take(Input::Configured(Plan { acs: false, ..plan(None) }));
    assert_eq!(desk.take(Input::NoAcs), None);
    assert_eq!(desk.take(Input::Configured(plan(None))), Some(Why::Events));
}
