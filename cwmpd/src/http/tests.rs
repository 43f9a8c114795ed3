//! One ACS connection against a server that writes raw bytes.

use ipc_proto::worker::{Failure, Stage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// Reads one request: head and body.
async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split_once("content-length: ").map(|(_, rest)| rest.lines().next().unwrap());
            let whole = match length {
                Some(length) => body.len() >= length.parse().unwrap(),
                None => body.ends_with("0\r\n\r\n"),
            };
            if whole {
                return text;
            }
        }
        let mut piece = [0; 65536];
        match stream.read(&mut piece).await.unwrap_or(0) {
            0 => return text,
            read => bytes.extend(&piece[..read]),
        }
    }
}

/// Answers each connection's requests with the next list of answers; gives back all requests.
async fn server(connections: Vec<Vec<String>>) -> (HttpUrl, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = HttpUrl::parse(&format!("http://{}/cwmp?a=b", listener.local_addr().unwrap())).unwrap();
    let task = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answers in connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                requests.push(request(&mut stream).await);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
        requests
    });
    (url, task)
}

fn acs(url: HttpUrl) -> Acs {
    patient(url, Duration::from_millis(100))
}

fn patient(url: HttpUrl, second: Duration) -> Acs {
    trusting(url, second, worker::Trust::default())
}

fn trusting(url: HttpUrl, second: Duration, trust: worker::Trust) -> Acs {
    let config = worker::Acs {
        url,
        response_timeout: 30,
        username: "user".to_owned(),
        password: ipc_proto::Secret::new("secret"),
        allow_hosts: Vec::new(),
        allow_basic_http: true,
        trust,
        max_version: ipc_proto::CwmpVersion::default(),
        session_timeout: 60,
        lenient: true,
    };
    Acs::new(&config, true, Patience { seconds: 30, second }, Box::new(|| None))
}

async fn post(acs: &mut Acs, message: Option<&'static str>) -> Result<Response, HttpError> {
    acs.post(message.map(Bytes::from), None).await
}

/// What one answer makes of a POST.
async fn failure(answer: &str) -> Failure {
    let (url, _task) = server(vec![vec![answer.to_owned()]]).await;
    post(&mut acs(url), None).await.unwrap_err().into()
}

#[tokio::test]
async fn an_envelope_and_an_empty_post_have_their_own_heads() {
    let hello = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n\r\nhello";
    let (url, task) = server(vec![vec![hello.to_owned(), NO_CONTENT.to_owned()]]).await;
    let authority = url.authority().to_owned();
    let mut acs = acs(url);
    let answer = post(&mut acs, Some("<x/>")).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
    assert_eq!(post(&mut acs, None).await.unwrap().status, 204);
    let requests = task.await.unwrap();
    let agent = concat!("user-agent: cwmpd/", env!("CARGO_PKG_VERSION"));
    let first = format!(
        "POST /cwmp?a=b HTTP/1.1\r\nhost: {authority}\r\n{agent}\r\ncontent-type: text/xml; charset=\"utf-8\"\r\n\
         soapaction: \r\ncontent-length: 4\r\n\r\n<x/>"
    );
    assert_eq!(requests[0], first);
    let second = format!(
        "POST /cwmp?a=b HTTP/1.1\r\nhost: {authority}\r\n{agent}\r\ncontent-length: 0\r\ncookie: a=1; b=2\r\n\r\n"
    );
    assert_eq!(requests[1], second);
}

#[tokio::test]
async fn a_closed_connection_is_followed_by_a_new_one_with_the_same_cookies() {
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\nSet-Cookie: s=1\r\n\r\nx";
    let old = "HTTP/1.0 200 OK\r\n\r\nuntil the end";
    let silent = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny";
    let connections = vec![
        vec![closing.to_owned()],
        vec![old.to_owned()],
        vec![silent.to_owned()],
        vec![NO_CONTENT.to_owned()],
    ];
    let (url, task) = server(connections).await;
    let mut acs = acs(url);
    assert_eq!(post(&mut acs, Some("1")).await.unwrap().body, "x");
    assert_eq!(post(&mut acs, Some("2")).await.unwrap().body, "until the end");
    assert_eq!(post(&mut acs, Some("3")).await.unwrap().body, "y");
    let end_arrives = async {
        while !acs.open.as_ref().unwrap().sender.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), end_arrives).await.unwrap();
    assert_eq!(post(&mut acs, None).await.unwrap().status, 204);
    let requests = task.await.unwrap();
    assert_eq!(requests.len(), 4);
    assert!(requests[1..].iter().all(|r| r.contains("cookie: s=1\r\n")), "{requests:?}");
}

