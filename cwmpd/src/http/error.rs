//! What can go wrong between us and the ACS before its answer is read, told so that it can be put right.

use std::{error::Error as _, io, net::SocketAddr};

use ipc_proto::worker::{Failure, Stage};

use super::{
    auth::LoginError,
    redirect::RedirectError,
    tls::{self, TlsError},
};

/// Why a POST has no answer. Times are in CWMP seconds.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The URL cannot be put into a request.
    #[error("cwmp.acs_url cannot be asked for: {0}")]
    Request(#[from] http::Error),
    /// No address for the name.
    #[error("the name {host} does not resolve ({error}): check cwmp.acs_url or the device's DNS")]
    Name {
        /// Of the URL.
        host: String,
        /// The resolver's words.
        error: String,
    },
    /// The resolver is silent.
    #[error("the name {host} did not resolve within {seconds} s: check the device's DNS")]
    SlowName {
        /// Of the URL.
        host: String,
        /// The limit.
        seconds: u32,
    },
    /// Nobody listens.
    #[error("{0} refused the connection: is the ACS running, and is the port right?")]
    Refused(SocketAddr),
    /// No way there.
    #[error("there is no route to {0} ({1}): check the device's network")]
    NoRoute(SocketAddr, io::Error),
    /// Nobody answers.
    #[error("{address} did not take a connection within {seconds} s: is a firewall in between?")]
    SlowConnect {
        /// The last that was tried.
        address: SocketAddr,
        /// The limit.
        seconds: u32,
    },
    /// Connected, and no TLS in time.
    #[error(
        "{address} did not complete the TLS handshake within {seconds} s: does the ACS speak https there?"
    )]
    SlowTls {
        /// Of the ACS.
        address: SocketAddr,
        /// The limit.
        seconds: u32,
    },
    /// Another failure to connect.
    #[error("no connection to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    /// The ACS left before its answer was whole.
    #[error("the ACS at {0} broke the connection before its answer was complete ({1}): look at its log")]
    Broken(SocketAddr, String),
    /// No answer in time.
    #[error("the ACS at {address} did not answer within {seconds} s")]
    Silent {
        /// Of the ACS.
        address: SocketAddr,
        /// The limit.
        seconds: u32,
    },
    /// Our message is not read.
    #[error("the ACS did not take our message within {seconds} s")]
    Stalled {
        /// The limit.
        seconds: u32,
    },
    /// An answer that never ends.
    #[error("the ACS at {address} did not complete its answer within {seconds} s")]
    SlowBody {
        /// Of the ACS.
        address: SocketAddr,
        /// The limit.
        seconds: u32,
    },
    /// Not HTTP.
    #[error("{0} does not answer in HTTP/1 ({1}): is it an ACS, and is the port right?")]
    NotHttp(SocketAddr, String),
    /// A head over its limit.
    #[error("the ACS at {0} sent a head of more than 64 KiB or 2000 headers")]
    HeadTooLarge(SocketAddr),
    /// No login.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A redirect that is not followed.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// A body over its limit.
    #[error("the ACS at {0} sent a message of more than 4 MiB, which is not read")]
    BodyTooLarge(SocketAddr),
}

impl HttpError {
    /// The link of the chain that broke.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Tls(TlsError::Certificate(_)) => Stage::Certificate,
            Self::Tls(_) | Self::SlowTls { .. } => Stage::Tls,
            Self::Login(_) => Stage::Auth,
            Self::Redirect(_) => Stage::Redirect,
            Self::Name { .. } | Self::SlowName { .. } => Stage::Dns,
            Self::NoRoute(..) => Stage::Network,
            Self::Refused(_) | Self::SlowConnect { .. } | Self::Connect(..) | Self::Broken(..) => Stage::Tcp,
            Self::Silent { .. } | Self::Stalled { .. } | Self::SlowBody { .. } => Stage::Timeout,
            Self::Request(_) | Self::NotHttp(..) | Self::HeadTooLarge(_) | Self::BodyTooLarge(_) => {
                Stage::Http
            }
        }
    }

    /// The ACS's certificate was refused.
    pub fn is_certificate(&self) -> bool {
        self.stage() == Stage::Certificate
    }

    /// How the attempt at one address ended, in a few words.
    pub fn brief(&self) -> String {
        match self {
            Self::Tls(TlsError::Certificate(_)) => "its certificate is refused".to_owned(),
            Self::Tls(_) => "no TLS".to_owned(),
            Self::Refused(_) => "refused the connection".to_owned(),
            Self::NoRoute(..) => "no route".to_owned(),
            Self::SlowConnect { .. } => "no connection in time".to_owned(),
            Self::SlowTls { .. } => "no TLS in time".to_owned(),
            Self::Connect(_, error) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// Of a failed connect.
    pub fn connect(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(address),
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown => Self::NoRoute(address, error),
            _ => Self::Connect(address, error),
        }
    }

    /// Of a failed exchange.
    pub fn exchange(address: SocketAddr, error: &hyper::Error) -> Self {
        if error.is_parse() {
            // The only word that a client gets of this kind of error is its text.
            return match error.to_string() {
                text if text.contains("too large") => Self::HeadTooLarge(address),
                text => Self::NotHttp(address, text),
            };
        }
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        if let Some(error) = io.and_then(tls::after_handshake) {
            return error.into();
        }
        let how = match io {
            None => "closed".to_owned(),
            Some(error) => match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset".to_owned(),
                io::ErrorKind::UnexpectedEof => "closed".to_owned(),
                _ => error.to_string(),
            },
        };
        Self::Broken(address, how)
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self { stage: error.stage(), reason: error.to_string() }
    }
}
