//! Addresses of the gateways: platform configuration, never a merchant's input.

use std::path::PathBuf;

use url::Url;

/// Base URLs for one mode, without a trailing slash.
#[derive(Clone, Debug)]
pub struct Endpoints {
    pub efi_pix: Url,
    pub efi_cobrancas: Url,
    pub stripe: Url,
    pub asaas: Url,
    /// Additional certificate authority (PEM file) to trust for Efí: a simulator's.
    pub efi_ca_file: Option<PathBuf>,
}

impl Endpoints {
    /// Returns the production endpoints.
    pub fn live() -> Self {
        Self {
            efi_pix: fixed("https://pix.api.efipay.com.br"),
            efi_cobrancas: fixed("https://cobrancas.api.efipay.com.br"),
            stripe: fixed("https://api.stripe.com"),
            asaas: fixed("https://api.asaas.com"),
            efi_ca_file: None,
        }
    }

    /// Returns the endpoints of the gateways' own sandboxes.
    pub fn sandbox() -> Self {
        Self {
            efi_pix: fixed("https://pix-h.api.efipay.com.br"),
            efi_cobrancas: fixed("https://cobrancas-h.api.efipay.com.br"),
            stripe: fixed("https://api.stripe.com"),
            asaas: fixed("https://api-sandbox.asaas.com"),
            efi_ca_file: None,
        }
    }
}

fn fixed(url: &'static str) -> Url {
    Url::parse(url).expect("a literal URL")
}
