//! TLS to the ACS: its chain and name are checked always, or its certificate is the pinned one (TR-069 3.3).

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use ipc_proto::{UtcTime, worker::Trust};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
        SignatureScheme,
        client::{
            ResolvesClientCert, WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
        sign::CertifiedKey,
    },
};

use super::certificate::{Shown, day};

/// Before this moment no build of this program existed, so such a clock is not set (DECISIONS 19).
const BUILT: u64 = UtcTime::BUILT.millis().unsigned_abs() / 1000;
/// Certificates of a chain that may each be too young for the clock.
const MAX_WAIVED: usize = 8;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The trust cannot be used.
    #[error("{0}")]
    Setup(String),
    /// The ACS's certificate was refused.
    #[error("{0}")]
    Certificate(String),
    /// Another failure of the handshake.
    #[error("{0}")]
    Handshake(String),
}

/// TLS with one ACS; what is refused or let through is kept to be told.
pub struct Tls {
    /// Shakes hands.
    pub connector: TlsConnector,
    found: Arc<Found>,
    own: Arc<Own>,
}

/// What a handshake found.
#[derive(Debug, Default)]
struct Found {
    refused: Mutex<Option<String>>,
    waived: Mutex<Option<String>>,
}

/// Our own certificate, for an ACS that asks for it.
#[derive(Debug)]
struct Own {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

impl Tls {
    /// Reads the PEM texts of the configuration; `synchronised` is what the system says of its clock.
    pub fn new(trust: &Trust, synchronised: bool) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let found = Arc::default();
        let own = Arc::new(Own { key: own_key(trust, &provider)?, asked: AtomicBool::new(false) });
        let verifier = Verifier {
            belief: Belief::of(trust, &provider)?,
            provider: Arc::clone(&provider),
            synchronised,
            found: Arc::clone(&found),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::clone(&own) as Arc<dyn ResolvesClientCert>);
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), found, own })
    }

    /// Says why a handshake failed.
    pub fn explain(&self, error: &std::io::Error) -> TlsError {
        if let Some(refused) = lock(&self.found.refused).take() {
            return TlsError::Certificate(refused);
        }
        let asked_in_vain = self.own.key.is_none() && self.own.asked.load(Ordering::Relaxed);
        let known = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let known = known.and_then(|error| sentence(error, asked_in_vain));
        TlsError::Handshake(known.unwrap_or_else(|| {
            format!(
                "the TLS handshake with the ACS failed ({error}): does it speak TLS 1.2 or 1.3 at this port?"
            )
        }))
    }

    /// What the last handshake let through because of the clock, once.
    pub fn waived(&self) -> Option<String> {
        lock(&self.found.waived).take()
    }
}

fn lock(text: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Our certificate with its key, if there is one.
fn own_key(trust: &Trust, provider: &CryptoProvider) -> Result<Option<Arc<CertifiedKey>>, TlsError> {
    if trust.certificate.is_empty() {
        return Ok(None);
    }
    let bad = |what: &str, error: String| {
        TlsError::Setup(format!(
            "the device's own {what} cannot be used ({error}): check cwmp.client_cert and cwmp.client_key"
        ))
    };
    let chain = CertificateDer::pem_slice_iter(trust.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad("certificate", error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(trust.key.expose().as_bytes())
        .map_err(|error| bad("key", error.to_string()))?;
    let own = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => bad("key", "it is of another certificate".to_owned()),
        error => bad("certificate", error.to_string()),
    })?;
    Ok(Some(Arc::new(own)))
}

/// The name that the certificate must be for: the host of the URL, whatever it resolves to (TLS-02).
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bad =
        |_| TlsError::Setup(format!("{host} is no name that a certificate can hold: check cwmp.acs_url"));
    ServerName::try_from(host.to_owned()).map_err(bad)
}

/// Which certificates are believed.
#[derive(Debug)]
enum Belief {
    /// The one with this SHA-256, whatever else is wrong with it, and no other.
    Pinned([u8; 32]),
    /// Those that an authority vouches for.
    Vouched(Arc<WebPkiServerVerifier>),
}

