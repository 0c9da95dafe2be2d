//! Authentication by API key.

use axum::http::{HeaderMap, header};
use schemas::{
    gateway::Mode,
    id::MerchantId,
    merchant::{MerchantSettings, MerchantStatus, Permission},
};
use store::api_keys;

use crate::{
    App, Code, Error,
    admission::{Line, Permit, Place, Work},
};

/// Maximum length of a key; all of ours are much shorter.
const MAX_KEY: usize = 200;

/// Merchant and mode of a request whose key has the required permission.
#[derive(Clone, Debug)]
pub struct Caller {
    pub merchant: MerchantId,
    pub mode: Mode,
    pub settings: MerchantSettings,
    status: MerchantStatus,
}

/// Caller that was admitted to create or change something.
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    pub(crate) permit: Permit,
    pub(crate) place: Place,
}

/// Admits the caller of a request that creates or changes something.
pub(crate) async fn admit(app: &App, headers: &HeaderMap, work: Work) -> Result<Admitted, Error> {
    let mut permit = app.admission.enter(work, headers).await?;
    let caller = authenticate(app, headers, Permission::Payments).await?;
    permit.pass_to(caller.line());
    let place = app.admission.place(work, caller.merchant)?;
    Ok(Admitted {
        caller,
        permit,
        place,
    })
}

/// Returns the secret of a request's API key, if it has the form of one.
pub(crate) fn secret(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    // RFC 9110 §11.1: the scheme's case does not matter
    let secret = scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(secret.trim())?;
    (secret.starts_with("sk_") && secret.len() <= MAX_KEY).then_some(secret)
}

/// Returns the caller of a request, if its key has at least the permission `needed`. The response does not state why a key is invalid.
pub async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    needed: Permission,
) -> Result<Caller, Error> {
    let wrong = || Error::new(Code::Unauthenticated, "no valid API key was sent");
    let secret = secret(headers).ok_or_else(wrong)?;
    let mut db = app
        .store
        .pool
        .acquire()
        .await
        .map_err(store::StoreError::from)?;
    let Some(key) = api_keys::find(&mut db, secret).await? else {
        app.admission.forget(headers);
        return Err(wrong());
    };
    let line = Line::Known(key.merchant, key.mode);
    app.admission.remember(headers, line);
    if key.permission < needed {
        return Err(Error::new(
            Code::PermissionDenied,
            format!(
                "this needs the permission `{needed}`, and the key has `{}`",
                key.permission
            ),
        ));
    }
    Ok(Caller {
        merchant: key.merchant,
        mode: key.mode,
        settings: key.settings,
        status: key.merchant_status,
    })
}

impl Caller {
    /// Returns the caller's line in the queue for permits.
    pub(crate) fn line(&self) -> Line {
        Line::Known(self.merchant, self.mode)
    }

    /// Returns an error if the merchant may not create anything new.
    pub fn may_create(&self) -> Result<(), Error> {
        match self.status {
            MerchantStatus::Active => Ok(()),
            _ => Err(self.not_active()),
        }
    }

    /// Returns the error for a merchant that may not create anything new.
    pub(crate) fn not_active(&self) -> Error {
        Error::new(
            Code::MerchantNotActive,
            format!("the merchant is {}", self.status),
        )
    }
}
