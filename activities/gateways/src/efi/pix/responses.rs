//! Charges of the API Pix (`cob`, `cobv`), mapped to our types.

use chrono::{Days, NaiveDate, TimeDelta};
use schemas::{
    Instant,
    attempt::ErrorClass,
    calendar::{self, business_day_from},
    next_action::NextAction,
    payment_method::DueDate,
};
use serde::Deserialize;

use super::{disputes::Infraction, refunds, responses::received::Received};
use crate::{GatewayCharge, GatewayError, GatewayStatus, money, pix_code};

pub(in crate::efi::pix) mod received;

/// Charge, immediate or with a due date. Fields that we do not need are not read, so that they cannot break anything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cob {
    txid: String,
    status: String,
    calendario: Calendar,
    valor: Amount,
    pix_copia_e_cola: Option<String>,
    #[serde(default)]
    pub pix: Vec<Received>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calendar {
    criacao: Instant,
    #[serde(default = "a_day")]
    expiracao: i64,
    /// Due date, of a `cobv` only.
    data_de_vencimento: Option<NaiveDate>,
    #[serde(default = "a_month")]
    validade_apos_vencimento: u16,
}

/// Returns BACEN's default lifetime in seconds.
fn a_day() -> i64 {
    86_400
}

/// Returns BACEN's default number of payable days after the due date.
fn a_month() -> u16 {
    30
}

#[derive(Debug, Deserialize)]
struct Amount {
    original: String,
}

/// Status of a charge that is neither paid nor removed.
const ACTIVE: &str = "ATIVA";

/// Position of an instant in a charge's lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Running,
    /// Past the due date and still payable.
    Late,
    Over,
}

/// Maps a charge's status. `ATIVA` does not change when the charge expires: BACEN has no status for that.
fn status(theirs: &str, time: Time) -> Option<GatewayStatus> {
    Some(match (theirs, time) {
        (ACTIVE, Time::Running) => GatewayStatus::Pending,
        (ACTIVE, Time::Late) => GatewayStatus::Overdue,
        (ACTIVE, Time::Over) => GatewayStatus::Expired,
        ("CONCLUIDA", _) => GatewayStatus::Paid,
        ("REMOVIDA_PELO_USUARIO_RECEBEDOR" | "REMOVIDA_PELO_PSP", _) => GatewayStatus::Canceled,
        _ => return None,
    })
}

impl Calendar {
    /// Returns the last instant at which we show the charge, and the position of `now` in its lifetime.
    fn read(&self, now: Instant) -> (Instant, Time) {
        let Some(due_date) = self.data_de_vencimento else {
            let life = TimeDelta::try_seconds(self.expiracao).unwrap_or(TimeDelta::MAX);
            let end = self.criacao.checked_add_signed(life);
            let end = end.unwrap_or(Instant::MAX_UTC);
            let time = if end <= now {
                Time::Over
            } else {
                Time::Running
            };
            return (end, time);
        };
        let due = DueDate {
            due_date,
            days_after_due: self.validade_apos_vencimento,
            fine_bps: 0,
            monthly_interest_bps: 0,
            discount: None,
        };
        // BACEN moves the due date to a business day first, and counts the further days from there
        let costs_more_after = business_day_from(due_date);
        let days = Days::new(u64::from(self.validade_apos_vencimento));
        let last = costs_more_after
            .checked_add_days(days)
            .map_or(NaiveDate::MAX, business_day_from);
        let time = match calendar::today(now) {
            today if today > last => Time::Over,
            today if today > costs_more_after => Time::Late,
            _ => Time::Running,
        };
        (due.payable_until(), time)
    }
}

impl Cob {
    /// Returns true if Efí would still accept a payment for it, even after its expiry.
    pub(super) fn is_active(&self) -> bool {
        self.status == ACTIVE
    }

