//! Calls to addresses that merchants chose, never into our own network.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::{Host, Url};

use super::base;

/// Shorter than the 5 s after which common servers close an idle connection, so that our side closes it first.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// Reason why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("must begin with https://")]
    NotHttps,
    #[error("must not hold a user name or password")]
    Credentials,
    #[error("must name a host on the public internet")]
    Private,
}

/// Checks that deliveries may be sent to `url`. `allow_private`, for local stacks, permits plain HTTP and private addresses.
pub fn check_webhook_url(url: &Url, allow_private: bool) -> Result<(), AddressError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    if url.scheme() != "https" && !(allow_private && url.scheme() == "http") {
        return Err(AddressError::NotHttps);
    }
    let public = match url.host() {
        Some(Host::Domain(name)) => !is_local_name(name),
        Some(Host::Ipv4(ip)) => is_public(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => is_public(IpAddr::V6(ip)),
        None => false,
    };
    if public || allow_private {
        Ok(())
    } else {
        Err(AddressError::Private)
    }
}

/// Builds a client for such addresses. It follows no redirects and does not resolve names to private addresses.
pub fn webhook_client(allow_private: bool) -> Result<Client, reqwest::Error> {
    let builder = base()
        .user_agent("payment-orchestrator-webhooks/1")
        .tcp_nodelay(true)
        .pool_idle_timeout(POOL_IDLE);
    if allow_private {
        builder.build()
    } else {
        builder.dns_resolver(Arc::new(PublicOnly)).build()
    }
}

struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(AddressError::Private.into());
            }
            Ok::<Addrs, _>(Box::new(public.into_iter()))
        })
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_lowercase();
    name == "localhost"
        || [".localhost", ".local", ".internal"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// Returns true if the address is public by IANA's special-purpose registries (RFC 6890 and later). The standard library's
/// `is_global` is not stable.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (18..20).contains(&b);
    !(a == 0
        || a >= 240
        || shared
        || protocol
        || benchmark
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast())
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [first, second, ..] = ip.segments();
    // 2000::/3 is the only range in use; 2002::/16 and 2001::/32 tunnel to any IPv4 address
    (0x2000..0x4000).contains(&first)
        && first != 0x2002
        && !(first == 0x2001 && (second == 0 || second == 0xdb8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<(), AddressError> {
        check_webhook_url(&url.parse().expect("a URL"), false)
    }

    #[test]
    fn our_own_network_is_never_called() {
        for inside in [
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://localhost/",
            "https://db.internal/",
            "https://0x7f000001/",
        ] {
            assert_eq!(check(inside), Err(AddressError::Private), "{inside}");
        }
        assert_eq!(check("http://example.com/"), Err(AddressError::NotHttps));
        assert_eq!(
            check("https://user:pass@example.com/"),
            Err(AddressError::Credentials)
        );
        assert_eq!(check("https://example.com/hooks"), Ok(()));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_does_not_resolve() {
        let name: Name = "localhost".parse().expect("a name");
        assert!(PublicOnly.resolve(name).await.is_err());
    }
}