impl Belief {
    fn of(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        if let Some(pin) = trust.pin {
            return Ok(Self::Pinned(pin));
        }
        let mut roots = RootCertStore::empty();
        let authorities = CertificateDer::pem_slice_iter(trust.authorities.as_bytes());
        // One that cannot be read vouches for nobody; bundles of distributions hold old ones.
        roots.add_parsable_certificates(authorities.filter_map(Result::ok));
        if roots.is_empty() {
            return Err(TlsError::Setup(
                "no authority is known that could vouch for the ACS: set cwmp.ca_file or cwmp.acs_cert_sha256"
                    .to_owned(),
            ));
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map(Self::Vouched)
            .map_err(|error| TlsError::Setup(error.to_string()))
    }
}

#[derive(Debug)]
struct Verifier {
    belief: Belief,
    provider: Arc<CryptoProvider>,
    synchronised: bool,
    found: Arc<Found>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Shown::new(end_entity);
        let pinned = match &self.belief {
            Belief::Pinned(pin) => Some(*pin == shown.fingerprint()),
            Belief::Vouched(_) => None,
        };
        if pinned == Some(false) {
            let why = "the ACS's certificate is not the pinned one: if it was renewed, set cwmp.acs_cert_sha256 to the new one, or empty to believe authorities again";
            return Err(self.refuse(why, &shown));
        }
        // Its signature would be refused later, with less to say.
        if let Some(why) = shown.weakness() {
            return Err(self.refuse(&why, &shown));
        }
        let Belief::Vouched(inner) = &self.belief else { return Ok(ServerCertVerified::assertion()) };
        let mut as_of = now;
        for _ in 0..MAX_WAIVED {
            match inner.verify_server_cert(end_entity, intermediates, name, ocsp, as_of) {
                Ok(verified) => {
                    if as_of != now {
                        self.waive(as_of);
                    }
                    return Ok(verified);
                }
                Err(error) => match waived(&error, now, self.synchronised) {
                    Some(other) => as_of = other,
                    None => {
                        let why = match &error {
                            rustls::Error::InvalidCertificate(why) => {
                                shown.refusal(why, &name.to_str(), intermediates.is_empty())
                            }
                            other => other.to_string(),
                        };
                        self.refuse(&why, &shown);
                        return Err(error);
                    }
                },
            }
        }
        Err(self.refuse("the dates in the ACS's chain contradict each other: give it another one", &shown))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Verifier {
    /// Keeps what people should read.
    fn refuse(&self, why: &str, shown: &Shown<'_>) -> rustls::Error {
        *lock(&self.found.refused) = Some(format!("{why} {}", shown.holds()));
        CertificateError::ApplicationVerificationFailure.into()
    }

    fn waive(&self, as_of: UnixTime) {
        *lock(&self.found.waived) = Some(format!(
            "the certificate of the ACS was checked as of {}: the device's clock is not synchronised, so that it does not count that a certificate is not valid yet",
            day(as_of)
        ));
    }
}

/// The moment as of which a certificate is checked again, where the clock is no reason to refuse it (DECISIONS 19).
fn waived(error: &rustls::Error, now: UnixTime, synchronised: bool) -> Option<UnixTime> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })
            if !synchronised =>
        {
            Some(*not_before)
        }
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })
            if now.as_secs() < BUILT =>
        {
            Some(*not_after)
        }
        _ => None,
    }
}

/// Why a handshake failed, or the connection right after it: a TLS 1.3 server refuses our certificate only then.
fn sentence(error: &rustls::Error, asked_in_vain: bool) -> Option<String> {
    use AlertDescription as Alert;
    let in_vain =
        || "the ACS wants a certificate of the device: set cwmp.client_cert and cwmp.client_key".to_owned();
    let old = || {
        "the ACS speaks neither TLS 1.2 nor TLS 1.3, and older ones are not safe: update it, or switch them on there"
            .to_owned()
    };
    match error {
        rustls::Error::AlertReceived(Alert::CertificateRequired) => Some(in_vain()),
        rustls::Error::AlertReceived(Alert::HandshakeFailure | Alert::BadCertificate) if asked_in_vain => {
            Some(in_vain())
        }
        rustls::Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError),
        ) => Some(format!(
            "the ACS refuses the device's certificate ({alert:?}): check cwmp.client_cert, and what the ACS believes"
        )),
        rustls::Error::AlertReceived(Alert::ProtocolVersion) => Some(old()),
        rustls::Error::PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            Some(old())
        }
        _ => None,
    }
}

/// The same, of an error of a connection; none where TLS has nothing to say about it.
pub fn after_handshake(error: &std::io::Error) -> Option<TlsError> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(TlsError::Handshake(
        sentence(error, false)
            .unwrap_or_else(|| format!("the TLS connection with the ACS broke ({error}): look at its log")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    }

    #[test]
    fn only_a_clock_that_is_not_synchronised_waives_not_yet_valid() {
        let early = |now, synchronised| {
            let context =
                CertificateError::NotValidYetContext { time: time(now), not_before: time(BUILT + 9) };
            waived(&rustls::Error::InvalidCertificate(context), time(now), synchronised)
        };
        assert_eq!(early(60, false), Some(time(BUILT + 9)));
        assert_eq!(early(BUILT + 1, false), Some(time(BUILT + 9)));
        assert_eq!(early(BUILT + 1, true), None);
    }

    #[test]
    fn expired_counts_whenever_the_clock_is_past_the_build() {
        let late = |now| {
            let context = CertificateError::ExpiredContext { time: time(now), not_after: time(9) };
            waived(&rustls::Error::InvalidCertificate(context), time(now), false)
        };
        assert_eq!(late(60), Some(time(9)));
        assert_eq!(late(BUILT), None);
    }

    #[test]
    fn without_authorities_and_pin_nobody_is_believed() {
        assert!(Tls::new(&Trust::default(), true).is_err());
        assert!(Tls::new(&Trust { pin: Some([0; 32]), ..Trust::default() }, true).is_ok());
    }
}
