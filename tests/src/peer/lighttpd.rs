//! lighttpd in front of the test ACS: its own Digest, Basic and TLS, none of it from the device's crates.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::{TempDir, TempPath};

use super::Killed;
use crate::acs::envelope::get_rpc_methods;
use crate::process::{signal, wait_until};
use crate::{Acs, Plan};

/// A request that lighttpd served.
#[derive(Clone, Debug)]
pub struct Served {
    /// The port that it came from.
    pub port: String,
    /// The status of its answer.
    pub status: String,
    /// Its Authorization, or `-`.
    pub login: String,
}

/// A running lighttpd.
pub struct Lighttpd {
    port: u16,
    directory: TempDir,
    process: Killed,
    _users: Option<TempPath>,
}

impl Lighttpd {
    /// Hands what comes in to the ACS, whose sessions each call an RPC; `more` is the rest of its configuration, for modules that are loaded already.
    pub fn in_front_of(acs: &Acs, more: &str) -> Self {
        // Its configuration takes no port 0, so a free one may be lost to another program before it is bound.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = free.local_addr().expect("a bound socket has an address").port();
        drop(free);
        Self::at(port, acs, more)
    }

    /// The same at this port.
    pub fn at(port: u16, acs: &Acs, more: &str) -> Self {
        // It makes a connection of its own for each request.
        (0..8).for_each(|_| acs.plan(Plan::new().send(get_rpc_methods()).closing_each()));
        let directory =
            tempfile::Builder::new().prefix("lighttpd").tempdir_in("/tmp").expect("/tmp is writable");
        let root = directory.path().display();
        let inside = acs.port();
        let text = format!(
            r#"server.modules = ("mod_auth", "mod_authn_file", "mod_proxy", "mod_openssl", "mod_accesslog")
server.document-root = "{root}"
server.errorlog = "{root}/error.log"
accesslog.filename = "{root}/access.log"
accesslog.format = "%{{remote}}p %s %{{Authorization}}i"
server.bind = "127.0.0.1"
server.port = {port}
proxy.server = ("" => (("host" => "127.0.0.1", "port" => {inside})))
{more}
"#
        );
        let file = directory.path().join("lighttpd.conf");
        std::fs::write(&file, text).expect("its directory is writable");
        let program =
            if Path::new("/usr/sbin/lighttpd").exists() { "/usr/sbin/lighttpd" } else { "lighttpd" };
        let mut command = Command::new(program);
        command.args(["-D", "-f"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let process = Killed(command.spawn().expect("lighttpd starts"));
        wait_until("lighttpd to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, directory, process, _users: None }
    }

    /// Lets in whoever logs in with this method (`digest`, `basic`), and this algorithm where it is digest.
    pub fn with_login(acs: &Acs, method: &str, algorithm: &str, user: &str, password: &str) -> Self {
        let users = tempfile::NamedTempFile::new().expect("a temporary file");
        let realm = "lighttpd";
        let (backend, line) = match method {
            "basic" => ("plain", format!("{user}:{password}\n")),
            _ => {
                use md5::Digest as _;
                let text = format!("{user}:{realm}:{password}");
                let hash = match algorithm {
                    "SHA-256" => data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(text)),
                    _ => data_encoding::HEXLOWER.encode(&md5::Md5::digest(text)),
                };
                ("htdigest", format!("{user}:{realm}:{hash}\n"))
            }
        };
        let file = users.into_temp_path();
        std::fs::write(&file, line).expect("a temporary file is writable");
        let algorithm =
            if algorithm.is_empty() { String::new() } else { format!(r#""algorithm" => "{algorithm}", "#) };
        let more = format!(
            r#"auth.backend = "{backend}"
auth.backend.{backend}.userfile = "{}"
auth.require = ("" => ("method" => "{method}", "realm" => "{realm}", {algorithm}"require" => "valid-user"))"#,
            file.display()
        );
        Self { _users: Some(file), ..Self::in_front_of(acs, &more) }
    }

    /// The URL to give to the device.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/cwmp", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it, so that its log is written, and answers the requests that it served.
    pub fn stopped(mut self) -> Vec<Served> {
        signal(self.process.0.id(), Signal::SIGTERM);
        self.process.0.wait().expect("lighttpd ends");
        let text = std::fs::read_to_string(self.directory.path().join("access.log")).expect("it has a log");
        let served = |line: &str| {
            let mut words = line.splitn(3, ' ').map(str::to_owned);
            Some(Served { port: words.next()?, status: words.next()?, login: words.next()? })
        };
        text.lines().filter_map(served).collect()
    }
}
