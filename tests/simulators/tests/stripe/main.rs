//! Tests of the simulated Stripe through a client over real sockets.

#[cfg(test)]
mod boleto;
#[cfg(test)]
mod checkout;
#[cfg(test)]
mod client;
#[cfg(test)]
mod control;
#[cfg(test)]
mod dispute;
#[cfg(test)]
mod events;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod paging;
#[cfg(test)]
mod pix;
#[cfg(test)]
mod refund;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod schema;
