//! TLS with programs that others wrote: openssl makes the certificates and refuses or shows them, lighttpd serves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::device::PATIENCE;
use tests::peer::{Certificate, Lighttpd, Made, OpensslServer, Pki, has};
use tests::process::wait_until;
use tests::{Acs, Device};

fn device(believes: &Made, extra: &str) -> Device {
    let file = format!("{:?}", believes.certificate.display().to_string());
    Device::builder()
        .factory("cwmp.retry_min_wait", "60000")
        .factory("cwmp.ca_file", &file)
        .extra_settings(extra)
        .start()
}

/// The session with this URL fails at this stage; the reason.
fn reason(device: &Device, url: &str, stage: &str) -> String {
    device.use_acs(url);
    let status = device.wait_status("disconnected", |s| s["acs"]["state"] == "disconnected");
    assert_eq!(status["acs"]["stage"], stage, "{status:#}");
    status["acs"]["reason"].as_str().unwrap().to_owned()
}

/// What openssl shows is refused: the reason says why, and what the certificate holds.
fn is_refused(believes: &Made, shown: &Made, more: &[&str], why: &str) -> String {
    let server = OpensslServer::start("127.0.0.1", 0, shown, more);
    let device = device(believes, "");
    let said = reason(&device, &format!("https://127.0.0.1:{}/cwmp", server.port()), "certificate");
    assert!(said.contains(why), "{said}");
    assert!(said.contains(&format!("SHA-256 of the certificate: {}", shown.fingerprint())), "{said}");
    assert!(said.contains("; issued by: O=Example, CN="), "{said}");
    assert!(said.contains("; subject: O=Example, CN="), "{said}");
    said
}

/// lighttpd with this certificate; `more` is further configuration.
fn front(acs: &Acs, shown: &Made, more: &str) -> Lighttpd {
    let (certificate, key) = (shown.certificate.display(), shown.key.display());
    let tls = format!(
        "ssl.engine = \"enable\"\nssl.pemfile = \"{certificate}\"\nssl.privkey = \"{key}\"\n{more}\n"
    );
    Lighttpd::in_front_of(acs, &tls)
}

/// A whole session has come through.
fn is_connected(acs: &Acs, device: &Device) {
    acs.wait_sessions(1, PATIENCE);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
}

#[test]
fn lighttpd_is_believed_with_tls_1_3_and_with_1_2_alone() {
    if !has("openssl") || !has("lighttpd") {
        return;
    }
    let pki = Pki::new();
    let ours = pki.authority("ours");
    let shown = pki.make(Certificate { by: Some(&ours), ..Certificate::default() });
    for newest in ["TLSv1.3", "TLSv1.2"] {
        let acs = Acs::start();
        let commands = format!(
            "ssl.openssl.ssl-conf-cmd = (\"MinProtocol\" => \"{newest}\", \"MaxProtocol\" => \"{newest}\")"
        );
        let lighttpd = front(&acs, &shown, &commands);
        let device = device(&ours, "");
        device.use_acs(&lighttpd.url("https"));
        is_connected(&acs, &device);
    }
}

#[test]
fn a_certificate_that_is_wrong_in_one_way_is_refused_and_shown() {
    if !has("openssl") {
        return;
    }
    let pki = Pki::new();
    let ours = pki.authority("ours");
    let good = Certificate { by: Some(&ours), ..Certificate::default() };
    let expired = pki.make(Certificate { valid: ("20200101000000Z", "20210101000000Z"), ..good });
    let said = is_refused(&ours, &expired, &[], "expired on 2021-01-01");
    assert!(said.contains("valid from 2020-01-01T00:00:00Z to 2021-01-01T00:00:00Z"), "{said}");
    assert!(said.contains("; names: 127.0.0.1, acs.test;"), "{said}");
    let early = pki.make(Certificate { valid: ("20400101000000Z", "20490101000000Z"), ..good });
    is_refused(&ours, &early, &[], "is valid from 2040-01-01");
    let other_name = pki.make(Certificate { names: "DNS:other.test", ..good });
    is_refused(&ours, &other_name, &[], "is for other.test, the URL says 127.0.0.1");
    let cn_only = pki.make(Certificate { names: "", subject: "/O=Example/CN=127.0.0.1", ..good });
    is_refused(&ours, &cn_only, &[], "names 127.0.0.1 in its subject only");
    let weak = pki.make(Certificate { rsa: 1024, ..good });
    is_refused(&ours, &weak, &[], "too weak (RSA with 1024 bits)");
    let both = pki.make(Certificate { authority: true, ..Certificate::default() });
    is_refused(&both, &both, &[], "certificate of an authority as its own");
    let stranger = pki.authority("stranger");
    let unknown = pki.make(Certificate { by: Some(&stranger), ..good });
    is_refused(&ours, &unknown, &[], "no known authority vouches");
}

