//! Notifications. One body may contain several Pix; `/pix` is appended to the webhook's URL.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Efi, pix::Pix};
use crate::{
    notify::{self, NotificationPlan, Proof},
    sim::{decimal, lock},
};

/// Seconds between tries: 5, 10, 20 … 1280 minutes.
const SCHEDULE_S: [u64; 9] = [300, 600, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 76_800];
/// Efí's fee for a Pix in hundredths of a percent.
const FEE_BPS: i64 = 119;

impl Efi {
    /// Sends Pix to the webhooks of their keys, one body per key.
    pub(crate) fn notify(&self, all: &[Pix], event: &str) {
        self.notify_by(all, event, &SCHEDULE_S);
    }

    /// Sends Pix to the webhooks of their keys without retries.
    pub(crate) fn notify_once(&self, all: &[Pix], event: &str) {
        self.notify_by(all, event, &[]);
    }

    fn notify_by(&self, all: &[Pix], event: &str, schedule_s: &'static [u64]) {
        let mut bodies: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
        for pix in all {
            let of = (pix.account.clone(), pix.key.clone());
            if let Some(reported) = self.reported(pix) {
                bodies.entry(of).or_default().push(reported);
            }
        }
        for (of, reported) in bodies {
            self.send((&of.0, &of.1), &reported, (event, schedule_s));
        }
    }

    /// Sends one body to the webhook of a key, if it has one.
    pub(crate) fn send(
        &self,
        (account, key): (&str, &str),
        reported: &[Value],
        (event, schedule_s): (&str, &'static [u64]),
    ) {
        let of = (account.to_owned(), key.to_owned());
        let Some(webhook) = lock(&self.state).webhooks.get(&of).cloned() else {
            return;
        };
        let plan = NotificationPlan {
            url: format!("{}/pix", webhook.url),
            event: event.to_owned(),
            body: json!({ "pix": reported }).to_string(),
            proof: Proof::None,
            schedule_s,
            exactly_200: false,
            order: None,
        };
        notify::notify(&self.sim, plan);
    }

    /// Returns the JSON of a notification, or nothing if the key's configuration excludes the Pix.
    fn reported(&self, pix: &Pix) -> Option<Value> {
        let state = lock(&self.state);
        let of_key = state.configs.get(&pix.account);
        let webhook =
            of_key.map(|config| &config["pix"]["chaves"][&pix.key]["recebimento"]["webhook"]);
        let (extras, payer_cpf) = {
            let settings = lock(&self.settings);
            (settings.gn_extras, settings.payer_cpf.clone())
        };
        let flag = |group: &str, name: &str| webhook.and_then(|all| all[group][name].as_bool());
        if pix.txid.is_none() && flag("notificar", "pixSemTxid") != Some(true) {
            return None;
        }
        let mut reported = pix.reported();
        let mut more = json!({});
        if flag("notificacao", "tarifa").unwrap_or(extras) {
            more["tarifa"] = decimal(pix.amount * FEE_BPS / 10_000).into();
        }
        if flag("notificacao", "pagador").unwrap_or(extras) {
            more["pagador"] =
                json!({ "nome": "PAGADOR SIMULADO", "cpf": payer_cpf, "codigoBanco": "260" });
        }
        if more != json!({}) {
            reported["gnExtras"] = more;
        }
        Some(reported)
    }
}
