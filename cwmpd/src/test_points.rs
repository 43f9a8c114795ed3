//! Named places where a test may kill the process; without the feature `test-points` they are nothing.

pub use ipc_proto::test_points::reach;

/// Drives `exchange` and reaches the point once its request has been handed to the socket.
#[cfg(feature = "test-points")]
pub async fn once_sent<F: Future>(name: Option<&str>, exchange: F) -> F::Output {
    let mut exchange = std::pin::pin!(exchange);
    let mut answered = None;
    // The connection's task writes at its first turn after the first poll; a fast ACS answers meanwhile.
    for _ in 0..2 {
        tokio::select! {
            biased;
            answer = &mut exchange => {
                answered = Some(answer);
                break;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    if let Some(name) = name {
        reach(name);
    }
    match answered {
        Some(answer) => answer,
        None => exchange.await,
    }
}

/// Drives `exchange`.
#[cfg(not(feature = "test-points"))]
pub async fn once_sent<F: Future>(_name: Option<&str>, exchange: F) -> F::Output {
    exchange.await
}

/// Crashes when `CWMP_KILL_AT` is `worker.heard-NAME` and this answer of the ACS holds NAME.
#[cfg(feature = "test-points")]
pub fn heard(answer: &[u8]) {
    let Ok(wanted) = std::env::var("CWMP_KILL_AT") else { return };
    let Some(name) = wanted.strip_prefix("worker.heard-") else { return };
    if answer.windows(name.len().max(1)).any(|part| part == name.as_bytes()) {
        std::process::abort();
    }
}

/// Does nothing.
#[cfg(not(feature = "test-points"))]
pub fn heard(_answer: &[u8]) {}

/// Reaches the point once what is queued has been written.
#[cfg(feature = "test-points")]
pub async fn reach_once_written(name: &str) {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    reach(name);
}

/// Nothing.
#[cfg(not(feature = "test-points"))]
pub async fn reach_once_written(_name: &str) {}
