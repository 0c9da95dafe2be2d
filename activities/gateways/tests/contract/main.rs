//! The contract: one suite of promises that each gateway keeps for each payment method, over real sockets against the simulators.
//!
//! A gateway has one file here, which opens it and lists the promises that it keeps. `Bench` says how it is opened, `suite`
//! holds the promises. To add a gateway: a file like `efi.rs`.

/// A test for each promise that the gateway opened by `$open` keeps.
macro_rules! promises {
    ($open:path: $($promise:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $promise() {
            crate::suite::$promise(&$open().await).await;
        }
    )+};
}

mod asaas;
mod bench;
mod control;
mod efi;
mod receiver;
mod requests;
mod stripe;
mod suite;
