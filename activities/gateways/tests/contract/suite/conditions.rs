//! Conditions on which promises apply: what the gateway's capabilities for the method declare.

use gateways::descriptor::{Disputes, Refunds, Unpaid};
use schemas::payment_method::PaymentMethodKind;

use crate::bench::Bench;

pub(crate) fn always(_: &Bench) -> bool {
    true
}

pub(crate) fn creates_once(bench: &Bench) -> bool {
    bench.capabilities().idempotent_for.is_some()
}

/// Returns true if the gateway receives the payer's document with the order and checks it.
pub(crate) fn checks_documents(bench: &Bench) -> bool {
    bench.checks_documents()
}

pub(crate) fn shows_a_code(bench: &Bench) -> bool {
    bench.kind() == PaymentMethodKind::Pix
}

/// Returns true if the charge ends by itself. A Pix with a due date stays registered for days after it.
pub(crate) fn expires(bench: &Bench) -> bool {
    let is_due_pix = shows_a_code(bench) && bench.order.method.due().is_some();
    !is_due_pix && bench.capabilities().unpaid == Unpaid::Expires
}

pub(crate) fn stays_payable(bench: &Bench) -> bool {
    bench.capabilities().unpaid == Unpaid::StaysPayable
}

pub(crate) fn declines(bench: &Bench) -> bool {
    bench.capabilities().declines
}

pub(crate) fn refunds(bench: &Bench) -> bool {
    bench.capabilities().refundable().is_ok()
}

pub(crate) fn refunds_in_parts(bench: &Bench) -> bool {
    bench.capabilities().refunds == Refunds::InParts
}

pub(crate) fn refunds_once(bench: &Bench) -> bool {
    refunds(bench) && bench.capabilities().refund_idempotent_for.is_some()
}

pub(crate) fn refunds_nothing(bench: &Bench) -> bool {
    !refunds(bench)
}

pub(crate) fn reports_disputes(bench: &Bench) -> bool {
    bench.capabilities().disputes != Disputes::Unreported
}

pub(crate) fn shows_disputes(bench: &Bench) -> bool {
    may_win_disputes(bench) || bench.capabilities().disputes == Disputes::Final
}

pub(crate) fn may_win_disputes(bench: &Bench) -> bool {
    bench.capabilities().disputes == Disputes::Contestable
}

/// Returns true for the first method of the gateway: promises about the account do not depend on the method.
pub(crate) fn is_first_of_the_account(bench: &Bench) -> bool {
    let first = bench.gateway.descriptor().methods.first();
    first.is_some_and(|first| first.kind == bench.kind())
}

pub(crate) fn has_one_address(bench: &Bench) -> bool {
    let webhooks = bench.gateway.descriptor().webhooks;
    is_first_of_the_account(bench) && webhooks.has_one_address
}
