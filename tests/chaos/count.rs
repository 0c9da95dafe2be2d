//! Counts the results from outside only: through the API, the simulators, the merchant's server, Kafka and Temporal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use tests::{Api, MerchantServer, Simulator};
use url::Url;

use crate::{kafka::Outbox, purchase::Purchase, report::Line, rows};

/// Sources that the counts are read from.
pub(crate) struct Books<'a> {
    pub api: &'a Api,
    pub simulators: &'a [Simulator],
    pub merchant_server: &'a MerchantServer,
    pub outbox: &'a Outbox,
    pub database: &'a str,
    /// Temporal's HTTP API.
    pub temporal: &'a Url,
    pub purchases: &'a [Purchase],
    /// True once the sales that were left open have been canceled.
    pub canceled: bool,
    /// Sales requested while Temporal was stopped.
    pub presented_alone: &'a [&'a Purchase],
}

impl Books<'_> {
    /// Counts once. A line that is not right at this moment may become right later.
    pub(crate) async fn count(&self) -> anyhow::Result<Vec<Line>> {
        let charges = self.pages("/v1/charges").await;
        let mut lines = vec![
            self.answered(),
            self.taken_once(&charges),
            self.ended(&charges),
        ];
        lines.extend(self.instruments().await);
        lines.extend(self.delivered().await);
        lines.push(rows::attempts(self.database).await?);
        lines.push(self.presented_without_temporal());
        lines.push(self.have_workflows().await?);
        // Kafka is read from the beginning, which is slow: only once all other lines are right
        if crate::report::is_right(&lines) {
            lines.push(self.relayed().await?);
        }
        Ok(lines)
    }

    fn answered(&self) -> Line {
        let broken = self.purchases.iter().filter_map(|purchase| {
            Some(format!(
                "{}: {}",
                purchase.description,
                purchase.wrong.as_ref()?
            ))
        });
        Line {
            promise: "a client who keeps asking is answered, and can pay",
            counted: self.purchases.len(),
            broken: broken.collect(),
        }
    }

    fn taken_once(&self, charges: &[Value]) -> Line {
        let listed: BTreeSet<_> = charges.iter().filter_map(|c| c["id"].as_str()).collect();
        let answered: BTreeSet<_> = self
            .purchases
            .iter()
            .filter_map(|purchase| purchase.charge.as_deref())
            .collect();
        let mut broken: Vec<_> = listed
            .symmetric_difference(&answered)
            .map(|id| (*id).to_owned())
            .collect();
        if answered.len() != self.purchases.len() {
            broken.push(format!(
                "{} keys, {} charges",
                self.purchases.len(),
                answered.len()
            ));
        }
        Line {
            promise: "each key made one charge, and there are no others",
            counted: listed.len(),
            broken,
        }
    }

    fn ended(&self, charges: &[Value]) -> Line {
        let open: BTreeSet<_> = self
            .purchases
            .iter()
            .filter(|purchase| purchase.left_open)
            .filter_map(|purchase| purchase.charge.as_deref())
            .collect();
        let is_right = |charge: &&Value| {
            let left_open = charge["id"].as_str().is_some_and(|id| open.contains(id));
            match (left_open, self.canceled) {
                (true, true) => charge["status"] == "canceled",
                (true, false) => charge["status"] == "pending",
                (false, _) => {
                    charge["status"] == "paid" && charge["amount_paid"] == charge["amount"]
                }
            }
        };
        let broken = charges
            .iter()
            .filter(|charge| !is_right(charge))
            .map(|charge| format!("{} is {}", charge["id"], charge["status"]));
        Line {
            promise: "each charge became paid with its amount, or was canceled",
            counted: charges.len(),
            broken: broken.collect(),
        }
    }

    /// Checks that no instrument exists twice at the gateways and that none is left payable.
    async fn instruments(&self) -> [Line; 2] {
        let mut held: HashMap<String, Vec<Value>> = HashMap::new();
        for simulator in self.simulators {
            for charge in simulator.charges().await {
                let description = charge["description"].as_str().unwrap_or_default();
                held.entry(description.to_owned()).or_default().push(charge);
            }
        }
        let (mut once, mut orphans) = (Vec::new(), Vec::new());
        let mut superfluous = 0;
        for purchase in self.purchases {
            let held = held
                .get(&purchase.description)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let paid = held.iter().filter(|charge| charge["paid"] == true).count();
            if paid != usize::from(!purchase.left_open) {
                once.push(format!("{}: paid {paid} times", purchase.description));
            }
            superfluous += held.len().saturating_sub(1);
            let payable = held.iter().filter(|charge| charge["payable"] == true);
            let wanted = usize::from(purchase.left_open && !self.canceled);
            if payable.clone().count() != wanted {
                orphans.extend(payable.map(|charge| format!("payable, beside {wanted}: {charge}")));
            }
        }
        [
            Line {
                promise: "each charge is paid once at the gateways, or left open",
                counted: self.purchases.len(),
                broken: once,
            },
            Line {
                promise: "instruments that are not presented, or were canceled, are voided",
                counted: superfluous,
                broken: orphans,
            },
        ]
    }

    async fn delivered(&self) -> [Line; 2] {
        let arrived = self.merchant_server.arrived();
        let mut received: BTreeMap<String, usize> = BTreeMap::new();
        for webhook in arrived.iter().filter(|webhook| webhook.answered < 300) {
            *received.entry(webhook.id.clone()).or_default() += 1;
        }
        let events = self.pages("/v1/events").await;
        let listed: BTreeSet<_> = events
            .iter()
            .filter_map(|event| event["id"].as_str())
            .collect();
        let mut missed: Vec<_> = listed
            .iter()
            .filter(|id| !received.contains_key(**id))
            .map(|id| format!("never delivered: {id}"))
            .collect();
        missed.extend(
            received
                .keys()
                .filter(|id| !listed.contains(id.as_str()))
                .map(|id| format!("delivered, not listed: {id}")),
        );
        let forged = self.merchant_server.forged();
        [
            Line {
                promise: "each event listed is delivered, and no others",
                counted: listed.len(),
                broken: missed,
            },
            Line {
                promise: "each delivery is properly signed",
                counted: arrived.len(),
                broken: (0..forged)
                    .map(|_| "a wrong signature".to_owned())
                    .collect(),
            },
        ]
    }

    fn presented_without_temporal(&self) -> Line {
        let broken = self
            .presented_alone
            .iter()
            .filter(|purchase| purchase.first_status != "pending")
            .map(|purchase| {
                format!(
                    "{}: answered {}",
                    purchase.description, purchase.first_status
                )
            });
        Line {
            promise: "charges asked for while Temporal was stopped were presented at once",
            counted: self.presented_alone.len(),
            broken: broken.collect(),
        }
    }

    /// Checks that each charge that was left open has a workflow. A charge that was paid before Temporal returned needs none.
    async fn have_workflows(&self) -> anyhow::Result<Line> {
        let http = tests::http();
        let mut broken = Vec::new();
        let open = self
            .presented_alone
            .iter()
            .filter(|purchase| purchase.left_open);
        for purchase in open.clone() {
            let id = purchase.charge.as_deref().unwrap_or_default();
            let url = self
                .temporal
                .join(&format!("/api/v1/namespaces/default/workflows/{id}"))?;
            if !http.get(url).send().await?.status().is_success() {
                broken.push(format!("no workflow: {id}"));
            }
        }
        Ok(Line {
            promise: "the workflows of those that stayed open exist afterwards",
            counted: open.count(),
            broken,
        })
    }

    async fn relayed(&self) -> anyhow::Result<Line> {
        let (committed, relayed) = (self.outbox.committed().await?, self.outbox.relayed().await?);
        let missing = committed
            .iter()
            .filter(|id| !relayed.contains_key(*id))
            .cloned();
        Ok(Line {
            promise: "each message of the outbox is in Kafka",
            counted: committed.len(),
            broken: missing.collect(),
        })
    }

    /// Reads all pages of a list.
    async fn pages(&self, path: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all
                .last()
                .and_then(|last| last["id"].as_str())
                .map(|id| format!("&starting_after={id}"))
                .unwrap_or_default();
            let page = self
                .api
                .get(&format!("{path}?limit=100{after}"))
                .await
                .expect(200);
            all.extend(page["data"].as_array().cloned().unwrap_or_default());
            if page["has_more"] != true {
                return all;
            }
        }
    }
}
