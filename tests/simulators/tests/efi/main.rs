//! What a client of the simulated Efí sees, and what all simulators share.

mod bacen;
mod billets;
mod certificate;
mod charges;
mod due_charges;
mod faults;
mod links;
mod med;
mod notifications;
mod refunds;
mod webhooks;
mod world;
