//! Binary that runs the simulators until it is interrupted.

use std::path::PathBuf;

use clap::Parser;
use simulators::{Options, Ports};
use tokio::signal::unix::{SignalKind, signal};

/// Simulators of Efí (API Pix and API Cobranças), Stripe and Asaas. The README describes their control API.
#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 4100)]
    control_port: u16,
    /// Port of Efí's API Pix over HTTPS with a client certificate.
    #[arg(long, default_value_t = 4101)]
    efi_tls_port: u16,
    /// Port of the same API over plain HTTP.
    #[arg(long, default_value_t = 4105)]
    efi_port: u16,
    #[arg(long, default_value_t = 4102)]
    efi_cobrancas_port: u16,
    #[arg(long, default_value_t = 4103)]
    stripe_port: u16,
    #[arg(long, default_value_t = 4104)]
    asaas_port: u16,
    /// Folder that stores the authority (`ca.pem`) and the client certificate (`client.pem`).
    #[arg(long)]
    certificates: Option<PathBuf>,
    /// Seed of the generated ids.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let ports = Ports {
        control: arguments.control_port,
        efi_tls: arguments.efi_tls_port,
        efi: arguments.efi_port,
        efi_cobrancas: arguments.efi_cobrancas_port,
        stripe: arguments.stripe_port,
        asaas: arguments.asaas_port,
    };
    let options = Options {
        ports,
        certificates: arguments.certificates,
        seed: arguments.seed,
    };
    let simulators = simulators::start(options).await?;
    tracing::info!(
        control = %simulators.control, efi = %simulators.efi_tls, efi_plain = %simulators.efi, efi_cobrancas = %simulators.efi_cobrancas, stripe = %simulators.stripe,
        asaas = %simulators.asaas, "listening",
    );
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    simulators.stop().await;
    Ok(())
}
