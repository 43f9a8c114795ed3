//! `apply confirm` in the hub: what arms it, what ends it, and what it undoes.

use super::*;
use ipc_proto::control::WaitingFor;

async fn confirmed(bench: &Bench, minutes: u32) -> Response {
    bench.ask(Request::Apply { force: false, now: false, confirm: Some(minutes) }).await
}

/// A device whose ACS works, with a worker; a minute of CWMP time is 60 ms.
async fn at_work() -> (Bench, Worker) {
    at_work_in(tempfile::tempdir().unwrap()).await
}

async fn at_work_in(dir: TempDir) -> (Bench, Worker) {
    let settings = |_: &Path, settings: &mut Settings| settings.timing.second_ms = 1;
    let bench = Bench::over(dir, Choice { settings, ..Choice::default() });
    bench.set("cwmp.acs_url", "http://good/").await;
    bench.apply().await;
    let mut worker = bench.worker(1).await;
    let opened = worker.open(Why::Events).await;
    let (session, events) = (opened.session, opened.events.iter().map(|event| event.id).collect());
    worker.query(Query::InformAcknowledged { session, events }).await;
    worker.close(session, Outcome::Succeeded).await;
    while worker.due().await.events {}
    (bench, worker)
}

/// The worker uses what it was given last.
async fn uses_it(bench: &Bench, worker: &Worker) {
    let wanted = bench.status().await.worker.revision_wanted;
    worker.send(ToSupervisor::Report(Report::InUse(wanted))).await;
}

async fn session(worker: &mut Worker, outcome: Outcome) {
    let session = worker.open(Why::Retry).await.session;
    worker.close(session, outcome).await;
    worker.due().await;
}

fn failed_at(stage: Stage) -> Outcome {
    Outcome::Failed(Failure { stage, reason: "no".to_owned() })
}

async fn url(bench: &Bench) -> String {
    bench.row("cwmp.acs_url").await.value
}

/// The time is over.
async fn time_over(bench: &Bench) {
    bench.waits(|all| all.iter().all(|w| w.until.is_none())).await;
}

#[test]
fn it_is_undone_after_three_failures_and_the_time_and_the_old_url_is_a_bootstrap() {
    run(async {
        let (bench, mut worker) = at_work().await;
        bench.set("cwmp.acs_url", "http://bad/").await;
        assert!(matches!(confirmed(&bench, 1).await, Response::Done(_)));
        let waiting = bench.status().await.waiting;
        assert_eq!(waiting[0].what, WaitingFor::Confirm);
        assert!(waiting[0].until.is_some() && waiting[0].why.contains("cwmp.acs_url"), "{waiting:?}");
        let Response::Refused(why) = bench.ask(Request::Save).await else { panic!() };
        assert!(why.contains("confirm"), "{why}");
        uses_it(&bench, &worker).await;
        for _ in 0..2 {
            session(&mut worker, tcp_failure()).await;
        }
        time_over(&bench).await;
        let waiting = bench.status().await.waiting;
        assert!(waiting[0].why.contains("1 more session"), "{waiting:?}");
        assert_eq!(url(&bench).await, "http://bad/", "two failures are not enough");
        session(&mut worker, tcp_failure()).await;
        assert!(bench.waits(<[_]>::is_empty).await.is_empty());
        assert_eq!(url(&bench).await, "http://good/");
        assert_eq!(codes(&worker.open(Why::Events).await.events), [EventCode::Bootstrap]);
    });
}

#[test]
fn three_failures_before_the_time_undo_it_only_when_that_is_over() {
    run(async {
        let (bench, mut worker) = at_work().await;
        bench.set("cwmp.acs_url", "http://bad/").await;
        confirmed(&bench, 5).await;
        uses_it(&bench, &worker).await;
        for _ in 0..3 {
            session(&mut worker, tcp_failure()).await;
        }
        assert_eq!(url(&bench).await, "http://bad/");
        assert_eq!(bench.status().await.waiting.len(), 1);
        bench.waits(<[_]>::is_empty).await;
        assert_eq!(url(&bench).await, "http://good/");
    });
}

#[test]
fn a_good_session_with_it_or_a_person_makes_it_stay() {
    run(async {
        let (bench, mut worker) = at_work().await;
        bench.set("cwmp.provisioning_code", "A").await;
        confirmed(&bench, 1440).await;
        uses_it(&bench, &worker).await;
        session(&mut worker, Outcome::Succeeded).await;
        assert!(bench.status().await.waiting.is_empty());

        bench.set("cwmp.provisioning_code", "B").await;
        confirmed(&bench, 1440).await;
        assert!(matches!(bench.ask(Request::Confirm).await, Response::Done(_)));
        assert!(matches!(bench.ask(Request::Confirm).await, Response::Refused(_)));
        assert_eq!(bench.row("cwmp.provisioning_code").await.value, "B");
        assert!(matches!(bench.ask(Request::Save).await, Response::Done(_)));
    });
}

#[test]
fn a_session_that_began_with_the_old_values_proves_nothing() {
    run(async {
        let (bench, mut worker) = at_work().await;
        bench.set("cwmp.acs_url", "http://bad/").await;
        confirmed(&bench, 1440).await;
        // Its connection was made before it had the new configuration.
        session(&mut worker, Outcome::Succeeded).await;
        assert_eq!(bench.status().await.waiting.len(), 1);
    });
}