#[tokio::test]
async fn the_repeat_after_a_401_carries_the_cookies() {
    let first = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nSet-Cookie: a=1\r\n\r\nx";
    let who = "HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"r\"\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n";
    let (url, task) = server(vec![[first, who, NO_CONTENT].map(str::to_owned).to_vec()]).await;
    let mut acs = acs(url);
    post(&mut acs, Some("<x/>")).await.unwrap();
    assert_eq!(post(&mut acs, Some("<y/>")).await.unwrap().status, 204);
    let requests = task.await.unwrap();
    assert!(
        requests[1].contains("cookie: a=1\r\n") && !requests[1].contains("authorization"),
        "{requests:?}"
    );
    assert!(requests[2].contains("cookie: a=1; b=2\r\n") && requests[2].ends_with("<y/>"), "{requests:?}");
    assert!(requests[2].contains("authorization: Basic "), "{requests:?}");
}

#[tokio::test]
async fn chunked_answers_are_read_and_limited() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let (url, _task) = server(vec![vec![chunked.to_owned()]]).await;
    assert_eq!(post(&mut acs(url), None).await.unwrap().body, "abcde");
    let piece = format!("10000\r\n{}\r\n", "x".repeat(65536));
    let endless = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", piece.repeat(80));
    assert_eq!(failure(&endless).await.stage, Stage::Http);
    let announced = failure("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n").await;
    assert!(announced.reason.contains("more than 4 MiB"), "{announced}");
}

#[tokio::test]
async fn broken_answers_are_told_apart() {
    let garbage = failure("\x16\x03\x01 this is not HTTP\r\n\r\n").await;
    assert!(garbage.stage == Stage::Http && garbage.reason.contains("HTTP/1"), "{garbage}");
    let closed = failure("").await;
    assert!(closed.stage == Stage::Tcp && closed.reason.contains("(closed)"), "{closed}");
    let half = failure("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
    assert!(half.stage == Stage::Tcp && half.reason.contains("(closed)"), "{half}");
    let head = failure(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000))).await;
    assert!(head.stage == Stage::Http && head.reason.contains("64 KiB"), "{head}");
}

#[tokio::test]
async fn a_reset_is_of_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = HttpUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Unread bytes at the close make it a reset.
        stream.read_exact(&mut [0; 5]).await.unwrap();
    });
    let failure = Failure::from(post(&mut acs(url), Some("x")).await.unwrap_err());
    assert!(failure.stage == Stage::Tcp && failure.reason.contains("(reset)"), "{failure}");
}

#[tokio::test]
async fn an_acs_that_is_not_there_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = HttpUrl::parse(&format!("http://{address}/")).unwrap();
    let failure = Failure::from(post(&mut acs(url), None).await.unwrap_err());
    assert_eq!(failure.stage, Stage::Tcp);
    assert!(failure.reason.contains("refused the connection: is the ACS running"), "{failure}");
}

#[tokio::test]
async fn silence_and_a_slow_body_end_by_the_clock() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = HttpUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (_silent, _) = listener.accept().await.unwrap();
        let (mut slow, _) = listener.accept().await.unwrap();
        slow.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await.unwrap();
        while slow.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut acs = patient(url, Duration::from_millis(5));
    let silent = Failure::from(post(&mut acs, None).await.unwrap_err());
    assert!(
        silent.stage == Stage::Timeout && silent.reason.contains("did not answer within 30 s"),
        "{silent}"
    );
    let slow = Failure::from(post(&mut acs, None).await.unwrap_err());
    assert!(slow.stage == Stage::Timeout && slow.reason.contains("did not complete"), "{slow}");
}

