//! Answers of many pages: whole, timed, broken off, made again for a login or a redirect.

use super::*;

#[tokio::test]
async fn a_large_answer_is_chunked_and_whole() {
    const PAGES: u32 = 40;
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    let mut stream = asked_for_much(&mut supervisor, &acs, &url, PAGES).await;
    let reading = tokio::spawn(async move { exchange(&mut stream, "\r\n0\r\n\r\n", NO_CONTENT).await });
    supervisor.give_pages(PAGES).await;
    assert_eq!(supervisor.outcome().await, Outcome::Succeeded);
    let answer = reading.await.unwrap();
    assert!(answer.contains("transfer-encoding: chunked"));
    assert!(answer.contains("ParameterValueStruct[40]") && answer.contains("Device.V39"));
}

/// A session of which the ACS has asked for a read of many pages, and its connection.
async fn asked_for_much(supervisor: &mut Supervisor, acs: &FakeAcs, url: &str, pages: u32) -> TcpStream {
    supervisor.configure(config(url), due(true)).await;
    supervisor.open_session(1).await;
    let mut stream = acs.accept().await;
    inform(&mut stream).await;
    supervisor.answer(|_| Reply::Done).await;
    let rpc = "<c:GetParameterValues><ParameterNames><string/></ParameterNames></c:GetParameterValues>";
    exchange(&mut stream, "\r\n\r\n", &envelope(rpc)).await;
    supervisor.answer(|_| Reply::Prepared { read: ReadId(1), count: pages }).await;
    stream
}

/// The same with an ACS of its own.
async fn reading(supervisor: &mut Supervisor, count: u32) -> TcpStream {
    let (acs, url) = FakeAcs::start().await;
    asked_for_much(supervisor, &acs, &url, count).await
}

fn page(n: u32, bytes: usize) -> Page {
    let (name, value) = (format!("Device.V{n}"), "v".repeat(bytes));
    Page::Values(Listing::from_iter([(&*name, &*value, ParamType::String)]))
}

#[tokio::test]
async fn a_read_takes_until_its_last_byte_is_out() {
    // Small enough for one message, and too large.
    for bytes in [10, 900_000] {
        let mut supervisor = Supervisor::start(false).await;
        let mut stream = reading(&mut supervisor, 3).await;
        let end = if bytes > 10 { "\r\n0\r\n\r\n" } else { ENVELOPE_END };
        let acs = tokio::spawn(async move { exchange(&mut stream, end, NO_CONTENT).await });
        for n in 0..3 {
            // A supervisor that is slow over its last page.
            if n == 2 {
                sleep(Duration::from_millis(150)).await;
            }
            supervisor.answer(|_| Reply::Page(page(n, bytes))).await;
        }
        let line = supervisor.line("GetParameterValues").await;
        assert!(line.took_ms.unwrap() >= 150 && line.detail.ends_with("-> 3 entries"), "{line:?}");
        assert_eq!(supervisor.line("session closed").await.detail, "succeeded");
        acs.await.unwrap();
    }
}

#[tokio::test]
async fn a_read_that_breaks_off_says_so_before_the_session_is_closed() {
    let mut supervisor = Supervisor::start(false).await;
    let _stream = reading(&mut supervisor, 3).await;
    supervisor.answer(|_| Reply::Page(page(0, 10))).await;
    supervisor.push(Push::EndSession(SessionId(1))).await;
    supervisor.line("session closed").await;
    let told: Vec<_> = supervisor.lines.iter().map(|line| line.detail.as_str()).collect();
    assert_eq!(told[1..], ["1:  -> 3 entries, not delivered", "failed: the supervisor ended it"]);
}

impl Supervisor {
    /// Answers the pages of a read from the first on.
    async fn give_pages(&mut self, pages: u32) {
        for n in 0..pages {
            let query = self.answer(|_| Reply::Page(large_page(n))).await;
            assert_eq!(query, Query::Page { session: SessionId(1), read: ReadId(1), page: n });
        }
    }
}

