//! Our notification address at Stripe: registered, looked after, repaired. Stripe takes several, so nobody is in our way.

use schemas::attempt::ErrorClass;
use serde::Deserialize;
use url::Url;

use super::{
    Stripe,
    call::{Form, Listed, VERSION, unreadable},
    event::EVENTS,
};
use crate::{
    Finding, GatewayError, Subscription, Watched,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

/// Stripe keeps at most 16.
const MAX_PAGES: usize = 1;

#[derive(Deserialize)]
struct Endpoint {
    id: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    status: String,
    /// None: the account's own.
    api_version: Option<String>,
    #[serde(default)]
    enabled_events: Vec<String>,
    secret: Option<String>,
}

impl Listed for Endpoint {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Endpoint {
    fn is_disabled(&self) -> bool {
        self.status == "disabled"
    }

    /// Whether it tells events in another shape than the one that it was registered with, which can't be changed.
    fn is_outdated(&self) -> bool {
        self.api_version
            .as_ref()
            .is_some_and(|version| version != VERSION)
    }

    fn hears_all(&self) -> bool {
        let hears = |event: &str| {
            self.enabled_events
                .iter()
                .any(|it| it == event || it == "*")
        };
        EVENTS.iter().all(|event| hears(event))
    }
}

impl Stripe {
    /// Registers `url`. The secret is told only then, so what is registered already is made anew; the old one goes last, so
    /// that no event falls between the two.
    pub(super) async fn register(&self, url: &Url) -> Result<Subscription, GatewayError> {
        let old = self.endpoints_at(url).await?;
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
        self.remove(&old).await?;
        Ok(Subscription::Secret(secret))
    }

    /// Takes our address back.
    pub(super) async fn deregister(&self, url: &Url) -> Result<(), GatewayError> {
        let ours = self.endpoints_at(url).await?;
        self.remove(&ours).await
    }

    async fn remove(&self, endpoints: &[Endpoint]) -> Result<(), GatewayError> {
        for endpoint in endpoints {
            self.delete(&["webhook_endpoints", &endpoint.id], deadline())
                .await?;
        }
        Ok(())
    }

    /// Looks whether `url` is registered, served, and told everything; puts right what is not.
    pub(super) async fn look_after(&self, url: &Url) -> Result<Watched, GatewayError> {
        let ours = self.endpoints_at(url).await?;
        // a disabled twin does no harm
        let best = ours
            .iter()
            .max_by_key(|it| (!it.is_outdated(), !it.is_disabled(), it.hears_all()));
        let Some(endpoint) = best else {
            let message = "our notification address was not registered at Stripe any more";
            return self.anew(url, "address_missing", message).await;
        };
        if self.webhook_secrets.is_empty() {
            let message =
                "our notification address is registered at Stripe, and its secret is not known";
            return self.anew(url, "secret_missing", message).await;
        }
        if endpoint.is_outdated() {
            let message = "Stripe told our notification address its events in a former version";
            return self.anew(url, "version_outdated", message).await;
        }
        let mut watched = Watched::default();
        let mut form = Form::new();
        if endpoint.is_disabled() {
            form.push(("disabled", "false".to_owned()));
            watched.findings.push(repaired(
                "notifications_interrupted",
                "Stripe had disabled our notification address",
            ));
        }
        if !endpoint.hears_all() {
            form.extend(events());
            watched.findings.push(repaired(
                "events_missing",
                "Stripe did not tell our notification address everything",
            ));
        }
        if !form.is_empty() {
            self.post(&["webhook_endpoints", &endpoint.id], &form, deadline())
                .await?;
        }
        Ok(watched)
    }

    async fn anew(
        &self,
        url: &Url,
        code: &'static str,
        message: &str,
    ) -> Result<Watched, GatewayError> {
        match self.register(url).await {
            Ok(subscription) => Ok(Watched {
                findings: vec![repaired(code, message)],
                subscription: Some(subscription),
            }),
            // as many as Stripe allows are registered already
            Err(error) if error.class == ErrorClass::Refused => Ok(Watched {
                findings: vec![Finding {
                    code,
                    message: format!(
                        "{message}, and Stripe refuses to register it: remove an address there that is not needed"
                    ),
                    repaired: false,
                }],
                subscription: None,
            }),
            Err(error) => Err(error),
        }
    }

    async fn endpoints_at(&self, url: &Url) -> Result<Vec<Endpoint>, GatewayError> {
        let mut all: Vec<Endpoint> = self
            .list(&["webhook_endpoints"], &[], (MAX_PAGES, deadline()))
            .await?;
        all.retain(|endpoint| endpoint.url == url.as_str());
        Ok(all)
    }
}

fn events() -> Form {
    let all = EVENTS.map(|event| ("enabled_events[]", event.to_owned()));
    all.into()
}

fn repaired(code: &'static str, message: &str) -> Finding {
    Finding {
        code,
        message: format!("{message}; it was put right"),
        repaired: true,
    }
}

fn deadline() -> Deadline {
    Deadline::after(CALL_TIMEOUT)
}
