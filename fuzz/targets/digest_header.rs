//! An Authorization header of a connection request; `NONCE` in it stands for one that was really given.
#![no_main]

use std::time::Duration;

use fuzz::connection_request::digest::{Digest, Judgement, Login};
use libfuzzer_sys::fuzz_target;

const NOW: Duration = Duration::from_secs(1000);

fuzz_target!(|text: &str| {
    let mut digest = Digest::new([7; 64]);
    let challenge = digest.challenge(NOW, [1; 8], false);
    let nonce = challenge.split('"').nth(5).expect("the third quoted text is the nonce");
    let login = Login { username: "acs", password: "secret" };
    let header = text.replace("NONCE", nonce);
    match digest.judge(NOW, login, "GET", "/cwmp", &header) {
        Judgement::Good(used) => {
            assert!(digest.remember(NOW, used));
            assert!(
                matches!(digest.judge(NOW, login, "GET", "/cwmp", &header), Judgement::Bad(_)),
                "a replay"
            );
        }
        Judgement::Stale => panic!("the nonce is fresh"),
        Judgement::Bad(why) => assert!(!why.is_empty()),
    }
    let nobody = Login { username: "acs", password: "" };
    assert!(matches!(digest.judge(NOW, nobody, "GET", "/cwmp", &header), Judgement::Bad(_)));
});
