//! What the ACS tells the device to do: Reboot, FactoryReset, ScheduleInform, and the spread of first sessions.

use ipc_proto::{FaultCode, control::WaitingFor, text::CommandKey};

use super::actions::{runs, script};
use super::*;

fn key(text: &str) -> CommandKey {
    CommandKey::new(text).unwrap()
}

fn reboot(session: SessionId, text: &str) -> Query {
    Query::Reboot { session, command_key: key(text) }
}

fn schedule(session: SessionId, delay_seconds: u32, text: &str) -> Query {
    Query::ScheduleInform { session, delay_seconds, command_key: key(text) }
}

/// Codes and keys as the Inform has them.
fn told(opened: &SessionOpened) -> Vec<(&'static str, &str)> {
    opened.events.iter().map(|event| (event.code.text(), event.command_key.as_str())).collect()
}

/// A session whose Inform is acknowledged; it stays open.
async fn informed(worker: &mut Worker) -> SessionOpened {
    let opened = worker.open(Why::Events).await;
    let events = opened.events.iter().map(|event| event.id).collect();
    let session = opened.session;
    assert_eq!(worker.query(Query::InformAcknowledged { session, events }).await, Reply::Done);
    opened
}

fn code(reply: &Reply) -> FaultCode {
    let Reply::Fault(fault) = reply else { panic!("{reply:?}") };
    fault.code
}

fn restarting(all: &[Waiting]) -> bool {
    all.iter().any(|w| w.why.contains("has not restarted yet"))
}

#[test]
fn reboots_of_a_session_are_one_reboot_after_it_and_an_m_reboot_each() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 0"));
        let mut worker = bench.worker(1).await;
        let session = informed(&mut worker).await.session;
        for k in ["a", "", "a"] {
            assert_eq!(worker.query(reboot(session, k)).await, Reply::Done);
        }
        let waiting = bench.status().await.waiting;
        assert!(waiting[0].why.contains("session") && runs(&bench) == 0, "{waiting:?}");
        worker.close(session, tcp_failure()).await;
        bench.waits(restarting).await;

        let bench = bench.booted("boot-2").await;
        let mut worker = bench.worker(1).await;
        let opened = informed(&mut worker).await;
        let boot = [("1 BOOT", ""), ("M Reboot", "a"), ("M Reboot", ""), ("M Reboot", "a")];
        assert_eq!(told(&opened), boot);
        worker.close(opened.session, Outcome::Succeeded).await;
        while worker.due().await.retry.count != 0 {}
        assert_eq!((runs(&bench), bench.status().await.waiting), (1, vec![]));
        let bench = bench.booted("boot-3").await;
        let opened = bench.worker(1).await.open(Why::Events).await;
        assert_eq!(told(&opened), [("1 BOOT", "")], "by other hands");
    });
}

#[test]
fn a_reboot_asked_for_while_the_device_restarts_is_the_same_reboot() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 0"));
        let mut worker = bench.worker(1).await;
        for k in ["a", "b"] {
            let session = informed(&mut worker).await.session;
            assert_eq!(worker.query(reboot(session, k)).await, Reply::Done);
            worker.close(session, Outcome::Succeeded).await;
            bench.waits(restarting).await;
        }
        let bench = bench.booted("boot-2").await;
        let opened = bench.worker(1).await.open(Why::Events).await;
        assert_eq!(told(&opened), [("1 BOOT", ""), ("M Reboot", "a"), ("M Reboot", "b")]);
        assert_eq!(runs(&bench), 1);
    });
}

#[test]
fn a_person_who_reboots_meanwhile_takes_nothing_from_what_the_acs_is_told() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 0"));
        let mut worker = bench.worker(1).await;
        let session = informed(&mut worker).await.session;
        worker.query(reboot(session, "k")).await;
        worker.close(session, Outcome::Succeeded).await;
        bench.waits(restarting).await;
        // Refused while the former command still runs.
        while runs(&bench) < 2 {
            bench.ask(Request::Reboot { now: false }).await;
        }
        let bench = bench.booted("boot-2").await;
        let opened = bench.worker(1).await.open(Why::Events).await;
        assert_eq!(told(&opened), [("1 BOOT", ""), ("M Reboot", "k")]);
    });
}

#[test]
fn a_reboot_that_is_stored_is_told_by_any_boot_and_is_not_done_again() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 0"));
        let mut worker = bench.worker(1).await;
        let session = informed(&mut worker).await.session;
        worker.query(reboot(session, "k")).await;
        // A power cut in the session.
        let bench = bench.booted("boot-2").await;
        let mut worker = bench.worker(1).await;
        let opened = informed(&mut worker).await;
        assert_eq!(told(&opened), [("1 BOOT", ""), ("M Reboot", "k")]);
        worker.close(opened.session, Outcome::Succeeded).await;
        while worker.due().await.retry.count != 0 {}
        assert_eq!((runs(&bench), bench.status().await.waiting), (0, vec![]));
    });
}

