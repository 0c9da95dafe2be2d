//! The client certificate, in either of the forms that Efí's panel and its guides give.

use base64::{Engine, engine::general_purpose::STANDARD};
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use reqwest::Identity;
use schemas::Instant;
use secrecy::{ExposeSecret, SecretString};
use x509_parser::pem::Pem;

/// PEM lines have this many characters.
const LINE: usize = 64;

/// PEM (certificate and key), or the `.p12` file with its empty password in base64. The error tells what is wrong, and repeats nothing.
pub(crate) fn identity(certificate: &SecretString) -> Result<Identity, &'static str> {
    let pem = pem(certificate)?;
    Identity::from_pem(pem.expose_secret().as_bytes())
        .map_err(|_| "must hold a certificate and its private key that can be used")
}

/// After this instant the certificate proves nothing any more.
pub(super) fn ends_at(certificate: &SecretString) -> Result<Instant, &'static str> {
    let pem = pem(certificate)?;
    // the client's own certificate comes first, those that signed it after
    Pem::iter_from_buffer(pem.expose_secret().as_bytes())
        .filter_map(Result::ok)
        .find(|block| block.label == "CERTIFICATE")
        .and_then(|block| {
            let ends = block.parse_x509().ok()?.validity().not_after.timestamp();
            Instant::from_timestamp(ends, 0)
        })
        .ok_or("must hold a certificate whose validity can be read")
}

fn pem(certificate: &SecretString) -> Result<SecretString, &'static str> {
    let text = certificate.expose_secret();
    if text.contains("-----BEGIN") {
        return Ok(certificate.clone());
    }
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD
        .decode(compact)
        .map_err(|_| "must be PEM, or a .p12 file in base64")?;
    let store = KeyStore::from_pkcs12(&der, "", Pkcs12ImportPolicy::Relaxed)
        .map_err(|_| "is not a .p12 file with an empty password")?;
    let (_, chain) = store
        .private_key_chain()
        .ok_or("the .p12 file holds no private key")?;
    let mut pem = block("PRIVATE KEY", chain.key().as_der());
    for certificate in chain.certs() {
        pem += &block("CERTIFICATE", certificate.as_der());
    }
    Ok(pem.into())
}

fn block(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(LINE)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_of_the_certificate_itself_is_read() {
        let key = KeyPair::generate().expect("a key");
        let made = |year| {
            let mut params = CertificateParams::default();
            params.not_after = date_time_ymd(year, 12, 1);
            params.self_signed(&key).expect("a certificate").pem()
        };
        // the key first, then the client's own, then the one that signed it
        let pem = key.serialize_pem() + &made(2031) + &made(2040);
        let ends = ends_at(&pem.into()).expect("an end");
        assert_eq!(ends.to_rfc3339(), "2031-12-01T00:00:00+00:00");
        assert!(ends_at(&"-----BEGIN RUBBISH-----".into()).is_err());
    }
}