    /// Returns the charge with its disputes. `reported_at`: time of the answer by Efí's clock. `None`: the charge is taken as not expired.
    pub(super) fn to_charge(
        &self,
        reported_at: Option<Instant>,
        infractions: &[Infraction],
    ) -> Result<GatewayCharge, GatewayError> {
        let unreadable = |what| GatewayError::new(ErrorClass::Unknown, "unreadable", what);
        let made_at = self.calendario.criacao;
        let (expires_at, time) = self.calendario.read(reported_at.unwrap_or(made_at));
        let status = status(&self.status, time)
            .ok_or_else(|| unreadable("the charge has a status that is not known"))?;
        let amount = money::centavos(&self.valor.original)
            .ok_or_else(|| unreadable("the charge's amount is not readable"))?;
        let code = self.pix_copia_e_cola.as_deref();
        let code = code.filter(|_| status.is_payable());
        let next_action = pix_code::as_issued("efi", code).map(|copy_paste| NextAction::Pix {
            copy_paste,
            qr_code_url: None,
            expires_at,
        });
        let mut disputes: Vec<_> = infractions
            .iter()
            .filter_map(Infraction::to_dispute)
            .collect();
        for pix in &self.pix {
            let is_known = disputes
                .iter()
                .any(|known| known.payment == pix.end_to_end_id);
            // money that the banks took belongs to a known dispute; it makes one only if the application may not read disputes
            if !is_known {
                disputes.extend(refunds::claimed(pix));
            }
        }
        Ok(GatewayCharge {
            payments: self.pix.iter().filter_map(Received::to_payment).collect(),
            refunds: self.pix.iter().flat_map(refunds::read_refund).collect(),
            disputes,
            status,
            next_action,
            ..GatewayCharge::known(&self.txid, &self.txid, amount)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_cob_has_ours() {
        for (theirs, time, ours) in [
            ("ATIVA", Time::Running, Some(GatewayStatus::Pending)),
            ("ATIVA", Time::Late, Some(GatewayStatus::Overdue)),
            ("ATIVA", Time::Over, Some(GatewayStatus::Expired)),
            ("CONCLUIDA", Time::Over, Some(GatewayStatus::Paid)),
            (
                "REMOVIDA_PELO_USUARIO_RECEBEDOR",
                Time::Running,
                Some(GatewayStatus::Canceled),
            ),
            (
                "REMOVIDA_PELO_PSP",
                Time::Over,
                Some(GatewayStatus::Canceled),
            ),
            ("NOVA_COISA", Time::Running, None),
        ] {
            assert_eq!(status(theirs, time), ours, "{theirs} {time:?}");
        }
    }

    #[test]
    fn a_charge_is_over_by_efis_clock_and_active_until_it_is_removed() {
        let cob: Cob = serde_json::from_value(serde_json::json!({
            "calendario": { "criacao": "2026-07-14T20:15:00Z", "expiracao": 3600 }, "txid": "t", "status": "ATIVA",
            "valor": { "original": "1.00" }, "pixCopiaECola": "not a code that we can read",
        }))
        .expect("a cob");
        let at = |reported_at: Option<&str>| {
            let reported_at = reported_at.map(|at| at.parse().expect("an instant"));
            let charge = cob.to_charge(reported_at, &[]).expect("a charge");
            (charge.status, charge.next_action.is_some())
        };
        assert!(cob.is_active());
        let running = (GatewayStatus::Pending, true);
        assert_eq!(at(Some("2026-07-14T21:14:59Z")), running);
        assert_eq!(
            at(Some("2026-07-14T21:15:00Z")),
            (GatewayStatus::Expired, false)
        );
        assert_eq!(at(None), running);
    }

    /// Covers BACEN's examples of `validadeAposVencimento`.
    #[test]
    fn a_due_date_on_a_day_off_moves_and_its_further_days_with_it() {
        let at = |due: &str, days, on: &str| {
            let calendar = Calendar {
                criacao: Instant::UNIX_EPOCH,
                expiracao: 0,
                data_de_vencimento: Some(due.parse().expect("a day")),
                validade_apos_vencimento: days,
            };
            calendar
                .read(calendar::end_of(on.parse().expect("a day")))
                .1
        };
        assert_eq!(at("2020-10-20", 4, "2020-10-20"), Time::Running);
        assert_eq!(at("2020-10-20", 4, "2020-10-21"), Time::Late);
        assert_eq!(at("2020-12-25", 0, "2020-12-28"), Time::Running);
        assert_eq!(at("2020-12-25", 0, "2020-12-29"), Time::Over);
        assert_eq!(at("2020-12-25", 1, "2020-12-29"), Time::Late);
        assert_eq!(at("2020-12-25", 1, "2020-12-30"), Time::Over);
    }
}
