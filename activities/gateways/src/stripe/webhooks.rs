//! Our notification address at Stripe: registration, checks, repairs. Stripe allows several endpoints, so ours never conflicts.

use serde::Deserialize;
use url::Url;

use super::{
    Stripe,
    notifications::event::EVENTS,
    requests::calls::{Form, VERSION, unreadable},
};
use crate::{
    CheckReport, GatewayError, Issue, Registration, Subscription, Unregister,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

#[derive(Deserialize)]
struct Endpoint {
    id: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    status: String,
    /// API version of its events. `None`: the account's own.
    api_version: Option<String>,
    #[serde(default)]
    enabled_events: Vec<String>,
    secret: Option<String>,
}

impl Endpoint {
    fn is_disabled(&self) -> bool {
        self.status == "disabled"
    }

    /// Returns true if its events have another API version than ours; Stripe cannot change the version of an endpoint.
    fn is_outdated(&self) -> bool {
        self.api_version
            .as_ref()
            .is_some_and(|version| version != VERSION)
    }

    fn receives_all(&self) -> bool {
        let receives = |event: &str| {
            self.enabled_events
                .iter()
                .any(|it| it == event || it == "*")
        };
        EVENTS.iter().all(|event| receives(event))
    }
}

impl Stripe {
    /// Registers `url`. Stripe returns the secret only at creation, so an existing endpoint is created again. The old one stays until the
    /// secret of the new one is stored ([`Self::remove_endpoints`]), so no event is lost between the two.
    pub(super) async fn register_endpoint(&self, url: &Url) -> Result<Subscription, GatewayError> {
        let mut form = vec![
            ("url", url.to_string()),
            ("api_version", VERSION.to_owned()),
        ];
        form.extend(events());
        let made: Endpoint = self
            .post(&["webhook_endpoints"], &form, deadline())
            .await?
            .read(Effect::Reads)?;
        let secret = made
            .secret
            .ok_or_else(|| unreadable("the new notification address came without its secret"))?;
        Ok(Subscription::Registered {
            id: made.id,
            secret: Some(secret),
        })
    }

    /// Removes endpoints at `url`.
    pub(super) async fn remove_endpoints(
        &self,
        url: &Url,
        which: Unregister<'_>,
    ) -> Result<(), GatewayError> {
        let mut there = self.endpoints_at(url).await?;
        if let Unregister::Others { keep } = which {
            there.retain(|endpoint| endpoint.id != keep);
        }
        self.remove(&there).await
    }

    async fn remove(&self, endpoints: &[Endpoint]) -> Result<(), GatewayError> {
        for endpoint in endpoints {
            self.api
                .delete(&["webhook_endpoints", &endpoint.id], deadline())
                .await?;
        }
        Ok(())
    }

    /// Checks that `url` is registered under the id whose secret is known, is active and has all events. Repairs problems that need no
    /// new secret.
    pub(super) async fn check_endpoint(
        &self,
        url: &Url,
        known: &[Registration],
    ) -> Result<CheckReport, GatewayError> {
        let there = self.endpoints_at(url).await?;
        let current = Registration::current(known);
        let ours = there.iter().find(|it| Some(it.id.as_str()) == current);
        let endpoint = match (ours, there.is_empty(), current) {
            (Some(endpoint), ..) if endpoint.is_outdated() => {
                let message = "Stripe sent our notification address its events in a former version";
                return Ok(lost("version_outdated", message));
            }
            (Some(endpoint), ..) => endpoint,
            (None, true, _) => {
                let message = "our notification address was not registered at Stripe any more";
                return Ok(lost("address_missing", message));
            }
            (None, false, None) => {
                let message =
                    "our notification address is registered at Stripe, and its secret is not known";
                return Ok(lost("secret_missing", message));
            }
            (None, false, Some(_)) => {
                let message = "the registration of our address at Stripe is not the one whose secret is known";
                return Ok(lost("registration_replaced", message));
            }
        };
        if there.len() > 1 {
            self.remove_endpoints(url, Unregister::Others { keep: &endpoint.id })
                .await?;
        }
        let mut report = CheckReport::default();
        let mut form = Form::new();
        if endpoint.is_disabled() {
            form.push(("disabled", "false".to_owned()));
            report.issues.push(repaired(
                "notifications_interrupted",
                "Stripe had disabled our notification address",
            ));
        }
        if !endpoint.receives_all() {
            form.extend(events());
            report.issues.push(repaired(
                "events_missing",
                "Stripe did not send every event to our notification address",
            ));
        }
        if !form.is_empty() {
            self.post(&["webhook_endpoints", &endpoint.id], &form, deadline())
                .await?;
        }
        Ok(report)
    }

    async fn endpoints_at(&self, url: &Url) -> Result<Vec<Endpoint>, GatewayError> {
        let mut all: Vec<Endpoint> = self.list(&["webhook_endpoints"], &[], deadline()).await?;
        all.retain(|endpoint| endpoint.url == url.as_str());
        Ok(all)
    }
}

fn events() -> Form {
    let all = EVENTS.map(|event| ("enabled_events[]", event.to_owned()));
    all.into()
}

fn lost(code: &'static str, message: &str) -> CheckReport {
    CheckReport {
        issues: Vec::new(),
        lost: Some(repaired(code, message)),
    }
}

fn repaired(code: &'static str, message: &str) -> Issue {
    Issue {
        code,
        message: format!("{message}; it was repaired"),
        repaired: true,
    }
}

fn deadline() -> Deadline {
    Deadline::after(CALL_TIMEOUT)
}
