//! The contract: one suite of promises that each gateway meets for each payment method, over real sockets against the simulators.
//!
//! A gateway has one file here, which opens it and lists the promises that it meets. `Bench` opens it, `suite` contains the promises.
//! To add a gateway: a file like `efi.rs`.

/// Generates a test for each promise that the gateway opened by `$open` meets.
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
