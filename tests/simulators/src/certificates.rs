//! An authority of our own, the certificate of Efí's listener, and one for clients.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

/// All in PEM.
pub(crate) struct Certificates {
    pub ca_pem: String,
    pub client_pem: String,
    server_pem: String,
}

const FILES: [&str; 3] = ["ca.pem", "client.pem", "server.pem"];

impl Certificates {
    /// Those of the folder; new ones where it has none.
    pub(crate) fn open(folder: Option<&Path>) -> anyhow::Result<Self> {
        let Some(folder) = folder else {
            return Self::make();
        };
        if FILES.iter().all(|file| folder.join(file).exists()) {
            let read = |file| {
                fs::read_to_string(folder.join(file)).with_context(|| format!("reading {file}"))
            };
            return Ok(Self {
                ca_pem: read(FILES[0])?,
                client_pem: read(FILES[1])?,
                server_pem: read(FILES[2])?,
            });
        }
        let made = Self::make()?;
        fs::create_dir_all(folder)?;
        for (file, text) in FILES
            .iter()
            .zip([&made.ca_pem, &made.client_pem, &made.server_pem])
        {
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
            server_pem: issue(
                vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
                "localhost",
            )?,
            client_pem: issue(Vec::new(), "Simulated Client")?,
            ca_pem: issuer.pem(),
        })
    }

    /// Takes only clients whose certificate the authority signed.
    pub(crate) fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()?;
        let chain = CertificateDer::pem_slice_iter(self.server_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(self.server_pem.as_bytes())?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
