//! What a certificate holds, and why it is refused, for people; all of it is the peer's text, so cleaned and bounded.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::{CertificateError, pki_types::UnixTime};
use x509_parser::{
    extensions::GeneralName, parse_x509_certificate, prelude::X509Certificate, public_key::PublicKey,
};

use crate::session::told::clean;

/// The shortest RSA key that is believed, in bits.
const MIN_RSA: usize = 2048;
/// The longest text of a certificate that is shown of each kind, in characters.
const MAX_SHOWN: usize = 160;
/// Names of a certificate that are looked at.
const MAX_NAMES: usize = 32;

const OR_PIN: &str = "or pin it with cwmp.acs_cert_sha256";

/// A certificate of the ACS, as far as it can be read.
pub struct Shown<'a> {
    der: &'a [u8],
    read: Option<X509Certificate<'a>>,
}

impl<'a> Shown<'a> {
    /// Reads the certificate (DER).
    pub fn new(der: &'a [u8]) -> Self {
        Self { der, read: parse_x509_certificate(der).ok().map(|(_, read)| read) }
    }

    /// What is pinned.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.der).into()
    }

    /// Why its key is too weak for any handshake.
    pub fn weakness(&self) -> Option<String> {
        match self.read.as_ref()?.public_key().parsed().ok()? {
            PublicKey::RSA(key) if key.key_size() < MIN_RSA => Some(format!(
                "the key of the ACS's certificate is too weak (RSA with {} bits): give it one of {MIN_RSA} bits or more",
                key.key_size()
            )),
            _ => None,
        }
    }

    /// Which check failed and what to do; `host` is that of the URL, `alone` says that no other certificate came.
    pub fn refusal(&self, why: &CertificateError, host: &str, alone: bool) -> String {
        match why {
            CertificateError::UnknownIssuer => self.unknown_issuer(alone),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                match (self.names(), self.subject()) {
                    (Some(names), _) => format!(
                        "the ACS's certificate is for {names}, the URL says {host}: set cwmp.acs_url to the name, {OR_PIN}"
                    ),
                    (None, Some(subject)) if subject.contains(host) => format!(
                        "the ACS's certificate names {host} in its subject only, which does not count: give it a subjectAltName, {OR_PIN}"
                    ),
                    (None, _) => format!(
                        "the ACS's certificate is for no name, the URL says {host}: give it a subjectAltName, {OR_PIN}"
                    ),
                }
            }
            CertificateError::ExpiredContext { not_after, .. } => format!(
                "a certificate in the ACS's chain expired on {}: renew it, or check the device's clock",
                day(*not_after)
            ),
            CertificateError::NotValidYetContext { not_before, .. } => format!(
                "a certificate in the ACS's chain is valid from {} on: check the device's clock",
                day(*not_before)
            ),
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => format!(
                "the ACS shows the certificate of an authority as its own: give it one signed by that authority, {OR_PIN}"
            ),
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => format!(
                "a signature in the ACS's chain is wrong, or made with a method or key that is too weak: give it another certificate, {OR_PIN}"
            ),
            CertificateError::BadEncoding => {
                format!("the ACS's certificate cannot be read: give it another one, {OR_PIN}")
            }
            other => {
                let other: String = shown(&format!("{other:?}"));
                format!("the ACS's certificate is refused ({other}): give it another one, {OR_PIN}")
            }
        }
    }

    /// What it holds: fingerprint, dates, names, issuer, subject.
    pub fn holds(&self) -> String {
        let fingerprint = format!("SHA-256 of the certificate: {}", HEXLOWER.encode(&self.fingerprint()));
        let Some(read) = &self.read else { return format!("[{fingerprint}]") };
        let validity = read.validity();
        let from = second(validity.not_before.timestamp());
        let to = second(validity.not_after.timestamp());
        let none = || "none".to_owned();
        let names = self.names().unwrap_or_else(none);
        let issuer = shown(&read.issuer().to_string());
        let subject = self.subject().unwrap_or_else(none);
        format!(
            "[{fingerprint}; valid from {from} to {to}; names: {names}; issued by: {issuer}; subject: {subject}]"
        )
    }

    fn unknown_issuer(&self, alone: bool) -> String {
        let issuer = self.read.as_ref().filter(|read| alone && read.issuer() != read.subject());
        let chain = issuer.map_or_else(String::new, |read| {
            format!(
                " (it sends no certificate of its issuer {}: if that is an intermediate one, give the ACS the whole chain)",
                shown(&read.issuer().to_string())
            )
        });
        format!(
            "no known authority vouches for the ACS's certificate{chain}: set cwmp.ca_file to that of its authority, {OR_PIN}"
        )
    }

    /// Its subject, if it has one.
    fn subject(&self) -> Option<String> {
        let subject = shown(&self.read.as_ref()?.subject().to_string());
        Some(subject).filter(|text| !text.is_empty())
    }

    /// Its subjectAltName, if it has one.
    fn names(&self) -> Option<String> {
        let names = self.read.as_ref()?.subject_alternative_name().ok()??;
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|ip| ip.to_string()),
            _ => None,
        };
        let names: Vec<_> = names.value.general_names.iter().take(MAX_NAMES).filter_map(name).collect();
        (!names.is_empty()).then(|| shown(&names.join(", ")))
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

fn shown(text: &str) -> String {
    clean(text, MAX_SHOWN)
}

/// A moment as people read it.
pub fn day(time: UnixTime) -> String {
    second(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

fn second(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "an unknown day".to_owned(), |t| t.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_has_a_fingerprint_all_the_same() {
        for bytes in [&b""[..], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30; 4096]] {
            let shown = Shown::new(bytes);
            assert!(shown.holds().starts_with("[SHA-256 of the certificate: "));
            assert!(shown.weakness().is_none());
            let said = shown.refusal(&CertificateError::BadEncoding, "acs", true);
            assert!(said.contains("cannot be read"), "{said}");
            assert!(
                shown.refusal(&CertificateError::NotValidForName, "acs", true).contains("subjectAltName")
            );
        }
    }

    #[test]
    fn shown_text_is_cleaned_and_bounded() {
        assert_eq!(shown("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
        assert_eq!(shown(&"x".repeat(5000)).len(), MAX_SHOWN);
    }
}
