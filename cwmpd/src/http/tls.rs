//! TLS to the ACS: its chain and name are checked always, or its certificate is the pinned one (TR-069 3.3).

use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER;
use ipc_proto::worker::Trust;
use sha2::{Digest, Sha256};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    },
};

/// Before this moment (2026-01-01) no build of this program existed, so such a clock is not set (DECISIONS 19).
const BUILT: u64 = 1_767_225_600;

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
    #[error("the TLS handshake with the ACS failed ({0}): does it speak TLS 1.2 or 1.3 at this port?")]
    Handshake(String),
}

/// TLS with one ACS; what is refused is kept to be told.
pub struct Tls {
    /// Shakes hands.
    pub connector: TlsConnector,
    refused: Arc<Mutex<Option<String>>>,
}

impl Tls {
    /// Reads the PEM texts of the configuration.
    pub fn new(trust: &Trust) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let refused = Arc::default();
        let verifier = Verifier {
            belief: Belief::of(trust, &provider)?,
            provider: Arc::clone(&provider),
            refused: Arc::clone(&refused),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = if trust.certificate.is_empty() {
            builder.with_no_client_auth()
        } else {
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
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| bad("certificate", error.to_string()))?
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), refused })
    }

    /// Says why a handshake failed.
    pub fn explain(&self, error: &std::io::Error) -> TlsError {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.map_or_else(|| TlsError::Handshake(error.to_string()), TlsError::Certificate)
    }
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
    refused: Arc<Mutex<Option<String>>>,
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
        let fingerprint: [u8; 32] = Sha256::digest(end_entity).into();
        let inner = match &self.belief {
            Belief::Pinned(pin) if *pin == fingerprint => return Ok(ServerCertVerified::assertion()),
            Belief::Pinned(_) => {
                let why = "the ACS's certificate is not the pinned one: if it was renewed, set cwmp.acs_cert_sha256 to the new one, or empty to believe authorities again";
                self.tell(why, &fingerprint);
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
            Belief::Vouched(inner) => inner,
        };
        let check = |now| inner.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        let verified = match check(now) {
            Err(error) => match waived_until(&error, now) {
                Some(later) => check(later),
                None => Err(error),
            },
            verified => verified,
        };
        verified.map_err(|error| self.refuse(error, &fingerprint, name))
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
    fn refuse(&self, error: rustls::Error, fingerprint: &[u8; 32], name: &ServerName<'_>) -> rustls::Error {
        let why = match &error {
            rustls::Error::InvalidCertificate(why) => sentence(why, &name.to_str()),
            other => other.to_string(),
        };
        self.tell(&why, fingerprint);
        error
    }

    /// Keeps what people should read.
    fn tell(&self, why: &str, fingerprint: &[u8; 32]) {
        let text = format!("{why} [SHA-256 of the certificate: {}]", HEXLOWER.encode(fingerprint));
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

/// Where the clock is not set, the moment from which the certificate is valid; then it is checked as of that moment.
fn waived_until(error: &rustls::Error, now: UnixTime) -> Option<UnixTime> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })
            if now.as_secs() < BUILT =>
        {
            Some(*not_before)
        }
        _ => None,
    }
}

/// Which check failed, and what to do.
fn sentence(why: &CertificateError, name: &str) -> String {
    let pin = "or pin it with cwmp.acs_cert_sha256";
    match why {
        CertificateError::UnknownIssuer => {
            format!(
                "no known authority vouches for the ACS's certificate: set cwmp.ca_file to that of its authority, {pin}"
            )
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
            let names: String = names.chars().filter(|c| !c.is_control()).take(300).collect();
            format!(
                "the ACS's certificate is for {names}, the URL says {name}: set cwmp.acs_url to the name, {pin}"
            )
        }
        CertificateError::NotValidForName => {
            format!("the ACS's certificate is not for {name}: set cwmp.acs_url to its name, {pin}")
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!(
                "the ACS's certificate expired on {}: renew it, or check the device's clock",
                day(*not_after)
            )
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the ACS's certificate is valid from {} on: check the device's clock", day(*not_before))
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            format!(
                "the ACS shows the certificate of an authority as its own: give it one signed by that authority, {pin}"
            )
        }
        other => format!("the ACS's certificate is refused ({other:?}): give it another one, {pin}"),
    }
}

fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "an unknown day".to_owned(), |t| t.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_is_not_set_waives_not_yet_valid() {
        let time = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let early = |now| {
            let context =
                CertificateError::NotValidYetContext { time: time(now), not_before: time(BUILT + 9) };
            waived_until(&rustls::Error::InvalidCertificate(context), time(now))
        };
        assert_eq!(early(60), Some(time(BUILT + 9)));
        assert_eq!(early(BUILT + 1), None);
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(waived_until(&expired, time(60)), None);
    }

    #[test]
    fn without_authorities_and_pin_nobody_is_believed() {
        assert!(Tls::new(&Trust::default()).is_err());
        assert!(Tls::new(&Trust { pin: Some([0; 32]), ..Trust::default() }).is_ok());
    }
}
