//! State changes of a payment by the payer, the card's bank, the merchant in the dashboard, or time. `docs/gateways/asaas.md#statuses`.

use chrono::{DateTime, Datelike, TimeDelta, Utc, Weekday};

use super::{
    answer::{beginning, day_of},
    behavior::{Behavior, Card, ChargebackLost, PixDispute},
    event::ReportedEvent,
    payment::{Billing, Payment},
};
use crate::sim::Sim;

/// Dispute of a payment.
#[derive(Clone, Copy)]
pub(super) struct Dispute {
    pub amount: i64,
    pub open: bool,
    /// Status that a won dispute restores.
    before: &'static str,
}

/// Context of a state change: the time, the settings, and the resulting events and checks.
pub(super) struct Moment<'a> {
    pub now: DateTime<Utc>,
    pub sim: &'a Sim,
    pub behavior: &'a Behavior,
    pub reported: Vec<ReportedEvent>,
    /// Times and ids of the next checks.
    pub scheduled: Vec<(DateTime<Utc>, String)>,
}

type Done = Result<(), String>;

impl Moment<'_> {
    /// Adds an event with the payment's current state.
    pub(super) fn notify(&mut self, event: &str, payment: &Payment) {
        self.reported.push(ReportedEvent {
            account: payment.account.clone(),
            event: event.to_owned(),
            about: "payment",
            json: payment.json(),
        });
    }

    pub(super) fn schedule(&mut self, at: DateTime<Utc>, id: &str) {
        self.scheduled.push((at, id.to_owned()));
    }
}

impl Payment {
    pub(super) fn begin(&mut self, moment: &mut Moment) {
        moment.notify("PAYMENT_CREATED", self);
        self.expect(moment);
    }

    /// Schedules checks for the day after the due date and for the end of the boleto.
    pub(super) fn expect(&self, moment: &mut Moment) {
        moment.schedule(beginning(self.due + TimeDelta::days(1)), &self.id);
        if let Some(ends) = self.slip_ends() {
            moment.schedule(ends, &self.id);
        }
    }

    /// Pays `amount`, or the charge's amount. A second call settles the payment.
    pub(super) fn pay(&mut self, amount: Option<i64>, moment: &mut Moment) -> Done {
        match self.status {
            "CONFIRMED" => self.settle(moment),
            "AWAITING_RISK_ANALYSIS" => {
                moment.notify("PAYMENT_APPROVED_BY_RISK_ANALYSIS", self);
                self.confirm(moment);
            }
            "AUTHORIZED" => self.confirm(moment),
            "PENDING" | "OVERDUE" => self.pay_first(amount, moment)?,
            _ if self.paid_at.is_some() => return Err("it is paid already".to_owned()),
            status => return Err(format!("a payment that is {status} cannot be paid")),
        }
        Ok(())
    }

    fn pay_first(&mut self, amount: Option<i64>, moment: &mut Moment) -> Done {
        if self.billing == Billing::Boleto && self.slip_cancelled {
            return Err("its boleto is not registered any more".to_owned());
        }
        if self.billing == Billing::Undefined {
            self.asked.billing = Billing::Pix;
        }
        // a late payment also arrives for a deleted charge
        self.deleted = false;
        if let Some(amount) = amount.filter(|amount| *amount != self.amount) {
            self.original = Some(self.amount);
            self.asked.amount = amount;
        }
        match (self.billing, moment.behavior.card) {
            (Billing::CreditCard, Card::Review) => {
                self.status = "AWAITING_RISK_ANALYSIS";
                moment.notify("PAYMENT_AWAITING_RISK_ANALYSIS", self);
            }
            (Billing::CreditCard, Card::Authorize) => {
                self.status = "AUTHORIZED";
                moment.notify("PAYMENT_AUTHORIZED", self);
            }
            (Billing::CreditCard | Billing::Boleto, _) => self.confirm(moment),
            (Billing::Pix | Billing::Undefined, _) => {
                self.paid_at = Some(moment.now);
                self.credit_at = Some(moment.now);
                self.pix = Some((super::uuid(moment.sim), end_to_end('E', moment)));
                self.settle(moment);
            }
        }
        Ok(())
    }

    fn confirm(&mut self, moment: &mut Moment) {
        let days = match self.billing {
            Billing::CreditCard => moment.behavior.card_credit_days,
            _ => moment.behavior.boleto_credit_days,
        };
        let credit_at = business_day(moment.now, days);
        self.paid_at = Some(moment.now);
        self.credit_at = Some(credit_at);
        self.status = "CONFIRMED";
        moment.schedule(credit_at, &self.id);
        moment.notify("PAYMENT_CONFIRMED", self);
    }

    fn settle(&mut self, moment: &mut Moment) {
        self.received_at = Some(moment.now);
        self.status = "RECEIVED";
        moment.notify("PAYMENT_RECEIVED", self);
    }

    pub(super) fn overdue(&mut self, moment: &mut Moment) -> Done {
        if self.deleted || self.status != "PENDING" {
            return Err(format!("it is {}", self.status));
        }
        self.status = "OVERDUE";
        moment.notify("PAYMENT_OVERDUE", self);
        Ok(())
    }

