//! Requests against the judge, with another implementation of Digest as the client.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use http_auth::{PasswordClient, PasswordParams};
use ipc_proto::{Secret, worker::ConnectionRequest};

use super::{
    digest::path_of,
    judge::{Judge, Moment, Verdict},
};

const PATH: &str = "/0123456789abcdef";
const ACS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const NOW: Duration = Duration::from_secs(1000);

fn wanted(username: &str, password: &str) -> ConnectionRequest {
    ConnectionRequest {
        listen: "127.0.0.1:0".parse().unwrap(),
        path: PATH.to_owned(),
        username: username.to_owned(),
        password: Secret::new(password),
    }
}

fn judge() -> Judge {
    let mut judge = Judge::new([7; 64]);
    judge.want(Some(wanted("acs", "secret")));
    judge.link(true);
    judge
}

fn ask(judge: &mut Judge, now: Duration, line: &str, authorization: Option<&str>) -> Verdict {
    let login = authorization.map_or_else(String::new, |text| format!("Authorization: {text}\r\n"));
    let head = format!("{line} HTTP/1.1\r\nHost: x\r\n{login}\r\n");
    judge.judge(Moment { now, random: [3; 8] }, ACS, head.as_bytes())
}

fn get(judge: &mut Judge, now: Duration, authorization: Option<&str>) -> Verdict {
    ask(judge, now, &format!("GET {PATH}"), authorization)
}

/// A client that has been challenged.
fn client(judge: &mut Judge, now: Duration) -> PasswordClient {
    let challenge = get(judge, now, None).challenge.unwrap();
    PasswordClient::try_from(challenge.as_str()).unwrap()
}

fn login(client: &mut PasswordClient, username: &str, password: &str, method: &str) -> String {
    let params = PasswordParams { username, password, uri: PATH, method, body: Some(&[]) };
    client.respond(&params).unwrap()
}

fn right(client: &mut PasswordClient) -> String {
    login(client, "acs", "secret", "GET")
}

fn why(verdict: &Verdict) -> (&str, &str) {
    (&verdict.status[..3], verdict.refusal.unwrap_or(""))
}