#[test]
fn a_supervisor_that_comes_back_in_the_same_boot_does_the_reboot() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 0"));
        let mut worker = bench.worker(1).await;
        let session = informed(&mut worker).await.session;
        worker.query(reboot(session, "k")).await;
        let bench = bench.restarted().await;
        bench.waits(|all| restarting(all) && runs(&bench) == 1).await;
    });
}

#[test]
fn a_reboot_that_failed_is_not_told_by_a_boot_by_other_hands() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 3"));
        let mut worker = bench.worker(1).await;
        let session = informed(&mut worker).await.session;
        worker.query(reboot(session, "k")).await;
        worker.close(session, Outcome::Succeeded).await;
        bench.waits(|all| all.iter().any(|w| w.failed)).await;
        let bench = bench.booted("boot-2").await;
        assert_eq!(told(&bench.worker(1).await.open(Why::Events).await), [("1 BOOT", "")]);
    });
}

#[test]
fn a_reboot_without_a_command_is_9001_and_nothing_is_stored() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let session = informed(&mut worker).await.session;
        assert_eq!(code(&worker.query(reboot(session, "k")).await), FaultCode::RequestDenied);
        assert!(bench.status().await.waiting.is_empty());
        let other = SessionId(session.0 + 1);
        for query in [reboot(other, "k"), schedule(other, 1, "k"), Query::FactoryReset { session: other }] {
            assert_eq!(worker.query(query).await, Reply::NoSession);
        }
        let bench = bench.booted("boot-2").await;
        assert_eq!(told(&bench.worker(1).await.open(Why::Events).await), [("1 BOOT", "")]);
    });
}

#[test]
fn a_factory_reset_by_the_acs_is_done_after_the_session_and_drops_what_waits() {
    run(async {
        let bench = Bench::with(|dir, settings| {
            settings.actions.reboot = script(dir, "exit 0");
            settings.actions.factory_reset = script(dir, "exit 0");
        });
        bench.set("cwmp.acs_url", "http://a/").await;
        bench.set("cwmp.provisioning_code", "mine").await;
        bench.apply().await;
        bench.ask(Request::Save).await;
        let mut worker = bench.worker(1).await;
        let session = informed(&mut worker).await.session;
        worker.query(set_by_acs(session, &[], "key")).await;
        assert_eq!(worker.query(schedule(session, 3600, "s")).await, Reply::Done);
        assert_eq!(worker.query(reboot(session, "r")).await, Reply::Done);
        assert_eq!(worker.query(Query::FactoryReset { session }).await, Reply::Done);
        assert_eq!(code(&worker.query(reboot(session, "r")).await), FaultCode::RequestDenied);
        assert_eq!(bench.row("cwmp.provisioning_code").await.value, "mine", "not before its end");
        let waiting = bench.status().await.waiting;
        assert!(waiting.iter().any(|w| w.what == WaitingFor::FactoryReset), "{waiting:?}");
        worker.close(session, Outcome::Succeeded).await;
        bench.waits(|all| all.is_empty() && runs(&bench) == 1).await;
        assert_eq!(bench.row("cwmp.provisioning_code").await.value, "");
        let name = "Device.ManagementServer.ParameterKey".to_owned();
        let Response::Value { value, .. } = bench.ask(Request::Get { name }).await else { panic!() };
        assert_eq!(value.to_string(), "");
        let opened = informed(&mut worker).await;
        assert_eq!(told(&opened), [("0 BOOTSTRAP", ""), ("1 BOOT", "")]);
        worker.close(opened.session, Outcome::Succeeded).await;
        let bench = bench.booted("boot-2").await;
        assert_eq!(told(&bench.worker(1).await.open(Why::Events).await), [("1 BOOT", "")]);
        assert_eq!(runs(&bench), 1);
    });
}

#[test]
fn a_factory_reset_that_is_stored_is_done_by_the_next_supervisor() {
    run(async {
        for boot_id in ["boot-1", "boot-2"] {
            let bench = Bench::new();
            bench.set("cwmp.provisioning_code", "mine").await;
            bench.apply().await;
            bench.ask(Request::Save).await;
            let mut worker = bench.worker(1).await;
            let session = informed(&mut worker).await.session;
            worker.query(Query::FactoryReset { session }).await;
            let bench = bench.booted(boot_id).await;
            let opened = bench.worker(1).await.open(Why::Events).await;
            assert_eq!(told(&opened), [("0 BOOTSTRAP", ""), ("1 BOOT", "")], "{boot_id}");
            assert_eq!(bench.row("cwmp.provisioning_code").await.value, "");
            assert!(bench.status().await.waiting.is_empty());
        }
    });
}

