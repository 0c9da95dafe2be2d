//! Promises to merchants and operators, one test each.

mod breaker;
mod cancel;
mod capacity;
mod charges;
mod deliveries;
mod delivery_queue;
mod detached;
mod dummy;
mod faults;
mod idempotency;
mod inbound;
mod input;
mod kafka;
mod maintenance;
mod methods;
mod notifications;
mod operations;
mod privacy;
mod recovery;
mod refunds;
mod rules;
mod statements;
mod temporal;
mod unknown;
