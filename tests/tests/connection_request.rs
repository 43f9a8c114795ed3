//! The ACS asks for a session, with curl in its place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use tests::acs::envelope::get_rpc_methods;
use tests::binaries::program;
use tests::device::{Builder, PATIENCE};
use tests::process::{memory_kib, wait_until};
use tests::trace::{self, Call, Trace};
use tests::{Acs, Device, Plan, skipped};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const URL: &str = "Device.ManagementServer.ConnectionRequestURL";
const LOGIN: &str = "acs:secret";

fn has_curl() -> bool {
    let has = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has {
        skipped("it needs curl");
    }
    has
}

fn builder() -> Builder {
    Device::builder()
        .factory("cwmp.con_req_username", "\"acs\"")
        .factory("cwmp.con_req_password", "\"secret\"")
}

/// A device that has had its first session, and its connection request URL.
fn start(acs: &Acs) -> (Device, String) {
    let device = builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let status = device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    assert_eq!(status["connection_request_problem"], serde_json::Value::Null, "{status:#}");
    (device, status["connection_request_url"].as_str().unwrap().to_owned())
}

/// The status that curl gets, `000` for none.
fn curl(words: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"])
        .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(words)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn knock(url: &str) -> String {
    curl(&["--digest", "--user", LOGIN, url])
}

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().split('/').next().unwrap().parse().unwrap()
}

fn events(acs: &Acs, number: usize) -> Vec<String> {
    let sessions = acs.wait_sessions(number, PATIENCE);
    assert_eq!(sessions.len(), number, "one session and no more");
    sessions[number - 1].inform().event_codes().iter().map(|code| (*code).to_owned()).collect()
}

#[test]
fn a_request_with_the_right_login_opens_a_session_and_others_do_not() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    let first = acs.wait_inform(1, PATIENCE);
    assert_eq!(first.parameters.iter().find(|p| p.name == URL).unwrap().value, url, "the URL in the Inform");
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
    device.wait_status("connected", |s| s["open_session"].is_null());

    for (words, status) in [
        (&["--digest", "--user", "acs:wrong", &url][..], "401"),
        (&["--digest", "--user", "other:secret", &url], "401"),
        (&["--basic", "--user", LOGIN, &url], "401"),
        (&[&url], "401"),
        (&["--digest", "--user", LOGIN, "--head", &url], "405"),
        (&["--digest", "--user", LOGIN, &format!("{url}x")], "404"),
        (&["--digest", "--user", LOGIN, &format!("http://{}/", address(&url))], "404"),
    ] {
        assert_eq!(curl(words), status, "{words:?}");
    }
    // The fence: none of these was a session.
    assert_eq!(knock(&format!("{url}?a=b")), "200");
    assert_eq!(events(&acs, 3), ["6 CONNECTION REQUEST"]);
    for why in ["wrong user name or password", "its login is not Digest", "another method", "another path"] {
        wait_refusal(&device, &format!("from 127.0.0.1: {why}"));
    }
}

fn refusals(device: &Device) -> Vec<String> {
    let text = device.ctl_ok(&["cwmp", "show", "client", "log"]);
    text.lines().filter(|line| line.contains("connection requests refused")).map(str::to_owned).collect()
}

fn wait_refusal(device: &Device, text: &str) {
    wait_until(&format!("{text:?} in the client log"), || {
        refusals(device).iter().any(|line| line.contains(text))
    });
}

#[test]
fn the_acs_may_come_from_anywhere() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (_device, url) = start(&acs);
    assert_eq!(curl(&["--interface", "127.0.0.2", "--digest", "--user", LOGIN, &url]), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
}

