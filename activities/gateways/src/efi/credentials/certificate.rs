//! Client certificate, in either of the forms that Efí's dashboard and guides provide.

use base64::{Engine, engine::general_purpose::STANDARD};
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use reqwest::Identity;
use schemas::Instant;
use secrecy::{ExposeSecret, SecretString};
use x509_parser::pem::Pem;

/// Beginning of each PEM block.
const BEGIN: &str = "-----BEGIN";
/// Marks of a private key that has a password.
const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
/// Characters of a PEM line.
const LINE: usize = 64;

/// Parses PEM (certificate and key) as it is, with `\n` as text for its line ends, or in base64; or the `.p12` file with its empty
/// password in base64. The error states the problem and repeats no value.
pub(super) fn identity(certificate: &SecretString) -> Result<Identity, &'static str> {
    let pem = pem(certificate)?;
    Identity::from_pem(pem.expose_secret().as_bytes())
        .map_err(|_| "must hold a certificate and its private key that can be used")
}

/// Returns the instant at which the certificate expires.
pub(super) fn ends_at(certificate: &SecretString) -> Result<Instant, &'static str> {
    let pem = pem(certificate)?;
    // the client's own certificate comes first, its issuers after it
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
    if text.contains(BEGIN) {
        return unescaped(text);
    }
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = STANDARD
        .decode(compact)
        .map_err(|_| "must be PEM, or a .p12 file in base64")?;
    // a secret store or an environment variable may hold the PEM itself in base64
    match str::from_utf8(&bytes) {
        Ok(text) if text.contains(BEGIN) => unescaped(text),
        _ => of_p12(&bytes),
    }
}

/// Returns the PEM with real line ends: configuration files often hold them as `\n`.
fn unescaped(pem: &str) -> Result<SecretString, &'static str> {
    if ENCRYPTED.iter().any(|mark| pem.contains(mark)) {
        return Err(
            "its private key has a password: remove it, e.g. with `openssl pkey -in key.pem -out plain.pem`",
        );
    }
    Ok(pem.replace("\\r", "").replace("\\n", "\n").into())
}

fn of_p12(der: &[u8]) -> Result<SecretString, &'static str> {
    let store = KeyStore::from_pkcs12(der, "", Pkcs12ImportPolicy::Relaxed)
        .map_err(|error| p12_error(&error))?;
    let (_, chain) = store
        .private_key_chain()
        .ok_or("the .p12 file holds no private key")?;
    let mut pem = block("PRIVATE KEY", chain.key().as_der());
    for certificate in chain.certs() {
        pem += &block("CERTIFICATE", certificate.as_der());
    }
    Ok(pem.into())
}

/// Returns the problem of a `.p12` file. With a wrong password the file's digest differs; a file without a digest does not decrypt.
fn p12_error(error: &p12_keystore::error::Error) -> &'static str {
    use p12_keystore::error::Error;
    match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => {
            "the .p12 file has a password: export it again with an empty one, as Efí issues it, or give certificate and key as PEM"
        }
        _ => "is neither PEM nor a .p12 file",
    }
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
    use p12_keystore::KeyStoreEntry;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn made() -> (KeyPair, rcgen::Certificate) {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default().self_signed(&key);
        (key, certificate.expect("a certificate"))
    }

    fn p12(password: &str) -> String {
        let (key, certificate) = made();
        let certificate = p12_keystore::Certificate::from_der(certificate.der());
        let key = p12_keystore::PrivateKey::from_der(&key.serialize_der()).expect("a key");
        let certificates = [certificate.expect("a certificate")];
        let chain = p12_keystore::PrivateKeyChain::new("1", key, certificates);
        let mut store = KeyStore::new();
        store.add_entry("1", KeyStoreEntry::PrivateKeyChain(chain));
        STANDARD.encode(store.writer(password).write().expect("a file"))
    }

    #[test]
    fn a_certificate_is_read_in_each_of_the_forms_in_which_people_have_it() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (key, certificate) = made();
        let pem = key.serialize_pem() + &certificate.pem();
        let escaped = pem.replace("\r\n", "\n").replace('\n', "\\n");
        for (form, text) in [
            ("as it is", pem.clone()),
            ("with CRLF", pem.replace("\r\n", "\n").replace('\n', "\r\n")),
            ("with literal \\n", escaped.clone()),
            ("with literal \\r\\n", escaped.replace("\\n", "\\r\\n")),
            ("in base64", STANDARD.encode(&pem)),
            ("in base64, with literal \\n", STANDARD.encode(&escaped)),
            (".p12", p12("")),
        ] {
            let text = text.into();
            assert_eq!(identity(&text).err(), None, "{form}");
            assert!(ends_at(&text).is_ok(), "{form}");
        }
    }

    #[test]
    fn a_password_is_explained() {
        let (key, certificate) = made();
        let encrypted = key
            .serialize_pem()
            .replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
            + &certificate.pem();
        for (text, part) in [
            (p12("segredo"), "has a password"),
            (encrypted, "has a password"),
            (STANDARD.encode("neither of them"), "neither PEM nor"),
            ("C:\\certificado.p12".to_owned(), "must be PEM"),
        ] {
            let why = identity(&text.into()).expect_err("not read");
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn the_end_of_the_certificate_itself_is_read() {
        let key = KeyPair::generate().expect("a key");
        let made = |year| {
            let mut params = CertificateParams::default();
            params.not_after = date_time_ymd(year, 12, 1);
            params.self_signed(&key).expect("a certificate").pem()
        };
        // the key first, then the client's own certificate, then its issuer's
        let pem = key.serialize_pem() + &made(2031) + &made(2040);
        let ends = ends_at(&pem.into()).expect("an end");
        assert_eq!(ends.to_rfc3339(), "2031-12-01T00:00:00+00:00");
        assert!(ends_at(&"-----BEGIN RUBBISH-----".into()).is_err());
    }
}
