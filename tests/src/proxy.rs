//! A TCP proxy to one of the services, which a test can cut.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use url::Url;

/// Mode of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Whole,
    /// Connections are closed, and new ones are closed at once.
    Cut,
    /// Requests arrive; the answers are not returned.
    Mute,
}

/// The proxy. It stops when dropped.
#[derive(Clone)]
pub struct Proxy {
    pub url: Url,
    mode: Arc<watch::Sender<Mode>>,
    _stop: Arc<DropGuard>,
}

impl Proxy {
    /// Opens a proxy to the host and port of `target`.
    pub async fn to(target: &Url) -> Self {
        let to = format!(
            "{}:{}",
            target.host_str().expect("a host"),
            target.port_or_known_default().expect("a port")
        );
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("a port");
        let mut url = target.clone();
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(listener.local_addr().expect("an address").port()))
            .expect("a port");
        let mode = Arc::new(watch::Sender::new(Mode::Whole));
        let stop = CancellationToken::new();
        let (modes, stopped, tracker) = (mode.clone(), stop.clone(), TaskTracker::new());
        let connections = tracker.clone();
        tracker.spawn(stopped.run_until_cancelled_owned(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *modes.borrow() != Mode::Cut
                    && let Ok(far) = TcpStream::connect(&to).await
                {
                    connections.spawn(carry(near, far, modes.subscribe()));
                }
            }
        }));
        Self {
            url,
            mode,
            _stop: Arc::new(stop.drop_guard()),
        }
    }

    /// Closes all connections and refuses new ones.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Withholds the answers.
    pub fn mute(&self) {
        self.mode.send_replace(Mode::Mute);
    }

    /// Forwards in both directions again.
    pub fn repair(&self) {
        self.mode.send_replace(Mode::Whole);
    }
}

async fn carry(near: TcpStream, far: TcpStream, mut mode: watch::Receiver<Mode>) {
    let (mut receive, mut speak) = near.into_split();
    let (mut far_receive, mut far_speak) = far.into_split();
    let mut muted = mode.clone();
    let there = async move {
        tokio::io::copy(&mut receive, &mut far_speak)
            .await
            .map(drop)
    };
    let back = async move {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            let n = far_receive.read(&mut bytes).await?;
            let open = muted.wait_for(|mode| *mode != Mode::Mute).await.is_ok();
            if n == 0 || !open {
                return Ok::<_, std::io::Error>(());
            }
            speak.write_all(&bytes[..n]).await?;
        }
    };
    let cut = async move { mode.wait_for(|mode| *mode == Mode::Cut).await.map(drop) };
    tokio::select! {
        _ = there => {}
        _ = back => {}
        _ = cut => {}
    }
}