#[test]
fn both_address_families_come_in() {
    if !has_curl() {
        return;
    }
    if TcpListener::bind("[::1]:0").is_err() {
        return skipped("it needs IPv6");
    }
    let acs = Acs::start();
    let device = builder().connection_requests("[::]", "::1").start();
    device.use_acs(&acs.url());
    let status =
        device.wait_status("connected", |s| s["acs"]["state"] == "connected" && s["open_session"].is_null());
    let url = status["connection_request_url"].as_str().unwrap();
    assert!(url.starts_with("http://[::1]:"), "{url}");
    assert_eq!(knock(url), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
    assert_eq!(knock(&url.replace("[::1]", "127.0.0.1")), "200");
    assert_eq!(events(&acs, 3), ["6 CONNECTION REQUEST"]);
    assert_eq!(curl(&["--digest", "--user", "acs:wrong", url]), "401");
    wait_refusal(&device, "from ::1: wrong user name or password");
}

#[test]
fn another_url_is_a_value_change_over_a_reboot_too() {
    let acs = Acs::start();
    let (mut device, url) = start(&acs);
    assert_eq!(acs.wait_inform(1, PATIENCE).event_codes(), ["0 BOOTSTRAP", "1 BOOT"]);
    device.stop();
    let settings = std::fs::read_to_string(device.settings_file()).unwrap();
    std::fs::write(device.settings_file(), settings.replace("host = \"127.0.0.1\"", "host = \"localhost\""))
        .unwrap();
    device.reboot();
    assert_eq!(events(&acs, 2), ["1 BOOT", "4 VALUE CHANGE"]);
    let inform = acs.wait_inform(2, PATIENCE);
    assert_eq!(inform.value(URL), Some(&*url.replace("127.0.0.1", "localhost")));
    // Told once.
    device.reboot();
    assert_eq!(events(&acs, 3), ["1 BOOT"]);
    device.wait_status("the session's end", |s| s["open_session"].is_null());
    // The same without a reboot.
    device.stop();
    std::fs::write(device.settings_file(), settings).unwrap();
    device.start_again();
    let inform = acs.wait_inform(4, PATIENCE);
    assert_eq!((inform.event_codes(), inform.value(URL)), (vec!["4 VALUE CHANGE"], Some(&*url)));
}

#[test]
fn connection_requests_can_be_switched_off_alone() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    device.ctl_ok(&["set", "cwmp.con_req_enable=0"]);
    device.ctl_ok(&["apply"]);
    let inform = acs.wait_inform(2, PATIENCE);
    assert_eq!((inform.event_codes(), inform.value(URL)), (vec!["4 VALUE CHANGE"], Some("")));
    let status = device.wait_status("the session's end", |s| s["open_session"].is_null());
    assert!(
        status["connection_request_problem"].as_str().unwrap().contains("cwmp.con_req_enable"),
        "{status:#}"
    );
    assert!(TcpStream::connect(address(&url)).is_err());
    device.ctl_ok(&["set", "cwmp.con_req_enable=1"]);
    device.ctl_ok(&["apply"]);
    let inform = acs.wait_inform(3, PATIENCE);
    assert_eq!((inform.event_codes(), inform.value(URL)), (vec!["4 VALUE CHANGE"], Some(&*url)));
    device.wait_status("the session's end", |s| s["open_session"].is_null());
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 4), ["6 CONNECTION REQUEST"]);
}

#[test]
#[ignore = "strace"]
fn the_answer_is_on_the_wire_before_the_session_begins() {
    if !has_curl() {
        return;
    }
    if !trace::is_possible() {
        return skipped("the order of answer and session: no strace that may trace (Debian: strace)");
    }
    let acs = Acs::start();
    let device = builder().external_worker().factory("cwmp.acs_url", &format!("\"{}\"", acs.url())).start();
    let file = device.directory().join("trace");
    let mut words = trace::words(file.to_str().unwrap()).into_iter();
    let mut worker = Command::new(words.next().unwrap());
    worker.args(words).arg(program("cwmpd")).arg("--socket").arg(device.worker_socket());
    let mut worker = worker.stderr(Stdio::null()).spawn().unwrap();
    let status =
        device.wait_status("connected", |s| s["acs"]["state"] == "connected" && s["open_session"].is_null());
    assert_eq!(knock(status["connection_request_url"].as_str().unwrap()), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
    device.wait_status("the session's end", |s| s["open_session"].is_null());
    let _ = worker.kill();
    let _ = worker.wait();
    let trace = Trace::parse(&std::fs::read_to_string(&file).unwrap());
    let answer = trace.calls.iter().find(|call| call.is_write() && call.text.contains("HTTP/1.1 200 OK"));
    let answer = answer.expect("the answer is in the trace");
    let port = format!("htons({})", acs.port());
    let to_acs = |call: &&Call| call.name == "connect" && call.text.contains(&port);
    let connects: Vec<_> = trace.calls.iter().filter(to_acs).map(|call| call.begun).collect();
    assert_eq!(connects.len(), 2, "{connects:?}");
    assert!(connects[0] < answer.begun && answer.ended < connects[1], "{connects:?} {answer:?}");
}

#[test]
fn a_body_is_ignored() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (_device, url) = start(&acs);
    let words = ["--digest", "--user", LOGIN, "--request", "GET", "--data", "x=y", &url];
    assert_eq!(curl(&words), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
}

/// A connection from an address of this machine.
fn from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    })
}

