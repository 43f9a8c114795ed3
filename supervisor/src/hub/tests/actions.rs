//! Reboot and factory reset in the hub: what is recorded, run, shown and tried again.

use super::*;
use ipc_proto::control::WaitingFor;

/// The action writes a line into this file of the device's directory and ends as told.
pub fn script(dir: &Path, end: &str) -> Vec<String> {
    let script = format!("echo run >> {}/ran; {end}", dir.display());
    ["/bin/sh", "-c", &script].map(str::to_owned).to_vec()
}

pub fn runs(bench: &Bench) -> usize {
    std::fs::read_to_string(bench.dir.path().join("ran")).unwrap_or_default().lines().count()
}

async fn reboot(bench: &Bench) -> Response {
    bench.ask(Request::Reboot { now: false }).await
}

async fn session(worker: &mut Worker, outcome: Outcome) {
    let session = worker.open(Why::Asked).await.session;
    worker.close(session, outcome).await;
}

#[test]
fn without_a_command_a_reboot_is_refused_and_the_setting_named() {
    run(async {
        let bench = Bench::new();
        let Response::Refused(why) = reboot(&bench).await else { panic!() };
        assert!(why.contains("[actions] reboot"), "{why}");
        assert!(bench.status().await.waiting.is_empty());
    });
}

#[test]
fn a_new_boot_ends_a_reboot_and_never_reboots_again() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 0"));
        assert!(matches!(reboot(&bench).await, Response::Done(_)));
        bench.waits(|all| all.iter().any(|w| w.why.contains("has not restarted yet"))).await;
        let bench = bench.booted("boot-2").await;
        let mut worker = bench.worker(1).await;
        let opened = worker.open(Why::Events).await;
        assert_eq!(codes(&opened.events), [EventCode::Bootstrap, EventCode::Boot]);
        worker.close(opened.session, Outcome::Succeeded).await;
        while worker.due().await.retry.count != 0 {}
        assert_eq!((runs(&bench), bench.status().await.waiting), (1, vec![]));
    });
}

#[test]
fn a_device_that_does_not_restart_is_tried_after_three_sessions_in_all() {
    run(async {
        let bench = Bench::with(|dir, settings| {
            settings.actions.reboot = script(dir, "exit 0");
            settings.timing.second_ms = 1;
        });
        reboot(&bench).await;
        let mut worker = bench.worker(1).await;
        for tries in 1..3 {
            bench.waits(|all| all.iter().any(|w| w.failed && w.why.contains(&format!("try {tries} ")))).await;
            assert_eq!(runs(&bench), tries, "not before a session has ended");
            session(&mut worker, tcp_failure()).await;
            bench.waits(|all| all.iter().any(|w| !w.failed)).await;
        }
        let given_up = |all: &[Waiting]| all.iter().any(|w| w.failed && w.why.contains("3 tries"));
        bench.waits(given_up).await;
        session(&mut worker, Outcome::Succeeded).await;
        bench.waits(given_up).await;
        assert_eq!(runs(&bench), 3);
    });
}

#[test]
fn a_command_that_fails_is_shown_and_not_run_again() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "echo no; exit 3"));
        reboot(&bench).await;
        let failed = |all: &[Waiting]| all.iter().any(|w| w.failed);
        let waiting = bench.waits(failed).await;
        assert_eq!(waiting[0].what, WaitingFor::Reboot);
        assert!(waiting[0].why.contains("exit status: 3; it said: no"), "{waiting:?}");
        let mut worker = bench.worker(1).await;
        session(&mut worker, tcp_failure()).await;
        let bench = bench.restarted().await;
        bench.waits(failed).await;
        assert_eq!(runs(&bench), 1);
        assert!(bench.booted("boot-2").await.status().await.waiting.is_empty());
    });
}

#[test]
fn a_reboot_waits_for_the_session_unless_it_is_to_be_now() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 0"));
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        let mut answers = bench.send(Role::Admin, Request::Reboot { now: false }).await;
        let Response::Waiting(why) = answers.recv().await.unwrap().response else { panic!() };
        assert!(why.contains("`reboot --now`"), "{why}");
        let waiting = bench.status().await.waiting;
        assert!(waiting[0].why.contains("session") && !waiting[0].failed, "{waiting:?}");
        assert_eq!(runs(&bench), 0);
        worker.close(session, Outcome::Succeeded).await;
        assert!(matches!(answers.recv().await.unwrap().response, Response::Done(_)));
        bench.waits(|all| all.iter().any(|w| w.why.contains("has not restarted yet"))).await;

        let session = worker.open(Why::Asked).await.session;
        assert!(matches!(bench.ask(Request::Reboot { now: true }).await, Response::Done(_)));
        while worker.push().await != Push::EndSession(session) {}
        bench.waits(|_| runs(&bench) == 2).await;
    });
}

