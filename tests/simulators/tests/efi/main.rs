//! Tests of the simulated Efí through a client, and of features that all simulators share.

#[cfg(test)]
mod bacen;
#[cfg(test)]
mod billets;
#[cfg(test)]
mod certificate;
#[cfg(test)]
mod charges;
#[cfg(test)]
mod due_charges;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod links;
#[cfg(test)]
mod med;
#[cfg(test)]
mod notifications;
#[cfg(test)]
mod refunds;
#[cfg(test)]
mod server;
#[cfg(test)]
mod webhooks;