#[test]
fn scheduled_informs_are_timers_of_their_own_over_restarts_and_boots() {
    run(async {
        let bench = Bench::with(|_, settings| settings.timing.second_ms = 1);
        let mut worker = bench.worker(1).await;
        let session = informed(&mut worker).await.session;
        for (delay, k) in [(20, "a"), (30, "b"), (u32::MAX, "far"), (3_600_000, "hour")] {
            assert_eq!(worker.query(schedule(session, delay, k)).await, Reply::Done);
        }
        // The times of two come in the open session, and the power goes.
        let passed = UtcTime::now().plus_millis(31);
        while UtcTime::now() < passed {
            bench.status().await;
        }
        let bench = bench.booted("boot-2").await;
        let mut worker = bench.worker(1).await;
        while !worker.due().await.fresh {}
        let opened = loop {
            let opened = informed(&mut worker).await;
            if opened.events.iter().any(|event| event.code == EventCode::Scheduled) {
                break opened;
            }
            worker.close(opened.session, Outcome::Succeeded).await;
        };
        let mut scheduled = told(&opened);
        scheduled.retain(|(code, _)| *code != "1 BOOT");
        let both = [("3 SCHEDULED", ""), ("M ScheduleInform", "a"), ("M ScheduleInform", "b")];
        assert_eq!(scheduled, both);
        // Another one becomes due in the open session, and waits for its end.
        worker.query(schedule(opened.session, 1, "c")).await;
        worker.close(opened.session, Outcome::Succeeded).await;
        while !worker.due().await.fresh {}
        let opened = informed(&mut worker).await;
        assert_eq!(told(&opened), [("3 SCHEDULED", ""), ("M ScheduleInform", "c")]);
        worker.close(opened.session, Outcome::Succeeded).await;
        while worker.due().await.events {}
    });
}

#[test]
fn scheduled_events_that_are_not_delivered_are_one_3_scheduled_and_all_their_keys() {
    run(async {
        let bench = Bench::with(|_, settings| settings.timing.second_ms = 1);
        let mut worker = bench.worker(1).await;
        let mut session = informed(&mut worker).await.session;
        for k in ["a", "b"] {
            worker.query(schedule(session, 1, k)).await;
            worker.close(session, Outcome::Succeeded).await;
            while !worker.due().await.fresh {}
            session = worker.open(Why::Events).await.session;
        }
        worker.close(session, tcp_failure()).await;
        let bench = bench.booted("boot-2").await;
        let opened = bench.worker(1).await.open(Why::Retry).await;
        let all = [("1 BOOT", ""), ("3 SCHEDULED", ""), ("M ScheduleInform", "a"), ("M ScheduleInform", "b")];
        assert_eq!(told(&opened), all);
    });
}

#[test]
fn sixty_four_scheduled_informs_wait_and_no_more() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let session = informed(&mut worker).await.session;
        for _ in 0..64 {
            assert_eq!(worker.query(schedule(session, 3600, "k")).await, Reply::Done);
        }
        let reply = worker.query(schedule(session, 3600, "k")).await;
        assert_eq!(code(&reply), FaultCode::ResourcesExceeded);
    });
}

#[test]
fn the_first_session_after_a_boot_comes_after_its_spread() {
    run(async {
        let bench = Bench::with(|_, settings| {
            settings.timing.start_spread_s = 60;
            settings.timing.second_ms = 1;
        });
        let mut worker = bench.worker(1).await;
        // That it waits is for the test below: what is drawn may be nothing.
        while worker.due().await != (Due { events: true, fresh: true, retry: Default::default() }) {}
    });
}

#[test]
fn a_session_that_is_asked_for_ends_the_spread_and_carries_the_boot() {
    run(async {
        let bench = Bench::with(|_, settings| settings.timing.start_spread_s = 86_400);
        bench.set("cwmp.acs_url", "http://a/").await;
        bench.apply().await;
        let mut worker = bench.worker(1).await;
        assert!(!worker.due().await.events);
        assert_eq!(bench.status().await.next_session.unwrap().why, Why::Events);
        let opened = worker.open(Why::ConnectionRequest).await;
        let all = [("0 BOOTSTRAP", ""), ("1 BOOT", ""), ("6 CONNECTION REQUEST", "")];
        assert_eq!(told(&opened), all);
        worker.close(opened.session, tcp_failure()).await;
        let due = worker.due().await;
        assert!(due.events && due.retry.count == 1, "{due:?}");
        assert_eq!(bench.status().await.next_session, None);
        // Neither does it wait again in the same boot.
        let bench = bench.restarted().await;
        assert!(bench.worker(1).await.due().await.events);
    });
}
