//! One request to the supervisor and its answer.

use std::{ops::ControlFlow, path::Path, time::Duration};

use ipc_proto::{
    channel::{ChannelError, Connection, SocketError},
    control::{Request, Response},
    version::Protocol,
};

/// How long the supervisor may take to say Hello or to take the request.
const LIMIT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody there.
    #[error("{0}; is cwmp-supervisor running, and is this its socket? (--socket PATH or CWMP_SOCKET)")]
    Socket(#[from] SocketError),
    /// Someone is there, but the talk broke off.
    #[error("the supervisor at {path} did not answer: {error}")]
    Channel {
        /// The socket.
        path: std::path::PathBuf,
        /// What happened.
        error: ChannelError,
    },
}

/// Asks, and hands each answer that is not the final one to `meanwhile`, until that wants no more. The
/// supervisor bounds how long it takes.
pub async fn ask(
    path: &Path,
    request: &Request,
    mut meanwhile: impl FnMut(Response) -> ControlFlow<()>,
) -> Result<Option<Response>, ClientError> {
    let connection = Connection::connect(path).await?;
    let talk = async {
        let (mut sender, mut receiver, _) =
            connection.hello::<Request, Response>(Protocol::Control, LIMIT).await?;
        sender.send(request, LIMIT).await?;
        loop {
            let answer = receiver.receive().await?;
            if answer.is_final() {
                return Ok(Some(answer));
            }
            if meanwhile(answer).is_break() {
                return Ok(None);
            }
        }
    };
    talk.await.map_err(|error| ClientError::Channel { path: path.to_owned(), error })
}
