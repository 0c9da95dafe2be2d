//! Client connections: limited in number, and in the time that a request's head may take.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::start::Work;

/// Maximum size of the buffer of an incomplete request, in bytes: the longest head.
const MAX_HEAD: usize = 64 * 1024;
/// Pause after a connection could not be accepted: the process has no file handle left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Limits for clients of a port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Maximum time for a request's head to arrive, and for a connection to be idle.
    pub(crate) head_within: Duration,
    /// Maximum number of connections; further ones wait to be accepted.
    pub(crate) connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_within: Duration::from_secs(30),
            connections: 10_000,
        }
    }
}

/// Serves `router` until `stop`; `tracker` waits for the requests in progress at that time.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    Work { tracker, stop }: Work,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(MAX_HEAD);
    let accepting = async {
        // the semaphore is never closed
        while let Ok(permit) = permits.clone().acquire_owned().await {
            let stream = accept(&listener).await;
            let service = TowerToHyperService::new(router.clone());
            let connection = server.serve_connection(TokioIo::new(stream), service);
            let stop = stop.clone();
            tracker.spawn(async move {
                let mut connection = pin!(connection);
                let mut ended = stop.run_until_cancelled(connection.as_mut()).await;
                if ended.is_none() {
                    connection.as_mut().graceful_shutdown();
                    ended = Some(connection.await);
                }
                if let Some(Err(error)) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(permit);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // answers are written in one piece: they need not wait for the acknowledgement of an earlier one
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection is gone already");
                }
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::sync::CancellationToken;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    async fn served() -> (std::net::SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/", get(|| async { "here" }));
        let limits = Limits {
            head_within: Duration::from_millis(100),
            connections: 1,
        };
        let work = Work::default();
        let Work { tracker, stop } = work.clone();
        tracker.spawn(serve(listener, router, limits, work));
        (address, stop)
    }

    async fn sent(address: std::net::SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(bytes).await.expect("sent");
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an end");
        text
    }

    #[tokio::test]
    async fn a_client_that_never_finishes_its_request_holds_its_place_only_for_a_while() {
        let (address, stop) = served().await;
        let slow = sent(address, b"GET / HTTP/1.1\r\nhost:").await;
        let next = sent(address, REQUEST).await;
        assert_eq!(rest(slow).await, "");
        assert!(rest(next).await.ends_with("here"));
        stop.cancel();
    }
}
