//! Notification address of a Pix key. Efí allows one address per key.

use reqwest::Method;
use serde_json::json;
use url::Url;

use super::Pix;
use crate::{
    CheckReport, GatewayError, Issue, Subscription,
    efi::{errors, requests::Call},
    http::Deadline,
};

/// Owner of the registered address.
enum Registered {
    Nothing,
    Ours,
    /// This connection's address with a former secret.
    Former,
    Other(Url),
    Unreadable,
}

impl Pix {
    /// Registers `url`, unless a third party's address is registered and `replace` is false.
    pub(in crate::efi) async fn register(
        &self,
        url: &Url,
        replace: bool,
        deadline: Deadline,
    ) -> Result<Subscription, GatewayError> {
        match self.registered(url, deadline).await? {
            Registered::Ours => return Ok(Subscription::Done),
            Registered::Other(other) if !replace => {
                return Ok(Subscription::Taken { by: host(&other) });
            }
            Registered::Unreadable if !replace => {
                return Ok(Subscription::Taken {
                    by: "an unreadable address".to_owned(),
                });
            }
            Registered::Other(former) => {
                self.put(url, deadline).await?;
                return Ok(Subscription::Replaced { former });
            }
            Registered::Nothing | Registered::Former | Registered::Unreadable => {}
        }
        self.put(url, deadline).await?;
        Ok(Subscription::Done)
    }

    /// Deregisters `url`, if it or its address with a former secret is registered, and registers `former` instead. A third party's address
    /// stays.
    pub(in crate::efi) async fn unregister(
        &self,
        url: &Url,
        former: Option<&Url>,
        deadline: Deadline,
    ) -> Result<(), GatewayError> {
        match (self.registered(url, deadline).await?, former) {
            (Registered::Ours | Registered::Former, Some(former)) => {
                self.put(former, deadline).await
            }
            (Registered::Ours | Registered::Former, None) => {
                let path = ["v2", "webhook", self.pix_key.as_str()];
                let call = Call {
                    method: Method::DELETE,
                    ..Call::read(&path)
                };
                self.session.send(&call, deadline).await.map(drop)
            }
            (Registered::Nothing | Registered::Other(_) | Registered::Unreadable, _) => Ok(()),
        }
    }

    /// Checks that `url` is still registered. Otherwise the report requires a new registration, if the address may be replaced.
    pub(in crate::efi) async fn check(
        &self,
        url: &Url,
        replace: bool,
        deadline: Deadline,
    ) -> Result<CheckReport, GatewayError> {
        let (code, was) = match self.registered(url, deadline).await? {
            Registered::Ours => return Ok(CheckReport::default()),
            Registered::Nothing => ("address_missing", "no address was registered".to_owned()),
            Registered::Former => (
                "address_replaced",
                "a former address of ours was registered".to_owned(),
            ),
            Registered::Other(other) if !replace => return Ok(third_party(&host(&other))),
            Registered::Unreadable if !replace => return Ok(third_party("an unreadable address")),
            Registered::Other(other) => (
                "address_replaced",
                format!("{} was registered", host(&other)),
            ),
            Registered::Unreadable => (
                "address_replaced",
                "an unreadable address was registered".to_owned(),
            ),
        };
        Ok(CheckReport {
            issues: Vec::new(),
            lost: Some(Issue {
                code,
                message: format!("{was} for the Pix key; ours is again"),
                repaired: true,
            }),
        })
    }

    async fn registered(&self, url: &Url, deadline: Deadline) -> Result<Registered, GatewayError> {
        let path = ["v2", "webhook", self.pix_key.as_str()];
        let answer = match self.session.send(&Call::read(&path), deadline).await {
            Ok(answer) => answer.json(),
            Err(error) if errors::is_absent(&error) => return Ok(Registered::Nothing),
            Err(error) => return Err(error),
        };
        let Some(text) = answer["webhookUrl"].as_str() else {
            return Ok(Registered::Nothing);
        };
        Ok(match Url::parse(text) {
            Ok(found) if found == *url => Registered::Ours,
            Ok(found) if is_former(&found, url) => Registered::Former,
            Ok(found) => Registered::Other(found),
            Err(_) => Registered::Unreadable,
        })
    }

    async fn put(&self, url: &Url, deadline: Deadline) -> Result<(), GatewayError> {
        let path = ["v2", "webhook", self.pix_key.as_str()];
        let body = json!({ "webhookUrl": url.as_str() });
        let call = Call {
            skip_mtls: true,
            ..Call::change(Method::PUT, &path, &body)
        };
        self.session.send(&call, deadline).await.map(drop)
    }
}

fn third_party(who: &str) -> CheckReport {
    let message = format!(
        "{who} is registered for the Pix key, so that we receive no notifications; connect again with consent to replace it"
    );
    CheckReport {
        issues: vec![Issue {
            code: "address_replaced",
            message,
            repaired: false,
        }],
        lost: None,
    }
}

/// Returns true if the addresses differ only in the last part of the path, which is the secret.
fn is_former(found: &Url, url: &Url) -> bool {
    let all_but_secret = |url: &Url| {
        let path = url.path().rsplit_once('/');
        path.map(|(path, _)| (url.origin(), path.to_owned()))
    };
    let ours = all_but_secret(url);
    // a bare `/secret` has no path before it that would distinguish connections
    let has_path = ours.as_ref().is_some_and(|(_, path)| !path.is_empty());
    has_path && all_but_secret(found) == ours
}

/// Returns the host: enough to recognize a third party's address, whose remaining parts may contain its secret.
fn host(url: &Url) -> String {
    url.host_str().unwrap_or("an unreadable address").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_differs_in_its_secret_alone_is_ours() {
        let url = |text: &str| Url::parse(text).expect("an address");
        let ours = url("https://hooks.example.com/notifications/gc_1/new");
        for (found, former) in [
            ("https://hooks.example.com/notifications/gc_1/old", true),
            ("https://hooks.example.com/notifications/gc_2/old", false),
            ("https://other.example.com/notifications/gc_1/old", false),
            ("https://hooks.example.com/old", false),
        ] {
            assert_eq!(is_former(&url(found), &ours), former, "{found}");
        }
    }
}