/// One value of 50,000 characters.
fn large_page(n: u32) -> Page {
    page(n, 50_000)
}

/// The body of a chunked request.
fn unchunked(request: &str) -> String {
    let mut rest = request.split_once("\r\n\r\n").unwrap().1;
    let mut whole = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&after[..size]);
        if size == 0 {
            return whole;
        }
        rest = &after[size + 2..];
    }
}

#[tokio::test]
async fn a_large_answer_is_made_again_for_a_login_and_for_a_redirect() {
    const PAGES: u32 = 40;
    const LAST: &str = "\r\n0\r\n\r\n";
    let (acs, url) = FakeAcs::start().await;
    let mut supervisor = Supervisor::start(false).await;
    let mut stream = asked_for_much(&mut supervisor, &acs, &url, PAGES).await;
    let reading = tokio::spawn(async move {
        let login = "HTTP/1.1 401 Who\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n\
                     Content-Length: 0\r\n\r\n";
        let asked = exchange(&mut stream, LAST, login).await;
        let elsewhere = "HTTP/1.1 307 There\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n";
        let redirected = exchange(&mut stream, LAST, elsewhere).await;
        let taken = exchange(&mut acs.accept().await, LAST, NO_CONTENT).await;
        [asked, redirected, taken]
    });
    for _ in 0..3 {
        supervisor.give_pages(PAGES).await;
    }
    assert_eq!(supervisor.outcome().await, Outcome::Succeeded);
    let [asked, redirected, taken] = reading.await.unwrap();
    assert!(!asked.contains("authorization: ") && redirected.contains("authorization: Digest"));
    assert!(redirected.starts_with("POST / ") && taken.starts_with("POST /there "));
    let whole = unchunked(&asked);
    assert!(whole.contains("Device.V39") && whole.ends_with(ENVELOPE_END));
    assert!(unchunked(&redirected) == whole && unchunked(&taken) == whole, "the same each time");
}

#[tokio::test]
async fn an_acs_that_redirects_before_it_has_read_a_large_answer_gets_it_elsewhere() {
    const PAGES: u32 = 40;
    let ((first, url), (second, second_url)) = (FakeAcs::start().await, FakeAcs::start().await);
    let mut supervisor = Supervisor::start(false).await;
    let mut stream = asked_for_much(&mut supervisor, &first, &url, PAGES).await;
    // As much as is sent with the first piece, and not one page more.
    for n in 0..21 {
        supervisor.answer(|_| Reply::Page(large_page(n))).await;
    }
    let elsewhere = format!("HTTP/1.1 302 There\r\nLocation: {second_url}there\r\nContent-Length: 0\r\n\r\n");
    stream.read_exact(&mut [0; 100]).await.unwrap();
    stream.write_all(elsewhere.as_bytes()).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut stream = second.accept().await;
        exchange(&mut stream, "\r\n0\r\n\r\n", NO_CONTENT).await
    });
    // It may have asked for another page before it heard.
    let mut next = supervisor.receive().await;
    if let ToSupervisor::Query { id, query: Query::Page { page: 21, .. } } = next {
        supervisor.send(ToWorker::Reply { id, reply: Reply::Page(large_page(21)) }).await;
        next = supervisor.receive().await;
    }
    let ToSupervisor::Query { id, query: Query::Page { page: 0, .. } } = next else { panic!("{next:?}") };
    supervisor.send(ToWorker::Reply { id, reply: Reply::Page(large_page(0)) }).await;
    for n in 1..PAGES {
        supervisor.answer(|_| Reply::Page(large_page(n))).await;
    }
    assert_eq!(supervisor.outcome().await, Outcome::Succeeded);
    let taken = reading.await.unwrap();
    assert!(taken.starts_with("POST /there ") && unchunked(&taken).contains("Device.V39"));
}
