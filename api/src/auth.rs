//! Authentication by API key.

use std::marker::PhantomData;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use schemas::{
    gateway::Mode,
    id::MerchantId,
    merchant::{MerchantSettings, MerchantStatus, Permission},
};
use store::api_keys;
use tokio::time::Instant;

use crate::{
    App, Code, Error,
    admission::{Line, Permit, Place, Work},
};

/// Maximum length of a key; all of ours are much shorter.
const MAX_KEY: usize = 200;

/// Permission that an endpoint requires, as a type.
pub(crate) trait Needs {
    const PERMISSION: Permission;
}

/// Permission to read.
pub(crate) struct Read;
/// Permission to create and change charges and refunds.
pub(crate) struct Payments;
/// Permission to change webhook endpoints.
pub(crate) struct Configuration;

impl Needs for Read {
    const PERMISSION: Permission = Permission::Read;
}
impl Needs for Payments {
    const PERMISSION: Permission = Permission::Payments;
}
impl Needs for Configuration {
    const PERMISSION: Permission = Permission::Configuration;
}

/// Merchant and mode of a request whose key has the permission `N`.
pub(crate) struct Caller<N> {
    pub(crate) merchant: MerchantId,
    pub(crate) mode: Mode,
    pub(crate) settings: MerchantSettings,
    status: MerchantStatus,
    needs: PhantomData<fn() -> N>,
}

impl<N: Needs> FromRequestParts<App> for Caller<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        authenticate(app, &parts.headers).await
    }
}

/// Kind of work that a caller is admitted to, as a type.
pub(crate) trait Admits {
    const WORK: Work;
}

/// Creation of a charge.
pub(crate) struct Creation;
/// Cancellation or refund of a charge.
pub(crate) struct Change;

impl Admits for Creation {
    const WORK: Work = Work::Create;
}
impl Admits for Change {
    const WORK: Work = Work::Change;
}

/// Caller that was admitted to create or change something.
pub(crate) struct Admitted<W> {
    pub(crate) caller: Caller<Payments>,
    /// Permit to work. The caller gives it up before it waits for a gateway.
    pub(crate) permit: Permit,
    /// Place among the waiting callers, held until the response.
    pub(crate) place: Place,
    /// Latest time of the response.
    pub(crate) deadline: Instant,
    work: PhantomData<fn() -> W>,
}

impl<W: Admits> FromRequestParts<App> for Admitted<W> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let deadline = Instant::now() + app.config.answer_within;
        // A flood of invented keys is refused before it uses the database.
        let mut permit = app.admission.enter(W::WORK, &parts.headers).await?;
        let caller: Caller<Payments> = authenticate(app, &parts.headers).await?;
        permit.pass_to(caller.line());
        let place = app.admission.place(W::WORK, caller.merchant)?;
        Ok(Self {
            caller,
            permit,
            place,
            deadline,
            work: PhantomData,
        })
    }
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

/// Returns the caller of a request, if its key has at least the permission `N`. The response does not state why a key is invalid.
async fn authenticate<N: Needs>(app: &App, headers: &HeaderMap) -> Result<Caller<N>, Error> {
    let wrong = || Error::new(Code::Unauthenticated, "no valid API key was sent");
    let secret = secret(headers).ok_or_else(wrong)?;
    let mut db = app.db().await?;
    let Some(key) = api_keys::find(&mut db, secret).await? else {
        app.admission.forget(headers);
        return Err(wrong());
    };
    let line = Line::Known(key.merchant, key.mode);
    app.admission.remember(headers, line);
    if key.permission < N::PERMISSION {
        return Err(Error::new(
            Code::PermissionDenied,
            format!(
                "this request requires the permission `{}`; the key has `{}`",
                N::PERMISSION,
                key.permission
            ),
        ));
    }
    Ok(Caller {
        merchant: key.merchant,
        mode: key.mode,
        settings: key.settings,
        status: key.merchant_status,
        needs: PhantomData,
    })
}

impl<N> Caller<N> {
    /// Returns the key of the caller's rows: the merchant and the mode.
    pub(crate) fn owner(&self) -> (MerchantId, Mode) {
        (self.merchant, self.mode)
    }

    /// Returns the caller's line in the queue for permits.
    pub(crate) fn line(&self) -> Line {
        Line::Known(self.merchant, self.mode)
    }

    /// Returns an error if the merchant may not create anything new.
    pub(crate) fn may_create(&self) -> Result<(), Error> {
        match self.status {
            MerchantStatus::Active => Ok(()),
            status => Err(Error::new(
                Code::MerchantNotActive,
                format!("the merchant is {status}"),
            )),
        }
    }
}
