//! The simulators' certificate authority, the certificate of Efí's listener, and a client certificate.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use tokio_rustls::TlsAcceptor;

/// Certificates and keys in PEM.
pub(crate) struct Certificates {
    pub ca: String,
    pub client: String,
    server: String,
}

const FILES: [&str; 3] = ["ca.pem", "client.pem", "server.pem"];

impl Certificates {
    /// Reads the certificates of the folder, or creates new ones if a file is missing.
    pub(crate) fn open(folder: Option<&Path>) -> anyhow::Result<Self> {
        let Some(folder) = folder else {
            return Self::make();
        };
        if FILES.iter().all(|file| folder.join(file).exists()) {
            let read = |file| {
                fs::read_to_string(folder.join(file)).with_context(|| format!("reading {file}"))
            };
            return Ok(Self {
                ca: read(FILES[0])?,
                client: read(FILES[1])?,
                server: read(FILES[2])?,
            });
        }
        let made = Self::make()?;
        fs::create_dir_all(folder)?;
        for (file, text) in FILES.iter().zip([&made.ca, &made.client, &made.server]) {
            fs::write(folder.join(file), text)?;
        }
        Ok(made)
    }

    fn make() -> anyhow::Result<Self> {
        let mut authority = CertificateParams::new(Vec::<String>::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "Simulated Authority");
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let issue = |names: Vec<String>, name: &str| -> anyhow::Result<String> {
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate()?;
            Ok(params.signed_by(&key, &issuer)?.pem() + &key.serialize_pem())
        };
        Ok(Self {
            server: issue(
                vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
                "localhost",
            )?,
            client: issue(Vec::new(), "Simulated Client")?,
            ca: issuer.pem(),
        })
    }

    /// Returns a client that presents a certificate of the authority. It accepts any server certificate, because receivers on developers'
    /// machines use self-signed ones.
    pub(crate) fn client(&self) -> anyhow::Result<reqwest::Client> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .identity(reqwest::Identity::from_pem(self.client.as_bytes())?)
            .tls_danger_accept_invalid_certs(true);
        Ok(client.build()?)
    }

    /// Returns an acceptor that accepts only clients whose certificate the authority signed, and no client while `refuses` is true.
    pub(crate) fn acceptor(&self, refuses: Arc<AtomicBool>) -> anyhow::Result<TlsAcceptor> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()?;
        let chain = CertificateDer::pem_slice_iter(self.server.as_bytes())
            .collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(self.server.as_bytes())?;
        let clients = Arc::new(Gate { clients, refuses });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)?;
        // a resumed session would not present its certificate again
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Verifier of client certificates that rejects every certificate while `refuses` is true.
#[derive(Debug)]
struct Gate {
    clients: Arc<dyn ClientCertVerifier>,
    refuses: Arc<AtomicBool>,
}

impl ClientCertVerifier for Gate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(CertificateError::Revoked.into());
        }
        self.clients
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.supported_verify_schemes()
    }
}
