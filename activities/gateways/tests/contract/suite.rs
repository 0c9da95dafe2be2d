//! The promises, each a function over a bench.

mod account;
pub(crate) mod conditions;
mod creating;
mod ending;
mod money;
mod notifications;

pub(crate) use account::*;
pub(crate) use creating::*;
pub(crate) use ending::*;
pub(crate) use money::*;
pub(crate) use notifications::*;
