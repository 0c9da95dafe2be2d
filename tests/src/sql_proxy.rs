//! A proxy to PostgreSQL that records the statements that pass through it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use url::Url;

/// Code of a request for TLS, which precedes the startup message.
const TLS_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// A statement, or the commit of the transaction that it was the last one of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    Statement(String),
    Commit(String),
}

/// The proxy. It stops when dropped.
#[derive(Clone)]
pub struct SqlProxy {
    pub url: Url,
    recorded: Arc<Mutex<Vec<Recorded>>>,
    _stop: Arc<DropGuard>,
}

impl SqlProxy {
    /// Opens a proxy to the server of a database.
    pub async fn to(target: &Url) -> Self {
        let host = target.host_str().expect("a host");
        let to = format!("{host}:{}", target.port().unwrap_or(5432));
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("a port");
        let mut url = target.clone();
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(listener.local_addr().expect("an address").port()))
            .expect("a port");
        let recorded = Arc::<Mutex<Vec<Recorded>>>::default();
        let stop = CancellationToken::new();
        let (all, stopped, tracker) = (recorded.clone(), stop.clone(), TaskTracker::new());
        let connections = tracker.clone();
        tracker.spawn(stopped.run_until_cancelled_owned(async move {
            while let Ok((near, _)) = listener.accept().await {
                if let Ok(far) = TcpStream::connect(&to).await {
                    connections.spawn(carry(near, far, all.clone()));
                }
            }
        }));
        Self {
            url,
            recorded,
            _stop: Arc::new(stop.drop_guard()),
        }
    }

    /// Returns what was recorded since the last call.
    pub fn take(&self) -> Vec<Recorded> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut recorded)
    }
}

async fn carry(near: TcpStream, far: TcpStream, recorded: Arc<Mutex<Vec<Recorded>>>) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, mut near_write) = near.into_split();
    let (mut far_read, far_write) = far.into_split();
    tokio::select! {
        _ = requests(near_read, far_write, recorded) => {}
        _ = tokio::io::copy(&mut far_read, &mut near_write) => {}
    }
}

/// Forwards a client's messages and records its statements.
async fn requests(
    mut near: OwnedReadHalf,
    mut far: OwnedWriteHalf,
    recorded: Arc<Mutex<Vec<Recorded>>>,
) -> std::io::Result<()> {
    loop {
        let body = forward(&mut near, &mut far, None).await?;
        if body != TLS_REQUEST {
            break;
        }
    }
    let mut prepared: HashMap<Vec<u8>, String> = HashMap::new();
    let (mut bound, mut last) = (String::new(), String::new());
    loop {
        let kind = near.read_u8().await?;
        let body = forward(&mut near, &mut far, Some(kind)).await?;
        let mut texts = body.split(|byte| *byte == 0);
        let mut text = || texts.next().unwrap_or_default().to_vec();
        let entry = match kind {
            b'P' => {
                let (name, sql) = (text(), text());
                let sql = String::from_utf8_lossy(&sql).into_owned();
                prepared.insert(name, sql);
                None
            }
            b'B' => {
                let (_portal, name) = (text(), text());
                bound = prepared.get(&name).cloned().unwrap_or_default();
                None
            }
            b'E' => {
                last.clone_from(&bound);
                Some(Recorded::Statement(bound.clone()))
            }
            b'Q' if text().eq_ignore_ascii_case(b"commit") => Some(Recorded::Commit(last.clone())),
            _ => None,
        };
        let mut all = recorded.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(entry);
    }
}

/// Forwards a message whose kind was read already. Returns its body.
async fn forward(
    near: &mut OwnedReadHalf,
    far: &mut OwnedWriteHalf,
    kind: Option<u8>,
) -> std::io::Result<Vec<u8>> {
    let length = near.read_u32().await?;
    let mut body = vec![0; usize::try_from(length).unwrap_or(4).saturating_sub(4)];
    near.read_exact(&mut body).await?;
    let kind = kind.as_slice();
    far.write_all(&[kind, &length.to_be_bytes(), &body].concat())
        .await?;
    Ok(body)
}