#[test]
fn a_chain_without_its_intermediate_is_refused_and_with_it_believed() {
    if !has("openssl") {
        return;
    }
    let pki = Pki::new();
    let ours = pki.authority("ours");
    let between = pki.make(Certificate {
        name: "between",
        subject: "/O=Example/CN=between",
        names: "",
        authority: true,
        by: Some(&ours),
        ..Certificate::default()
    });
    let shown = pki.make(Certificate { by: Some(&between), ..Certificate::default() });
    is_refused(&ours, &shown, &[], "it sends no certificate of its issuer O=Example, CN=between");
    if has("lighttpd") {
        let acs = Acs::start();
        let chain = [&shown, &between].map(|made| std::fs::read_to_string(&made.certificate).unwrap());
        std::fs::write(&shown.certificate, chain.concat()).unwrap();
        let lighttpd = front(&acs, &shown, "");
        let device = device(&ours, "");
        device.use_acs(&lighttpd.url("https"));
        is_connected(&acs, &device);
    }
}

#[test]
fn tls_1_1_is_refused_and_named() {
    if !has("openssl") {
        return;
    }
    let pki = Pki::new();
    let ours = pki.authority("ours");
    let shown = pki.make(Certificate { by: Some(&ours), ..Certificate::default() });
    let server = OpensslServer::start("127.0.0.1", 0, &shown, &["-tls1_1"]);
    let device = device(&ours, "");
    let said = reason(&device, &format!("https://127.0.0.1:{}/cwmp", server.port()), "tls");
    assert!(said.contains("neither TLS 1.2 nor TLS 1.3"), "{said}");
}

#[test]
fn the_device_shows_its_certificate_and_is_told_what_is_wrong_with_it() {
    if !has("openssl") || !has("lighttpd") {
        return;
    }
    let pki = Pki::new();
    let (ours, stranger) = (pki.authority("ours"), pki.authority("stranger"));
    let shown = pki.make(Certificate { by: Some(&ours), ..Certificate::default() });
    let own = |name, by| {
        pki.make(Certificate {
            name,
            subject: "/O=Example/CN=00AABB-SN-0001",
            names: "",
            by: Some(by),
            ..Certificate::default()
        })
    };
    let (right, wrong) = (own("right", &ours), own("wrong", &stranger));
    let wants = format!(
        "ssl.verifyclient.activate = \"enable\"\nssl.verifyclient.enforce = \"enable\"\nssl.verifyclient.ca-file = \"{}\"\n",
        ours.certificate.display()
    );
    for newest in ["TLSv1.3", "TLSv1.2"] {
        let acs = Acs::start();
        let lighttpd = front(
            &acs,
            &shown,
            &format!("{wants}ssl.openssl.ssl-conf-cmd = (\"MaxProtocol\" => \"{newest}\")"),
        );
        let with = |own: Option<(&Made, &Made)>| {
            let device = device(&ours, "");
            if let Some((certificate, key)) = own {
                device.ctl_ok(&["set", &format!("cwmp.client_cert={}", certificate.certificate.display())]);
                device.ctl_ok(&["set", &format!("cwmp.client_key={}", key.key.display())]);
            }
            device
        };
        let url = lighttpd.url("https");
        let said = reason(&with(None), &url, "tls");
        assert!(said.contains("wants a certificate of the device: set cwmp.client_cert"), "{newest}: {said}");
        let said = reason(&with(Some((&wrong, &wrong))), &url, "tls");
        assert!(said.contains("refuses the device's certificate"), "{newest}: {said}");
        let said = reason(&with(Some((&right, &wrong))), &url, "tls");
        assert!(said.contains("key cannot be used (it is of another certificate)"), "{newest}: {said}");
        let device = with(Some((&right, &right)));
        device.use_acs(&url);
        is_connected(&acs, &device);
    }
}

