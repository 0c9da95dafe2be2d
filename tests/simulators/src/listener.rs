//! Listeners that can be closed and opened again, and the application of faults to requests.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    broken_body,
    control::ControlApi,
    fault::{Fault, Kind},
    sim::Seen,
};

const BACKLOG: u32 = 1024;
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// Reference of the charge that a request was about. Stored in the response's extensions.
#[derive(Clone)]
pub(crate) struct About(pub String);

/// Opener of listening sockets.
pub(crate) struct Listener {
    pub stop: CancellationToken,
    pub tracker: TaskTracker,
}

/// Marker that the connection ends without a response, or within one.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

impl Listener {
    /// Serves a gateway. While it is down, the port stays bound and refuses connections.
    pub(crate) fn open(
        &self,
        address: SocketAddr,
        api: Arc<dyn ControlApi>,
        (router, tls): (Router, Option<TlsAcceptor>),
    ) -> anyhow::Result<SocketAddr> {
        let mut socket = bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let bound = socket.local_addr()?;
        let (stop, tracker) = (self.stop.clone(), self.tracker.clone());
        api.sim().sockets.send_modify(|(all, _)| *all += 1);
        self.tracker.spawn(async move {
            let mut up = api.sim().up.subscribe();
            loop {
                if stop
                    .run_until_cancelled(up.wait_for(|up| *up))
                    .await
                    .is_none_or(|up| up.is_err())
                {
                    return;
                }
                let listening = match socket.listen(BACKLOG) {
                    Ok(listening) => listening,
                    Err(error) => return tracing::error!(%error, %bound, "the port is gone"),
                };
                api.sim().sockets.send_modify(|(_, open)| *open += 1);
                let open = stop.child_token();
                let serving = accept(&listening, &open, &tracker, (&api, &router, tls.as_ref()));
                let down = up.wait_for(|up| !*up);
                tokio::select! {
                    () = serving => {}
                    _ = down => {}
                    () = stop.cancelled() => return,
                }
                open.cancel();
                drop(listening);
                api.sim().sockets.send_modify(|(_, open)| *open -= 1);
                match bind(bound) {
                    Ok(again) => socket = again,
                    Err(error) => return tracing::error!(%error, %bound, "the port is gone"),
                }
            }
        });
        Ok(bound)
    }

    /// Serves the control API, which has no faults.
    pub(crate) async fn open_control(
        &self,
        address: SocketAddr,
        router: Router,
    ) -> anyhow::Result<SocketAddr> {
        let listening = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let bound = listening.local_addr()?;
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            let _ = axum::serve(listening, router)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await;
        });
        Ok(bound)
    }
}

/// Binds a port without listening on it.
fn bind(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(
    listening: &TcpListener,
    open: &CancellationToken,
    tracker: &TaskTracker,
    (api, router, tls): (&Arc<dyn ControlApi>, &Router, Option<&TlsAcceptor>),
) {
    while let Ok((stream, _)) = listening.accept().await {
        let (api, router, tls) = (api.clone(), router.clone(), tls.cloned());
        tracker.spawn(open.clone().run_until_cancelled_owned(connection(
            stream,
            api,
            (router, tls),
        )));
    }
}

async fn connection(
    stream: TcpStream,
    api: Arc<dyn ControlApi>,
    (router, tls): (Router, Option<TlsAcceptor>),
) {
    let _ = stream.set_nodelay(true);
    match tls {
        // without a certificate that the authority signed, the client receives no response
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, api, router).await;
            }
        }
        None => serve(stream, api, router).await,
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    api: Arc<dyn ControlApi>,
    router: Router,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (api, router) = (api.clone(), router.clone());
        let sim = api.sim().clone();
        // a gateway completes a request even if the caller disconnects
        let answering = sim.stop.clone().run_until_cancelled_owned(async move {
            answer(&api, router, request.map(Body::new)).await
        });
        let answering = sim.tracker.spawn(answering);
        async move { answering.await.ok().flatten().unwrap_or(Err(Cut)) }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    api: &Arc<dyn ControlApi>,
    router: Router,
    request: Request<Body>,
) -> Result<Response<Body>, Cut> {
    let (method, path) = (
        request.method().to_string(),
        request.uri().path().to_owned(),
    );
    if path.starts_with("/_sim") {
        return Ok(route(router, request).await);
    }
    let started = Instant::now();
    let sim = api.sim();
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .map(ToOwned::to_owned);
    let faults = sim.faults.of(&method, &path);
    pause(sim.settings().latency_ms).await;
    let mut about = None;
    let outcome = if let Some(outcome) = before(api, &faults).await {
        outcome
    } else {
        api.due();
        let response = route(router, request).await;
        about = response
            .extensions()
            .get::<About>()
            .map(|About(reference)| reference.clone());
        after(api, &faults, response).await
    };
    let outcome = outcome.map(|response| dated(api, response));
    let status = outcome
        .as_ref()
        .ok()
        .map(|response| response.status().as_u16());
    sim.saw(Seen {
        at: sim.now(),
        method,
        path,
        status,
        reference: about.clone(),
        idempotency_key: key,
    });
    if let Some(reference) = about {
        api.served(
            &reference,
            u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        );
    }
    outcome
}

async fn route(router: Router, request: Request<Body>) -> Response<Body> {
    let outcome: Result<_, Infallible> = router.oneshot(request).await;
    outcome.unwrap_or_else(|never| match never {})
}

/// Applies the faults that replace or precede the effect.
async fn before(
    api: &Arc<dyn ControlApi>,
    faults: &[Fault],
) -> Option<Result<Response<Body>, Cut>> {
    for fault in faults.iter().filter(|fault| !fault.after) {
        match fault.kind {
            Kind::Delay => pause(fault.delay_ms).await,
            Kind::ResetBefore => return Some(Err(Cut)),
            Kind::Status => return Some(Ok(broken(api, fault))),
            _ => {}
        }
    }
    None
}

/// Applies the faults that follow the effect.
async fn after(
    api: &Arc<dyn ControlApi>,
    faults: &[Fault],
    response: Response<Body>,
) -> Result<Response<Body>, Cut> {
    let mut response = response;
    for fault in faults {
        match fault.kind {
            Kind::Delay if fault.after => pause(fault.delay_ms).await,
            Kind::Status if fault.after => response = broken(api, fault),
            Kind::ResetAfter => return Err(Cut),
            Kind::Malformed => response = broken_body::halved(response).await,
            Kind::OddCode => response = broken_body::odd_codes(response).await,
            Kind::Truncated => response = broken_body::truncated(response).await,
            Kind::Trickle => response = broken_body::trickling(response, fault.delay_ms).await,
            _ => {}
        }
    }
    Ok(response)
}

fn broken(api: &Arc<dyn ControlApi>, fault: &Fault) -> Response<Body> {
    fault.answer(|status| api.refusal(status))
}

/// Adds the `Date` header by the simulator's own clock.
pub(crate) fn dated(api: &Arc<dyn ControlApi>, mut response: Response<Body>) -> Response<Body> {
    let date = api.sim().now().format(HTTP_DATE).to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().entry(header::DATE).or_insert(date);
    }
    response
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
