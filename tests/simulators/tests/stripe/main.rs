//! Stripe's simulator, as a client sees it over a real socket.

mod boleto;
mod checkout;
mod client;
mod control;
mod dispute;
mod events;
mod idempotency;
mod paging;
mod pix;
mod refund;
mod refusals;
mod schema;