#[test]
fn a_clock_that_is_not_synchronised_excuses_not_valid_yet_and_nothing_else() {
    if !has("openssl") || !has("lighttpd") {
        return;
    }
    let pki = Pki::new();
    let ours = pki.authority("ours");
    let good = Certificate { by: Some(&ours), ..Certificate::default() };
    let acs = Acs::start();
    let early = pki.make(Certificate { valid: ("20400101000000Z", "20490101000000Z"), ..good });
    let lighttpd = front(&acs, &early, "");
    let said_so = pki.file("synchronised").display().to_string();
    let clock = format!("[clock]\nsynchronised = {said_so:?}\n");
    let device = device(&ours, &clock);
    device.use_acs(&lighttpd.url("https"));
    let inform = acs.wait_inform(1, PATIENCE);
    assert_eq!(inform.current_time, "0001-01-01T00:00:00Z");
    acs.wait_sessions(1, PATIENCE);
    let waived = "checked as of 2040-01-01T00:00:00Z: the device's clock is not synchronised";
    wait_until("what was waived, in the client log", || {
        device.ctl_ok(&["cwmp", "show", "client", "log"]).contains(waived)
    });
    // Once the system says that the clock is right, the same certificate is refused and the time is known.
    std::fs::write(&said_so, "").unwrap();
    device.wait_log("the clock is synchronised");
    device.ctl_ok(&["cwmp", "inform"]);
    let status = device.wait_status("disconnected", |s| s["acs"]["state"] == "disconnected");
    assert_eq!(status["acs"]["stage"], "certificate", "{status:#}");
    drop(device);
    // Another thing wrong is refused on such a clock too.
    let expired =
        pki.make(Certificate { name: "expired", valid: ("20200101000000Z", "20210101000000Z"), ..good });
    let server = OpensslServer::start("127.0.0.1", 0, &expired, &[]);
    std::fs::remove_file(&said_so).unwrap();
    let device = self::device(&ours, &clock);
    let said = reason(&device, &format!("https://127.0.0.1:{}/cwmp", server.port()), "certificate");
    assert!(said.contains("expired on 2021-01-01"), "{said}");
}

#[test]
fn a_file_that_was_changed_in_place_is_read_again_after_a_failure() {
    if !has("openssl") || !has("lighttpd") {
        return;
    }
    let pki = Pki::new();
    let (ours, stranger) = (pki.authority("ours"), pki.authority("stranger"));
    let shown = pki.make(Certificate { by: Some(&ours), ..Certificate::default() });
    let acs = Acs::start();
    let lighttpd = front(&acs, &shown, "");
    let file = pki.file("believed.pem");
    std::fs::copy(&stranger.certificate, &file).unwrap();
    let believed = Made { certificate: file.clone(), key: stranger.key };
    let device = device(&believed, "");
    let said = reason(&device, &lighttpd.url("https"), "certificate");
    assert!(said.contains("no known authority"), "{said}");
    std::fs::copy(&ours.certificate, &file).unwrap();
    // This one fails still, and what it finds changed brings the next forward, whose wait would be longer than the test.
    device.ctl_ok(&["cwmp", "inform"]);
    is_connected(&acs, &device);
}

/// The device looks names up in this text instead of the machine's own.
const OTHER_HOSTS: &str = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;

#[test]
#[ignore = "needs root and a mount namespace"]
fn after_a_refused_certificate_the_next_address_of_the_name_is_tried() {
    if !has("openssl") || !has("lighttpd") || !tests::may_unshare() {
        return;
    }
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return tests::skipped("it needs ::1");
    }
    let pki = Pki::new();
    let (ours, stranger) = (pki.authority("ours"), pki.authority("stranger"));
    let good = pki.make(Certificate { by: Some(&ours), ..Certificate::default() });
    let bad = pki.make(Certificate { name: "bad", by: Some(&stranger), ..Certificate::default() });
    let hosts = pki.file("hosts");
    std::fs::write(&hosts, "::1 acs.test\n127.0.0.1 acs.test\n").unwrap();
    let device = Device::builder()
        .factory("cwmp.retry_min_wait", "60000")
        .factory("cwmp.ca_file", &format!("{:?}", ours.certificate.display().to_string()))
        .started_through(&["unshare", "--mount", "sh", "-c", OTHER_HOSTS, "sh", hosts.to_str().unwrap()])
        .start();
    let acs = Acs::start();
    let lighttpd = front(&acs, &good, "");
    let port = lighttpd.port();
    let refused = OpensslServer::start("[::1]", port, &bad, &[]);
    device.use_acs(&format!("https://acs.test:{port}/cwmp"));
    is_connected(&acs, &device);
    let told = format!(
        "acs.test has several addresses: [::1]:{port}: its certificate is refused, 127.0.0.1:{port}: connected"
    );
    wait_until("what was tried, in the client log", || {
        device.ctl_ok(&["--json", "cwmp", "show", "client", "log"]).contains(&told)
    });
    // Where none is good, the refusal is what people see.
    drop(lighttpd);
    device.ctl_ok(&["cwmp", "inform"]);
    let status = device.wait_status("disconnected", |s| s["acs"]["state"] == "disconnected");
    assert_eq!(status["acs"]["stage"], "certificate", "{status:#}");
    drop(refused);
}
