//! Sessions that failed: what is kept of them, what counts, and what brings the next attempt forward.

use super::*;

#[test]
fn acknowledged_events_never_come_again_and_others_do() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let opened = worker.open(Why::Events).await;
        assert_eq!(codes(&opened.events), [EventCode::Bootstrap, EventCode::Boot]);
        worker.close(opened.session, tcp_failure()).await;
        while worker.due().await.retry.count != 1 {}

        let opened = worker.open(Why::Retry).await;
        assert_eq!((codes(&opened.events).len(), opened.retry_count), (2, 1));
        let events = opened.events.iter().map(|event| event.id).collect();
        worker.query(Query::InformAcknowledged { session: opened.session, events }).await;
        worker.close(opened.session, tcp_failure()).await;
        while worker.due().await.retry.count != 2 {}
        drop(worker);

        let bench = bench.restarted().await;
        let mut worker = bench.worker(1).await;
        let due = worker.due().await;
        assert!(!due.events && !due.fresh && due.retry.count == 2, "{due:?}");
        assert_eq!(codes(&worker.open(Why::Retry).await.events), []);
    });
}

#[test]
fn a_worker_lost_in_a_session_counts_as_a_failed_session() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        worker.open(Why::Events).await;
        bench.commands.send(Command::WorkerLost(1, "killed".to_owned())).await.unwrap();
        let mut worker = bench.worker(2).await;
        let due = worker.due().await;
        assert!(due.events && !due.fresh && due.retry.count == 1, "no hot loop: {due:?}");
        assert!(bench.status().await.last_session.unwrap().outcome.contains("killed"));
    });
}

#[test]
fn a_new_url_brings_the_next_attempt_forward_once() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        worker.close(session, tcp_failure()).await;
        while worker.due().await.retry.count != 1 {}
        bench.set("cwmp.acs_url", "http://b/").await;
        bench.apply().await;
        assert!(worker.due().await.fresh);
        let opened = worker.open(Why::Events).await;
        assert_eq!(
            (codes(&opened.events), opened.retry_count),
            (vec![EventCode::Bootstrap, EventCode::Boot], 1)
        );
    });
}

#[test]
fn another_login_or_trust_after_a_failure_brings_the_next_attempt_forward_once() {
    run(async {
        let pin = "ab".repeat(32);
        for (name, value, forward) in [
            ("cwmp.acs_username", "joe", true),
            ("cwmp.acs_password", "secret", true),
            ("cwmp.acs_cert_sha256", &*pin, true),
            ("cwmp.provisioning_code", "A", false),
        ] {
            let bench = Bench::new();
            let mut worker = bench.worker(1).await;
            let session = worker.open(Why::Events).await.session;
            worker.close(session, tcp_failure()).await;
            while worker.due().await.retry.count != 1 {}
            bench.set(name, value).await;
            bench.apply().await;
            let mut fresh = false;
            while let Ok(message) = worker.messages.try_recv() {
                if let ToWorker::Push(Push::Due(due)) = message {
                    fresh |= due.fresh;
                }
            }
            assert_eq!(fresh, forward, "{name}");
        }
    });
}

#[test]
fn a_connection_to_the_former_acs_carries_nothing_for_the_new_one() {
    run(async {
        let bench = Bench::new();
        bench.set("cwmp.acs_url", "http://a/").await;
        bench.apply().await;
        let mut worker = bench.worker(1).await;
        let Push::Config(old) = worker.push().await else { panic!() };
        // What is not of the ACS matters to nobody who is connected.
        bench.set("cwmp.retry_min_wait", "7").await;
        bench.apply().await;
        let opened = worker.query(opening(Why::Events, old.revision)).await;
        let Reply::SessionOpened(opened) = opened else { panic!("{opened:?}") };
        let (session, events) = (opened.session, opened.events.iter().map(|event| event.id).collect());
        worker.query(Query::InformAcknowledged { session, events }).await;
        worker.close(session, Outcome::Succeeded).await;
        while worker.due().await.events {}

        bench.set("cwmp.acs_url", "http://b/").await;
        // Not waited for: the query comes while it is written to disk.
        let mut applied =
            bench.send(Role::Admin, Request::Apply { force: false, now: false, confirm: None }).await;
        let (id, query) = (77, opening(Why::Periodic, old.revision));
        worker.send(ToSupervisor::Query { id, query }).await;
        let mut newest = None;
        let reply = loop {
            match worker.messages.recv().await.unwrap() {
                ToWorker::Push(Push::Config(config)) => newest = Some(config),
                ToWorker::Reply { reply, .. } => break reply,
                _ => {}
            }
        };
        assert_eq!(reply, Reply::Outdated);
        let newest = newest.expect("pushed before the refusal");
        assert_eq!(newest.acs.unwrap().url.as_str(), "http://b/");
        assert!(matches!(applied.recv().await.unwrap().response, Response::Done(_)));
        assert_eq!(bench.status().await.retry_count, 0, "no failure");
        let opened = worker.query(opening(Why::Events, newest.revision)).await;
        let Reply::SessionOpened(opened) = opened else { panic!("{opened:?}") };
        assert_eq!(codes(&opened.events), [EventCode::Bootstrap]);
    });
}

#[test]
fn an_attempt_without_a_route_is_not_counted_and_is_not_hot() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        // The ACS was reached before, at an address to which there is a way from here.
        let peer = Some("127.0.0.1".parse().unwrap());
        let query = Query::OpenSession { why: Why::Events, local: peer, peer, revision: u64::MAX };
        let Reply::SessionOpened(opened) = worker.query(query).await else { panic!() };
        let failure = Failure { stage: Stage::Network, reason: "no route".to_owned() };
        worker.close(opened.session, Outcome::Failed(failure)).await;
        let due = loop {
            let due = worker.due().await;
            if due.retry.is_waiting() {
                break due;
            }
        };
        assert!(due.events && !due.fresh && due.retry.count == 0, "{due:?}");
        // The way was there at the failure: nothing new.
        bench.commands.send(Command::AddressesChanged).await.unwrap();
        assert_eq!(bench.status().await.retry_count, 0);
        assert!(worker.messages.try_recv().is_err(), "not told that anything is new");
    });
}

#[test]
fn a_periodic_session_that_failed_waits_for_its_retry() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let opened = worker.open(Why::Events).await;
        let (session, events) = (opened.session, opened.events.iter().map(|event| event.id).collect());
        worker.query(Query::InformAcknowledged { session, events }).await;
        worker.close(session, Outcome::Succeeded).await;
        while worker.due().await.events {}
        let session = worker.open(Why::Periodic).await.session;
        worker.close(session, tcp_failure()).await;
        let due = worker.due().await;
        assert!(due.events && !due.fresh && due.retry.count == 1, "{due:?}");
    });
}