#[test]
fn idle_and_slow_clients_keep_nobody_out() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    let to = address(&url);
    let in_time = |number| {
        let begun = Instant::now();
        assert_eq!(knock(&url), "200");
        // A slow client has five seconds: the ACS did not wait for one.
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert_eq!(events(&acs, number), ["6 CONNECTION REQUEST"]);
    };
    // From the ACS's own address.
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(to).unwrap()).collect();
    in_time(2);
    drop(idle);
    for (number, sources) in [(3, 1), (4, 4), (5, 100)] {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let mut clients: Vec<_> = (0..100).map(|n| from([127, 0, 1, 1 + n % sources], to)).collect();
        let slow = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_secs(1)).is_err() {
                for client in &mut clients {
                    let _ = client.write_all(b"G");
                }
            }
        });
        in_time(number);
        stop.send(()).unwrap();
        slow.join().unwrap();
    }
    wait_refusal(&device, "too many connections at once");
}

#[test]
fn a_head_that_is_too_large_or_no_http_is_turned_away() {
    let acs = Acs::start();
    let (_device, url) = start(&acs);
    let answer = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(address(&url)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(answer(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100_000)).as_bytes()), "");
    assert!(answer(b"\x16\x03\x01\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(answer(b"GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_flood_of_wrong_passwords_does_not_keep_the_acs_out() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    let floods: Vec<_> = (0..3)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || {
                // One process for all of them: curl repeats a URL with a range in it.
                let many = format!("{url}?[1-100]");
                curl(&["--digest", "--user", "acs:wrong", "--output", "/dev/null", &many])
            })
        })
        .collect();
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
    for flood in floods {
        let statuses = flood.join().unwrap();
        assert!(!statuses.contains("200"), "{statuses}");
    }
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 3), ["6 CONNECTION REQUEST"]);
    let lines = refusals(&device);
    assert!(lines.len() < 10, "a flood of 300: {lines:#?}");
}

#[test]
fn requests_in_a_session_make_exactly_one_more() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    // The session stays open until the file has been seen and the requests have been made.
    let open = device.directory().join("open");
    acs.plan(Plan::new().touch(&open).send(get_rpc_methods()).then(tests::Trouble::Silence));
    device.ctl_ok(&["cwmp", "inform"]);
    wait_until("the session to be open", || open.exists());
    let id = device.wait_status("an open session", |s| !s["open_session"].is_null());
    assert_eq!((knock(&url), knock(&url)), ("200".to_owned(), "200".to_owned()));
    assert_eq!(device.status()["open_session"], id["open_session"], "it goes on (CR-14)");
    device.ctl_ok(&["set", "cwmp.acs_username=x"]);
    device.ctl_ok(&["apply", "--now"]);
    let sessions = acs.wait_sessions(3, PATIENCE);
    assert_eq!(sessions[2].inform().event_codes(), ["6 CONNECTION REQUEST"]);
    // The fence: a request after it is the next session.
    device.wait_status("connected", |s| s["acs"]["state"] == "connected" && s["open_session"].is_null());
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 4), ["6 CONNECTION REQUEST"]);
}

#[test]
fn switched_off_the_port_is_closed_and_the_url_empty() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    device.ctl_ok(&["set", "cwmp.enable=0"]);
    device.ctl_ok(&["apply"]);
    let status = device.status();
    assert_eq!(status["connection_request_url"], "");
    assert!(status["connection_request_problem"].as_str().unwrap().contains("cwmp.enable"), "{status:#}");
    assert!(TcpStream::connect(address(&url)).is_err());
    assert_eq!(device.ctl_ok(&["get", "cwmp.con_req_url"]).trim(), "");
    device.ctl_ok(&["set", "cwmp.enable=1"]);
    device.ctl_ok(&["apply"]);
    let status = device.wait_status("a URL", |s| s["connection_request_url"] != "");
    assert_eq!(knock(status["connection_request_url"].as_str().unwrap()), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
}

#[test]
fn a_changed_login_counts_at_once_and_an_empty_one_lets_nobody_in() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    device.ctl_ok(&["set", "cwmp.con_req_password=changed"]);
    device.ctl_ok(&["apply"]);
    assert_eq!(knock(&url), "401");
    assert_eq!(curl(&["--digest", "--user", "acs:changed", &url]), "200");
    acs.wait_sessions(2, PATIENCE);
    device.wait_status("the session's end", |s| s["open_session"].is_null());
    device.ctl_ok(&["set", "cwmp.con_req_password="]);
    device.ctl_ok(&["apply"]);
    assert_eq!(curl(&["--digest", "--user", "acs:", &url]), "401");
    let status = device.status();
    let problem = status["connection_request_problem"].as_str().unwrap();
    assert!(problem.contains("cwmp.con_req_password"), "{problem}");
    assert!(device.ctl_ok(&["cwmp", "show", "status"]).contains(problem));
}