#[test]
fn credentials_alone_are_judged_by_the_acss_word_on_the_login() {
    run(async {
        let (bench, mut worker) = at_work().await;
        bench.set("cwmp.acs_password", "wrong").await;
        confirmed(&bench, 1).await;
        uses_it(&bench, &worker).await;
        time_over(&bench).await;
        for stage in [Stage::Tcp, Stage::Http, Stage::Worker, Stage::Auth, Stage::Auth] {
            session(&mut worker, failed_at(stage)).await;
        }
        assert_eq!(bench.status().await.waiting.len(), 1);
        session(&mut worker, failed_at(Stage::Auth)).await;
        bench.waits(<[_]>::is_empty).await;
        let mut config = None;
        while config
            .is_none_or(|config: Box<WorkerConfig>| config.acs.unwrap().password == Secret::new("wrong"))
        {
            if let Push::Config(next) = worker.push().await {
                config = Some(next);
            } else {
                config = None;
            }
        }
    });
}

#[test]
fn what_changes_nothing_arms_nothing_and_what_ends_all_sessions_is_refused() {
    run(async {
        let (bench, _worker) = at_work().await;
        bench.set("cwmp.provisioning_code", "").await;
        confirmed(&bench, 5).await;
        assert!(bench.status().await.waiting.is_empty());
        for (name, value) in [("cwmp.enable", "0"), ("cwmp.acs_url", "")] {
            bench.set(name, value).await;
            assert!(matches!(confirmed(&bench, 5).await, Response::Refused(_)), "{name}");
            bench.ask(Request::Revert).await;
        }
    });
}

#[test]
fn it_outlives_the_supervisor_and_a_reboot_undoes_it() {
    run(async {
        let (bench, mut worker) = at_work().await;
        bench.ask(Request::Save).await;
        bench.set("cwmp.acs_url", "http://bad/").await;
        confirmed(&bench, 1).await;
        uses_it(&bench, &worker).await;
        session(&mut worker, tcp_failure()).await;
        let bench = bench.restarted().await;
        assert_eq!((url(&bench).await.as_str(), bench.status().await.waiting.len()), ("http://bad/", 1));
        let mut worker = bench.worker(1).await;
        uses_it(&bench, &worker).await;
        for _ in 0..2 {
            session(&mut worker, tcp_failure()).await;
        }
        bench.waits(<[_]>::is_empty).await;
        assert_eq!(url(&bench).await, "http://good/");

        bench.set("cwmp.acs_url", "http://bad/").await;
        confirmed(&bench, 1440).await;
        let bench = bench.booted("boot-2").await;
        assert_eq!(url(&bench).await, "http://good/");
        assert!(bench.status().await.waiting.is_empty());
    });
}

#[test]
fn a_later_change_of_the_same_value_is_not_undone() {
    run(async {
        let (bench, mut worker) = at_work().await;
        bench.set("cwmp.acs_url", "http://bad/").await;
        bench.set("cwmp.provisioning_code", "A").await;
        confirmed(&bench, 1).await;
        bench.set("cwmp.acs_url", "http://better/").await;
        bench.apply().await;
        uses_it(&bench, &worker).await;
        for _ in 0..3 {
            session(&mut worker, tcp_failure()).await;
        }
        bench.waits(<[_]>::is_empty).await;
        assert_eq!(url(&bench).await, "http://better/");
        assert_eq!(bench.row("cwmp.provisioning_code").await.value, "");
    });
}

#[test]
fn a_change_that_cannot_be_undone_on_disk_brings_no_session_forward() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        crate::store::refuse(dir.path(), "DELETE ON unsaved");
        let (bench, mut worker) = at_work_in(dir).await;
        bench.set("cwmp.provisioning_code", "bad").await;
        confirmed(&bench, 1).await;
        uses_it(&bench, &worker).await;
        time_over(&bench).await;
        for count in 1..=5 {
            let session = worker.open(Why::Retry).await.session;
            worker.close(session, tcp_failure()).await;
            while worker.due().await.retry.count != count {}
            let is_refused =
                |status: Status| status.warnings.iter().any(|w| w.contains("refused by the test"));
            while count >= 3 && !is_refused(bench.status().await) {
                tokio::task::yield_now().await;
            }
            while let Ok(message) = worker.messages.try_recv() {
                assert!(!matches!(message, ToWorker::Push(Push::Due(Due { fresh: true, .. }))), "{count}");
            }
        }
        assert_eq!(bench.row("cwmp.provisioning_code").await.value, "bad");
    });
}

#[test]
fn what_the_acs_has_set_since_is_not_undone_even_where_the_saved_value_was_brought_back() {
    run(async {
        let (bench, mut worker) = at_work().await;
        let wait = "cwmp.retry_min_wait";
        bench.set(wait, "7").await;
        bench.apply().await;
        bench.ask(Request::Save).await;
        bench.set(wait, "9").await;
        bench.apply().await;
        bench.set(wait, "7").await;
        confirmed(&bench, 1).await;
        uses_it(&bench, &worker).await;
        for first in [true, false, false] {
            let session = worker.open(Why::Retry).await.session;
            if first {
                let name = "Device.ManagementServer.CWMPRetryMinimumWaitInterval".to_owned();
                let value = SetValue { name, declared: DeclaredType::Absent, text: "33".to_owned() };
                let parameter_key = ParameterKey::default();
                let set = Query::Set { session, values: vec![value], parameter_key };
                assert!(matches!(worker.query(set).await, Reply::Set(_)));
                uses_it(&bench, &worker).await;
            }
            worker.close(session, tcp_failure()).await;
            worker.due().await;
        }
        bench.waits(<[_]>::is_empty).await;
        assert_eq!(bench.row(wait).await.value, "33");
    });
}