#[test]
fn a_session_that_opens_while_a_reboot_is_recorded_does_not_lose_its_answer() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 0"));
        let mut worker = bench.worker(1).await;
        let mut answers = bench.send(Role::Admin, Request::Reboot { now: false }).await;
        // Before the record is on disk, as a rule.
        let session = worker.open(Why::Events).await.session;
        worker.close(session, Outcome::Succeeded).await;
        let mut last = answers.recv().await;
        while let Some(Answer { response: Response::Waiting(why), .. }) = &last {
            assert!(why.contains("session"), "{why}");
            last = answers.recv().await;
        }
        let last = last.map(|answer| answer.response);
        assert!(matches!(last, Some(Response::Done(_))), "{last:?}");
        bench.waits(|all| all.iter().any(|w| w.why.contains("has not restarted yet"))).await;
        assert_eq!(runs(&bench), 1);
    });
}

#[test]
fn a_viewer_may_neither_restart_nor_reset() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.reboot = script(dir, "exit 0"));
        for request in [Request::Reboot { now: true }, Request::FactoryReset { now: true }] {
            let response = bench.send(Role::Viewer, request).await.recv().await.unwrap().response;
            assert!(matches!(response, Response::Refused(_)));
        }
        assert_eq!(runs(&bench), 0);
    });
}

#[test]
fn a_factory_reset_leaves_nothing_but_who_the_device_is() {
    run(async {
        let bench = Bench::new();
        bench.set("cwmp.acs_url", "http://a/").await;
        bench.set("cwmp.acs_password", "canary").await;
        bench.apply().await;
        bench.ask(Request::Save).await;
        bench.set("cwmp.provisioning_code", "unsaved").await;
        bench.apply().await;
        bench.set("cwmp.manage_upgrade", "0").await;
        let mut worker = bench.worker(1).await;
        let opened = worker.open(Why::Events).await;
        let (session, before) = (opened.session, opened.events.last().unwrap().id);
        worker.query(set_by_acs(session, &[], "key")).await;
        worker.close(session, tcp_failure()).await;
        while worker.due().await.retry.count != 1 {}

        assert!(matches!(bench.ask(Request::FactoryReset { now: false }).await, Response::Done(_)));
        for bench in [bench] {
            let status = bench.status().await;
            assert_eq!(
                (status.acs.state, status.retry_count, status.last_session),
                (AcsState::NoUrl, 0, None)
            );
            for (name, value) in
                [("cwmp.acs_url", ""), ("cwmp.provisioning_code", ""), ("cwmp.manage_upgrade", "1")]
            {
                let row = bench.row(name).await;
                assert_eq!((row.value.as_str(), row.saved, row.pending), (value, true, None), "{name}");
            }
            let opened = worker.open(Why::Events).await;
            assert_eq!(codes(&opened.events), [EventCode::Bootstrap, EventCode::Boot]);
            assert!(opened.events.iter().all(|event| event.id > before), "ids go on");
            worker.close(opened.session, tcp_failure()).await;
            while worker.due().await.retry.count != 1 {}

            let bench = bench.restarted().await;
            assert_eq!(bench.row("cwmp.acs_url").await.value, "");
            let name = "Device.ManagementServer.ParameterKey".to_owned();
            let Response::Value { value, .. } = bench.ask(Request::Get { name }).await else { panic!() };
            assert_eq!(value.to_string(), "");
            let mut worker = bench.worker(1).await;
            let opened = worker.open(Why::Retry).await;
            assert_eq!(codes(&opened.events), [EventCode::Bootstrap, EventCode::Boot]);
            for entry in std::fs::read_dir(bench.dir.path()).unwrap().flatten() {
                let bytes = std::fs::read(entry.path()).unwrap();
                let found = bytes.windows(6).any(|window| window == b"canary");
                assert!(!found, "the old password is still in {:?}", entry.path());
            }
        }
    });
}

#[test]
fn the_devices_own_reset_runs_once_after_ours_and_its_failure_is_shown() {
    run(async {
        let bench = Bench::with(|dir, settings| settings.actions.factory_reset = script(dir, "exit 0"));
        bench.ask(Request::FactoryReset { now: false }).await;
        bench.waits(|all| all.is_empty() && runs(&bench) == 1).await;
        let bench = bench.restarted().await;
        assert_eq!((bench.status().await.waiting, runs(&bench)), (vec![], 1));

        let bench = Bench::with(|dir, settings| settings.actions.factory_reset = script(dir, "exit 1"));
        bench.ask(Request::FactoryReset { now: false }).await;
        let waiting = bench.waits(|all| all.iter().any(|w| w.failed)).await;
        assert_eq!(waiting[0].what, WaitingFor::FactoryReset);
    });
}