#[test]
fn the_path_lasts_over_a_reboot() {
    let acs = Acs::start();
    let (mut device, url) = start(&acs);
    device.reboot();
    let status = device.wait_status("a URL", |s| s["connection_request_url"] != "");
    let path = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    let again = status["connection_request_url"].as_str().unwrap();
    assert_eq!(path(again), path(&url));
    assert_eq!(path(&url).len(), 32);
}

/// Who floods.
#[derive(Clone, Copy, Debug)]
enum Flood {
    NoLogin,
    WrongPassword,
    RightPassword,
}

fn md5(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Md5::digest(text))
}

/// A thousand requests a second for five seconds; how often each status was the answer.
async fn flood(kind: Flood, source: [u8; 4], url: &str) -> BTreeMap<String, usize> {
    let to = address(url);
    let path = format!("/{}", url.rsplit('/').next().unwrap());
    let challenge = ask(source, to, format!("GET {path} HTTP/1.1\r\n\r\n")).await;
    let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut asked = tokio::task::JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for count in 1..=5000 {
        if count % 10 == 1 {
            ticks.tick().await;
        }
        let password = if matches!(kind, Flood::RightPassword) { "secret" } else { "wrong" };
        let (ha1, ha2) = (md5(&format!("acs:cwmp:{password}")), md5(&format!("GET:{path}")));
        let response = md5(&format!("{ha1}:{nonce}:{count:08x}:c:auth:{ha2}"));
        let login = match kind {
            Flood::NoLogin => String::new(),
            Flood::WrongPassword | Flood::RightPassword => format!(
                "Authorization: Digest username=\"acs\", realm=\"cwmp\", nonce=\"{nonce}\", uri=\"{path}\", \
                 response=\"{response}\", qop=auth, nc={count:08x}, cnonce=\"c\"\r\n"
            ),
        };
        asked.spawn(ask(source, to, format!("GET {path} HTTP/1.1\r\n{login}\r\n")));
    }
    let mut statuses = BTreeMap::new();
    for answer in asked.join_all().await {
        *statuses.entry(answer.split(' ').nth(1).unwrap_or("none").to_owned()).or_default() += 1;
    }
    statuses
}

async fn ask(source: [u8; 4], to: SocketAddr, head: String) -> String {
    let mut answer = String::new();
    let exchange = async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let mut stream = socket.connect(to).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    };
    let _ = tokio::time::timeout(PATIENCE, exchange).await;
    answer
}

/// Processor time of a process so far.
fn processor_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // In hundredths of a second.
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}

#[test]
#[ignore = "slow"]
fn the_acs_gets_in_through_a_thousand_requests_a_second() {
    if !has_curl() {
        return;
    }
    for kind in [Flood::NoLogin, Flood::WrongPassword, Flood::RightPassword] {
        let acs = Acs::start();
        let (device, url) = start(&acs);
        let pids = [device.status()["worker"]["pid"].as_u64().unwrap() as u32, device.supervisor_pid()];
        let before = pids.map(|pid| (processor_ms(pid), memory_kib(pid, "VmHWM:")));
        let flooded = url.clone();
        let flooding = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let begun = Instant::now();
            (runtime.block_on(flood(kind, [127, 0, 0, 2], &flooded)), begun.elapsed())
        });
        let mut slowest = Duration::ZERO;
        while !flooding.is_finished() {
            let sessions = acs.sessions_so_far();
            let begun = Instant::now();
            assert_eq!(knock(&url), "200", "{kind:?}");
            slowest = slowest.max(begun.elapsed());
            acs.wait_sessions(sessions + 1, PATIENCE);
            // Its own share is one a second.
            std::thread::sleep(Duration::from_millis(1200));
        }
        let (statuses, took) = flooding.join().unwrap();
        let after = pids.map(|pid| (processor_ms(pid), memory_kib(pid, "VmHWM:")));
        let lines = refusals(&device);
        println!("{kind:?} in {took:?}: {statuses:?}, the ACS waited {slowest:?} at most");
        for (name, before, after) in [("worker", before[0], after[0]), ("supervisor", before[1], after[1])] {
            println!("  {name}: {} ms of processor, {} kB, {} before", after.0 - before.0, after.1, before.1);
            assert!(after.1 < before.1 + 4096, "{name}: {} kB, {} before", after.1, before.1);
        }
        println!("  {} lines in the client log: {lines:#?}", lines.len());
        assert!(slowest < Duration::from_secs(2), "{kind:?}: {slowest:?}");
        assert!(lines.len() < 12, "{lines:#?}");
        let accepted = statuses.get("200").copied().unwrap_or_default();
        match kind {
            Flood::RightPassword => assert!(accepted > 0 && accepted < 30, "{statuses:?}"),
            Flood::NoLogin | Flood::WrongPassword => assert_eq!(accepted, 0, "{statuses:?}"),
        }
    }
}
