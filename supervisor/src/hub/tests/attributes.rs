//! AccessList at the management socket: who may not set what the ACS keeps to itself.

use ipc_proto::worker::SetAttributes;

use super::*;

#[test]
fn what_the_acs_keeps_to_itself_is_set_by_root_alone() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker(1).await;
        let session = worker.open(Why::Events).await.session;
        let name = "Device.DeviceInfo.ProvisioningCode".to_owned();
        let attributes = vec![SetAttributes { name, notification: None, subscriber: Some(false) }];
        assert_eq!(worker.query(Query::SetAttributes { session, attributes }).await, Reply::Done);
        worker.close(session, Outcome::Succeeded).await;
        let Response::Refused(why) = bench.set("cwmp.provisioning_code", "A").await else { panic!() };
        assert_eq!(why, "the ACS lets nobody here but root set cwmp.provisioning_code: ask root");
        assert!(matches!(bench.set("cwmp.periodicinforminterval", "5").await, Response::Done(_)));
        let (answers, mut queue) = mpsc::channel(1);
        let client = Client { who: "root".to_owned(), role: Role::Root, answers };
        let set = Request::Set { name: "cwmp.provisioning_code".to_owned(), value: Secret::new("A") };
        bench.commands.send(Command::Control(set, client)).await.unwrap();
        assert!(matches!(queue.recv().await.unwrap().response, Response::Done(_)));
    });
}
