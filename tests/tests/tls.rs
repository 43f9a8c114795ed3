//! An ACS over https: a chain that is good, and chains that are wrong in one way each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::{path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use sha2::{Digest, Sha256};
use tests::device::PATIENCE;
use tests::{Acs, Device};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Of two authorities of one name the wrong one would be tried.
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this name, and its key.
fn certificate(by: &Authority, name: &str, year_of_end: i32) -> (Vec<u8>, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(year_of_end, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, by).unwrap().der().to_vec(), key)
}

/// Takes TLS at a port of its own and hands what is inside to the test ACS.
fn in_front_of(acs: &Acs, certificate: Vec<u8>, key: &KeyPair) -> String {
    let chain = vec![CertificateDer::from(certificate)];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (port, inside) = (listener.local_addr().unwrap().port(), acs.port());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let acceptor = TlsAcceptor::from(Arc::new(config));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut outer) = acceptor.accept(stream).await else { continue };
                let mut inner = tokio::net::TcpStream::connect(("127.0.0.1", inside)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            }
        });
    });
    format!("https://127.0.0.1:{port}/cwmp")
}

fn device(believes: &Authority, pin: &str) -> Device {
    let device = Device::builder().factory("cwmp.retry_min_wait", "60000").start();
    let file = device.directory().join("ca.pem");
    std::fs::write(&file, believes.pem()).unwrap();
    device.ctl_ok(&["set", &format!("cwmp.ca_file={}", file.display())]);
    device.ctl_ok(&["set", &format!("cwmp.acs_cert_sha256={pin}")]);
    device
}

fn fingerprint(certificate: &[u8]) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The certificate is refused; the reason holds this and the fingerprint to pin.
fn is_refused(believes: &Authority, shown: &(Vec<u8>, KeyPair), reason: &str) {
    is_refused_with(believes, "", shown, reason);
}

fn is_refused_with(believes: &Authority, pin: &str, (certificate, key): &(Vec<u8>, KeyPair), reason: &str) {
    let acs = Acs::start();
    let url = in_front_of(&acs, certificate.clone(), key);
    let device = device(believes, pin);
    device.use_acs(&url);
    let status = device.wait_status("disconnected", |s| s["acs"]["state"] == "disconnected");
    assert_eq!(status["acs"]["stage"], "certificate", "{status:#}");
    let said = status["acs"]["reason"].as_str().unwrap_or_default();
    assert!(said.contains(reason) && said.contains(&fingerprint(certificate)), "{said}");
    assert_eq!(acs.sessions_so_far(), 0);
}

fn is_accepted(believes: &Authority, (certificate, key): &(Vec<u8>, KeyPair), pin: &str) {
    let acs = Acs::start();
    let url = in_front_of(&acs, certificate.clone(), key);
    let device = device(believes, pin);
    device.use_acs(&url);
    acs.wait_sessions(1, PATIENCE);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
}

#[test]
fn a_good_chain_is_believed() {
    let ours = authority("ours");
    is_accepted(&ours, &certificate(&ours, "127.0.0.1", 4000), "");
}

#[test]
fn one_thing_wrong_is_refused_and_named() {
    let ours = authority("ours");
    is_refused(&ours, &certificate(&authority("other"), "127.0.0.1", 4000), "no known authority");
    is_refused(&ours, &certificate(&ours, "acs.example.org", 4000), "acs.example.org");
    is_refused(&ours, &certificate(&ours, "127.0.0.1", 2020), "expired on 2020-01-01");
}

#[test]
fn an_authority_as_its_own_server_is_refused_and_can_be_pinned() {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let both = Authority::self_signed(params, key).unwrap();
    let shown = (both.der().to_vec(), KeyPair::from_pem(&both.key().serialize_pem()).unwrap());
    is_refused(&both, &shown, "certificate of an authority");
    is_accepted(&authority("other"), &shown, &fingerprint(&shown.0));
}

#[test]
fn with_a_pin_an_authority_vouches_for_no_other_certificate() {
    let ours = authority("ours");
    let renewed = certificate(&ours, "127.0.0.1", 4000);
    is_refused_with(&ours, &fingerprint(b"the former one"), &renewed, "is not the pinned one");
}

#[test]
fn a_file_that_cannot_work_is_refused_when_it_is_set() {
    let device = Device::builder().start();
    let refused = |words: &[&str], reason: &str| {
        let output = device.ctl(words);
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains(reason), "{output:?}");
    };
    refused(&["set", "cwmp.ca_file=/tmp"], "is no file");
    refused(&["set", "cwmp.acs_cert_sha256=abc"], "64 hexadecimal digits");
    let key = device.directory().join("key.pem");
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(Path::new(&key).is_file());
    device.ctl_ok(&["set", &format!("cwmp.client_key={}", key.display())]);
    refused(&["apply"], "without its certificate");
}

#[test]
fn a_redirect_into_https_is_checked_against_the_new_host() {
    let ca = authority("test CA");
    for (name, stage) in [("127.0.0.1", None), ("acs.example.org", Some("certificate"))] {
        let acs = Acs::start();
        let (shown, key) = certificate(&ca, name, 2100);
        let url = in_front_of(&acs, shown, &key);
        let device = device(&ca, "");
        acs.redirect(0, 302, &url);
        device.use_acs(&acs.url());
        match stage {
            None => {
                acs.wait_sessions(1, PATIENCE);
                device.wait_status("connected", |s| s["acs"]["state"] == "connected");
            }
            Some(stage) => {
                let status = device.wait_status("refused", |s| s["acs"]["state"] == "disconnected");
                assert_eq!(status["acs"]["stage"], stage, "{status:#}");
                assert_eq!(acs.sessions_so_far(), 0, "nothing is said to it");
            }
        }
    }
}

#[test]
fn a_redirect_out_of_https_is_not_followed() {
    let ca = authority("test CA");
    let acs = Acs::start();
    let (shown, key) = certificate(&ca, "127.0.0.1", 2100);
    acs.redirect(0, 302, &acs.url());
    let device = device(&ca, "");
    device.use_acs(&in_front_of(&acs, shown, &key));
    let status = device.wait_status("refused", |s| s["acs"]["state"] == "disconnected");
    assert_eq!(status["acs"]["stage"], "redirect", "{status:#}");
    assert!(status["acs"]["reason"].as_str().unwrap().contains("from https to http"), "{status:#}");
    assert_eq!(acs.sessions_so_far(), 0);
}
