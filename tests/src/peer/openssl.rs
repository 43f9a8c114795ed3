//! Certificates that the openssl command makes, and its `s_server` as a peer.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::Killed;

/// Valid now, and for long.
const NOW: (&str, &str) = ("20240101000000Z", "20490101000000Z");

/// An authority and what it signs, in a directory of its own.
pub struct Pki {
    directory: TempDir,
}

/// What a certificate is to be.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// File name without its end, and the subject's CN where `subject` is empty.
    pub name: &'a str,
    /// Subject, such as `/CN=acs`.
    pub subject: &'a str,
    /// Such as `IP:127.0.0.1`; empty: none.
    pub names: &'a str,
    /// It is one of an authority.
    pub authority: bool,
    /// `YYYYMMDDhhmmssZ`, from and to.
    pub valid: (&'a str, &'a str),
    /// Bits of an RSA key; 0: an elliptic curve.
    pub rsa: u32,
    /// Who signs it; `None`: itself.
    pub by: Option<&'a Made>,
}

impl Default for Certificate<'_> {
    fn default() -> Self {
        Self {
            name: "acs",
            subject: "/O=Example/CN=acs",
            names: "IP:127.0.0.1,DNS:acs.test",
            authority: false,
            valid: NOW,
            rsa: 0,
            by: None,
        }
    }
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Made {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl Made {
    /// SHA-256 as openssl prints it, lower case without colons.
    pub fn fingerprint(&self) -> String {
        let words = ["x509", "-noout", "-fingerprint", "-sha256", "-in"];
        let text =
            openssl(Path::new("/"), &[&words[..], &[&self.certificate.display().to_string()]].concat());
        text.rsplit('=').next().unwrap_or_default().trim().replace(':', "").to_lowercase()
    }
}

impl Pki {
    /// An empty one.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("pki").tempdir_in("/tmp").expect("/tmp is writable");
        let at = directory.path();
        std::fs::write(at.join("serial"), "01\n").expect("its directory is writable");
        std::fs::write(at.join("index.txt"), "").expect("its directory is writable");
        let text = "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n\
                    unique_subject=no\n[p]\norganizationName=optional\ncommonName=optional\n";
        std::fs::write(at.join("ca.cnf"), text).expect("its directory is writable");
        Self { directory }
    }

    /// A file beside the certificates, which may not exist.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An authority that signs itself.
    pub fn authority(&self, name: &str) -> Made {
        let subject = format!("/O=Example/CN={name}");
        self.make(Certificate {
            name,
            subject: &subject,
            names: "",
            authority: true,
            ..Certificate::default()
        })
    }

    /// A certificate.
    pub fn make(&self, wanted: Certificate<'_>) -> Made {
        let at = self.directory.path();
        let file = |end: &str| format!("{}.{end}", wanted.name);
        let made = Made { certificate: at.join(file("pem")), key: at.join(file("key")) };
        let mut extensions = format!(
            "basicConstraints=critical,CA:{}\nsubjectKeyIdentifier=hash\n",
            if wanted.authority { "TRUE" } else { "FALSE" }
        );
        if !wanted.names.is_empty() {
            extensions.push_str(&format!("subjectAltName={}\n", wanted.names));
        }
        std::fs::write(at.join(file("ext")), extensions).expect("its directory is writable");
        let rsa = format!("rsa:{}", wanted.rsa);
        let algorithm: &[&str] = if wanted.rsa == 0 {
            &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        } else {
            &["-newkey", &rsa]
        };
        let (key, request) = (file("key"), file("csr"));
        let words = ["req", "-new", "-nodes", "-subj", wanted.subject, "-keyout", &key, "-out", &request];
        openssl(at, &[&words[..], algorithm].concat());
        let path = |path: &Path| path.display().to_string();
        let signer = match wanted.by {
            Some(by) => vec!["-cert".to_owned(), path(&by.certificate), "-keyfile".to_owned(), path(&by.key)],
            None => vec!["-selfsign".to_owned(), "-keyfile".to_owned(), key.clone()],
        };
        let signer: Vec<&str> = signer.iter().map(String::as_str).collect();
        let (pem, ext) = (file("pem"), file("ext"));
        let (from, to) = wanted.valid;
        let words = [
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.cnf",
            "-in",
            &request,
            "-out",
            &pem,
            "-extfile",
            &ext,
            "-startdate",
            from,
            "-enddate",
            to,
            "-subj",
            wanted.subject,
        ];
        openssl(at, &[&words[..], &signer].concat());
        made
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

/// `openssl s_server`: shakes hands and serves no CWMP.
pub struct OpensslServer {
    port: u16,
    _process: Killed,
}

impl OpensslServer {
    /// Shows this certificate on a free port of `host`; `more` are further words of its command line.
    pub fn start(host: &str, port: u16, shown: &Made, more: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", &format!("{host}:{port}"), "-cert"]);
        command.arg(&shown.certificate).arg("-key").arg(&shown.key);
        // A weak key is the device's to refuse.
        command.args(["-cipher", "DEFAULT@SECLEVEL=0"]).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Killed(command.spawn().expect("openssl starts"));
        let mut lines = BufReader::new(process.0.stdout.take().expect("stdout is piped")).lines();
        let port = loop {
            let line = lines.next().expect("openssl says where it listens").expect("it is text");
            match line.strip_prefix("ACCEPT") {
                // It names the port only where it chose it.
                Some("") => break port,
                Some(address) => {
                    break address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
                }
                None => {}
            }
        };
        // What else it says is not read, and must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { port, _process: process }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn openssl(at: &Path, words: &[&str]) -> String {
    let output = Command::new("openssl").args(words).current_dir(at).stdin(Stdio::null()).output();
    let output = output.expect("openssl runs");
    assert!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