    pub(super) fn delete(&mut self, moment: &mut Moment) -> Done {
        if self.deleted || !self.is_open() {
            return Err(format!("it is {}", self.status));
        }
        self.deleted = true;
        moment.notify("PAYMENT_DELETED", self);
        Ok(())
    }

    /// Declines the card. The payer may try again.
    pub(super) fn fail(&mut self, moment: &mut Moment) -> Done {
        if self.billing != Billing::CreditCard {
            return Err("only a card is refused".to_owned());
        }
        let event = match self.status {
            "AWAITING_RISK_ANALYSIS" => "PAYMENT_REPROVED_BY_RISK_ANALYSIS",
            "PENDING" | "OVERDUE" | "AUTHORIZED" => "PAYMENT_CREDIT_CARD_CAPTURE_REFUSED",
            status => return Err(format!("it is {status}")),
        };
        if !self.is_open() {
            self.status = "PENDING";
        }
        moment.notify(event, self);
        Ok(())
    }

    /// Opens a dispute by the payer. A second call contests it for the merchant.
    pub(super) fn dispute_by_payer(&mut self, amount: Option<i64>, moment: &mut Moment) -> Done {
        let amount = amount.unwrap_or_else(|| self.amount - self.refunded());
        match (self.status, self.billing) {
            ("CHARGEBACK_REQUESTED", _) => {
                self.status = "CHARGEBACK_DISPUTE";
                moment.notify("PAYMENT_CHARGEBACK_DISPUTE", self);
                return Ok(());
            }
            ("CONFIRMED" | "RECEIVED", Billing::CreditCard | Billing::Pix) => {}
            (status, billing) => return Err(format!("{} is {status}", billing.word())),
        }
        if amount < 1 || amount > self.amount - self.refunded() {
            return Err("more than what is left".to_owned());
        }
        if self.dispute.is_some_and(|dispute| dispute.open) {
            return Err("a dispute is open".to_owned());
        }
        self.dispute = Some(Dispute {
            amount,
            open: true,
            before: self.status,
        });
        let how = moment.behavior.pix_dispute;
        if self.billing == Billing::CreditCard || how == PixDispute::Chargeback {
            self.status = "CHARGEBACK_REQUESTED";
            moment.notify("PAYMENT_CHARGEBACK_REQUESTED", self);
        } else if how == PixDispute::Refund {
            self.dispute = self.dispute.map(|dispute| Dispute {
                open: false,
                ..dispute
            });
            self.give_back(amount, moment);
        }
        Ok(())
    }

    pub(super) fn close_dispute(&mut self, won: bool, moment: &mut Moment) -> Done {
        let open = self.dispute.as_mut().filter(|dispute| dispute.open);
        let dispute = open.ok_or("there is no open dispute")?;
        dispute.open = false;
        let Dispute { amount, before, .. } = *dispute;
        let silent = !self.status.starts_with("CHARGEBACK");
        if won {
            self.dispute = None;
            if !silent {
                self.status = "AWAITING_CHARGEBACK_REVERSAL";
                moment.notify("PAYMENT_AWAITING_CHARGEBACK_REVERSAL", self);
                self.status = before;
                moment.notify(&format!("PAYMENT_{before}"), self);
            }
        } else if silent || moment.behavior.chargeback_lost == ChargebackLost::Refunded {
            self.status = before;
            self.give_back(amount, moment);
        }
        Ok(())
    }

    /// Applies the changes that are due by the clock.
    pub(super) fn wake(&mut self, moment: &mut Moment) {
        self.end_due_refunds(moment);
        if self.deleted {
            return;
        }
        if self.status == "PENDING" && self.due < day_of(moment.now) {
            let _ = self.overdue(moment);
        }
        let slip_ended = self.slip_ends().is_some_and(|ends| ends <= moment.now);
        if self.is_open() && slip_ended && !self.slip_cancelled {
            self.slip_cancelled = true;
            moment.notify("PAYMENT_BANK_SLIP_CANCELLED", self);
        }
        let credited = self.credit_at.is_some_and(|at| at <= moment.now);
        if self.status == "CONFIRMED" && credited {
            self.settle(moment);
        }
    }
}

/// Returns a Pix id in BACEN's format of 32 characters: a letter, the bank, the UTC minute, and 11 random characters.
pub(super) fn end_to_end(letter: char, moment: &Moment) -> String {
    let minute = moment.now.format("%Y%m%d%H%M");
    format!("{letter}19540550{minute}{}", moment.sim.random(11))
}

/// Returns the start of the day that is `days` later, or of the Monday after a weekend.
fn business_day(now: DateTime<Utc>, days: i64) -> DateTime<Utc> {
    let day = day_of(now) + TimeDelta::days(days);
    let wait = match day.weekday() {
        Weekday::Sat => 2,
        Weekday::Sun => 1,
        _ => 0,
    };
    beginning(day + TimeDelta::days(wait)).max(now)
}