#[test]
fn one_challenge_and_then_the_right_password() {
    let mut judge = judge();
    let first = get(&mut judge, NOW, None);
    assert_eq!(why(&first), ("401", "no login"));
    let text = first.text();
    assert_eq!(text.matches("WWW-Authenticate").count(), 1);
    assert!(text.contains("Digest realm=\"cwmp\", qop=\"auth\"") && text.contains("algorithm=MD5"), "{text}");
    assert!(!text.contains("stale") && !text.contains("Basic"), "{text}");
    let mut client = client(&mut judge, NOW);
    let good = get(&mut judge, NOW, Some(&right(&mut client)));
    assert_eq!(why(&good), ("200", ""));
    assert_eq!(good.text(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

#[test]
fn a_nonce_serves_many_counts_and_each_of_them_once() {
    let mut judge = judge();
    let mut client = client(&mut judge, NOW);
    let (first, second) = (right(&mut client), right(&mut client));
    assert!(first.contains("nc=00000001") && second.contains("nc=00000002"), "{first} {second}");
    // Another connection may be faster.
    assert_eq!(why(&get(&mut judge, NOW, Some(&second))).0, "200");
    assert_eq!(why(&get(&mut judge, NOW, Some(&first))).0, "200");
    let replay = get(&mut judge, NOW, Some(&second));
    assert_eq!(why(&replay), ("401", "it was used before: a replay"));
    for nc in ["nc=00000000", "nc=2", "nc=xxxxxxxx", "nc=00000003"] {
        let forged = second.replace("nc=00000002", nc);
        assert_eq!(why(&get(&mut judge, NOW, Some(&forged))).0, "401", "{nc}");
    }
}

#[test]
fn an_old_nonce_is_stale_for_who_knows_the_password_only() {
    let mut judge = judge();
    let mut client = client(&mut judge, NOW);
    let (good, bad) = (right(&mut client), login(&mut client, "acs", "guess", "GET"));
    let later = NOW + Duration::from_secs(301);
    let stale = get(&mut judge, later, Some(&good));
    assert!(stale.challenge.as_ref().unwrap().contains("stale=true"), "{stale:?}");
    let wrong = get(&mut judge, later, Some(&bad));
    assert!(!wrong.challenge.as_ref().unwrap().contains("stale"), "{wrong:?}");
    let mut fresh = PasswordClient::try_from(stale.challenge.unwrap().as_str()).unwrap();
    assert_eq!(why(&get(&mut judge, later, Some(&right(&mut fresh)))).0, "200");
}

#[test]
fn a_request_without_qop_is_taken_once_for_a_nonce() {
    let mut judge = judge();
    let challenge = get(&mut judge, NOW, None).challenge.unwrap().replace("qop=\"auth\", ", "");
    let mut client = PasswordClient::try_from(challenge.as_str()).unwrap();
    let old = right(&mut client);
    assert!(!old.contains("qop"), "{old}");
    assert_eq!(why(&get(&mut judge, NOW, Some(&old))).0, "200");
    assert_eq!(why(&get(&mut judge, NOW, Some(&old))), ("401", "it was used before: a replay"));
}

#[test]
fn wrong_logins_of_every_kind_are_refused() {
    let mut judge = judge();
    let mut client = client(&mut judge, NOW);
    let good = right(&mut client);
    let cases = [
        ("Basic YWNzOnNlY3JldA==".to_owned(), "not Digest"),
        (login(&mut client, "acs", "wrong", "GET"), "wrong user name or password"),
        (login(&mut client, "other", "secret", "GET"), "wrong user name or password"),
        (login(&mut client, "acs", "", "GET"), "wrong user name or password"),
        (login(&mut client, "acs", "secret", "POST"), "wrong user name or password"),
        (good.replace("nonce=\"0", "nonce=\"1"), "not one of ours"),
        (good.replace("realm=\"cwmp\"", "realm=\"x\""), "another realm"),
        (good.replace("qop=auth", "qop=auth-int"), "another qop"),
        (good.replace(&format!("uri=\"{PATH}\""), "uri=\"/x\""), "another path"),
        (good.replace("MD5", "SHA-256"), "another algorithm"),
        (format!("{good}, nc=00000009"), "cannot be read"),
        ("Digest username=\"acs".to_owned(), "cannot be read"),
        ("Digest".to_owned(), "not complete"),
    ];
    for (text, told) in cases {
        let verdict = get(&mut judge, NOW, Some(&text));
        let (status, reason) = why(&verdict);
        assert!(status == "401" && reason.contains(told), "{text}: {reason}");
    }
    assert_eq!(why(&get(&mut judge, NOW, Some(&good))).0, "200", "none of them used it up");
}

#[test]
fn an_empty_name_or_password_lets_nobody_in() {
    for (username, password) in [("", "secret"), ("acs", ""), ("", "")] {
        let mut judge = judge();
        judge.want(Some(wanted(username, password)));
        let mut client = client(&mut judge, NOW);
        let text = login(&mut client, username, password, "GET");
        assert_eq!(why(&get(&mut judge, NOW, Some(&text))).0, "401");
    }
}

#[test]
fn a_new_login_counts_at_once() {
    let mut judge = judge();
    let mut client = client(&mut judge, NOW);
    judge.want(Some(wanted("acs", "changed")));
    assert_eq!(why(&get(&mut judge, NOW, Some(&right(&mut client)))).0, "401");
    let changed = login(&mut client, "acs", "changed", "GET");
    assert_eq!(why(&get(&mut judge, NOW, Some(&changed))).0, "200");
}

#[test]
fn other_paths_and_other_methods_are_told_apart() {
    let mut judge = judge();
    let mut client = client(&mut judge, NOW);
    for line in ["GET /", "GET /0123456789abcde", "POST /x", &format!("GET {PATH}/")] {
        assert_eq!(why(&ask(&mut judge, NOW, line, None)), ("404", "another path"), "{line}");
    }
    let post = format!("POST {PATH}");
    assert_eq!(why(&ask(&mut judge, NOW, &post, None)).0, "401", "the login comes first");
    let text = login(&mut client, "acs", "secret", "POST");
    assert_eq!(why(&ask(&mut judge, NOW, &post, Some(&text))).0, "405");
    let query = format!("GET http://x:1{PATH}?a=b");
    assert_eq!(why(&ask(&mut judge, NOW, &query, Some(&right(&mut client)))).0, "200");
    assert_eq!(
        judge.judge(Moment { now: NOW, random: [0; 8] }, ACS, b"\x16\x03\r\n\r\n").status,
        "400 Bad Request"
    );
}

#[test]
fn without_a_supervisor_and_over_the_limit_it_is_503_without_retry_after() {
    let mut judge = judge();
    let mut client = client(&mut judge, NOW);
    judge.link(false);
    assert_eq!(why(&get(&mut judge, NOW, None)).0, "401", "strangers learn nothing");
    assert_eq!(why(&get(&mut judge, NOW, Some(&right(&mut client)))).0, "503");
    judge.link(true);
    let served = (0..20).filter(|_| why(&get(&mut judge, NOW, Some(&right(&mut client)))).0 == "200");
    assert_eq!(served.count(), 5);
    let over = get(&mut judge, NOW, Some(&right(&mut client)));
    assert_eq!(why(&over), ("503", "too many connection requests"));
    assert!(!over.text().contains("Retry-After"));
    assert_eq!(why(&get(&mut judge, NOW + Duration::from_secs(1), Some(&right(&mut client)))).0, "200");
    judge.want(None);
    assert_eq!(why(&get(&mut judge, NOW, None)), ("503", "CWMP is disabled"));
}

#[test]
fn a_flood_of_guesses_does_not_keep_the_acs_out() {
    let mut judge = judge();
    let mut client = client(&mut judge, NOW);
    let guess = login(&mut client, "acs", "guess", "GET");
    let statuses: Vec<_> = (0..5000).map(|_| get(&mut judge, NOW, Some(&guess)).status).collect();
    assert_eq!(statuses.iter().filter(|status| status.starts_with("401")).count(), 20);
    // From the same address even.
    let mut honest = self::client(&mut judge, NOW);
    assert_eq!(why(&get(&mut judge, NOW, Some(&right(&mut honest)))).0, "200");
    assert_eq!(
        why(&get(&mut judge, NOW, Some(&right(&mut client)))).0,
        "200",
        "an early nonce is still good"
    );
}

#[test]
fn a_flood_with_the_right_password_uses_up_its_own_share_only() {
    let mut judge = judge();
    let mut flood = client(&mut judge, NOW);
    // Six minutes of fifty a second, from one place.
    for tick in 0..18_000 {
        let now = NOW + Duration::from_millis(20) * tick;
        if tick % 10_000 == 0 {
            flood = client(&mut judge, now);
        }
        let text = right(&mut flood);
        let head = format!("GET {PATH} HTTP/1.1\r\nAuthorization: {text}\r\n\r\n");
        judge.judge(Moment { now, random: [3; 8] }, Ipv4Addr::LOCALHOST.into(), head.as_bytes());
        if tick % 1000 == 999 {
            let mut honest = client(&mut judge, now);
            assert_eq!(why(&get(&mut judge, now, Some(&right(&mut honest)))), ("200", ""), "{now:?}");
        }
    }
}

#[test]
fn what_was_turned_away_for_the_rate_is_no_replay() {
    let mut judge = judge();
    let mut client = client(&mut judge, NOW);
    let texts: Vec<_> = (0..6).map(|_| right(&mut client)).collect();
    let statuses: Vec<_> = texts.iter().map(|text| get(&mut judge, NOW, Some(text)).status).collect();
    assert!(statuses[5].starts_with("503"), "{statuses:?}");
    let later = NOW + Duration::from_secs(1);
    assert_eq!(why(&get(&mut judge, later, Some(&texts[5]))).0, "200");
    assert_eq!(why(&get(&mut judge, later, Some(&texts[5]))), ("401", "it was used before: a replay"));
}

#[test]
fn uses_are_limited_by_the_life_of_a_nonce() {
    let mut judge = judge();
    let mut client = client(&mut judge, NOW);
    for _ in 0..2000 {
        get(&mut judge, NOW, Some(&right(&mut client)));
    }
    assert_eq!(why(&get(&mut judge, NOW, Some(&right(&mut client)))).0, "503");
    let later = NOW + Duration::from_secs(301);
    let mut client = self::client(&mut judge, later);
    assert_eq!(why(&get(&mut judge, later, Some(&right(&mut client)))).0, "200");
}

#[test]
fn the_path_of_a_target() {
    for (target, path) in [("/a?b", "/a"), ("http://h:1/a", "/a"), ("http://h", "/"), ("*", "*"), ("", "")] {
        assert_eq!(path_of(target), path);
    }
}
