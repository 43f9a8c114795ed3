//! Named places where a test may kill the process; without the feature `test-points` they are nothing.

/// Dies here by SIGKILL when CWMP_KILL_AT names this point. `name@FILE` kills only if FILE exists, and removes
/// it first, so that the next process goes on.
#[cfg(feature = "test-points")]
pub fn reach(name: &str) {
    let Ok(wanted) = std::env::var("CWMP_KILL_AT") else { return };
    let armed = match wanted.split_once('@') {
        Some((point, flag)) => point == name && std::fs::remove_file(flag).is_ok(),
        None => wanted == name,
    };
    if armed {
        let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Nothing.
#[cfg(not(feature = "test-points"))]
pub fn reach(_name: &str) {}

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
