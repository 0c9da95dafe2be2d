#![doc = include_str!("../README.md")]

pub mod attempt;
pub mod boleto_line;
pub mod br_code;
pub mod breaker;
pub mod calendar;
pub mod charge;
pub mod connection;
pub mod contact;
pub mod delivery;
pub mod dispute;
pub mod document;
pub mod event;
pub mod fee;
pub mod gateway;
pub mod id;
pub mod mask;
pub mod merchant;
pub mod message;
pub mod next_action;
pub mod page;
pub mod payer;
pub mod payment;
pub mod payment_method;
pub mod problem;
pub mod refund;
pub mod retry;
pub mod route;
pub mod text;
pub mod timeline;
pub mod validate;
pub mod webhook_endpoint;

/// A point in time, in UTC. The wire form is RFC 3339.
pub type Instant = chrono::DateTime<chrono::Utc>;
