//! Tests of the simulated Asaas through a client over real sockets.

mod access;
mod captures;
mod cards;
mod checkouts;
mod listener;
mod lists;
mod payments;
mod queue;
mod refunds;
mod server;