#[tokio::test]
async fn silence_in_the_handshake_is_of_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = HttpUrl::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    let trust = worker::Trust { pin: Some([7; 32]), ..worker::Trust::default() };
    let mut acs = trusting(url, Duration::from_millis(5), trust);
    let silent = Failure::from(post(&mut acs, None).await.unwrap_err());
    assert!(silent.stage == Stage::Tls && silent.reason.contains("within 30 s"), "{silent}");
}

#[test]
fn a_connection_that_is_not_taken_is_of_tcp() {
    let address = ([10, 0, 0, 5], 7547).into();
    assert_eq!(HttpError::SlowConnect { address, seconds: 20 }.stage(), Stage::Tcp);
}

#[tokio::test]
async fn https_and_a_bad_name_send_nothing() {
    let url = HttpUrl::parse("https://127.0.0.1:1/").unwrap();
    assert_eq!(Failure::from(post(&mut acs(url), None).await.unwrap_err()).stage, Stage::Tls);
    let url = HttpUrl::parse("http://no-such-name.invalid/").unwrap();
    assert_eq!(Failure::from(post(&mut acs(url), None).await.unwrap_err()).stage, Stage::Dns);
}

#[tokio::test]
async fn a_body_in_pieces_is_chunked_and_never_ends_by_accident() {
    let (url, task) = server(vec![vec![NO_CONTENT.to_owned()]]).await;
    let (pieces, body) = mpsc::channel(1);
    let feeding = async {
        for piece in [Piece::More("abc".into()), Piece::More("de".into()), Piece::Last] {
            pieces.send(piece).await.unwrap();
        }
    };
    let answer = acs(url).post_once(Outgoing::Pieces(body), feeding, None).await.unwrap().unwrap();
    assert_eq!(answer.status, 204);
    let request = task.await.unwrap().remove(0);
    assert!(request.ends_with("\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "{request}");

    let (url, task) = server(vec![vec![NO_CONTENT.to_owned()]]).await;
    let (pieces, body) = mpsc::channel(1);
    let giving_up = async move { pieces.send(Piece::More("abc".into())).await.unwrap() };
    assert!(acs(url).post_once(Outgoing::Pieces(body), giving_up, None).await.is_err());
    let request = task.await.unwrap().remove(0);
    assert!(!request.contains("0\r\n\r\n"), "{request}");
}

#[tokio::test]
async fn each_address_is_tried_until_one_takes_it_and_what_was_tried_is_told() {
    let (url, _task) = server(vec![vec![NO_CONTENT.to_owned()]]).await;
    let listens = url.authority().parse().unwrap();
    let closed = |ip: &str| {
        let listener = std::net::TcpListener::bind((ip, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let (first, second) = (closed("127.0.0.1"), closed("127.0.0.2"));
    let patience = Patience { seconds: 30, second: Duration::from_millis(100) };
    let mut notes = Vec::new();
    let tried = vec![first, second, listens];
    let open = connect::open_one_of(&url, tried, None, patience, &mut notes).await.unwrap();
    assert_eq!(open.address, listens);
    let told = format!(
        "127.0.0.1 has several addresses: {first}: refused the connection, {second}: refused the connection, \
         {listens}: connected"
    );
    assert_eq!(notes, [Told { what: "connection".to_owned(), detail: told }]);
    notes.clear();
    let failed = connect::open_one_of(&url, vec![first, second], None, patience, &mut notes).await;
    assert!(matches!(failed.err(), Some(HttpError::Refused(address)) if address == second));
    assert!(notes[0].detail.ends_with(&format!("{second}: refused the connection")), "{notes:?}");
    // One address alone is in the error already.
    notes.clear();
    assert!(connect::open_one_of(&url, vec![first], None, patience, &mut notes).await.is_err());
    assert_eq!(notes, []);
    assert!(connect::open_one_of(&url, Vec::new(), None, patience, &mut notes).await.is_err());
}
